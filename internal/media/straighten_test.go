package media

import (
	"fmt"
	"slices"
	"testing"
)

// A clock that stutters, jumps or steps back within a fragment. Times are in milliseconds and in
// decode order. A second fragment follows, and must begin at its own time.
func TestTimesThatCannotBe(t *testing.T) {
	b := []byte{0x01, 0x9e, 0x20} // of a picture in a B slice
	plain := []int64{0, 100, 200, 300, 400, 500, 600, 700, 800, 900}
	with := func(times []int64, changes ...int64) []int64 {
		times = slices.Clone(times)
		for i := 0; i < len(changes); i += 2 {
			times[changes[i]] = changes[i+1]
		}
		return times
	}
	reordered := []int64{0, 300, 100, 200, 600, 400, 500, 900, 700, 800}
	for _, c := range []struct {
		name        string
		reordered   bool
		times, want []int64
		next        int64 // 0: unknown
	}{
		{"as it should be", false, plain, plain, 1000},
		{"one ahead", false, with(plain, 5, 9500), plain, 1000},
		{"one ahead, the last", false, with(plain, 9, 9900), plain, 1000},
		{"one ahead, the first", false, with(plain, 0, 9000), plain, 1000},
		{"one back", false, with(plain, 5, 450, 6, 120), with(plain, 5, 450, 6, 575), 1000},
		{"one far back", false, with(plain, 5, -7000), plain, 1000},
		{"one a little back, without B-frames", false, with(plain, 5, 390), plain, 1000},
		{"the clock was set back", false, []int64{0, 100, 200, 300, 400, 500, -100, 0, 100, 200},
			plain, 0},
		{"equal times", false, with(plain, 3, 200, 7, 600), with(plain, 2, 200, 3, 300, 6, 600, 7,
			700), 1000},
		{"a coarse clock", false, []int64{0, 0, 200, 200, 400, 400, 600, 600, 800, 800}, plain,
			1000},
		{"no clock", false, make([]int64, 10), plain, 1000},
		{"equal times before a pause", false, []int64{0, 100, 200, 200, 5000, 5100, 5200, 5300,
			5400, 5500}, []int64{0, 100, 200, 300, 5000, 5100, 5200, 5300, 5400, 5500}, 5600},
		{"a pause", false, with(plain, 8, 5000, 9, 5100), with(plain, 8, 5000, 9, 5100), 5200},
		{"B-frames", true, reordered, reordered, 1000},
		{"B-frames, one ahead", true, with(reordered, 4, 9600), reordered, 1000},
		{"B-frames, one far back", true, with(reordered, 4, -9600), reordered, 1000},
		{"B-frames, one of them ahead", true, with(reordered, 5, 9400), reordered, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := video()
			next := int64(NoTime)
			if c.next != 0 {
				next = epoch + c.next*ms
			}
			var samples []Sample
			for i, at := range c.times {
				nal := avcP
				if i == 0 {
					nal = avcIDR
				} else if c.reordered && i%3 != 1 {
					nal = b
				}
				samples = append(samples, Sample{Time: epoch + at*ms, Size: 1,
					Content: scanner(CodecAVC).Scan(nals(nal))})
			}
			run, err := clock.Run(samples, next)
			if err != nil {
				t.Fatal(err)
			}
			checkShown(t, run, true)
			var got []int64
			at := run.BaseDecodeTime
			for _, f := range run.Frames {
				got = append(got, (at+int64(f.CompositionOffset)-ticksOf(epoch, 90000))/90)
				at += int64(f.Duration)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("shown at %v, want %v", got, c.want)
			}
			if c.next != 0 && at != ticksOf(next, 90000) {
				t.Errorf("the fragment ends %d ticks after the next one begins",
					at-ticksOf(next, 90000))
			}
		})
	}
}
