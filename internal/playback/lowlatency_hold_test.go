package playback

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
	"weir/test/e2e/conformance"
)

// However small the cache, a session that is asked for is followed once, and its listed parts are
// not forgotten while anybody asks.
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

// PART-HOLD-BACK is the longest time that players may have to wait for media.
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

// A producer that loses its connection in the middle of a fragment resends it. Because the resend
// begins alike, the listed parts stay, and the fragment continues.
func TestAFragmentThatIsSentAgainGoesOn(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		for _, broken := range []int64{700, 1500} {
			f := r.begin()
			f.until(broken)
			before := r.read(1)
			was, _ := listed(before)
			r.read(2)
			f.cutOff()
			partial := *f.rec
			partial.Partial = true
			r.store.Commit(&partial, 0)
			time.Sleep(3 * time.Second)
			r.store.Sleep(3 * time.Second)
			again := r.begin(sentAgain(f))
			for _, at := range []int64{0, 330, broken, broken + 330} {
				again.until(at)
				m := r.read(1)
				r.read(2)
				if n, _ := listed(m); m.Open.Sequence != before.Open.Sequence || n < was ||
					n > was && at <= broken {
					t.Errorf("after %d ms of what is sent again, %d parts of segment %d; "+
						"%d of %d before", at, n, m.Open.Sequence, was, before.Open.Sequence)
				}
			}
			again.store()
			m := r.read(1)
			r.samplesOf(1, m)
			r.samplesOf(2, r.read(2))
			if last := m.Segments[len(m.Segments)-1]; last.Gap ||
				last.Sequence != before.Open.Sequence {
				t.Errorf("the last segment is %+v", last)
			}
		}
	})
}

// A server that was killed has forgotten which parts it listed. A player that asks for one waits
// until the producer resends it.
func TestPartsThatWereListedAreWaitedFor(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(1500)
		before := r.read(1)
		part := before.Open.Parts[2].URI
		again := r.process()
		r.service.Stop()
		r.service, r.edge = again, live.New(live.Options{})
		again.edge = r.edge
		var data []byte
		go func() { data, _ = r.getPart(r.Context(), part) }()
		synctest.Wait()
		sent := r.begin(func(rec *store.Record) {
			rec.Runs, rec.Payload = f.rec.Runs, f.rec.Payload
		})
		if sent.until(700); data != nil {
			t.Errorf("%d bytes of a part that has not come", len(data))
		}
		if sent.until(1100); !bytes.Equal(data, r.parts[part]) {
			t.Errorf("%d bytes came of the part, which had %d", len(data), len(r.parts[part]))
		}
	})
}

// If another fragment comes in place of one that broke off, that becomes a gap at once.
func TestAnotherFragmentMakesAGap(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		for _, change := range []func(rec, was *store.Record){
			func(*store.Record, *store.Record) {},
			func(rec, was *store.Record) {
				rec.Runs, rec.Payload = was.Runs, slices.Clone(was.Payload)
				rec.Payload[0] = slices.Clone(was.Payload[0])
				rec.Payload[0][3]++
			},
		} {
			f := r.begin()
			f.until(700)
			n := r.read(1).Open.Sequence
			r.read(2)
			f.cutOff()
			other := r.begin(func(rec *store.Record) { change(rec, f.rec) })
			other.until(700)
			m := r.read(1)
			if gap := m.Segments[n-m.MediaSequence]; !gap.Gap {
				t.Errorf("%+v", gap)
			}
			r.read(2)
			other.store()
			r.read(1)
			r.read(2)
		}
	})
}

// A server that stops knows of a fragment that broke off a moment ago, and the next one does not:
// what was listed of it becomes a gap before the stop, and no playlist goes back. A fragment that
// still comes in will be sent again, under the sequence number that it had.
func TestAStopWritesGaps(t *testing.T) {
	for how, end := range map[string]func(*sending){
		"broke off": (*sending).cutOff,
		"broke off, and is stored as far as it came": func(f *sending) {
			partial := *f.rec
			partial.Partial = true
			f.edge.Stored(f.r.store.Commit(&partial, 0))
			f.release()
			synctest.Wait()
		},
		"comes in": nil,
	} {
		lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
			f := r.begin()
			f.until(1500)
			n := r.read(1).Open.Sequence
			if end != nil {
				end(f)
			}
			r.service.Stop()
			if err := r.service.Stopped(r.Context()); err != nil {
				t.Fatal(err)
			}
			r.service, r.seen = r.process(), make(map[int]*conformance.Media)
			m := r.read(1)
			last, gap := m.Segments[len(m.Segments)-1], end != nil
			if last.Gap != gap || gap != (last.Sequence == n) {
				t.Errorf("the fragment %s: the last segment is %+v, after parts of %d", how, last,
					n)
			}
		})
	}
}
