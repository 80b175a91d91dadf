package playback

import (
	"testing"

	"weir/internal/live"
	"weir/internal/media"
)

// A fragment that broke off where one process listed it in parts is a gap at another one, too, that
// never heard of it. A player that goes to and fro is shown nothing else before and after.
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
			m := r.read(1) // holds it to what was shown before
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
