package playback

import (
	"context"

	"weir/internal/api"
	"weir/internal/manifest"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/timeline"
)

// IFramePlaylist returns the I-frame playlist of a recording's video track (RFC 8216 section
// 4.3.3.6), with which players scrub. For each fragment that begins with a key frame it has the
// first bytes, up to the end of that frame. The error is ResourceNotFound if the session is not a
// recording, or the track has no such fragment; then the master playlist does not name it.
//
// A key frame lasts until the next one that is listed, so that the times of this playlist equal
// those of the track's playlist.
func (s *Service) IFramePlaylist(ctx context.Context, token string, track int) (*Playlist, error) {
	o, err := s.sessionOf(ctx, token, getMediaPlaylist, hlsFragmentedMP4, hlsMPEGTS)
	if err != nil {
		return nil, err
	}
	i := o.p.track(track)
	if i < 0 || o.p.tracks[i].Kind != media.Video || o.p.iframes == 0 {
		return nil, api.Errorf(api.ResourceNotFoundException,
			"The streaming session has no I-frame playlist of track %d.", track)
	}
	t, err := timeline.Decode(o.session.Checkpoint, len(o.p.tracks))
	if err != nil {
		return nil, err
	}
	h := manifest.Header{Version: manifest.FragmentedMP4Version, VOD: true, IFramesOnly: true,
		DiscontinuitySequence: -1}
	if o.p.format == hlsMPEGTS {
		h.Version = manifest.IFramesVersion
	}
	segments := make([]manifest.Segment, 0, len(t.Entries))
	generation, tags := -1, int64(0)
	for j := range t.Entries {
		e := &t.Entries[j]
		if e.Duration[i] < 0 {
			continue
		}
		tags += e.Tags[i]
		if e.KeyFrameEnd == 0 {
			if n := len(segments); n > 0 {
				segments[n-1].Duration += e.Duration[i] * 1_000_000
			}
			continue
		}
		segment := manifest.Segment{
			Discontinuities: int(tags), DateTime: e.Date, HasDateTime: o.p.timestamps,
			Duration: e.Duration[i] * 1_000_000, Range: e.KeyFrameEnd,
			URI: o.segmentRef(track, e).URI(o.token, o.p.format == hlsMPEGTS),
		}
		if o.p.format != hlsMPEGTS && generation != e.Generation {
			generation = e.Generation
			segment.Map = sessionurl.InitSegment{Track: track, Sequence: generation}.URI(o.token)
		}
		tags = 0
		segments = append(segments, segment)
	}
	var longest int64
	for j := range segments {
		longest = max(longest, segments[j].Duration)
	}
	h.TargetDuration = timeline.TargetDuration(longest / 1_000_000)
	list := manifest.Media{Header: h, Segments: segments, End: true}
	return &Playlist{Text: list.Append(make([]byte, 0, 512+len(segments)*(len(o.token)+256))),
		pool: s.deflaters}, nil
}
