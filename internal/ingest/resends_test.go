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
	s := &fakeStore{}
	if _, err := run(t, absolute(s), build(t).header(sdk).pair(epoch, "second").pair(epoch+1000, "third").end().reader()); err != nil {
		t.Fatal(err)
	}
	acks, err := run(t, absolute(s), build(t).header(sdk).pair(epoch+1000, "third").pair(epoch+2000, "new").end().reader())
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, s,
		fmt.Sprintf("%d 1:first,second", epoch), fmt.Sprintf("%d 1:first,third", epoch+1000), fmt.Sprintf("%d 1:first,new", epoch+2000))
	persisted := 0
	for _, a := range acks {
		if a == fmt.Sprintf("PERSISTED %d #2", epoch+1000) || a == fmt.Sprintf("PERSISTED %d #4", epoch+2000) {
			persisted++
		}
	}
	if persisted != 2 {
		t.Errorf("the resend is acknowledged with the stored number: %q", acks)
	}
}

// What a fragment of a producer timestamp does to one that is stored already.
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
		{"other frame borders", "a,bc", false, "ab,c", false, []string{"a,bc", "ab,c"}, false, false},
		{"more frames than a whole one", "a,b", false, "a,b,c", false, []string{"a,b", "a,b,c"}, false, false},
		{"fewer frames, whole", "a,b", false, "a", false, []string{"a,b", "a"}, false, false},
		{"complete after partial", "a,b", true, "a,b,c", false, []string{"a,b,c"}, true, false},
		{"same frames, now complete", "a,b", true, "a,b", false, []string{"a,b"}, true, false},
		{"longer partial", "a", true, "a,b", true, []string{"a,b*"}, true, false},
		{"same partial", "a,b", true, "a,b", true, []string{"a,b*"}, false, false},
		{"partial late for the complete one", "a,b,c", false, "a,b", true, []string{"a,b,c"}, false, false},
		{"complete but other than the partial", "a,b", true, "a,x,c", false, []string{"a,b*", "a,x,c"}, false, false},
		{"in 1970", "a,b", false, "a,b", false, []string{"a,b"}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &fakeStore{}
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
	s := &fakeStore{}
	other := videoTrack
	other.CodecPrivate = avcC
	for _, header := range []*builder{build(t).header(sdk), build(t).header(sdk, other), build(t).header(sdk, other)} {
		if _, err := run(t, absolute(s), header.pair(epoch, "second").end().reader()); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.all()) != 2 {
		t.Errorf("%d fragments stored, want 2", len(s.all()))
	}
}

// The SDK reconnects while the fragments of the old connection are still being stored.
func TestResendWhileTheFirstIsOnItsWay(t *testing.T) {
	started, gate := make(chan struct{}, 2), make(chan struct{})
	s := &fakeStore{onAppend: func(*store.Record) error { started <- struct{}{}; <-gate; return nil }}
	resends := NewResends(nil)
	results := make(chan error)
	session := func() {
		o := absolute(s)
		o.Resends = resends
		results <- New(o).Run(context.Background(), build(t).header(sdk).pair(epoch, "second").end().reader(), &ackLog{})
	}
	go session()
	<-started
	go session()
	close(gate)
	for range 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	wantRecords(t, s, fmt.Sprintf("%d 1:first,second", epoch))
}

// RELATIVE timecodes say nothing by themselves.
func TestRelativeResends(t *testing.T) {
	first := func() *builder { return build(t).header(sdk).pair(0, "second").pair(1000, "third") }
	for _, c := range []struct {
		name  string
		first io.Reader
		err   bool
		body  func(*builder)
		want  []string
	}{
		{"after a lost connection", lost(first().end().Bytes()), true,
			func(b *builder) { b.pair(0, "second").pair(1000, "third").pair(2000, "new").end() }, []string{"second", "third", "new"}},
		{"new media under the same timecode", lost(first().end().Bytes()), true,
			func(b *builder) { b.pair(0, "other").end() }, []string{"second", "third", "other"}},
		{"token rotation: the first ended well", first().end().reader(), false,
			func(b *builder) { b.pair(0, "second").end() }, []string{"second", "third", "second"}},
		{"body ended in mid-fragment", first().reader(), false,
			func(b *builder) {
				b.cluster(1000).frame(1, 1000, "first").frame(1, 1040, "third").frame(1, 1080, "fourth").end()
			}, []string{"second", "third,fourth"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &fakeStore{}
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

// Memory of ended sessions is bounded in number and in time.
func TestResendsForget(t *testing.T) {
	now := testNow
	r := NewResends(func() time.Time { return now })
	id := testStream().ID
	for i := range int64(maxEnded + 2) {
		r.remember(id, []saved{{uid: "u", timecode: i, number: store.Number(i + 1)}})
	}
	if len(r.ended[id]) != maxEnded {
		t.Errorf("%d sessions kept", len(r.ended[id]))
	}
	if got := r.find(place{stream: id, uid: "u", at: maxEnded + 1}); len(got) != 1 || got[0] != maxEnded+2 {
		t.Errorf("found %v", got)
	}
	if got := r.find(place{stream: id, uid: "u", at: 0}); len(got) != 0 {
		t.Errorf("the oldest is still known: %v", got)
	}
	now = now.Add(resendWindow + 1)
	if got := r.find(place{stream: id, uid: "u", at: maxEnded + 1}); len(got) != 0 {
		t.Errorf("still known after the window: %v", got)
	}
	r.remember("other", []saved{{uid: "u"}})
	if len(r.ended) != 1 {
		t.Errorf("%d streams kept", len(r.ended))
	}
	many := make([]saved, 3*maxSaved)
	r.remember(id, many)
	if got := len(r.ended[id][0].saved); got != maxSaved {
		t.Errorf("%d fragments of one session kept", got)
	}
}
