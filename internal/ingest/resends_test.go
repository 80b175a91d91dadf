package ingest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"weir/internal/store"
)

// two frames at a timecode, the second as given.
func (b *builder) pair(at int64, second string) *builder {
	return b.cluster(at).frame(1, at, "first").frame(1, at+40, second)
}

func TestResendOfAStoredFragment(t *testing.T) {
	s := newStore()
	if _, err := run(t, absolute(s),
		build(t).header(sdk).pair(epoch, "second").pair(epoch+1000,
			"third").end().reader()); err != nil {
		t.Fatal(err)
	}
	acks, err := run(t, absolute(s),
		build(t).header(sdk).pair(epoch+1000, "third").pair(epoch+2000, "new").end().reader())
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s,
		fmt.Sprintf("%d 1:first,second", epoch), fmt.Sprintf("%d 1:first,third", epoch+1000),
		fmt.Sprintf("%d 1:first,new", epoch+2000))
	persisted := 0
	for _, a := range acks {
		if a == fmt.Sprintf("PERSISTED %d #2", epoch+1000) ||
			a == fmt.Sprintf("PERSISTED %d #4", epoch+2000) {
			persisted++
		}
	}
	if persisted != 2 {
		t.Errorf("the resend is acknowledged with the stored number: %q", acks)
	}
}

// What happens to a fragment whose producer timestamp is stored already.
func TestSameProducerTimestamp(t *testing.T) {
	type cut bool // the body ends without a mark
	for _, c := range []struct {
		name          string
		old           string
		oldCut        cut
		new           string
		newCut        cut
		want          []string
		replaced      bool
		zeroTimestamp bool
	}{
		{"other bytes", "a,b", false, "a,c", false, []string{"a,b", "a,c"}, false, false},
		{"other sizes", "a,b", false, "a,bb", false, []string{"a,b", "a,bb"}, false, false},
		{"other frame borders", "a,bc", false, "ab,c", false, []string{"a,bc", "ab,c"}, false,
			false},
		{"more frames than a whole one", "a,b", false, "a,b,c", false, []string{"a,b", "a,b,c"},
			false, false},
		{"fewer frames, whole", "a,b", false, "a", false, []string{"a,b", "a"}, false, false},
		{"complete after partial", "a,b", true, "a,b,c", false, []string{"a,b,c"}, true, false},
		{"same frames, now complete", "a,b", true, "a,b", false, []string{"a,b"}, true, false},
		{"longer partial", "a", true, "a,b", true, []string{"a,b*"}, true, false},
		{"same partial", "a,b", true, "a,b", true, []string{"a,b*"}, false, false},
		{"partial late for the complete one", "a,b,c", false, "a,b", true, []string{"a,b,c"}, false,
			false},
		{"complete but other than the partial", "a,b", true, "a,x,c", false,
			[]string{"a,b*", "a,x,c"}, false, false},
		{"in 1970", "a,b", false, "a,b", false, []string{"a,b"}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore()
			at := epoch
			if c.zeroTimestamp {
				at = 0
			}
			for _, side := range []struct {
				frames string
				cut    cut
			}{{c.old, c.oldCut}, {c.new, c.newCut}} {
				b := build(t).header("device").cluster(at)
				for i, f := range strings.Split(side.frames, ",") {
					b.frame(1, at+int64(40*i), f)
				}
				if !side.cut {
					b.end()
				}
				if _, err := run(t, absolute(s), b.reader()); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, r := range s.all() {
				text := strings.SplitN(describe(r), ":", 2)[1]
				if r.Partial {
					text += "*"
				}
				got = append(got, text)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || (len(s.replaced) == 1) != c.replaced {
				t.Errorf("stored %q, replaced %v, want %q", got, s.replaced, c.want)
			}
		})
	}
}

// Same bytes under another codec private data decode to something else.
func TestSamePayloadOfAnotherTrackIsNew(t *testing.T) {
	s := newStore()
	other := videoTrack
	other.CodecPrivate = avcC
	for _, header := range []*builder{build(t).header(sdk), build(t).header(sdk, other),
		build(t).header(sdk, other)} {
		if _, err := run(t, absolute(s), header.pair(epoch, "second").end().reader()); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.all()) != 2 {
		t.Errorf("%d fragments stored, want 2", len(s.all()))
	}
}

// gated returns a store each of whose appends is announced on started and then waits until gate is
// closed.
func gated() (s *testStore, started <-chan struct{}, gate chan struct{}) {
	begun, gate := make(chan struct{}, 2), make(chan struct{})
	return appending(func(*store.Record) error {
		begun <- struct{}{}
		<-gate
		return nil
	}), begun, gate
}

// The SDK reconnects while the fragments of the old connection are still being stored.
func TestResendWhileTheFirstIsOnItsWay(t *testing.T) {
	s, started, gate := gated()
	resends := NewResends(nil)
	results := make(chan error)
	connection := func() {
		o := absolute(s)
		o.Resends = resends
		results <- New(o).Run(context.Background(),
			build(t).header(sdk).pair(epoch, "second").end().reader(), &ackLog{})
	}
	go connection()
	<-started
	go connection()
	close(gate)
	for range 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	wantRecords(t, s, fmt.Sprintf("%d 1:first,second", epoch))
}

// The second copy reaches another process, which looks for the first before that is stored.
func TestResendAtAnotherProcess(t *testing.T) {
	for _, c := range []struct {
		name, first, second string
		partial             bool // the first is cut off
		want                []string
	}{
		{"equal", "a,b", "a,b", false, []string{"a,b"}},
		{"other media", "a,b", "a,c", false, []string{"a,b", "a,c"}},
		{"longer than a partial one", "a,b", "a,b,c", true, []string{"a,b,c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			looked, stored := make(chan struct{}), make(chan struct{})
			appends := 0
			s := appending(func(*store.Record) error {
				if appends++; appends == 1 { // of the second: the first one passes it by
					close(looked)
					<-stored
				}
				return nil
			})
			send := func(s Store, frames string, cut bool) error {
				b := build(t).header(sdk).cluster(epoch)
				for i, f := range strings.Split(frames, ",") {
					b.frame(1, epoch+int64(40*i), f)
				}
				if !cut {
					b.end()
				}
				return New(absolute(s)).Run(t.Context(), b.reader(), &ackLog{})
			}
			second := make(chan error, 1)
			go func() { second <- send(s, c.second, false) }()
			<-looked
			if err := send(otherProcess{s.Store}, c.first, c.partial); err != nil {
				t.Fatal(err)
			}
			close(stored)
			if err := <-second; err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range s.all() {
				got = append(got, strings.SplitN(describe(r), ":", 2)[1])
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("stored %q, want %q", got, c.want)
			}
		})
	}
}

// A RELATIVE timecode alone does not make a resend.
func TestRelativeResends(t *testing.T) {
	first := func() *builder { return build(t).header(sdk).pair(0, "second").pair(1000, "third") }
	for _, c := range []struct {
		name  string
		first io.Reader
		err   bool
		body  func(*builder)
		want  []string
	}{
		{"after a lost connection", lost(first().end().Bytes()), false,
			func(b *builder) {
				b.pair(0, "second").pair(1000, "third").pair(2000, "new").end()
			}, []string{"second", "third", "new"}},
		{"new media under the same timecode", lost(first().end().Bytes()), false,
			func(b *builder) { b.pair(0, "other").end() }, []string{"second", "third", "other"}},
		{"token rotation: the first ended well", first().end().reader(), false,
			func(b *builder) { b.pair(0, "second").end() }, []string{"second", "third", "second"}},
		{"body ended in mid-fragment", first().reader(), false,
			func(b *builder) {
				b.cluster(1000).frame(1, 1000, "first").frame(1, 1040, "third").frame(1, 1080,
					"fourth").end()
			}, []string{"second", "third,fourth"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore()
			resends := NewResends(nil)
			o := relative(s, epoch)
			o.Resends = resends
			if _, err := run(t, o, c.first); (err != nil) != c.err {
				t.Fatal(err)
			}
			o.ProducerStart += 5000 // the time of the new connection
			b := build(t).header(sdk)
			c.body(b)
			if _, err := run(t, o, b.reader()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range s.all() {
				got = append(got, strings.SplitN(describe(r), "first,", 2)[1])
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("stored %q, want %q", got, c.want)
			}
			if s.lookedFor > 0 {
				t.Error("asked the store by producer timestamp, which moves")
			}
		})
	}
}

// relativeConnection is a RELATIVE connection that stays open until it is ended.
type relativeConnection struct {
	t    *testing.T
	body *io.PipeWriter
	log  *ackLog
	done chan error
}

func openRelative(t *testing.T, s Store, resends *Resends) *relativeConnection {
	r, w := io.Pipe()
	c := &relativeConnection{t: t, body: w, log: &ackLog{got: make(chan string, 100)},
		done: make(chan error, 1)}
	o := relative(s, epoch)
	o.Resends = resends
	go func() { c.done <- New(o).Run(context.Background(), r, c.log) }()
	return c
}

// send writes what b holds and waits until the fragment of the timecode is persisted.
func (c *relativeConnection) send(b *builder, timecode int64) {
	c.t.Helper()
	go c.body.Write(b.Bytes())
	for a := range c.log.got {
		if strings.HasPrefix(a, fmt.Sprintf("PERSISTED %d ", timecode)) {
			return
		}
	}
}

func (c *relativeConnection) end(err error) { c.body.CloseWithError(err); <-c.done }

// A producer connects again long before the server learns that its connection is gone.
func TestRelativeResendBesideAnOpenConnection(t *testing.T) {
	s := newStore()
	resends := NewResends(nil)
	first := openRelative(t, s, resends)
	second := openRelative(t, s, resends)
	first.send(build(t).header(sdk).pair(0, "a").pair(1000, "b").end(), 1000)
	second.send(build(t).header(sdk).pair(0, "a").pair(1000, "b").pair(2000, "c").end(), 2000)
	third := openRelative(t, s, resends)
	third.send(build(t).header(sdk).pair(2000, "c").pair(3000, "d").end(), 3000)
	for _, c := range []*relativeConnection{first, second, third} {
		c.end(io.ErrUnexpectedEOF)
	}
	wantRecords(t, s, "0 1:first,a", "1000 1:first,b", "2000 1:first,c", "3000 1:first,d")
}

// The first copy is on its way to the disk when the second comes.
func TestRelativeResendWhileTheFirstIsOnItsWay(t *testing.T) {
	s, started, gate := gated()
	resends := NewResends(nil)
	first, second := openRelative(t, s, resends), openRelative(t, s, resends)
	body := build(t).header(sdk).pair(0, "a").end()
	go first.body.Write(body.Bytes())
	<-started
	go second.body.Write(body.Bytes())
	for a := range second.log.got {
		if strings.HasPrefix(a, "BUFFERING") {
			break
		}
	}
	close(gate)
	second.end(io.ErrUnexpectedEOF)
	first.end(io.ErrUnexpectedEOF)
	wantRecords(t, s, "0 1:first,a")
}

// The connection of a renewed token opens before the one of the old token ends, and its timecodes
// begin again: the same silence at the same timecode is new.
func TestSilenceAfterATokensRenewalIsKept(t *testing.T) {
	s := newStore()
	resends := NewResends(nil)
	first := openRelative(t, s, resends)
	first.send(build(t).header(sdk).pair(0, "silence").end(), 0)
	second := openRelative(t, s, resends)
	first.body.Close()
	if err := <-first.done; err != nil {
		t.Fatal(err)
	}
	second.send(build(t).header(sdk).pair(0, "silence").end(), 0)
	second.end(nil)
	wantRecords(t, s, "0 1:first,silence", "0 1:first,silence")
}

// The process that stored the first copy is gone. Fragments before a fall of timecodes came with an
// earlier token.
func TestRelativeResendsAfterARestart(t *testing.T) {
	s := newStore()
	before := NewResends(nil)
	send := func(resends *Resends, app string, start int64, body func(*builder)) {
		t.Helper()
		o := relative(s, start)
		o.Resends = resends
		b := build(t).header(app)
		body(b)
		if _, err := run(t, o, lost(b.end().Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	send(before, sdk, epoch, func(b *builder) { b.pair(0, "old").pair(5000, "silence") })
	send(before, sdk, epoch+9000, func(b *builder) { b.pair(0, "a").pair(1000, "b") })
	now := testNow.Add(time.Second)
	after := NewResends(func() time.Time { return now })
	send(after, sdk, epoch+20_000, func(b *builder) {
		b.pair(0, "a").pair(1000, "b").pair(2000, "c").pair(5000, "silence")
	})
	wantRecords(t, s, "0 1:first,old", "5000 1:first,silence", "0 1:first,a", "1000 1:first,b",
		"2000 1:first,c", "5000 1:first,silence")

	// Long after the start nothing older can be resent, and the store is not asked.
	now = now.Add(store.ResendWindow + time.Second)
	late := NewResends(func() time.Time { return now })
	late.started = testNow
	if _, _, due := late.recallable("any"); due {
		t.Error("asks the store for what is too old")
	}
}

// What is remembered is bounded in number, in time, and over all streams.
func TestResendsForget(t *testing.T) {
	now := testNow
	r := NewResends(func() time.Time { return now })
	id := testStream().ID
	one, self := &origin{}, &origin{}
	add := func(id store.StreamID, i int64) {
		r.add(id, saved{from: one, uid: "u", timecode: i, number: store.Number(i + 1)})
	}
	find := func(i int64) []store.Number { return r.find(place{stream: id, uid: "u", at: i}, self) }
	for i := range int64(maxSaved + 2) {
		add(id, i)
	}
	if got := len(r.streams[id].list); got != maxSaved {
		t.Errorf("%d fragments of one stream kept", got)
	}
	if got := find(maxSaved + 1); len(got) != 1 || got[0] != maxSaved+2 {
		t.Errorf("found %v", got)
	}
	if got := find(0); len(got) != 0 {
		t.Errorf("the oldest is still known: %v", got)
	}
	if got := r.find(place{stream: id, uid: "u", at: 100}, one); len(got) != 0 {
		t.Errorf("a connection repeats itself: %v", got)
	}
	now = now.Add(store.ResendWindow + time.Second)
	if got := find(maxSaved); len(got) != 0 {
		t.Errorf("still known after the window: %v", got)
	}
	add("other", 1)
	if len(r.streams) != 1 {
		t.Errorf("%d streams kept", len(r.streams))
	}
	r.forget("other", one)
	if n := len(r.streams["other"].list); n != 0 {
		t.Errorf("%d fragments kept of a connection that ended properly", n)
	}
	const streams = maxSavedInAll / minSaved
	for i := range streams {
		add(store.StreamID(fmt.Sprint(i)), 0)
	}
	for i := range int64(2 * minSaved) {
		add(id, i)
	}
	if got := len(r.streams[id].list); got > minSaved {
		t.Errorf("%d fragments of one of %d streams kept", got, streams)
	}
}
