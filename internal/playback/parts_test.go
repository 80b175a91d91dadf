package playback

import (
	"bytes"
	"strings"
	"testing"

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
		ref, err := ParsePart(uri[strings.IndexByte(uri, '?')+1:])
		if err != nil {
			t.Fatal(err)
		}
		part, err := r.service.MediaPart(t.Context(), r.token, ref)
		if err != nil {
			t.Fatal(err)
		}
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

func TestBlocksOfUnits(t *testing.T) {
	frames := []media.Frame{{Marks: media.Joined}, {}, {Marks: media.Joined},
		{Marks: media.Joined}, {}}
	for units, want := range []int{0, 1, 4, 5} {
		if got := blocksOf(frames, units); got != want {
			t.Errorf("%d units are %d blocks, want %d", units, got, want)
		}
	}
}
