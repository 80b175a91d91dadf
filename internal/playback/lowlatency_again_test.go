package playback

import (
	"slices"
	"testing"
	"testing/synctest"

	"weir/internal/api"
	"weir/internal/media"
	"weir/test/e2e/conformance"
)

// A producer that stalls in the middle of a fragment does not delay what another one sends. Its own
// fragment then comes too late.
func TestAStalledProducerHoldsNobodyUp(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		stalled := r.begin()
		stalled.until(700)
		n := r.read(1).Open.Sequence
		r.camera.Time = stalled.rec.ProducerTimestamp + 100 // it reconnects, and goes on elsewhere
		again := r.begin()
		again.until(400)
		if m := r.read(1); m.Open.Sequence != n || len(m.Open.Parts) != 2 {
			t.Errorf("another fragment is open: %+v", m.Open)
		}
		again.store()
		m := r.read(1)
		if gap := m.Segments[len(m.Segments)-2]; !gap.Gap || gap.Sequence != n {
			t.Errorf("want a gap before the last segment: %+v", m.Segments)
		}
		r.camera.Time += 2000
		next := r.begin()
		next.until(700)
		if n, _ := listed(r.read(1)); n != 2 {
			t.Errorf("%d parts while the stalled fragment is being received", n)
		}
		stalled.store()
		next.store()
		r.samplesOf(1, r.read(1))
	})
}

// A connection dies in silence, and ingest waits for its fragment for a minute and a half. Its
// producer comes back on another one and sends the fragment again, which goes on in place of the
// one that stalls. So do those that follow.
func TestAFragmentGoesOnBesideAConnectionThatDied(t *testing.T) {
	tracks := []media.Track{videoTrack(), audioTrack()}
	lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
		stalled := r.begin()
		stalled.until(1100)
		before := r.read(1)
		was, _ := listed(before)
		r.read(2)
		again := r.begin(sentAgain(stalled))
		for _, at := range []int64{0, 330, 1100, 1500} {
			again.until(at)
			m := r.read(1)
			r.read(2)
			if n, _ := listed(m); m.Open.Sequence != before.Open.Sequence || n < was ||
				(at > 1100) != (n > was) {
				t.Errorf("after %d ms of what is sent again, %d parts of segment %d; %d of %d "+
					"before", at, n, m.Open.Sequence, was, before.Open.Sequence)
			}
		}
		again.store()
		r.camera.Time = stalled.rec.ProducerTimestamp + 2000
		for range 2 {
			next := r.begin()
			next.until(700)
			if n, _ := listed(r.read(1)); n != 2 {
				t.Errorf("%d parts of a fragment beside the one that stalls", n)
			}
			r.read(2)
			next.store()
		}
		stalled.cutOff()
		for track := 1; track <= 2; track++ {
			m := r.read(track)
			r.samplesOf(track, m)
			if slices.ContainsFunc(m.Segments,
				func(s conformance.Segment) bool { return s.Gap || s.Begins }) {
				t.Errorf("a gap or a discontinuity: %+v", m.Segments)
			}
		}
	})
}

// A producer that loses its connection in the middle of a fragment resends those before it first,
// whose acknowledgements were lost. The one that broke off stays listed meanwhile, and goes on.
func TestOlderFragmentsAreSentAgainFirst(t *testing.T) {
	tracks := []media.Track{videoTrack(), audioTrack()}
	lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
		stored := r.begin()
		stored.store()
		f := r.begin()
		f.until(700)
		n := r.read(1).Open.Sequence
		r.read(2)
		f.cutOff()
		older := r.begin(sentAgain(stored))
		older.until(1 << 40)
		older.edge.Whole(&older.rec.Fragment)
		synctest.Wait() // it is being compared with what is stored
		r.read(1)
		older.cutOff()
		again := r.begin(sentAgain(f))
		again.until(1100)
		for track := 1; track <= 2; track++ {
			m := r.read(track)
			if k, _ := listed(m); m.Open.Sequence != n || k != 3 {
				t.Errorf("%d parts of segment %d, want 3 of %d", k, m.Open.Sequence, n)
			}
		}
		again.store()
		r.samplesOf(1, r.read(1))
		r.samplesOf(2, r.read(2))
	})
}

// A producer renews its token, and sends its last fragment again on the new connection, while the
// first is still on its way to the disk. Whichever is stored, the other is a resend: players see
// one segment.
func TestAFragmentThatIsStoredTwiceIsOneSegment(t *testing.T) {
	tracks := []media.Track{videoTrack(), audioTrack()}
	for how, first := range map[string]bool{"the first": true, "the second": false} {
		lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
			f := r.begin()
			f.until(1970)
			n := r.read(1).Open.Sequence
			r.read(2)
			again := r.begin(sentAgain(f))
			winner, loser := again, f
			if first {
				winner, loser = f, again
				again.until(1970) // and it has come as far
				r.read(1)
			}
			winner.store()
			loser.cutOff()
			r.camera.Time = f.rec.ProducerTimestamp + 2000
			next := r.begin()
			next.until(700)
			for track := 1; track <= 2; track++ {
				m := r.read(track)
				r.samplesOf(track, m)
				last := m.Segments[len(m.Segments)-1]
				if k, _ := listed(m); last.Sequence != n || last.Gap || m.Open.Begins || k != 2 {
					t.Errorf("%s is stored: the last segment is %+v, then %+v", how, last, m.Open)
				}
			}
		})
	}
}

// A fragment that breaks off may have a track that the session does not play.
func TestAFragmentWithAnotherTrackBreaksOff(t *testing.T) {
	other := audioTrack()
	other.Number = 3
	tracks := []media.Track{videoTrack(), audioTrack(), other}
	lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
		f := r.begin()
		f.until(700)
		n := r.read(1).Open.Sequence
		r.read(2)
		f.breakOff()
		for track := 1; track <= 2; track++ {
			m := r.read(track)
			if gap := m.Segments[len(m.Segments)-1]; !gap.Gap || gap.Sequence != n {
				t.Errorf("the last segment is %+v", gap)
			}
		}
	})
}

// What follows a gap is listed, also if it is the same fragment, and the session goes by the
// producer's clock.
func TestAFragmentFollowsItsGap(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		in := r.input()
		in.DiscontinuityMode = api.DiscontinuityOnDiscontinuity
		in.HLSFragmentSelector = &api.FragmentSelector{
			FragmentSelectorType: api.SelectorProducerTimestamp}
		r.token = r.open(in)
		f := r.begin()
		f.until(700)
		n := r.read(1).Open.Sequence
		f.breakOff()
		again := r.begin(sentAgain(f))
		again.store()
		m := r.read(1)
		last := m.Segments[len(m.Segments)-1]
		if gap := m.Segments[len(m.Segments)-2]; !gap.Gap || gap.Sequence != n || last.Gap {
			t.Errorf("the last segments are %+v and %+v", gap, last)
		}
	})
}

// A fragment comes on two connections, and either of them may stall: players see the one that has
// come further.
func TestWhicheverConnectionIsFasterIsListed(t *testing.T) {
	tracks := []media.Track{videoTrack(), audioTrack()}
	lowLatencyTest(t, tracks, func(t *testing.T, r *lowRig) {
		f := r.beginGrown()
		again := r.begin(sentAgain(f))
		come := map[*sending]int64{}
		for _, step := range []struct {
			of *sending
			at int64
		}{{f, 3000}, {again, 3500}, {f, 5500}, {f, 6000}, {again, 5900}, {again, 7000}, {f, 9000}} {
			step.of.until(step.at)
			come[step.of] = step.at
			for track := range tracks {
				m := r.read(track + 1)
				listed := ends(m).UnixMilli() - f.rec.ServerTimestamp
				if late := max(come[f], come[again]) - listed; late > 500 {
					t.Errorf("of %d and %d ms, track %d is listed up to %d", come[f], come[again],
						track+1, listed)
				}
			}
		}
		f.store()
		again.cutOff()
		r.samplesOf(1, r.read(1))
		r.samplesOf(2, r.read(2))
	})
}

// A fragment that is stored too late to be listed does not disturb the one that is open.
func TestALateFragmentDoesNotBreakTheOpenOne(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		late := r.begin()
		late.until(300)
		r.camera.Time = late.rec.ProducerTimestamp
		r.begin().store()
		f := r.beginGrown()
		f.until(5000)
		before := r.read(1)
		late.store()
		if m := r.read(1); len(m.Open.Parts) != len(before.Open.Parts) ||
			m.Open.Sequence != before.Open.Sequence || m.Segments[len(m.Segments)-1].Gap {
			t.Errorf("the open fragment is a gap: %+v", m.Segments)
		}
		f.store()
		r.samplesOf(1, r.read(1))
	})
}
