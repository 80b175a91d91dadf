package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
)

func TestFragmentsAndAcks(t *testing.T) {
	s := newStore()
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
	s := newStore()
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

// Timecodes are echoed in the units of the document; what is stored is in milliseconds and ticks,
// whatever these units are.
func TestTimecodesInOtherUnits(t *testing.T) {
	s := newStore()
	b := build(t)
	b.check(b.w.WriteHeader(mkv.Header{Tracks: []media.Track{videoTrack}, MuxingApp: sdk,
		TimestampScale: 100_000}))
	b.cluster(0).frame(1, 0, "v0").frame(1, 400, "w0")
	b.cluster(18_005).frame(1, 18_005, "v1").frame(1, 18_405, "w1").end()
	acks, err := run(t, relative(s, epoch), b.reader())
	if err != nil {
		t.Fatal(err)
	}
	wantAcks(t, acks, "BUFFERING 0 #1", "RECEIVED 0 #1", "PERSISTED 0 #1", "BUFFERING 18005 #2",
		"RECEIVED 18005 #2", "PERSISTED 18005 #2")
	if r := s.all()[1]; r.ProducerTimestamp != epoch+1800 || r.Timecode != 18_005 ||
		r.Runs[0].BaseDecodeTime != (epoch+1800)*90+45 || r.Runs[0].Frames[0].Duration != 3600 {
		t.Errorf("producer timestamp %d, timecode %d, base %d, frames %+v", r.ProducerTimestamp,
			r.Timecode, r.Runs[0].BaseDecodeTime, r.Runs[0].Frames)
	}
}

// The SDK keeps the body open until it has read PERSISTED of the last fragment.
func TestEndOfFragmentPersistsWithoutTheBodysEnd(t *testing.T) {
	s := newStore()
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
	go func() { done <- New(absolute(newStore())).Run(context.Background(), r, log) }()
	go w.Write(build(t).header(sdk).cluster(epoch).Bytes())
	if got := <-log.got; !strings.HasPrefix(got, "BUFFERING") {
		t.Fatalf("got %q", got)
	}
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// How a body may end, and whether its last fragment is stored and acknowledged.
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
		{"clean, before the first frame", build(t).header(device).cluster(at).reader(), "",
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
		{"lost, before the first frame, device",
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
			s := newStore()
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

// A producer that has marked a fragment's end once would have marked this one's: it resends.
func TestLostAfterAnEarlierMarkDropsThePartialFragment(t *testing.T) {
	s := newStore()
	b := build(t).header("device").gop(epoch, 1).end().gop(epoch+1000, 2)
	_, err := run(t, absolute(s), lost(b.Bytes()))
	wantError(t, err, 4000)
	wantRecords(t, s, fmt.Sprintf("%d 1:%s", epoch, payload(epoch, 0)))
}

// Timecodes may begin again with a new document in the same body.
func TestTwoDocuments(t *testing.T) {
	s := newStore()
	b := build(t).header(sdk).gop(5000, 1).header(sdk, audioTrack).cluster(0).frame(2, 0, "x").end()
	if _, err := run(t, relative(s, epoch), b.reader()); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s, "5000 1:"+payload(5000, 0), "0 2:x")
	if tracks := s.all()[1].Tracks; len(tracks) != 1 || tracks[0].Number != 2 {
		t.Errorf("tracks of the second document: %v", tracks)
	}
}

// A body of many documents with new tracks each does not take ever more memory.
func TestManyDocuments(t *testing.T) {
	b := build(t)
	track := videoTrack
	for i := range 200 {
		track.Number = 1 + i%100
		b.header(sdk, track).cluster(int64(i)).frame(track.Number, int64(i), "x")
	}
	s := newStore()
	connection := New(relative(s, epoch))
	if err := connection.Run(context.Background(), b.reader(), &ackLog{}); err != nil {
		t.Fatal(err)
	}
	if len(s.all()) != 200 || len(connection.clocks) != 1 || len(connection.hints) != 1 {
		t.Errorf("%d stored, %d clocks, %d hints", len(s.all()), len(connection.clocks),
			len(connection.hints))
	}
}

// ffmpeg cuts clusters by size, so one may have no frame of a track. The service answers 4011 then;
// Weir does not.
func TestFragmentWithoutFramesOfATrack(t *testing.T) {
	s := newStore()
	b := build(t).header("Lavf", videoTrack, audioTrack).cluster(epoch).frame(2, epoch,
		"a").cluster(epoch+10).frame(1, epoch+10, "v")
	if _, err := run(t, absolute(s), b.reader()); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s, fmt.Sprintf("%d 2:a", epoch), fmt.Sprintf("%d* 1:v", epoch+10))
}

// A body may be only what the SDK had left from an earlier connection, or empty.
func TestBodiesWithoutMedia(t *testing.T) {
	for name, body := range map[string][]byte{"empty": nil, "tags": build(t).end().Bytes(),
		"header": build(t).header(sdk).Bytes()} {
		acks, err := run(t, absolute(newStore()), bytes.NewReader(body))
		if err != nil || len(acks) > 0 {
			t.Errorf("%s: %q, %v", name, acks, err)
		}
	}
}

// After a refused connection the SDK continues where it was. 4000 makes it begin again; 4006 would
// make it skip the fragment. If only END_OF_FRAGMENT was left, it sends just those Tags.
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
		s := newStore()
		acks, err := run(t, absolute(s), bytes.NewReader(body))
		if !slices.Equal(acks, []string{"ERROR 4000"}) || err == nil {
			t.Errorf("%s: %q, %v", name, acks, err)
		}
		wantRecords(t, s)
	}
	acks, err := run(t, absolute(newStore()), bytes.NewReader(append(mark, whole...)))
	if err != nil {
		t.Errorf("tags, then a document: %q, %v", acks, err)
	}
	broken := append(build(t).header(sdk).Bytes(), 0, 0, 0, 0)
	if acks, _ := run(t, absolute(newStore()), bytes.NewReader(broken)); !slices.Equal(acks,
		[]string{"ERROR 4006"}) {
		t.Errorf("garbage in a document: %q", acks)
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
	s := newStore()
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
	stream := testStream()
	stream.RetentionHours = 0
	acks, err := run(t, absolute(newStoreOf(stream)),
		build(t).header(sdk).gop(epoch, 1).end().reader())
	if err != nil {
		t.Fatal(err)
	}
	wantAcks(t, acks, fmt.Sprintf("BUFFERING %d #1", epoch), fmt.Sprintf("RECEIVED %d #1", epoch))
}

func TestNoAcksWanted(t *testing.T) {
	o := absolute(newStore())
	o.NoAcks = true
	acks, err := run(t, o, build(t).header(sdk).gop(epoch, 1).gop(epoch, 1).reader())
	wantError(t, err, 4004)
	wantAcks(t, acks, fmt.Sprintf("ERROR %d #2 4004", epoch))
}

// Wherever and however a body is cut, what is stored is a whole fragment, or marked as partial.
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
				s := newStore()
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
		s := newStore()
		if _, err := run(t, absolute(s), bytes.NewReader(all)); err != nil || len(s.all()) != 5 {
			t.Fatalf("uncut: %d fragments, %v", len(s.all()), err)
		}
	}
}
