package playback

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/live"
	"weir/internal/media"
)

// The first delivery of a part measures how long its frames took, each once.
func TestDeliveryOfPartsIsMeasured(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		reg := prometheus.NewRegistry()
		m, err := live.NewMetrics(reg)
		if err != nil {
			t.Fatal(err)
		}
		r.service.Stop()
		r.edge = live.New(live.Options{Metrics: m})
		r.service = r.process()
		r.read(1)
		f := r.begin()
		f.until(700)
		for range 2 {
			r.read(1) // two parts of eight frames of 40 ms
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			n := family.GetMetric()[0].GetHistogram().GetSampleCount()
			if family.GetName() == "weir_live_frame_seconds" && n != 16 {
				t.Errorf("%d frames were measured", n)
			}
		}
		f.breakOff()
	})
}

// A player that takes a part slowly gets its bytes, although its fragment was stored meanwhile and
// the session reads the next one: the buffers are used again when it has them all.
func TestASlowPlayerGetsItsPart(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		r.read(1)
		f := r.begin()
		f.until(700)
		uri := r.read(1).Open.Parts[1].URI
		part := r.openPart(uri)
		f.store()
		next := r.begin()
		next.until(700)
		if f.freed || !bytes.Equal(contentOf(t, part), r.parts[uri]) {
			t.Errorf("given back %v, or the part has changed", f.freed)
		}
		part.Close()
		if !f.freed {
			t.Error("the buffers are never used again")
		}
		next.store()
	})
}

// A part that could not be written keeps its buffers from being used again: HTTP/2 may still be at
// work on it.
func TestAPartThatFailsKeepsItsBuffers(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		r.read(1)
		f := r.begin()
		f.until(700)
		part := r.openPart(r.read(1).Open.Parts[1].URI)
		if err := part.WriteRange(noWriter{}, 0, part.Length); err == nil {
			t.Error("no error")
		}
		part.Close()
		f.store()
		next := r.begin()
		next.until(700)
		if r.read(1); f.freed {
			t.Error("what HTTP/2 may still write is used again")
		}
		next.store()
	})
}

// noWriter takes headers and fails with media.
type noWriter struct{}

func (noWriter) Write(p []byte) (int, error) {
	if len(p) >= 8 && string(p[4:8]) == "moof" {
		return len(p), nil
	}
	return 0, io.ErrClosedPipe
}

// Memory for what other nodes receive has run out, and the rest of a fragment is not read here
// before it is stored. Who asks for what is listed of it waits for that.
func TestWhatCannotBeReadBeforeItIsStoredIsAwaited(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		f := r.beginGrown()
		f.until(3000)
		m := r.read(1)
		f.edge.CutOff()
		names := []string{m.Segments[len(m.Segments)-1].URI, m.Open.Parts[0].URI,
			m.Open.Parts[1].URI}
		got := make([][]byte, len(names))
		for i, name := range names {
			go func() {
				var err error
				if got[i], err = r.getPart(r.Context(), name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}()
		}
		synctest.Wait()
		f.store()
		for i, name := range names {
			if was := r.parts[name]; len(got[i]) == 0 || was != nil && !bytes.Equal(got[i], was) {
				t.Errorf("%s has %d bytes, and had %d", name, len(got[i]), len(was))
			}
		}
	})
}

// While memory for fragments that have ended has run out, nothing is listed before it is stored.
// When there is memory again, the fragment that is coming in is listed as far as it has come.
func TestAFragmentIsListedOnceThereIsMemory(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		r.service.Stop()
		r.edge = live.New(live.Options{Held: 99})
		r.service = r.process()
		r.read(1)
		ended := r.begin()
		hold := ended.edge.Hold()
		ended.store() // of 100 bytes
		f := r.begin()
		f.until(1000)
		if n, _ := listed(r.read(1)); n != 0 {
			t.Errorf("%d parts are listed without memory", n)
		}
		hold.Release()
		f.until(1100)
		if n, _ := listed(r.read(1)); n != 3 {
			t.Errorf("%d parts are listed with memory", n)
		}
	})
}
