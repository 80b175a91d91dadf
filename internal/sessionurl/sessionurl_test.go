package sessionurl

import (
	"net/url"
	"strings"
	"testing"
)

// Every parameter of a URL is read as it was written.
func TestURLsReadAsTheyAreWritten(t *testing.T) {
	const token = "Token_~-1"
	query := func(uri, name string) string {
		path, query, _ := strings.Cut(uri, "?")
		if path != name {
			t.Errorf("%s is not a %s", uri, name)
		}
		if got, err := ParseToken(query); got != token || err != nil {
			t.Errorf("token of %s: %q, %v", uri, got, err)
		}
		return query
	}
	for _, want := range []MediaPlaylist{{Track: 1}, {Track: 2, IFramesOnly: true}} {
		got, err := ParseMediaPlaylist(query(want.URI(token), mediaPlaylistName))
		if got != want || err != nil {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	for _, want := range []InitSegment{{Track: 1}, {Track: 2, Sequence: 499}} {
		got, err := ParseInitSegment(query(want.URI(token), initSegmentName))
		if got != want || err != nil {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	number := strings.Repeat("9", 47)
	for _, want := range []Segment{
		{Track: 1, Number: number},
		{Track: 1, Number: number, EndOffset: 4000},
		{Track: 1, Number: number, StartOffset: 4000, EndOffset: 8000, SkipLeading: true},
		{Track: 2, Number: number, StartOffset: 8000, SilenceStart: -16800, SilenceEnd: 96000},
		{Track: 2, Number: number, SilenceEnd: 96000},
	} {
		for mpegTS, name := range map[bool]string{false: mediaSegmentName, true: tsSegmentName} {
			got, err := ParseSegment(query(want.URI(token, mpegTS), name))
			if got != want || err != nil {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
	}
	for _, twice := range []string{"TrackNumber=1&TrackNumber=1", "TrackNumber=1&Track%4eumber=1"} {
		if _, err := ParseInitSegment(twice); err == nil {
			t.Errorf("%s is read", twice)
		}
	}
}

// Queries of any form are read as net/url reads them.
func FuzzQuery(f *testing.F) {
	f.Add("a=b&a=%63&%61=d;e&c=%zz&=f&g")
	f.Add("=&")
	f.Add("FragmentNumber=1&SessionToken=x&TrackNumber=1&StartOffset=-1&SilenceStart=99999999999")
	f.Fuzz(func(t *testing.T, query string) {
		if values, _ := url.ParseQuery(query); len(values) < 1000 {
			for name, all := range values {
				value, times := queryValue(query, name)
				if times != len(all) || value != all[len(all)-1] {
					t.Errorf("%q in %q: %q, %d times; want %q", name, query, value, times, all)
				}
			}
		}
		if ref, err := ParseSegment(query); err == nil &&
			(ref.Track < 0 || ref.Number == "" || ref.StartOffset < 0 || ref.EndOffset < 0) {
			t.Errorf("%q is read as %+v", query, ref)
		}
	})
}
