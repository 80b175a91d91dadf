package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
)

const (
	ms    = int64(1_000_000)
	epoch = 1795358519803 * ms // a capture's start, nanoseconds since the Unix epoch
)

func video() Clock { return NewClock(&Track{Number: 1, Kind: Video, CodecID: CodecAVC}) }

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		ns    int64
		scale uint32
		want  int64
	}{
		{0, 90000, 0}, {ms, 90000, 90}, {epoch, 90000, 1795358519803 * 90}, {-ms, 90000, -90},
		{5555, 90000, 0}, {5556, 90000, 1},
		{epoch, 44100, 79175310723312}, {math.MaxInt64, maxTimescale, 154742504910672534},
		{NoTime + 1, maxTimescale, -154742504910672534},
	} {
		if got := ticksOf(c.ns, c.scale); c.want != got {
			t.Errorf("ticksOf(%d, %d) = %d, want %d", c.ns, c.scale, got, c.want)
		}
	}
}

func TestTimescale(t *testing.T) {
	for _, c := range []struct {
		track Track
		want  uint32
	}{
		{Track{Kind: Video}, 90000},
		{Track{Kind: Audio, CodecID: CodecAAC, CodecPrivate: unhex(aacSyncNone), SampleRate: 48000},
			44100},
		{Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000}, 48000},
		{Track{Kind: Audio, CodecID: "A_MS/ACM", SampleRate: 8000}, 8000},
		{Track{Kind: Audio, CodecID: "A_MS/ACM"}, 1000},
		{Track{Kind: 17}, 1000},
	} {
		if got := Timescale(&c.track); got != c.want {
			t.Errorf("%+v: %d", c.track, got)
		}
	}
}

// source makes the frames of a stream as a muxer would: presentation times rounded to milliseconds,
// in decode order.
type source struct {
	num, den int64 // frames per second
	gop      int   // frames per fragment
	// display order of a mini-GOP after the key frame, for example 3 1 2; nil without B-frames
	pattern  []int
	leading  int  // of an open GOP: frames shown before the key frame but decoded after it
	truncate bool // round down, as the SDKs do
}

func (s source) time(frame int) int64 {
	ns := int64(frame) * second * s.den / s.num
	if s.truncate {
		return epoch + ns/ms*ms
	}
	return epoch + (ns+ms/2)/ms*ms
}

// order is the display index of each frame of fragment k, in decode order.
func (s source) order(k int) []int {
	base := k * s.gop
	out := []int{base}
	for i := 1; i < s.gop; {
		if p := len(s.pattern); p > 0 && i+p <= s.gop {
			for _, d := range s.pattern {
				out = append(out, base+i+d-1)
			}
			i += p
		} else {
			out = append(out, base+i)
			i++
		}
	}
	if s.leading > 0 { // the key frame is shown after the next ones
		out[0] = base + s.leading
		for i := 1; i <= s.leading; i++ {
			out[i] = base + i - 1
		}
		for i := s.leading + 1; i < s.gop; i++ {
			out[i] = base + i
		}
	}
	return out
}

func (s source) samples(k int) []Sample {
	var out []Sample
	for i, d := range s.order(k) {
		out = append(out, Sample{Time: s.time(d), Size: uint32(100 + d), Key: i == 0})
	}
	return out
}

// checkRun checks what is true of every run.
func checkRun(t *testing.T, samples []Sample, run Run, scale uint32, offsets bool) {
	t.Helper()
	if len(run.Frames) != len(samples) {
		t.Fatalf("%d frames of %d samples", len(run.Frames), len(samples))
	}
	at := run.BaseDecodeTime
	for i, f := range run.Frames {
		if f.Size != samples[i].Size {
			t.Fatalf("frame %d has size %d, want %d", i, f.Size, samples[i].Size)
		}
		if want := ticksOf(samples[i].Time, scale); offsets &&
			at+int64(f.CompositionOffset) != want {
			t.Fatalf("frame %d is shown at %d, want %d", i, at+int64(f.CompositionOffset), want)
		}
		at += int64(f.Duration)
	}
}

// Fragments of a continuous stream must meet exactly, whatever rounding and reordering do, with and
// without knowledge of the next cluster.
func TestContiguousVideo(t *testing.T) {
	reorder := []int{3, 1, 2}
	pyramid := []int{4, 2, 1, 3}
	for _, s := range []source{
		{num: 25, den: 1, gop: 50}, {num: 25, den: 1, gop: 50, pattern: reorder},
		{num: 25, den: 1, gop: 50, pattern: pyramid},
		{num: 30000, den: 1001, gop: 60}, {num: 30000, den: 1001, gop: 60, pattern: reorder},
		{num: 30000, den: 1001, gop: 61, pattern: pyramid},
		{num: 24, den: 1, gop: 24, pattern: reorder}, {num: 60, den: 1, gop: 120},
		{num: 15, den: 1, gop: 2}, {num: 25, den: 1, gop: 1},
		{num: 1, den: 1, gop: 1}, {num: 1, den: 4, gop: 1}, {num: 25, den: 1, gop: 25, leading: 2},
		{num: 30000, den: 1001, gop: 30, leading: 1},
	} {
		for _, s.truncate = range []bool{false, true} {
			for _, known := range []bool{true, false} {
				name := fmt.Sprintf("%+v next known %v", s, known)
				c := video()
				end, total := int64(0), int64(0)
				const fragments = 40
				for k := range fragments {
					samples, next := s.samples(k), NoTimeOr(known, s.samples(k + 1)[0].Time)
					run, err := c.Run(samples, next)
					if err != nil {
						t.Fatal(err)
					}
					checkRun(t, samples, run, 90000, true)
					if k > 0 && run.BaseDecodeTime != end {
						if off := abs64(run.BaseDecodeTime - end); !known && s.gop <= 2 &&
							(off <= 90 || k == 1) {
							end = run.BaseDecodeTime + run.Duration()
							// two frames give their duration to a millisecond, the first one alone
							// not at all
							continue
						}
						t.Errorf("%s: fragment %d starts at %d, the one before ends at %d", name, k,
							run.BaseDecodeTime, end)
						break
					}
					end = run.BaseDecodeTime + run.Duration()
					total += run.Duration()
				}
				if want := ticksOf(s.time(fragments*s.gop), 90000) - ticksOf(epoch, 90000); known &&
					s.leading == 0 && total != want {
					t.Errorf("%s: durations sum to %d, want %d", name, total, want)
				}
			}
		}
	}
}

func NoTimeOr(known bool, t int64) int64 {
	if known {
		return t
	}
	return NoTime
}

// Muxers that cut clusters by size or time cut between a P-frame and its B-frames.
func TestClusterCutAmongReorderedFrames(t *testing.T) {
	for _, pattern := range [][]int{{3, 1, 2}, {4, 2, 1, 3}} {
		s := source{num: 30000, den: 1001, gop: 600, pattern: pattern}
		all := s.samples(0)
		for _, size := range []int{7, 8, 9, 10, 11, 30} {
			c := video()
			end := int64(0)
			for at := 0; at+size < len(all); at += size {
				samples := all[at : at+size]
				run, err := c.Run(samples, all[at+size].Time)
				if err != nil {
					t.Fatal(err)
				}
				checkRun(t, samples, run, 90000, true)
				if at > 0 && run.BaseDecodeTime != end {
					t.Errorf("pattern %v, %d frames a cluster: the cluster at frame %d starts at "+
						"%d, %d ticks off", pattern, size, at,
						run.BaseDecodeTime, run.BaseDecodeTime-end)
				}
				end = run.BaseDecodeTime + run.Duration()
			}
		}
	}
}

// Overlaps that are not from rounding stay: the producer's clock went back.
func TestClockStepsBack(t *testing.T) {
	c := video()
	at := epoch
	for _, step := range []int64{0, -41, -5000} { // ms from the end of the run before
		at += step * ms
		samples := []Sample{{Time: at, Key: true}, {Time: at + 40*ms}, {Time: at + 80*ms}}
		run, err := c.Run(samples, NoTime)
		if err != nil {
			t.Fatal(err)
		}
		checkRun(t, samples, run, 90000, true)
		if run.BaseDecodeTime != ticksOf(at, 90000) {
			t.Errorf("a step of %d ms: the run starts %d ticks off", step,
				run.BaseDecodeTime-ticksOf(at, 90000))
		}
		at += 120 * ms
	}
	// Two frames that are closer to each other than the run before overlaps them: the first cannot
	// be shortened.
	samples := []Sample{{Time: at - 20*ms, Key: true}, {Time: at - 15*ms}}
	run, err := c.Run(samples, NoTime)
	if err != nil || run.BaseDecodeTime != ticksOf(at-20*ms, 90000) {
		t.Errorf("%+v, %v", run, err)
	}
}

// After a cluster of two frames with a hole between them, the frame duration learnt before still
// counts.
func TestSmallClusterOfReorderedFrames(t *testing.T) {
	all := source{num: 25, den: 1, gop: 61, pattern: []int{4, 2, 1, 3}}.samples(0)
	c := video()
	end := int64(0)
	// the third holds the pictures 23 and 28
	for i, cut := range [][2]int{{0, 21}, {21, 24}, {24, 26}, {26, 45}} {
		samples := all[cut[0]:cut[1]]
		run, err := c.Run(samples, all[cut[1]].Time)
		if err != nil {
			t.Fatal(err)
		}
		checkRun(t, samples, run, 90000, true)
		if i > 0 && run.BaseDecodeTime != end {
			t.Errorf("the cluster at frame %d starts %d ticks off", cut[0], run.BaseDecodeTime-end)
		}
		end = run.BaseDecodeTime + run.Duration()
	}
}

func TestDecodeTimes(t *testing.T) {
	at := func(v ...int64) (out []Sample) {
		for _, m := range v {
			out = append(out, Sample{Time: epoch + m*ms})
		}
		return out
	}
	for _, c := range []struct {
		name      string
		track     Track
		shown     []Sample
		next      int64 // ms after the first, 0 unknown
		durations []uint32
		offsets   []int32
	}{
		{"the comment's example", Track{Kind: Video}, at(0, 160, 80, 40, 120), 200,
			[]uint32{3600, 3600, 3600, 3600, 3600}, []int32{0, 10800, 0, -7200, -3600}},
		{"next within jitter", Track{Kind: Video}, at(0, 40, 80), 150, []uint32{3600, 3600, 6300},
			[]int32{0, 0, 0}},
		{"next beyond jitter: a gap", Track{Kind: Video}, at(0, 40, 80), 151,
			[]uint32{3600, 3600, 3600}, []int32{0, 0, 0}},
		{"next before the end", Track{Kind: Video}, at(0, 40, 80), 60, []uint32{3600, 3600, 3600},
			[]int32{0, 0, 0}},
		{"next far back", Track{Kind: Video}, at(0, 40, 80), -1000000, []uint32{3600, 3600, 3600},
			[]int32{0, 0, 0}},
		{"equal times", Track{Kind: Video}, at(0, 40, 40, 80), 120,
			[]uint32{3600, 1800, 1800, 3600}, []int32{0, 0, 0, 0}},
		{"all equal", Track{Kind: Video}, at(0, 0, 0), 0, []uint32{3600, 3600, 3600},
			[]int32{0, 0, 0}},
		{"one frame, next known", Track{Kind: Video}, at(0), 5000, []uint32{450000}, []int32{0}},
		{"one frame, next too far", Track{Kind: Video}, at(0), 10001, []uint32{3600}, []int32{0}},
		{"one frame, next within twice the declared duration",
			Track{Kind: Video, DefaultDuration: 100 * ms}, at(0), 200, []uint32{18000}, []int32{0}},
		{"one frame, next beyond it", Track{Kind: Video, DefaultDuration: 100 * ms}, at(0), 201,
			[]uint32{9000}, []int32{0}},
		{"one frame, nothing known", Track{Kind: Video}, at(0), 0, []uint32{3600}, []int32{0}},
		{"audio, not AAC, a time that goes back", Track{Kind: Audio, SampleRate: 8000},
			at(0, 20, 10, 40), 0, []uint32{160, 0, 160, 160}, []int32{0, 0, 0, 0}},
		{"AAC, jitter of less than a frame", Track{Kind: Audio, CodecID: CodecAAC,
			SampleRate: 48000}, at(0, 30, 40, 80), 0,
			[]uint32{1024, 1024, 1024, 1024}, []int32{0, 0, 0, 0}},
		{"AAC, a gap", Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000},
			at(0, 21, 143, 164), 0, []uint32{1024, 5840, 1024, 1024}, []int32{0, 0, 0, 0}},
		{"AAC, backwards", Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000},
			at(0, -500, 43), 0, []uint32{1024, 1024, 1024}, []int32{0, 0, 0}},
		{"AAC, one block far ahead", Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000},
			at(0, 21, 9043, 64, 85), 107,
			[]uint32{1024, 1024, 1024, 1024, 1024}, []int32{0, 0, 0, 0, 0}},
		{"AAC, the last block far ahead", Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000},
			at(0, 21, 43, 9064), 85,
			[]uint32{1024, 1024, 1024, 1024}, []int32{0, 0, 0, 0}},
		{"AAC, unknown times in a lace", Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000},
			[]Sample{{Time: epoch}, {Time: NoTime}, {Time: NoTime}}, 0,
			[]uint32{1024, 1024, 1024}, []int32{0, 0, 0}},
		{"unknown times in a lace", Track{Kind: Audio, SampleRate: 8000, DefaultDuration: 20 * ms},
			[]Sample{{Time: epoch}, {Time: NoTime}, {Time: NoTime}}, 0,
			[]uint32{160, 160, 160}, []int32{0, 0, 0}},
	} {
		next := int64(NoTime)
		if c.next != 0 {
			next = epoch + c.next*ms
		}
		run, err := NewClock(&c.track).Run(c.shown, next)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var durations []uint32
		var offsets []int32
		for _, f := range run.Frames {
			durations, offsets = append(durations, f.Duration), append(offsets, f.CompositionOffset)
		}
		if !slices.Equal(durations, c.durations) || !slices.Equal(offsets, c.offsets) ||
			run.BaseDecodeTime != ticksOf(epoch, Timescale(&c.track)) {
			t.Errorf("%s: base %d\ngot  %v %v\nwant %v %v", c.name, run.BaseDecodeTime, durations,
				offsets, c.durations, c.offsets)
		}
	}
}

func TestTimesThatDoNotFit(t *testing.T) {
	const hour = 3600 * second
	for _, c := range []struct {
		name  string
		track Track
		times []int64
	}{
		{"frame of 14 hours", Track{Kind: Video}, []int64{0, 14 * hour}},
		{"audio gap of 28 hours", Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000},
			[]int64{0, 28 * hour}},
	} {
		clock := NewClock(&c.track)
		var samples []Sample
		for _, at := range c.times {
			samples = append(samples, Sample{Time: epoch + at})
		}
		if _, err := clock.Run(samples, NoTime); !errors.Is(err, ErrTime) {
			t.Errorf("%s: %v", c.name, err)
		}
		if run, err := clock.Run([]Sample{{Time: epoch}}, NoTime); err != nil ||
			run.BaseDecodeTime != ticksOf(epoch, Timescale(&c.track)) {
			t.Errorf("%s: the clock did not stay as it was: %+v, %v", c.name, run, err)
		}
	}
	for _, track := range []Track{{Kind: Video},
		{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000}} {
		if _, err := NewClock(&track).Run(nil, NoTime); err == nil {
			t.Error("a run of no samples")
		}
		if _, err := NewClock(&track).Run([]Sample{{Time: NoTime}}, NoTime); err == nil {
			t.Error("a run that begins at no time")
		}
	}
}

func BenchmarkFrameClock(b *testing.B) {
	samples := source{num: 25, den: 1, gop: 50, pattern: []int{3, 1, 2}}.samples(0)
	c := video()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Run(samples, NoTime); err != nil {
			b.Fatal(err)
		}
	}
}

// checkShown checks that each picture is shown at a time of its own, and for a while.
func checkShown(t *testing.T, run Run, video bool) {
	t.Helper()
	at := run.BaseDecodeTime
	seen := map[int64]bool{}
	for i, f := range run.Frames {
		shown := at + int64(f.CompositionOffset)
		if video && (f.Duration == 0 || seen[shown]) {
			t.Fatalf("frame %d lasts %d ticks and is shown at %d", i, f.Duration, shown)
		}
		seen[shown] = true
		at += int64(f.Duration)
	}
}

// checkDraft checks what is true of every draft, whatever the times are.
func checkDraft(t *testing.T, d Draft, samples []Sample) {
	t.Helper()
	var before Run
	for n := 1; n <= len(samples); n += 1 + n/4 {
		now := d.Final(samples[:n])
		k := len(before.Frames)
		if len(now.Frames) > n || len(now.Frames) < k ||
			!slices.Equal(now.Frames[:k], before.Frames) ||
			k > 0 && now.BaseDecodeTime != before.BaseDecodeTime {
			t.Fatalf("final of %d samples are %+v, before that %+v", n, now, before)
		}
		before = now
	}
}

// Whatever the times are, a run is consistent or refused, and final frames stay as they were.
func FuzzClock(f *testing.F) {
	seed := func(v ...int64) {
		var b []byte
		for _, t := range v {
			b = binary.LittleEndian.AppendUint64(b, uint64(epoch+t*ms))
		}
		f.Add(b, uint8(3), false)
		f.Add(b, uint8(1), true)
	}
	seed(0, 120, 40, 80, 240, 160, 200)
	seed(0, 0, 0, -5, 1<<40, 3)
	f.Fuzz(func(t *testing.T, b []byte, cut uint8, key bool) {
		var samples []Sample
		for ; len(b) >= 8; b = b[8:] {
			samples = append(samples, Sample{Time: int64(binary.LittleEndian.Uint64(b)),
				Size: uint32(len(samples)), Key: key})
		}
		n := max(int(cut), 1)
		for _, track := range []Track{
			{Kind: Video}, {Kind: Audio, SampleRate: 8000},
			{Kind: Audio, CodecID: CodecAAC, SampleRate: 44100},
			{Kind: Video, Timescale: maxTimescale},
		} {
			clock := NewClock(&track)
			scale := max(track.Timescale, Timescale(&track))
			for at := 0; at+n < len(samples); at += n {
				part := samples[at : at+n]
				checkDraft(t, clock.Draft(), part)
				run, err := clock.Run(part, samples[at+n].Time)
				if err != nil {
					continue
				}
				checkRun(t, part, run, scale, false) // impossible times are corrected
				checkShown(t, run, track.Kind == Video)
			}
		}
	})
}
