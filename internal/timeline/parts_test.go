package timeline_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// randomRun makes frames of a track: of equal length, rounded to milliseconds, jittering, or with
// pauses.
func randomRun(random *rand.Rand, t *media.Track, base int64, millis int64) media.Run {
	run := media.Run{Track: t.Number, BaseDecodeTime: base}
	scale := int64(t.Timescale)
	if t.Kind == media.Audio {
		for left := millis * scale / 1000; left > 0; left -= 1024 {
			run.Frames = append(run.Frames, media.Frame{Duration: 1024,
				Size: 1 + random.Uint32N(50), Key: true})
		}
		return run
	}
	usual := []float64{40, 1000 / 29.97, 1000.0 / 60, 66.7, 200}[random.IntN(5)]
	style := random.IntN(3)
	for at := 0.0; at < float64(millis); {
		d := usual
		switch {
		case style == 1:
			d += usual * (random.Float64() - 0.5) / 2
		case style == 2 && random.IntN(60) == 0:
			d += random.Float64() * 900
		}
		ticks := (int64(at+d) - int64(at)) * scale / 1000
		run.Frames = append(run.Frames, media.Frame{Duration: uint32(max(ticks, 1)),
			Size: 1 + random.Uint32N(5000), Key: len(run.Frames) == 0 || random.IntN(25) == 0})
		at += d
	}
	return run
}

// The parts of the beginning of a run do not change when more comes. None is longer than
// PART-TARGET, together they are the run, and their durations add up to its EXTINF.
func TestPartsOfTheBeginningAreThoseOfTheWhole(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 3))
		track := pictures
		if seed%3 == 0 {
			track = sound
		}
		scale := int64(track.Timescale)
		run := randomRun(random, &track, random.Int64N(1<<40), 500+random.Int64N(4000))
		target := 50 + random.Int64N(600)
		whole, ended := timeline.Parts(&run, track.Kind, scale, target, true)
		checkParts(t, &run, &track, target, whole, ended)
		before := 0
		for n := 1; n <= len(run.Frames); n++ {
			part := media.Run{Track: run.Track, BaseDecodeTime: run.BaseDecodeTime,
				Frames: run.Frames[:n]}
			known, _ := timeline.Parts(&part, track.Kind, scale, target, false)
			if len(known) < before || len(known) > len(whole) ||
				!slices.Equal(known, whole[:len(known)]) {
				t.Fatalf("seed %d: %d frames have parts\n%+v\nof the whole\n%+v", seed, n, known,
					whole)
			}
			before = len(known)
		}
		if before < len(whole)-1 {
			t.Fatalf("seed %d: %d parts of %d are known before the end", seed, before, len(whole))
		}
	}
}

func checkParts(t *testing.T, run *media.Run, track *media.Track, target int64,
	parts []timeline.Part, ended bool) {
	t.Helper()
	scale := int64(track.Timescale)
	first, bytes, sum, at := 0, int64(0), int64(0), run.BaseDecodeTime
	for _, p := range parts {
		if p.First != first || p.Frames < 1 || p.Offset != bytes || p.Begin != at {
			t.Fatalf("part %+v does not follow the one before", p)
		}
		if p.Duration > target*1_000_000 || p.Ticks*1000 > target*scale {
			t.Fatalf("part %+v is longer than %d ms", p, target)
		}
		// Shaka Player aborts before a part that is listed earlier than its media (DESIGN.md)
		begins := float64(at-run.BaseDecodeTime) / float64(scale) * 1e9
		late := float64(sum) - begins
		if first > 0 && late < 0.99 || late > float64(len(parts)+1) {
			t.Fatalf("part %+v is listed %v ns after its media", p, late)
		}
		if want := track.Kind == media.Audio || run.Frames[first].Key; p.Independent != want {
			t.Fatalf("part %+v: independent is %v", p, !want)
		}
		for _, f := range run.Frames[first : first+p.Frames] {
			bytes, at = bytes+int64(f.Size), at+int64(f.Duration)
		}
		first, sum = first+p.Frames, sum+p.Duration
		if p.Offset+p.Size != bytes || p.Begin+p.Ticks != at {
			t.Fatalf("part %+v does not end with its frames", p)
		}
	}
	if ended {
		if d := int64(run.Frames[first].Duration); d*1_000_000_000 <= (target*1_000_000-2)*scale {
			t.Fatalf("parts end before a frame of %d ticks", d)
		}
		return
	}
	span := store.Span{BaseDecodeTime: run.BaseDecodeTime, Duration: run.Duration()}
	off := sum - 1_000_000*timeline.Millis(&span, scale)
	if first != len(run.Frames) || max(off, -off) > 1_001_000 {
		t.Fatalf("%d frames of %d, %d ns of %d ms", first, len(run.Frames), sum,
			timeline.Millis(&span, scale))
	}
	// The hint after the last part begins before the segment that it becomes the first part of.
	e := timeline.Entry{Duration: [timeline.MaxTracks]int64{timeline.Millis(&span, scale)}}
	late := float64(sum) - float64(run.Duration())/float64(scale)*1e9
	if r := (&timeline.Rules{PartTarget: target}); float64(r.Surplus(&e, 0)) < late+0.99 {
		t.Fatalf("%d parts of %d ms are listed as %v ns longer, and EXTINF as %d", len(parts),
			e.Duration[0], late, r.Surplus(&e, 0))
	}
}

func steady(track *media.Track, n int, ticks ...uint32) media.Run {
	run := media.Run{Track: track.Number}
	for i := range n {
		run.Frames = append(run.Frames, media.Frame{Duration: ticks[i%len(ticks)]})
	}
	return run
}

// A part lasts a whole number of frames, and does not wait for a frame that would not fit.
func TestPartTarget(t *testing.T) {
	const third = 1000.0 / 3
	pausing := steady(&pictures, 50, 3600)
	pausing.Frames[20].Duration = 90_000
	for name, c := range map[string]struct {
		run    media.Run
		wanted float64
		sound  float64
		want   int64
	}{
		"25 frames a second":       {steady(&pictures, 50, 3600), third, 0, 321},
		"with AAC":                 {steady(&pictures, 50, 3600), third, 64.0 / 3, 321},
		"with AAC at 8 kHz":        {steady(&pictures, 50, 3600), third, 128, 281},
		"29.97":                    {steady(&pictures, 60, 2970, 3060, 2970), third, 0, 335},
		"30":                       {steady(&pictures, 60, 3000), third, 0, 334},
		"5, jittering":             {steady(&pictures, 10, 18_000, 19_800, 17_100), third, 0, 221},
		"2":                        {steady(&pictures, 4, 45_000), third, 0, 501},
		"a pause is no frame":      {pausing, third, 0, 321},
		"sound alone":              {steady(&sound, 100, 1024), third, 1024.0 / 44.1, 326},
		"nothing":                  {media.Run{}, third, 0, 0},
		"one second of 25":         {steady(&pictures, 50, 3600), 1000, 0, 1001},
		"shorter than the sound's": {steady(&pictures, 50, 3600), 100, 128, 281},
	} {
		scale := int64(pictures.Timescale)
		if c.run.Track == sound.Number {
			scale = int64(sound.Timescale)
		}
		if got := timeline.PartTarget([]media.Run{c.run}, scale, c.wanted, c.sound); got != c.want {
			t.Errorf("%s: %d ms, want %d", name, got, c.want)
		}
	}
}
