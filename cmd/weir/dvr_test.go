package main

import (
	"fmt"
	"strings"
	"testing"
)

// weir hls --dvr asks for a playlist that is long enough, by the present length of fragments.
func TestDVRAsksForAsManyFragments(t *testing.T) {
	fragments := func(n, millis int) string {
		one := fmt.Sprintf(`{"FragmentNumber":"1","FragmentLengthInMilliseconds":%d}`, millis)
		return `{"Fragments":[` + strings.Join(strings.Fields(strings.Repeat(one+" ", n)), ",") +
			`],"NextToken":null}`
	}
	for _, c := range []struct {
		flags, fragments string
		want             string // in the request, or of the error
	}{
		{"--dvr 2h", fragments(30, 2000), `"MaxMediaPlaylistFragmentResults":3600}`},
		{"--dvr 10m", fragments(7, 10_000), `"MaxMediaPlaylistFragmentResults":60}`},
		{"--dvr 3s", fragments(30, 2000), `"MaxMediaPlaylistFragmentResults":5}`},
		{"--dvr 24h", fragments(30, 2000), `"MaxMediaPlaylistFragmentResults":5000}`},
		{"--dvr 1h", fragments(100, 0), `"MaxMediaPlaylistFragmentResults":5000}`},
		{"--dvr 1h", fragments(0, 0), "nothing was stored"},
		{"--dvr 1h --from 2h", "", "--dvr is for live sessions"},
		{"--dvr 1h --mode LIVE_REPLAY", "", "--dvr is for live sessions"},
		{"--dvr=-1h", "", "is negative"},
	} {
		asked := ""
		endpoint := newAPIServer(t, func(path, body string) (int, string, string) {
			if path == "/listFragments" {
				return 200, "", c.fragments
			}
			asked = body
			return 200, "", `{"HLSStreamingSessionURL":"http://x/"}`
		})
		_, errs, _ := callWeir(t, endpoint.URL,
			append([]string{"hls", "cam1"}, strings.Fields(c.flags)...)...)
		if !strings.Contains(asked+errs, c.want) {
			t.Errorf("%s: %s%s\nwant %s", c.flags, asked, errs, c.want)
		}
	}
}
