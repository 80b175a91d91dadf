package playback

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

// Dates that nobody asked for follow the media, whenever a fragment's first byte came, because
// Shaka Player places each segment by its date. If they are more than a second away from the
// server's clock, they follow that again. Dates that were asked for always do.
func TestDatesFollowTheMedia(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		in := r.input()
		in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
		asked := r.open(in)
		for _, late := range []int64{170, 30, 90, 1300} {
			f := r.begin()
			f.until(1 << 40)
			f.rec.ServerTimestamp += late
			f.store()
		}
		dates := regexp.MustCompile(`DATE-TIME:\S+:(\d+\.?\d*)Z`)
		for token, want := range map[string]string{
			r.token: "24.123 26.123 28.123 30.123 33.303",
			asked:   "24.123 26.293 28.293 30.293 33.303",
		} {
			var got []string
			for _, m := range dates.FindAllStringSubmatch(r.playlist(r.service, token, 1), -1) {
				got = append(got, m[1])
			}
			if strings.Join(got, " ") != want {
				t.Errorf("seconds of the dates are %v, want %s", got, want)
			}
		}
	})
}

// So do the dates of what comes after the camera's clock has leaped: Shaka Player takes a leap of
// dates out if it is longer than a second, and otherwise places what follows anew.
func TestDatesFollowTheMediaAcrossALeap(t *testing.T) {
	const hour = 3_600_000
	lowLatencyTest(t, []media.Track{videoTrack()}, func(t *testing.T, r *lowRig) {
		ahead := int64(0) // by how much the camera's clock is
		for i, late := range []int64{0, 250, 300, 1300} {
			if i%2 == 1 {
				ahead += hour
			}
			f := r.begin(func(rec *store.Record) {
				rec.ProducerTimestamp += ahead
				for k := range rec.Runs {
					rec.Runs[k].BaseDecodeTime += ahead * int64(rec.Tracks[k].Timescale) / 1000
				}
			})
			f.until(1 << 40)
			f.rec.ServerTimestamp += late
			f.store()
		}
		m := r.read(1)
		begins, want := 0, []float64{0, 2, 4, 7.18}
		for i, s := range m.Segments[len(m.Segments)-4:] {
			if got := s.Date.Sub(m.Segments[len(m.Segments)-4].Date).Seconds(); got != want[i] {
				t.Errorf("segment %d is dated %v s after the first, want %v", i, got, want[i])
			}
			if s.Begins {
				begins++
			}
		}
		if begins != 2 {
			t.Errorf("%d discontinuities for two leaps", begins)
		}
	})
}

// Audio frames do not begin with the pictures, so a fragment's sound begins earlier or later. Its
// dates say so: with dates that do not follow the durations, Shaka Player mistakes a segment for
// another, and plays one again.
func TestDatesOfSoundFollowTheSound(t *testing.T) {
	lowLatencyTest(t, []media.Track{videoTrack(), audioTrack()}, func(t *testing.T, r *lowRig) {
		for n := range int64(4) { // the sound begins 10, 20 and 30 ms after the pictures
			r.begin(func(rec *store.Record) { rec.Runs[1].BaseDecodeTime += n * 441 }).store()
		}
		pictures, sound := r.read(1), r.read(2)
		for i, n := 0, len(sound.Segments); i < 4; i++ {
			at := pictures.Segments[n-4+i].Date.Add(time.Duration(i) * 10 * time.Millisecond)
			if got := sound.Segments[n-4+i].Date; got.Sub(at).Abs() > time.Millisecond {
				t.Errorf("sound begins at %v, and its date is %v", at, got)
			}
		}
		after := r.process()
		defer after.Stop()
		for track := 1; track <= 2; track++ {
			text := r.reload(track, sessionurl.Directives{})
			if other := r.playlist(after, r.token, track); other != text {
				t.Errorf("another process lists\n%s\nand not\n%s", other, text)
			}
		}
	})
}
