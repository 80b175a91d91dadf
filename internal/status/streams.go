// Package status has what a console needs beyond AWS's API: the state of streams and of the server,
// from what is stored and from the metrics, and one-time codes that hand credentials to browsers.
package status

import (
	"context"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
)

// Store is the part of a store that status reads.
type Store interface {
	List(ctx context.Context, id store.StreamID, q store.Query) ([]store.FragmentInfo, error)
	TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error)
}

// Usage is an optional part of a store: the bytes that a stream takes.
type Usage interface {
	Usage(ctx context.Context, id store.StreamID) (bytes int64, err error)
}

const (
	// the bit rate is that of this many of the newest fragments
	rateFragments = 8
	// a stream is silent if nothing has come for this long after the end of its last fragment, or
	// for twice the length of that fragment, because a fragment is seen only after it has ended
	silentAfter = 10 * time.Second
)

// Of describes the current state of a stream; the caller adds its name and ARN. What is stored
// decides whether the stream receives, so that every process says the same.
func Of(
	ctx context.Context, from Store, stream *store.Stream, now time.Time,
) (api.StreamStatus, error) {
	out := api.StreamStatus{State: api.StateNoData, Tracks: []api.TrackStatus{},
		DataRetentionInHours: stream.RetentionHours, Tags: stream.Tags}
	if u, ok := from.(Usage); ok {
		bytes, err := u.Usage(ctx, stream.ID)
		if err != nil {
			return out, err
		}
		out.StoredBytes = &bytes
	}
	newest, err := from.List(ctx, stream.ID, store.Query{Order: store.ByNumberNewest,
		Limit: rateFragments})
	if err != nil || len(newest) == 0 {
		return out, err
	}
	oldest, err := from.List(ctx, stream.ID, store.Query{Limit: 1})
	if err != nil || len(oldest) == 0 { // retention has just deleted everything
		return out, err
	}
	last := &newest[0]
	tracks, err := from.TrackSet(ctx, stream.ID, last.TrackSet)
	if err != nil {
		return out, err
	}
	for i := range tracks {
		out.Tracks = append(out.Tracks, trackOf(&tracks[i]))
	}
	length := durationOf(last, tracks)
	out.FirstFragmentTime = at(oldest[0].ProducerTimestamp, 0)
	out.LastFragmentTime = at(last.ProducerTimestamp, length)
	out.LastReceivedTime = at(last.ServerTimestamp, length)
	number := stream.FormatNumber(last.Number)
	out.LastFragmentNumber = &number
	out.BitRate = rateOf(newest, tracks)
	out.State = api.StateSilent
	silent := now.Sub(out.LastReceivedTime.Time())
	if silent < max(silentAfter, 2*length) {
		out.State = api.StateReceiving
	}
	return out, nil
}

func at(millis int64, length time.Duration) *api.Timestamp {
	t := api.Timestamp(millis + length.Milliseconds())
	return &t
}

// durationOf returns how long the longest track of a fragment lasts.
func durationOf(f *store.FragmentInfo, tracks []media.Track) (longest time.Duration) {
	for i := range f.Spans {
		for j := range tracks {
			if t := &tracks[j]; t.Number == f.Spans[i].Track && t.Timescale > 0 {
				ticks := time.Duration(f.Spans[i].Duration)
				longest = max(longest, ticks*time.Second/time.Duration(t.Timescale))
			}
		}
	}
	return longest
}

// rateOf returns the bit rate of fragments, nil if they have no duration.
func rateOf(fragments []store.FragmentInfo, tracks []media.Track) *int64 {
	var bytes int64
	var length time.Duration
	for i := range fragments {
		if fragments[i].TrackSet != fragments[0].TrackSet { // of other tracks
			break
		}
		bytes += fragments[i].Size()
		length += durationOf(&fragments[i], tracks)
	}
	if length <= 0 {
		return nil
	}
	rate := int64(float64(bytes) * 8 / length.Seconds())
	return &rate
}

// trackOf describes a track by its codec's parameters or, if these cannot be read, by what the
// producer declared.
func trackOf(t *media.Track) api.TrackStatus {
	out := api.TrackStatus{TrackNumber: t.Number, Kind: api.KindOtherTrack, Codec: t.CodecID,
		Width: t.Width, Height: t.Height, SamplingRate: t.SampleRate, Channels: t.Channels}
	switch t.Kind {
	case media.Video:
		out.Kind = api.KindVideoTrack
	case media.Audio:
		out.Kind = api.KindAudioTrack
	}
	if name, err := media.CodecString(t); err == nil {
		out.Codec = name
	}
	if w, h, err := media.Dimensions(t); err == nil {
		out.Width, out.Height = w, h
	}
	return out
}
