package media

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// follow feeds a fragment to a clock, some samples at a time, and asks a draft at each step. It
// checks that final frames do not change. It returns the run, the last final frames, and the
// greatest number of access units that began after one before that was final.
func follow(t *testing.T, r *rand.Rand, c Clock, samples []Sample, next int64) (run, final Run) {
	t.Helper()
	d := c.Draft()
	for n := 0; n < len(samples); {
		n = min(n+1+r.IntN(2)*r.IntN(4), len(samples))
		now := d.Final(samples[:n:n])
		if len(now.Frames) < len(final.Frames) ||
			!slices.Equal(now.Frames[:len(final.Frames)], final.Frames) ||
			len(final.Frames) > 0 && now.BaseDecodeTime != final.BaseDecodeTime {
			t.Fatalf("what was final has changed: %+v, then %+v", final, now)
		}
		now.Frames = slices.Clone(now.Frames)
		final = now
	}
	run, err := c.Run(samples, next)
	if err != nil {
		t.Fatal(err)
	}
	return run, final
}

// isPrefix reports whether the run begins with the final frames.
func isPrefix(final, run Run) bool {
	n := len(final.Frames)
	return n == 0 || n <= len(run.Frames) && final.Track == run.Track &&
		final.BaseDecodeTime == run.BaseDecodeTime && slices.Equal(final.Frames, run.Frames[:n])
}

// camera generates a stream: a fragment's samples in decode order, and where the next one starts.
type camera struct {
	source
	jitter int64 // nanoseconds
	blocks bool  // a block for each NAL unit, some of them empty
	cra    bool  // H.265 with open groups
	times  []int64
}

func newCamera(r *rand.Rand) *camera {
	rates := [][2]int64{{30, 1}, {25, 1}, {30000, 1001}, {15, 1}, {10, 1}, {60, 1}, {5, 1}}
	rate := rates[r.IntN(len(rates))]
	c := &camera{source: source{num: rate[0], den: rate[1], gop: 2 + r.IntN(30),
		truncate: r.IntN(2) == 0}, blocks: r.IntN(3) == 0}
	patterns := [][]int{nil, nil, {2, 1}, {3, 1, 2}, {4, 2, 1, 3}}
	c.pattern = patterns[r.IntN(len(patterns))]
	if c.pattern == nil && r.IntN(2) == 0 {
		c.jitter = second * rate[1] / rate[0] / 5
	}
	if c.pattern != nil && r.IntN(3) == 0 {
		c.cra, c.leading = true, 1
	}
	return c
}

func (c *camera) fragment(r *rand.Rand, k int) (samples []Sample, next int64) {
	at := func(frame int) int64 {
		for len(c.times) <= frame {
			c.times = append(c.times, c.time(len(c.times))+c.jitter*int64(r.IntN(1000))/1000)
		}
		return c.times[frame]
	}
	order := c.order(k)
	for i, frame := range order {
		content := scanned | slice | starts
		switch {
		case i == 0 && c.cra:
			content |= cra | hevcBlock
		case i == 0:
			content |= idr
		case c.cra && frame < order[0]:
			content |= rasl | hevcBlock
		case c.pattern != nil:
			content |= bipred
		}
		s := Sample{Time: at(frame), Size: uint32(r.IntN(1000)), Key: i == 0, Content: content}
		if !c.blocks {
			samples = append(samples, s)
			continue
		}
		if r.IntN(2) == 0 {
			samples = append(samples, Sample{Time: s.Time, Size: 9, Content: scanned | prefix})
		}
		samples = append(samples, s)
		for range r.IntN(3) {
			samples = append(samples, Sample{Time: s.Time, Size: 7, Content: content &^ starts})
		}
		if r.IntN(4) == 0 {
			samples = append(samples, Sample{Time: s.Time, Content: scanned})
		}
	}
	if r.IntN(5) == 0 {
		return samples, NoTime
	}
	return samples, at(c.order(k + 1)[0])
}

func (c *camera) depth() int {
	most := 0
	order := c.order(1)
	for i, f := range order {
		n := 0
		for _, before := range order[:i] {
			if before > f {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func units(samples []Sample) int {
	n, _ := group(samples, nil, nil)
	return len(n)
}

// TestFinalFramesAreTheStoredOnes: with faultless cameras, final frames equal the stored ones, and
// all frames are final except those that wait for reordered ones.
func TestFinalFramesAreTheStoredOnes(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newCamera(r)
		clock := video()
		if seed%2 == 0 {
			clock.(*frameClock).reorder = c.depth()
		}
		for k := range 8 {
			samples, next := c.fragment(r, k)
			run, final := follow(t, r, clock, samples, next)
			if !isPrefix(final, run) {
				t.Fatalf("seed %d, fragment %d: final were %+v, stored are %+v", seed, k, final,
					run)
			}
			if k < 2 {
				continue
			}
			u := final.Units()
			waiting := units(samples) - len(u.Frames)
			if waiting > c.depth()+1 {
				t.Fatalf("seed %d, fragment %d: %d of %d pictures are not final, of depth %d",
					seed, k, waiting, units(samples), c.depth())
			}
		}
	}
}

// TestFinalFramesOfFaultyCameras: with a single fault in the times, no final frame is stored
// differently. Only if the clock corrects times long before the fault may one be, and then seldom.
func TestFinalFramesOfFaultyCameras(t *testing.T) {
	random := func(r *rand.Rand, s []Sample) *Sample { return &s[r.IntN(len(s))] }
	for _, c := range []struct {
		name  string
		fault func(r *rand.Rand, s []Sample)
		most  int // thousandths of fragments that may differ
	}{
		{"unknown", func(r *rand.Rand, s []Sample) { random(r, s).Time = NoTime }, 0},
		{"swapped", func(r *rand.Rand, s []Sample) {
			if i := r.IntN(len(s)); i > 0 {
				s[i].Time, s[i-1].Time = s[i-1].Time, s[i].Time
			}
		}, 0},
		{"lost", func(r *rand.Rand, s []Sample) { shift(s, r.IntN(len(s)), r.IntN(2000)) }, 0},
		{"outlier", func(r *rand.Rand, s []Sample) {
			random(r, s).Time += int64(r.IntN(6000)-3000) * ms
		}, 100},
		{"equal", func(r *rand.Rand, s []Sample) { random(r, s).Time = random(r, s).Time }, 200},
		{"set back", func(r *rand.Rand, s []Sample) {
			shift(s, r.IntN(len(s)), -r.IntN(1000))
		}, 400},
	} {
		differ, total := 0, 0
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 2))
			camera, clock := newCamera(r), video()
			camera.blocks = false
			for k := range 4 {
				samples, next := camera.fragment(r, k)
				if k > 0 {
					c.fault(r, samples)
					last := camera.times[slices.Max(camera.order(k))]
					if end := samples[len(samples)-1].Time; next != NoTime && end != NoTime {
						next = max(next, next+end-last)
					}
				}
				run, final := follow(t, r, clock, samples, next)
				if total++; !isPrefix(final, run) {
					differ++
				}
			}
		}
		if differ*1000 > c.most*total {
			t.Errorf("%s: what was final of %d of %d fragments is stored differently", c.name,
				differ, total)
		}
	}
}

// shift moves the samples from an index on by milliseconds.
func shift(s []Sample, from, by int) {
	for i := from; i < len(s); i++ {
		s[i].Time += int64(by) * ms
	}
}

// TestFinalFramesOfSound: AAC with blocks that are late, lost, without a time or out of order, and
// sound that is timed by its blocks.
func TestFinalFramesOfSound(t *testing.T) {
	tracks := []Track{
		{Number: 2, Kind: Audio, CodecID: CodecAAC, SampleRate: 48000},
		{Number: 2, Kind: Audio, CodecID: "A_MS/ACM", SampleRate: 8000},
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		clock := NewClock(&tracks[seed%2])
		at := epoch
		for k := range 5 {
			var samples []Sample
			for range 1 + r.IntN(60) {
				s := Sample{Time: at / ms * ms, Size: uint32(r.IntN(400))}
				switch r.IntN(30) {
				case 0:
					at += int64(r.IntN(300)) * ms
				case 1:
					if len(samples) > 0 {
						s.Time = NoTime
					}
				case 2:
					if seed%4 < 2 {
						s.Time += int64(r.IntN(300)-150) * ms
					}
				}
				samples = append(samples, s)
				at += 1024 * second / 48000
			}
			next := at
			if r.IntN(4) == 0 {
				next = NoTime
			}
			run, final := follow(t, r, clock, samples, next)
			if !isPrefix(final, run) {
				t.Fatalf("seed %d, fragment %d: final were %+v, stored are %+v", seed, k, final,
					run)
			}
		}
	}
}
