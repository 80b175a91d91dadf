package playback

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
	"weir/test/e2e/conformance"
)

// However little may be cached, a session that is asked for is followed once, and what was listed
// for it is not forgotten. When nobody asks any more it may be.
func TestWhatIsFollowedIsKept(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		r.service.Stop()
		r.service = r.process()
		r.service.views.limit = 1
		f := r.begin()
		f.until(700)
		n := r.read(1).Open.Sequence
		f.breakOff()
		m := r.read(1)
		if last := m.Segments[len(m.Segments)-1]; !last.Gap || last.Sequence != n {
			t.Errorf("the last segment is %+v", last)
		}
		views := r.service.views
		if views.held.Len() != 1 || views.order.Len() != 0 {
			t.Errorf("%d views are followed, %d others kept", views.held.Len(), views.order.Len())
		}
		for range 3 {
			time.Sleep(followIdle)
			r.store.Sleep(followIdle)
		}
		synctest.Wait()
		if views.held.Len() != 0 || views.order.Len() != 1 {
			t.Errorf("%d views are followed that nobody asks for", views.held.Len())
		}
		r.camera.sendMedia()
		r.token, r.seen = r.open(r.input()), make(map[int]*conformance.Media)
		r.read(1)
		if views.held.Len() != 1 || views.order.Len() != 0 {
			t.Errorf("%d views are followed, %d others kept", views.held.Len(), views.order.Len())
		}
	})
}

// PART-HOLD-BACK is as long as players may have to wait for media.
func TestPlayersStayAsFarBehindAsTheyMust(t *testing.T) {
	picture := store.Span{Track: 1, Frames: 50}
	sound := store.Span{Track: 2, Frames: 94}
	leading := picture
	leading.Traits = media.LeadingNext
	for _, test := range []struct {
		why   string
		burst int64
		spans []store.Span
		want  int64
	}{
		{"three parts", 0, []store.Span{picture, sound}, 600},
		{"a burst and two parts", 700, []store.Span{picture, sound}, 1100},
		{"never more than without parts", 9000, []store.Span{picture, sound}, 6000},
		{"no sound", 0, []store.Span{picture}, 6000},
		{"an open group", 0, []store.Span{leading, sound}, 6000},
	} {
		p := &parameters{partTarget: 200, partHoldBack: test.burst,
			tracks: []timeline.Track{{Number: 1}, {Number: 2}}}
		p.settleParts(&selection{fragments: []store.FragmentInfo{{Spans: test.spans}}}, 2)
		if p.partHoldBack != test.want {
			t.Errorf("%s: %d ms, want %d", test.why, p.partHoldBack, test.want)
		}
	}
}
