package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

func TestFragmentsAndAcks(t *testing.T) {
	s := &fakeStore{}
	b := build(t).header(sdk, videoTrack, audioTrack)
	for i := range int64(3) {
		at := epoch + 1000*i
		b.cluster(at).frame(1, at, fmt.Sprint("v", i)).frame(2, at+3, fmt.Sprint("a", i)).frame(1,
			at+500, fmt.Sprint("w", i))
	}
	acks, err := run(t, absolute(s), b.end().reader())
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range int64(3) {
		for _, kind := range []string{"BUFFERING", "RECEIVED", "PERSISTED"} {
			want = append(want, fmt.Sprintf("%s %d #%d", kind, epoch+1000*i, i+1))
		}
	}
	wantAcks(t, acks, want...)
	wantRecords(t, s,
		fmt.Sprintf("%d 1:v0,w0 2:a0", epoch), fmt.Sprintf("%d 1:v1,w1 2:a1", epoch+1000),
		fmt.Sprintf("%d 1:v2,w2 2:a2", epoch+2000))
	for i, r := range s.all() {
		if r.ProducerTimestamp != epoch+int64(1000*i) || r.ServerTimestamp != testNow.UnixMilli() {
			t.Errorf("fragment %d: producer %d, server %d", i, r.ProducerTimestamp,
				r.ServerTimestamp)
		}
		if got, want := r.Runs[0].BaseDecodeTime, (epoch+int64(1000*i))*90; got != want {
			t.Errorf("fragment %d: video begins at %d, not %d", i, got, want)
		}
		if i < 2 && r.Runs[0].Duration() != 90_000 {
			t.Errorf("fragment %d: the last frame does not reach the next cluster: %d ticks", i,
				r.Runs[0].Duration())
		}
		if !bytes.Contains(r.Header, []byte(sdk)) || len(r.Tracks) != 2 ||
			r.Tracks[1].Timescale != 44100 {
			t.Errorf("fragment %d: header or tracks are not the producer's", i)
		}
	}
}

func TestRelativeTimecodesAreEchoedRaw(t *testing.T) {
	s := &fakeStore{}
	b := build(t).header(sdk).gop(0, 2).gop(1800, 2).end()
	acks, err := run(t, relative(s, epoch), b.reader())
	if err != nil {
		t.Fatal(err)
	}
	wantAcks(t, acks, "BUFFERING 0 #1", "RECEIVED 0 #1", "PERSISTED 0 #1", "BUFFERING 1800 #2",
		"RECEIVED 1800 #2", "PERSISTED 1800 #2")
	if r := s.all()[1]; r.ProducerTimestamp != epoch+1800 || r.Timecode != 1800 ||
		r.Runs[0].BaseDecodeTime != (epoch+1800)*90 {
		t.Errorf("producer timestamp %d, timecode %d, base %d", r.ProducerTimestamp, r.Timecode,
			r.Runs[0].BaseDecodeTime)
	}
}

// The SDK keeps the body open until it has read PERSISTED of the last fragment.
func TestEndOfFragmentPersistsWithoutTheBodysEnd(t *testing.T) {
	s := &fakeStore{}
	r, w := io.Pipe()
	log := &ackLog{got: make(chan string)}
	done := make(chan error)
	go func() { done <- New(absolute(s)).Run(context.Background(), r, log) }()
	go w.Write(build(t).header(sdk).gop(epoch, 3).end().Bytes())
	for _, kind := range []string{"BUFFERING", "RECEIVED", "PERSISTED"} {
		if got, want := <-log.got, fmt.Sprintf("%s %d #1", kind, epoch); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// BUFFERING must not wait for a frame.
func TestBufferingComesWithTheClusterHeader(t *testing.T) {
	r, w := io.Pipe()
	log := &ackLog{got: make(chan string)}
	done := make(chan error)
	go func() { done <- New(absolute(&fakeStore{})).Run(context.Background(), r, log) }()
	go w.Write(build(t).header(sdk).cluster(epoch).Bytes())
	if got := <-log.got; !strings.HasPrefix(got, "BUFFERING") {
		t.Fatalf("got %q", got)
	}
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// How a body may end, and what is stored and acknowledged of its last fragment.
func TestEnds(t *testing.T) {
	const device = "kvs device"
	at := epoch
	whole := fmt.Sprintf("%d 1:a,b", at)
	partial := fmt.Sprintf("%d* 1:a,b", at)
	open := func(app string) *builder {
		return build(t).header(app).cluster(at).frame(1, at, "a").frame(1, at+40, "b")
	}
	cutShort := func(b *builder) []byte { return b.Bytes()[:b.Len()-2] }
	for _, c := range []struct {
		name   string
		body   io.Reader
		stored string
		acks   string // of the last fragment
		err    api.AckErrorID
	}{
		{"clean, between frames, SDK", open(sdk).reader(), partial, "BUFFERING", 0},
		{"clean, between frames, others", open(device).reader(), partial,
			"BUFFERING RECEIVED PERSISTED", 0},
		{"clean, inside a frame", bytes.NewReader(cutShort(open(device).frame(1, at+80, "cut"))),
			"", "BUFFERING ERROR", 4000},
		{"clean, known size",
			bytes.NewReader(append(build(t).header(device).Bytes(),
				knownCluster(at, simpleBlock(1, 0, true, "a"), simpleBlock(1, 40, false, "b"))...)),
			whole, "BUFFERING RECEIVED PERSISTED", 0},
		{"clean, in front of the first frame", build(t).header(device).cluster(at).reader(), "",
			"BUFFERING", 0},
		{"lost, SDK", lost(open(sdk).Bytes()), "", "BUFFERING ERROR", 4000},
		{"lost, between frames, device", lost(open(device).Bytes()), partial,
			"BUFFERING RECEIVED PERSISTED", 0},
		{"reset, between frames, device", failed(open(device).Bytes(), syscall.ECONNRESET), partial,
			"BUFFERING RECEIVED PERSISTED", 0},
		{"broken framing, between frames, device",
			failed(open(device).Bytes(), errors.New("malformed chunked encoding")), partial,
			"BUFFERING ERROR", 4000},
		{"lost, inside a frame, device", lost(cutShort(open(device).frame(1, at+80, "cut"))),
			partial, "BUFFERING ERROR", 4000},
		{"lost, in front of the first frame, device",
			lost(build(t).header(device).cluster(at).Bytes()), "", "BUFFERING", 0},
		{"lost, inside a cluster of known size, device",
			lost(append(build(t).header(device).Bytes(),
				knownCluster(at, simpleBlock(1, 0, true, "a"), simpleBlock(1, 40, false, "b"),
					simpleBlock(1, 80, false, "c"))[:47]...)),
			partial, "BUFFERING ERROR", 4000},
		{"lost, known size complete",
			lost(append(build(t).header(device).Bytes(),
				knownCluster(at, simpleBlock(1, 0, true, "a"), simpleBlock(1, 40, false, "b"))...)),
			whole, "BUFFERING RECEIVED PERSISTED", 0},
		{"lost, after the mark", lost(open(sdk).end().Bytes()), whole,
			"BUFFERING RECEIVED PERSISTED", 0},
		{"new document", open(sdk).header(sdk).reader(), whole, "BUFFERING RECEIVED PERSISTED", 0},
		{"tags", open(sdk).tag("k", "v").reader(), whole, "BUFFERING RECEIVED PERSISTED", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &fakeStore{}
			acks, err := run(t, absolute(s), c.body)
			if c.stored == "" {
				wantRecords(t, s)
			} else {
				wantRecords(t, s, c.stored)
			}
			var kinds []string
			for _, a := range acks {
				kinds = append(kinds, strings.Fields(a)[0])
			}
			if got := strings.Join(kinds, " "); got != c.acks {
				t.Errorf("acknowledgements %q, want %q", got, c.acks)
			}
			wantError(t, err, c.err)
		})
	}
}

func wantError(t testing.TB, err error, id api.AckErrorID) {
	t.Helper()
	var e *Error
	if id == 0 {
		if err != nil {
			t.Fatalf("error %v", err)
		}
		return
	}
	if !errors.As(err, &e) || e.ID != id {
		t.Fatalf("error %v, want %d", err, id)
	}
}

// A producer that has marked a fragment's end once would have marked this one's: it resends.
func TestLostAfterAnEarlierMarkDropsThePartialFragment(t *testing.T) {
	s := &fakeStore{}
	b := build(t).header("device").gop(epoch, 1).end().gop(epoch+1000, 2)
	_, err := run(t, absolute(s), lost(b.Bytes()))
	wantError(t, err, 4000)
	wantRecords(t, s, fmt.Sprintf("%d 1:%s", epoch, payload(epoch, 0)))
}

// Every error acknowledgement, behind a fragment that is stored and acknowledged first.
func TestErrors(t *testing.T) {
	at := epoch + 1000
	long := strings.Repeat("x", 300)
	third, fourth := audioTrack, audioTrack
	third.Number, fourth.Number = 3, 4
	full := func(n store.Number) func(*store.Record) error {
		return func(r *store.Record) error {
			if r.Number == n {
				return store.ErrFull
			}
			return nil
		}
	}
	gone := func(n store.Number, err error) func(store.Number) error {
		return func(got store.Number) error {
			if got == n {
				return err
			}
			return nil
		}
	}
	named := func(f string) string { return fmt.Sprintf(f, at) }
	for _, c := range []struct {
		name string
		set  func(*Options, *fakeStore)
		add  func(*builder)
		ack  string
	}{
		{"size", func(o *Options, _ *fakeStore) { o.Limits.FragmentBytes = 100 },
			func(b *builder) { b.gop(at, 1).frame(1, at+40, long) }, named("ERROR %d #2 4001")},
		{"frames", func(o *Options, _ *fakeStore) { o.Limits.FragmentFrames = 3 },
			func(b *builder) { b.gop(at, 4) }, named("ERROR %d #2 4001")},
		{"block over the reader's limit", nil,
			func(b *builder) {
				b.cluster(at).Write([]byte{0xA3, 0x08, 0xFF, 0xFF, 0xFF, 0xFF})
			}, named("ERROR %d #2 4001")},
		{"duration", nil, func(b *builder) {
			b.gop(at, 1).frame(1, at+20_001, "late")
		}, named("ERROR %d #2 4002")},
		{"connection too old", func(o *Options, _ *fakeStore) {
			o.Limits.MaxConnection = time.Minute
			var steps atomic.Int64
			o.Clock = func() time.Time {
				return testNow.Add(time.Duration(steps.Add(10)) * time.Second)
			}
			o.Limits.Future = 10 * time.Hour
		}, func(b *builder) {
			for i := range int64(20) {
				b.gop(at+1000*i, 1)
			}
		}, "ERROR 4003"},
		{"same timecode", nil, func(b *builder) {
			b.gop(epoch, 1)
		}, fmt.Sprintf("ERROR %d #2 4004", epoch)},
		{"earlier timecode", nil, func(b *builder) {
			b.gop(epoch-1, 1)
		}, fmt.Sprintf("ERROR %d #2 4004", epoch-1)},
		{"garbage", nil, func(b *builder) { b.end().Write([]byte{0, 1, 2, 3}) }, "ERROR 4006"},
		{"garbage in a cluster", nil, func(b *builder) {
			b.gop(at, 1).Write([]byte{0, 0, 0, 0})
		}, named("ERROR %d #2 4006")},
		{"cluster without tracks", nil, func(b *builder) {
			b.Write(element(0x1A45DFA3, element(0x4282, []byte("matroska"))))
			b.Write([]byte{0x18, 0x53, 0x80, 0x67, 0xFF})
			b.gop(at, 1)
		}, "ERROR 4006"},
		{"far future", nil, func(b *builder) {
			b.gop(testNow.UnixMilli()+api.MaxProducerAhead.Milliseconds()+1, 1)
		},
			fmt.Sprintf("ERROR %d #2 4007",
				testNow.UnixMilli()+api.MaxProducerAhead.Milliseconds()+1)},
		{"wrong unit", nil, func(b *builder) {
			b.gop(epoch*2, 1)
		}, fmt.Sprintf("ERROR %d #2 4007", epoch*2)},
		{"no time at all", nil, func(b *builder) { b.gop(epoch*1000, 1) }, "ERROR 4006"},
		{"not active", func(_ *Options, s *fakeStore) {
			s.onNumber = gone(1, store.ErrNotFound)
		}, func(*builder) {}, "ERROR 4008"},
		{"deleted", func(_ *Options, s *fakeStore) { s.onNumber = gone(2, store.ErrNotFound) },
			func(b *builder) { b.gop(at, 1) }, "ERROR 4507"},
		{"deleted while storing", func(_ *Options, s *fakeStore) {
			s.onAppend = func(r *store.Record) error {
				if r.Number == 2 {
					return store.ErrNotFound
				}
				return nil
			}
		}, func(b *builder) { b.gop(at, 1).end() }, named("ERROR %d #2 4507")},
		{"too many tags", nil, func(b *builder) {
			for i := range 11 {
				b.tag(fmt.Sprint("k", i), "v")
			}
		}, "ERROR 4009"},
		{"tag name", nil, func(b *builder) { b.tag(long[:129], "v") }, "ERROR 4009"},
		{"tag value", nil, func(b *builder) { b.tag("k", long[:257]) }, "ERROR 4009"},
		{"tag of AWS", nil, func(b *builder) { b.tag("AWSome", "v") }, "ERROR 4009"},
		{"undeclared track", nil, func(b *builder) {
			b.gop(at, 1).frame(7, at+40, "x")
		}, named("ERROR %d #2 4010")},
		{"no frame", nil, func(b *builder) {
			b.cluster(at).gop(at+1000, 1)
		}, named("ERROR %d #2 4011")},
		{"four tracks", nil, func(b *builder) {
			b.header(sdk, videoTrack, audioTrack, third, fourth)
		}, "ERROR 4012"},
		{"number", func(_ *Options, s *fakeStore) {
			s.onNumber = gone(2, errors.New("index"))
		}, func(b *builder) { b.gop(at, 1) }, "ERROR 5000"},
		{"memory", func(o *Options, _ *fakeStore) {
			o.Memory = newMemory(3 * memoryStep)
			o.Limits.MemoryWait, o.Limits.FragmentBytes = time.Nanosecond, 1<<20
		}, func(b *builder) {
			b.end().cluster(at)
			for i := range int64(5) {
				b.frame(1, at+i, strings.Repeat("m", memoryStep))
			}
		}, named("ERROR %d #2 5000")},
		{"full", func(_ *Options, s *fakeStore) {
			s.onAppend = full(2)
		}, func(b *builder) { b.gop(at, 1).end() }, named("ERROR %d #2 5001")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &fakeStore{}
			o := absolute(s)
			if c.set != nil {
				c.set(&o, s)
			}
			b := build(t).header(sdk).gop(epoch, 2)
			c.add(b)
			acks, err := run(t, o, b.reader())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Run returned %v", err)
			}
			last := acks[len(acks)-1]
			if c.ack != "" && last != c.ack {
				t.Errorf("last acknowledgement %q, want %q (%v)", last, c.ack, err)
			}
			if !strings.HasPrefix(last, "ERROR") {
				t.Errorf("the last acknowledgement is %q", last)
			}
			if c.name != "not active" && c.name != "connection too old" {
				if n := len(s.all()); n != 1 {
					t.Errorf("%d fragments stored, want the first only", n)
				}
				if !slices.Contains(acks, fmt.Sprintf("PERSISTED %d #1", epoch)) {
					t.Errorf("the fragment before was not acknowledged: %q", acks)
				}
			}
		})
	}
}

func TestRelativeStartInTheFuture(t *testing.T) {
	acks, err := run(t,
		relative(&fakeStore{}, testNow.UnixMilli()+api.MaxProducerAhead.Milliseconds()+1),
		build(t).header(sdk).gop(0, 1).reader())
	wantError(t, err, 4007)
	wantAcks(t, acks, "ERROR 0 #1 4007")
}

// Timecodes may begin again with a new document in the same body.
func TestTwoDocuments(t *testing.T) {
	s := &fakeStore{}
	b := build(t).header(sdk).gop(5000, 1).header(sdk, audioTrack).cluster(0).frame(2, 0, "x").end()
	if _, err := run(t, relative(s, epoch), b.reader()); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s, "5000 1:"+payload(5000, 0), "0 2:x")
	if tracks := s.all()[1].Tracks; len(tracks) != 1 || tracks[0].Number != 2 {
		t.Errorf("tracks of the second document: %v", tracks)
	}
}

// A body of endless documents with ever new tracks leaves nothing behind.
func TestManyDocuments(t *testing.T) {
	b := build(t)
	track := videoTrack
	for i := range 200 {
		track.Number = 1 + i%100
		b.header(sdk, track).cluster(int64(i)).frame(track.Number, int64(i), "x")
	}
	s := &fakeStore{}
	connection := New(relative(s, epoch))
	if err := connection.Run(context.Background(), b.reader(), &ackLog{}); err != nil {
		t.Fatal(err)
	}
	if len(s.all()) != 200 || len(connection.clocks) != 1 || len(connection.hints) != 1 {
		t.Errorf("%d stored, %d clocks, %d hints", len(s.all()), len(connection.clocks),
			len(connection.hints))
	}
}

// ffmpeg cuts clusters by size, so one may have no frame of a track; the service answers 4011
// there, Weir does not.
func TestFragmentWithoutFramesOfATrack(t *testing.T) {
	s := &fakeStore{}
	b := build(t).header("Lavf", videoTrack, audioTrack).cluster(epoch).frame(2, epoch,
		"a").cluster(epoch+10).frame(1, epoch+10, "v")
	if _, err := run(t, absolute(s), b.reader()); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s, fmt.Sprintf("%d 2:a", epoch), fmt.Sprintf("%d* 1:v", epoch+10))
}

// A body may be nothing but what the SDK had left of an earlier connection, or nothing at all.
func TestBodiesWithoutMedia(t *testing.T) {
	for name, body := range map[string][]byte{"empty": nil, "tags": build(t).end().Bytes(),
		"header": build(t).header(sdk).Bytes()} {
		acks, err := run(t, absolute(&fakeStore{}), bytes.NewReader(body))
		if err != nil || len(acks) > 0 {
			t.Errorf("%s: %q, %v", name, acks, err)
		}
	}
}

// After a refused connection the SDK goes on where it was. 4000 makes it begin again; 4006 would
// make it skip the fragment. Tags are what it sends when only the mark of an end was left.
func TestBodyThatBeginsInsideADocument(t *testing.T) {
	mark := build(t).end().Bytes()
	whole := build(t).header(sdk).gop(epoch, 3).Bytes()
	cluster := bytes.Index(whole, []byte{0x1F, 0x43, 0xB6, 0x75})
	for name, body := range map[string][]byte{
		"block": append([]byte{0xA3, 0x01, 0, 0, 0, 0, 0, 0, 8, 0x81, 1, 0xB8, 0},
			0, 0, 0, 0),
		"block and clusters":    append(simpleBlock(1, 40, false, "b"), whole[cluster:]...),
		"block group":           element(0xA0, element(0xA1, []byte{0x81, 0, 40, 0, 'b'})),
		"block of a huge size":  {0xA3, 0x01, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF},
		"cluster":               whole[cluster:],
		"time of a cluster":     whole[cluster+5:],
		"segment":               whole[bytes.Index(whole, []byte{0x18, 0x53, 0x80, 0x67}):],
		"tracks":                whole[bytes.Index(whole, []byte{0x16, 0x54, 0xAE, 0x6B}):],
		"frame, no ID":          {0, 0, 0, 2, 9, 0x30},
		"frame, reserved ID":    {0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
		"frame like a Void":     append([]byte{0xEC, 0x88}, make([]byte, 100)...),
		"frame like a huge one": {0xEC, 0x01, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
		"frame like a CRC-32":   {0xBF, 0x84, 1, 2, 3, 4, 5, 6},
		"unknown element":       {0x81, 0x01, 0xB8, 0, 0},
		"unknown size":          {0x42, 0x11, 0xFF, 0},
		"cut in a header":       {0x1F, 0x43},
		"mark, then block":      append(bytes.Clone(mark), simpleBlock(1, 40, false, "b")...),
		"mark, then Void":       append(bytes.Clone(mark), 0xEC, 0x81, 0),
		"tags of a huge size": {0x12, 0x54, 0xC3, 0x67, 0x01, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
			0xFF},
	} {
		s := &fakeStore{}
		acks, err := run(t, absolute(s), bytes.NewReader(body))
		if !slices.Equal(acks, []string{"ERROR 4000"}) || err == nil {
			t.Errorf("%s: %q, %v", name, acks, err)
		}
		wantRecords(t, s)
	}
	acks, err := run(t, absolute(&fakeStore{}), bytes.NewReader(append(mark, whole...)))
	if err != nil {
		t.Errorf("tags, then a document: %q, %v", acks, err)
	}
	broken := append(build(t).header(sdk).Bytes(), 0, 0, 0, 0)
	if acks, _ := run(t, absolute(&fakeStore{}), bytes.NewReader(broken)); !slices.Equal(acks,
		[]string{"ERROR 4006"}) {
		t.Errorf("garbage in a document: %q", acks)
	}
}

func TestTags(t *testing.T) {
	tags := func(s *fakeStore) (list []string) {
		for _, r := range s.all() {
			text := fmt.Sprint(r.Timecode - epoch)
			for _, tag := range r.Tags {
				text += " " + tag.Name + "=" + tag.Value
			}
			list = append(list, text)
		}
		return list
	}
	next := epoch + 1000
	for _, c := range []struct {
		name string
		body *builder
		want []string
	}{
		{"of the cluster that follows",
			build(t).header(sdk).tag("a", "1").gop(epoch, 1).tag("b", "2").tag("c", "3").gop(next,
				1).end(),
			[]string{"0 a=1", "1000 b=2 c=3"}},
		{"of the fragment that the mark closes",
			build(t).header(sdk).gop(epoch, 1).tag("b", "2").end().tag("c", "3").gop(next, 1).end(),
			[]string{"0 b=2", "1000 c=3"}},
		{"at the end", build(t).header(sdk).tag("a", "1").gop(epoch, 1).tag("a", "1").tag("b", "2"),
			[]string{"0 a=1 b=2"}},
		{"reserved", build(t).header(sdk).tag("AWS_KINESISVIDEO_NOTIFICATION",
			"").tag("AWS_KINESISVIDEO_IMAGE_PREFIX", "p").gop(epoch, 1).end(),
			[]string{"0"}},
		{"ten, and reserved ones beside",
			build(t).header(sdk).tag("AWS_KINESISVIDEO_IMAGE_GENERATION", "").
				tag("0", "").tag("1", "").tag("2", "").tag("3", "").tag("4", "").tag("5",
				"").tag("6", "").tag("7", "").tag("8", "").tag("9", "").gop(epoch, 1).end(),
			[]string{"0 0= 1= 2= 3= 4= 5= 6= 7= 8= 9="}},
		{"before a new document",
			build(t).header(sdk).gop(epoch, 1).tag("b", "2").header(sdk).gop(next, 1).end(),
			[]string{"0 b=2", "1000"}},
	} {
		s := &fakeStore{}
		if _, err := run(t, absolute(s), c.body.reader()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := tags(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}

	// A muxer of files describes the file in front of the clusters, with as many tags as it likes.
	b := build(t).header("Lavf59")
	b.Write(element(0x114D9B74))
	for i := range 30 {
		b.tag(fmt.Sprint("AWS meta ", i), strings.Repeat("x", 1000))
	}
	s := &fakeStore{}
	if _, err := run(t, absolute(s),
		b.gop(epoch, 1).tag("b", "2").gop(next, 1).reader()); err != nil {
		t.Fatal(err)
	}
	if got, want := tags(s), []string{"0", "1000 b=2"}; !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
	if !bytes.Contains(s.all()[0].Header, []byte("AWS meta 29")) {
		t.Error("the file's tags are not in its header")
	}
}

// GStreamer's matroskamux version=1 leaves the key flag to the bitstream.
func TestKeyFlagFromTheBitstream(t *testing.T) {
	track := videoTrack
	track.CodecPrivate = avcC
	group := func(rel int16, nal byte) []byte {
		return element(0xA0,
			element(0xA1, []byte{0x81, byte(rel >> 8), byte(rel), 0},
				[]byte{0, 0, 0, 2, nal, 0x88}))
	}
	b := build(t).header("GStreamer", track)
	b.Write(knownCluster(epoch, group(0, 0x65), group(40, 0x41), group(80, 0x41)))
	s := &fakeStore{}
	if _, err := run(t, absolute(s), b.reader()); err != nil {
		t.Fatal(err)
	}
	var keys []bool
	for _, f := range s.all()[0].Runs[0].Frames {
		keys = append(keys, f.Key)
	}
	if !slices.Equal(keys, []bool{true, false, false}) {
		t.Errorf("keys %v", keys)
	}
}

// avcC of a 320x240 baseline stream.
var avcC = []byte{
	0x01, 0x42, 0xC0, 0x1E, 0xFF, 0xE1, 0x00, 0x09, 0x67, 0x42, 0xC0, 0x1E, 0xDA, 0x05, 0x07, 0xEC,
	0x04,
	0x01, 0x00, 0x04, 0x68, 0xCE, 0x3C, 0x80,
}

func TestRetentionZeroIsNotPersisted(t *testing.T) {
	acks, err := run(t, absolute(&fakeStore{volatile: true}),
		build(t).header(sdk).gop(epoch, 1).end().reader())
	if err != nil {
		t.Fatal(err)
	}
	wantAcks(t, acks, fmt.Sprintf("BUFFERING %d #1", epoch), fmt.Sprintf("RECEIVED %d #1", epoch))
}

func TestNoAcksWanted(t *testing.T) {
	o := absolute(&fakeStore{})
	o.NoAcks = true
	acks, err := run(t, o, build(t).header(sdk).gop(epoch, 1).gop(epoch, 1).reader())
	wantError(t, err, 4004)
	wantAcks(t, acks, fmt.Sprintf("ERROR %d #2 4004", epoch))
}

// Whatever the point where a body is cut, and however, what is stored is a whole fragment, or
// marked as the beginning of one.
func TestCuts(t *testing.T) {
	for _, app := range []string{sdk, "device"} {
		b := build(t).header(app, videoTrack, audioTrack)
		want := map[string]bool{}
		for i := range int64(4) {
			at := epoch + 1000*i
			b.cluster(at).frame(1, at, "video one").frame(2, at+5, "audio one").frame(1, at+40,
				"video two").frame(2, at+28, "audio two")
			if i%2 == 1 {
				b.tag("k", "v")
			}
			text := func(star string, v, a int) string {
				s := fmt.Sprintf("%d%s", at, star)
				if v > 0 {
					s += " 1:" + strings.Join([]string{"video one", "video two"}[:v], ",")
				}
				if a > 0 {
					s += " 2:" + strings.Join([]string{"audio one", "audio two"}[:a], ",")
				}
				return s
			}
			want[text("", 2, 2)] = true
			for _, n := range [][2]int{{1, 0}, {1, 1}, {2, 1}, {2, 2}} {
				want[text("*", n[0], n[1])] = true
			}
		}
		b.Write(knownCluster(epoch+4000, simpleBlock(1, 0, true, "known")))
		want[fmt.Sprintf("%d 1:known", epoch+4000)] = true
		all := b.Bytes()
		for cut := range len(all) + 1 {
			for _, body := range []io.Reader{bytes.NewReader(all[:cut]), lost(all[:cut])} {
				s := &fakeStore{}
				acks, err := run(t, absolute(s), body)
				for i, r := range s.all() {
					if d := describe(r); !want[d] {
						t.Fatalf("%s cut at %d: stored %q", app, cut, d)
					}
					if r.Partial && i != len(s.all())-1 {
						t.Fatalf("%s cut at %d: partial fragment in the middle", app, cut)
					}
				}
				for _, a := range acks {
					if strings.HasPrefix(a, "ERROR") && !strings.HasSuffix(a, "4000") {
						t.Fatalf("%s cut at %d: %q (%v)", app, cut, a, err)
					}
				}
			}
		}
		s := &fakeStore{}
		if _, err := run(t, absolute(s), bytes.NewReader(all)); err != nil || len(s.all()) != 5 {
			t.Fatalf("uncut: %d fragments, %v", len(s.all()), err)
		}
	}
}
