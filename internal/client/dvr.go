package client

import (
	"context"
	"errors"
	"math"
	"time"

	"weir/internal/api"
)

// dvrSample is how much of what was just stored is looked at to find how long fragments are: a few
// of the longest allowed.
const dvrSample = 2 * time.Minute

// ErrNothingStored says that nobody sends to the stream now.
var ErrNothingStored = errors.New("nothing was stored in the last two minutes")

// DVRFragments returns how many fragments a live playlist must list to reach so far back
// (MaxMediaPlaylistFragmentResults), if fragments stay as long as they are now. Errors are
// ErrNothingStored and those of ListFragments.
func (c *Client) DVRFragments(ctx context.Context, stream api.StreamRef, back time.Duration,
	now time.Time) (int, error) {
	data, err := c.DataEndpoint(ctx, stream, api.APIListFragments)
	if err != nil {
		return 0, err
	}
	start, end := api.Timestamp(now.Add(-dvrSample).UnixMilli()), api.Timestamp(now.UnixMilli())
	in := &api.ListFragmentsInput{StreamRef: stream,
		FragmentSelector: &api.FragmentSelector{FragmentSelectorType: api.SelectorServerTimestamp,
			TimestampRange: &api.TimestampRange{StartTimestamp: &start, EndTimestamp: &end}}}
	var out api.ListFragmentsOutput
	if err := data.Call(ctx, "ListFragments", in, &out); err != nil {
		return 0, err
	}
	var stored time.Duration
	for _, f := range out.Fragments {
		stored += time.Duration(f.FragmentLengthInMilliseconds) * time.Millisecond
	}
	switch {
	case len(out.Fragments) == 0:
		return 0, ErrNothingStored
	case stored == 0: // of one frame each
		return api.MaxMaxFragmentResults, nil
	}
	length := stored / time.Duration(len(out.Fragments))
	n := math.Ceil(float64(back) / float64(length))
	return int(min(max(n, api.DefaultLiveResults), api.MaxMaxFragmentResults)), nil
}
