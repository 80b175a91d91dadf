package playback

import (
	"strings"
	"testing"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/sessionurl"
)

// A fragment that one process listed in parts and that broke off is also a gap at another process,
// which never saw it. A player that moves between them sees the same.
func TestGapOfAnotherProcess(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		one, edge := r.service, r.edge
		r.edge = live.New(live.Options{})
		two := r.process()
		r.edge = edge
		defer func() {
			two.Stop()
			r.service = one
		}()
		at := func(s *Service) (segments int, next int64) {
			r.service = s
			m := r.read(1) // compares it with what was shown before
			return len(m.Segments), m.Open.Sequence
		}
		at(two) // it has a view of the session now
		f := r.begin()
		f.until(1000)
		at(one)
		if parts, _ := listed(r.seen[1]); parts == 0 {
			t.Fatal("nothing of the fragment is listed")
		}
		f.breakOff()
		for _, s := range []*Service{one, two, one} {
			if n, next := at(s); n != 4 || next != 4 || !r.seen[1].Segments[3].Gap {
				t.Fatalf("%d segments, the next is %d", n, next)
			}
		}
		r.begin().store()
		for _, s := range []*Service{two, one, two} {
			if n, next := at(s); n != 5 || next != 5 || r.seen[1].Segments[4].Gap {
				t.Fatalf("%d segments, the next is %d", n, next)
			}
		}
	})
}

// A fragment breaks off while the store is away, as it does at a database that commits nothing.
// Players keep what they were shown, and other processes are told of the gap once it is back.
func TestGapWhileStoreIsAway(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(1000)
		r.read(1)
		r.store.setAway(true)
		f.breakOff()
		gap := func() {
			t.Helper()
			if m := r.read(1); len(m.Segments) != 4 || !m.Segments[3].Gap {
				t.Fatalf("%d segments, the last one is %+v", len(m.Segments),
					m.Segments[len(m.Segments)-1])
			}
		}
		gap()
		r.begin().store() // at another node, which the database answers
		gap()
		r.store.setAway(false)
		time.Sleep(2 * time.Second)
		r.camera.pass(2000)
		next := r.read(1)
		if len(next.Segments) != 5 || !next.Segments[3].Gap || next.Segments[4].Gap {
			t.Fatalf("%d segments, once the store is back", len(next.Segments))
		}
		one := r.service
		r.edge = live.New(live.Options{})
		r.service = r.process()
		defer func() {
			r.service.Stop()
			r.service = one
		}()
		if m := r.read(1); len(m.Segments) != 5 || !m.Segments[3].Gap {
			t.Fatalf("another process has %d segments", len(m.Segments))
		}
	})
}

// A fragment is stored, and then the store goes away before anybody has seen its commit. However
// long that takes, what was listed of it is no gap, and what comes next waits for it.
func TestAFragmentIsStoredBeforeTheStoreIsAway(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(1000)
		n := r.read(1).Open.Sequence
		r.store.setAway(true)
		f.store()
		next := r.begin()
		next.until(900)
		time.Sleep(linger)
		for range 2 {
			if text := r.reload(1, sessionurl.Directives{}); strings.Contains(text, "GAP") {
				t.Fatalf("a gap is listed:\n%s", text)
			}
			r.store.setAway(false)
			time.Sleep(2 * time.Second)
		}
		next.store()
		m := r.read(1)
		if last := m.Segments[len(m.Segments)-1]; last.Sequence != n+1 || last.Begins {
			t.Errorf("the last segment is %+v, and %d was open", last, n)
		}
		r.samplesOf(1, m)
	})
}
