package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"weir/internal/api"
	"weir/internal/client"
)

// dvrSample is how much of what was just stored tells how long fragments are: a few of the longest
// that there may be.
const dvrSample = 2 * time.Minute

// dvrFragments returns how many fragments a live playlist must list to reach so far back, as long
// as fragments are now.
func dvrFragments(ctx context.Context, c *client.Client, stream api.StreamRef, back time.Duration,
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
		return 0, withHint(errors.New("nothing was stored in the last two minutes"),
			"--from shows what was stored before, --mode LIVE_REPLAY goes on from there")
	case stored == 0: // of one frame each
		return api.MaxMaxFragmentResults, nil
	}
	return dvrWindow(back, stored/time.Duration(len(out.Fragments))), nil
}

// dvrWindow is how many fragments of a length reach so far back, as far as a playlist may.
func dvrWindow(back, length time.Duration) int {
	n := math.Ceil(float64(back) / float64(length))
	return int(min(max(n, api.DefaultLiveResults), api.MaxMaxFragmentResults))
}

// checkDVR says what --dvr does not go with.
func (f *sessionFlags) checkDVR() error {
	switch {
	case f.DVR < 0:
		return fmt.Errorf("--dvr %s is negative", f.DVR)
	case f.DVR > 0 && (f.From != "" || f.Mode != "" && f.Mode != string(api.PlaybackModeLive)):
		return withHint(errors.New("--dvr is for live sessions"),
			"--from shows a recording, and --mode LIVE_REPLAY goes on from there")
	}
	return nil
}
