package fragments

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// ListFragmentTags returns the tags of fragments that have some, without reading media. The page
// size counts all fragments. A fragment that is gone meanwhile has no tags.
func TestListFragmentTags(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	var sent []store.FragmentInfo
	for i := range 9 {
		sent = append(sent, x.camera.Send(func(rec *store.Record) {
			if i%2 == 0 {
				rec.Tags = []media.Tag{{Name: "motion", Value: fmt.Sprint(i)}, {Name: "door"}}
			}
		}))
	}
	x.store.Fail(sent[4].Number, cameratest.Fails(store.ErrCorrupt)) // of its media
	x.store.Lose(sent[8].Number)
	in := &api.ListFragmentTagsInput{MaxResults: 3,
		FragmentSelector: selector(api.SelectorProducerTimestamp, 0, math.MaxInt64/2)}
	var pages []string
	for {
		out, err := x.service.ListFragmentTags(t.Context(), x.stream, in)
		if err != nil {
			t.Fatal(err)
		}
		page := ""
		for _, f := range out.FragmentTags {
			i := 0
			for x.stream.FormatNumber(sent[i].Number) != f.FragmentNumber {
				i++
			}
			if int64(f.ProducerTimestamp) != sent[i].ProducerTimestamp ||
				int64(f.ServerTimestamp) != sent[i].ServerTimestamp {
				t.Errorf("fragment %d: %+v", i, f)
			}
			page += fmt.Sprintf("%d%v", i, f.Tags)
		}
		pages = append(pages, page)
		if out.NextToken == nil {
			break
		}
		in = &api.ListFragmentTagsInput{NextToken: *out.NextToken}
	}
	const want = "0[{motion 0} {door }]2[{motion 2} {door }] | 4[{motion 4} {door }] | " +
		"6[{motion 6} {door }]"
	if got := strings.Join(pages, " | "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// If opening fragments is slow, pages are shorter, and no fragment is left out.
func TestSlowTagsComeInShorterPages(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	for range 5 {
		x.camera.Send(func(rec *store.Record) { rec.Tags = []media.Tag{{Name: "motion"}} })
	}
	x.service.clock = func() time.Time { // a second passes with each call
		x.store.Sleep(time.Second)
		return x.store.Clock()
	}
	in := &api.ListFragmentTagsInput{
		FragmentSelector: selector(api.SelectorProducerTimestamp, 0, math.MaxInt64/2)}
	pages, found := 0, 0
	for token := ""; ; pages++ {
		in.NextToken = token
		out, err := x.service.ListFragmentTags(t.Context(), x.stream, in)
		if err != nil {
			t.Fatal(err)
		}
		found += len(out.FragmentTags)
		if out.NextToken == nil {
			break
		}
		token = *out.NextToken
	}
	if pages < 1 || found != 5 {
		t.Errorf("%d fragments in %d pages", found, pages+1)
	}
}
