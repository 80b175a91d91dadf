package media

import (
	"testing"
)

// A cluster's timestamp is that of its first block. If that is audio, the first picture is shown a
// little earlier or later, and runs must still meet: the durations of a recording's fragments must
// not add up to more than its own.
func TestClustersThatStartWithAudio(t *testing.T) {
	s := source{num: 25, den: 1, gop: 250}
	all := s.samples(0)
	for _, off := range []int64{-39, -21, -1, 1, 14, 29} {
		c := video()
		end, total := int64(0), int64(0)
		const size = 10
		for at := 0; at+size < len(all); at += size {
			samples := all[at : at+size]
			run, err := c.Run(samples, all[at+size].Time+off*ms)
			if err != nil {
				t.Fatal(err)
			}
			checkRun(t, samples, run, 90000, true)
			if at > 0 && run.BaseDecodeTime != end {
				t.Fatalf(
					"audio %d ms after the picture: the cluster at frame %d starts %d ticks off",
					off, at, run.BaseDecodeTime-end)
			}
			end = run.BaseDecodeTime + run.Duration()
			total += run.Duration()
		}
		if extra := total - 240*3600; abs64(extra) > 3600 {
			t.Errorf("audio %d ms after the picture: durations add up to %d ticks too many", off,
				extra)
		}
	}
}

// Both at once: a muxer that cuts among B-frames, and audio first in the next cluster.
func TestClusterCutAmongReorderedFramesStartsWithAudio(t *testing.T) {
	s := source{num: 25, den: 1, gop: 601, pattern: []int{4, 2, 1, 3}}
	all := s.samples(0)
	// after the first picture of the cluster, which is shown up to three frames before the last one
	for _, off := range []int64{-30, 30, 70, 100, 130} {
		c := video()
		end := int64(0)
		for at, size := 0, 22; at+size < len(all); at += size {
			samples := all[at : at+size]
			run, err := c.Run(samples, all[at+size].Time+off*ms)
			if err != nil {
				t.Fatal(err)
			}
			checkRun(t, samples, run, 90000, true)
			// The second cluster is the first to show that clusters are cut anywhere.
			if at > size && run.BaseDecodeTime != end {
				t.Errorf(
					"audio %d ms after the picture: the cluster at frame %d starts %d ticks off",
					off, at, run.BaseDecodeTime-end)
			}
			end = run.BaseDecodeTime + run.Duration()
		}
	}
}

// In an hour of 44.1 kHz with block times in whole milliseconds, every run meets the next, and the
// end is where it should be.
func TestAudioDoesNotDrift(t *testing.T) {
	for _, c := range []struct {
		rate, frame int64
		asc         []byte
	}{
		{44100, 1024, unhex(aacSyncNone)},
		{48000, 960, new(bitWriter).u(5, 2).u(4, 3).u(4, 2).u(3, 4).b},
		{24000, 1024, new(bitWriter).u(5, 5).u(4, 6).u(4, 2).u(4, 3).u(5, 2).u(3, 0).b},
	} {
		track := &Track{Number: 2, Kind: Audio, CodecID: CodecAAC, CodecPrivate: c.asc}
		clock := NewClock(track)
		frames := 3600 * c.rate / c.frame
		var samples []Sample
		end := int64(0)
		for i := range frames {
			shown := epoch + i*c.frame*second/c.rate/ms*ms
			samples = append(samples, Sample{Time: shown, Size: 1})
			if len(samples) < 87 && i < frames-1 {
				continue
			}
			run, err := clock.Run(samples, NoTime)
			if err != nil {
				t.Fatal(err)
			}
			if end != 0 && run.BaseDecodeTime != end {
				t.Fatalf("%d Hz: run starts at %d, the one before ends at %d", c.rate,
					run.BaseDecodeTime, end)
			}
			if off := run.BaseDecodeTime - ticksOf(samples[0].Time,
				uint32(c.rate)); abs64(off) >= c.frame {
				t.Fatalf("%d Hz: off by %d samples", c.rate, off)
			}
			end, samples = run.BaseDecodeTime+run.Duration(), samples[:0]
		}
		if got := end - ticksOf(epoch, uint32(c.rate)); got != frames*c.frame {
			t.Errorf("%d Hz: an hour has %d samples, want %d", c.rate, got, frames*c.frame)
		}
	}
}

// Between runs AAC follows the producer's clock in both directions once it is off by more than a
// frame.
func TestAudioResynchronises(t *testing.T) {
	clock := NewClock(&Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000})
	for _, at := range []int64{0, 21, 200, 100, 122} {
		run, err := clock.Run([]Sample{{Time: epoch + at*ms}}, NoTime)
		want := ticksOf(epoch+at*ms, 48000)
		if err != nil || abs64(run.BaseDecodeTime-want) > 48 || run.Duration() != 1024 ||
			!run.Frames[0].Key {
			t.Errorf("at %d ms: %+v, %v, want base about %d", at, run, err, want)
		}
	}
}

// The first block of a connection may be the wrong one.
func TestAudioBeginsFarAhead(t *testing.T) {
	clock := NewClock(&Track{Kind: Audio, CodecID: CodecAAC, SampleRate: 48000})
	run, err := clock.Run([]Sample{{Time: epoch + 9000*ms}, {Time: epoch + 21*ms},
		{Time: epoch + 43*ms}}, epoch+64*ms)
	if off := run.BaseDecodeTime - ticksOf(epoch, 48000); err != nil || abs64(off) > 48 ||
		run.Duration() != 3*1024 {
		t.Errorf("begins %d ticks late, lasts %d: %v", off, run.Duration(), err)
	}
}
