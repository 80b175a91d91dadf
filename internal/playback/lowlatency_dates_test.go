package playback

import (
	"regexp"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/media"
)

// Dates that nobody asked for follow the media, whenever a fragment's first byte came: Shaka Player
// places each segment by its date. When the server's clock is more than a second away they are its
// again, and dates that were asked for always are.
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
