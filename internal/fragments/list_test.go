package fragments

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// listing asks for fragments page by page, after the first only with tokens, and returns the
// numbers of each page.
func (x *rig) listing(in *api.ListFragmentsInput) (pages [][]string) {
	x.Helper()
	for {
		out, err := x.service.ListFragments(x.Context(), x.stream, in)
		if err != nil {
			x.Fatal(err)
		}
		page := []string{}
		for _, f := range out.Fragments {
			page = append(page, f.FragmentNumber)
		}
		pages = append(pages, page)
		if out.NextToken == nil {
			return pages
		}
		in = &api.ListFragmentsInput{NextToken: *out.NextToken}
	}
}

func selector(clock api.FragmentSelectorType, from, to int64) *api.FragmentSelector {
	start, end := api.Timestamp(from), api.Timestamp(to)
	return &api.FragmentSelector{FragmentSelectorType: clock,
		TimestampRange: &api.TimestampRange{StartTimestamp: &start, EndTimestamp: &end}}
}

// A range includes both ends, on the clock of the request. The order is that of numbers, not that
// in which fragments were stored.
func TestListFragments(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video(), cameratest.Audio())
	c := x.camera
	c.Time -= time.Hour.Milliseconds() // the producer's clock is behind
	late := c.NextNumber()             // stored after the others
	var sent []store.FragmentInfo
	for range 6 {
		sent = append(sent, c.Send())
	}
	rec := c.Record(late)
	rec.ProducerTimestamp, rec.ServerTimestamp = sent[0].ProducerTimestamp-2000,
		sent[0].ServerTimestamp
	sent = slices.Insert(sent, 0, x.store.Commit(rec, 0))
	numbers := func(from, to int) (out []string) {
		for _, f := range sent[from:to] {
			out = append(out, x.stream.FormatNumber(f.Number))
		}
		return out
	}
	for _, clock := range []api.FragmentSelectorType{api.SelectorServerTimestamp,
		api.SelectorProducerTimestamp} {
		at := func(i int) int64 {
			if clock == api.SelectorProducerTimestamp {
				return sent[i].ProducerTimestamp
			}
			return sent[i].ServerTimestamp
		}
		for _, want := range []struct {
			from, to int64
			limit    int
			pages    [][]string
		}{
			{at(2), at(4), 0, [][]string{numbers(2, 5)}},
			{at(2) + 1, at(4) - 1, 0, [][]string{numbers(3, 4)}},
			{at(0), at(6), 0, [][]string{numbers(0, 7)}},
			{at(0), at(6), 3, [][]string{numbers(0, 3), numbers(3, 6), numbers(6, 7)}},
			{at(1) + 1, at(6), 5, [][]string{numbers(2, 7)}}, // a full page is the last one
			{at(6) + 1, at(6) + 1000, 0, [][]string{{}}},
		} {
			got := x.listing(&api.ListFragmentsInput{MaxResults: want.limit,
				FragmentSelector: selector(clock, want.from, want.to)})
			if fmt.Sprint(got) != fmt.Sprint(want.pages) {
				t.Errorf("%s from %d to %d by %d:\n got %v\nwant %v", clock, want.from, want.to,
					want.limit, got, want.pages)
			}
		}
	}
	out, err := x.service.ListFragments(t.Context(), x.stream, &api.ListFragmentsInput{
		FragmentSelector: selector(api.SelectorServerTimestamp, sent[1].ServerTimestamp,
			sent[6].ServerTimestamp), MaxResults: 2})
	if err != nil {
		t.Fatal(err)
	}
	f := out.Fragments[1]
	if f.ProducerTimestamp != api.Timestamp(sent[1].ProducerTimestamp) ||
		f.ServerTimestamp != api.Timestamp(sent[1].ServerTimestamp) ||
		f.FragmentLengthInMilliseconds != 1974 { // to the last of 86 frames of sound
		t.Errorf("described as %+v", f)
	}
	// A page size in the request overrides that of the token.
	if next, err := x.service.ListFragments(t.Context(), x.stream, &api.ListFragmentsInput{
		NextToken: *out.NextToken, MaxResults: 1}); err != nil || len(next.Fragments) != 1 ||
		next.NextToken == nil {
		t.Errorf("the second page: %+v, %v", next, err)
	}
	// Fragments that are deleted or stored while pages are read do not move others to another page.
	x.store.Commit(c.Record(c.NextNumber()), sent[2].Number)
	rest := x.listing(&api.ListFragmentsInput{NextToken: *out.NextToken, MaxResults: 10})
	if fmt.Sprint(rest) != fmt.Sprint([][]string{numbers(3, 7)}) {
		t.Errorf("the rest after a new fragment is %v", rest)
	}
}

// The length of a fragment is the time from its first frame to its last, of the longest track.
func TestFragmentLength(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video(), cameratest.Audio())
	c := x.camera
	info := c.Send()
	video, audio := &info.Spans[0], &info.Spans[1]
	video.Duration, video.Frames = 90*1857, 30
	audio.Duration, audio.Frames = 1024*20, 20
	for _, want := range []struct {
		frames int
		length int64
	}{{30, 1795}, {1, 441}, {0, 441}} {
		video.Frames = want.frames
		got, err := (&scales{service: x.service, stream: x.stream.ID}).length(t.Context(), &info)
		if err != nil || got != want.length {
			t.Errorf("%d frames: %d ms, %v, want %d", want.frames, got, err, want.length)
		}
	}
}

func TestListFragmentsRefuses(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	c := x.camera
	first := c.Send()
	c.Send()
	all := selector(api.SelectorServerTimestamp, first.ServerTimestamp, first.ServerTimestamp+1e6)
	out, err := x.service.ListFragments(t.Context(), x.stream,
		&api.ListFragmentsInput{FragmentSelector: all, MaxResults: 1})
	if err != nil {
		t.Fatal(err)
	}
	good := *out.NextToken
	refused := func(what string, stream store.Stream, in *api.ListFragmentsInput,
		code api.ErrorCode, text string) {
		t.Helper()
		_, err := x.service.ListFragments(t.Context(), stream, in)
		if !errors.Is(err, &api.Error{Code: code}) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := x.another()
	other.NumberTag++
	refused("another stream's token", other, &api.ListFragmentsInput{NextToken: good},
		api.InvalidArgumentException, "NextToken")
	for _, bad := range []string{good[:len(good)-4], good + "AAAA", "AAAA", "BQ==", "a",
		strings.Replace(good, good[:2], "/w", 1)} {
		refused("the token "+bad, x.stream, &api.ListFragmentsInput{NextToken: bad},
			api.InvalidArgumentException, "NextToken")
	}
	edge := x.store.Clock().Add(-time.Duration(x.stream.RetentionHours) * time.Hour).UnixMilli()
	refused("a range of the past", x.stream, &api.ListFragmentsInput{FragmentSelector: selector(
		api.SelectorServerTimestamp, 0, edge-1)}, api.InvalidArgumentException,
		"is outside of the stream retention period")
	for _, ok := range []*api.FragmentSelector{selector(api.SelectorServerTimestamp, 0, edge),
		selector(api.SelectorProducerTimestamp, 0, edge-1)} {
		if got := x.listing(&api.ListFragmentsInput{FragmentSelector: ok}); len(got[0]) > 0 {
			t.Errorf("listed %v", got)
		}
	}
	if _, err := x.service.ListFragments(t.Context(),
		store.Stream{ID: "0123456789abcdef0123456789abcdef"},
		&api.ListFragmentsInput{FragmentSelector: all}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted stream: %v", err)
	}
}

func FuzzParsePageToken(f *testing.F) {
	stream := store.Stream{NumberTag: 0x1234567890abcdef}
	r := store.TimeRange{Clock: store.ProducerTimestamp, Start: -1, End: 1 << 60}
	t := pageToken{r, 1000, 1 << 62}
	f.Add(t.encode(&stream))
	f.Add("AQESNFZ4kKvN7wAAAAA=")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := parsePageToken(&stream, text)
		if err != nil {
			return
		}
		again, err := parsePageToken(&stream, token.encode(&stream))
		if err != nil || again != token || token.limit < 1 || token.limit > api.MaxListFragments {
			t.Errorf("%q is %+v, and then %+v, %v", text, token, again, err)
		}
	})
}
