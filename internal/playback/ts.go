package playback

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mpegts"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

// TSSegment serves GetTSFragment: all packaged tracks of a fragment or of a slice as a transport
// stream. The track is that of the session's media playlist. The caller closes the segment. Errors
// are ResourceNotFound as for MediaSegment, and InvalidMediaFrame if frames of this fragment do not
// fit their codec private data.
func (s *Service) TSSegment(ctx context.Context, token string,
	ref sessionurl.Segment) (*Segment, error) {
	o, err := s.sessionOf(ctx, token, getMediaSegment, hlsMPEGTS)
	if err != nil {
		return nil, err
	}
	info, m, err := s.openFragment(ctx, o, ref)
	if err != nil {
		return nil, err
	}
	segment, err := packTS(o, info, m, ref)
	if err != nil {
		m.Close()
		return nil, err
	}
	return segment, nil
}

// packTS plans a transport stream of the packaged tracks. Its program map never changes in a
// session, so it also has tracks without frames in the slice. The continuity counter of the tables
// is the commit sequence, which grows by one along a playlist without gaps. Later slices mark
// theirs as one that does not follow.
func packTS(o *request, info *store.FragmentInfo, m store.Media,
	ref sessionurl.Segment) (*Segment, error) {
	f := m.Fragment()
	r := o.p.rules().Scaled(scalesOf(o.p.tracks, f.Tracks))
	start, ok := r.Start(info)
	if !ok {
		return nil, noFragment()
	}
	var inputs []mpegts.Input
	empty := true
	for j := range r.Tracks {
		t, run, body, err := take(r, m, j, start, ref)
		if err != nil {
			return nil, err
		}
		input := mpegts.Input{Track: t, Run: &run}
		if len(run.Frames) > 0 {
			input.DecodeTime, input.Payload = r.DecodeTime(run.BaseDecodeTime,
				r.Tracks[j].Timescale, start), body
			empty = false
		}
		inputs = append(inputs, input)
	}
	if empty {
		return nil, noFragment()
	}
	segment, err := mpegts.NewSegment(inputs, mpegts.Options{
		Advance: o.p.advance, Counter: byte(info.Sequence), CounterRepeats: ref.StartOffset > 0,
	})
	switch {
	case errors.Is(err, mpegts.ErrInvalidFrame):
		return nil, api.Errorf(api.InvalidMediaFrameException,
			"The fragment cannot be packaged: %v.", err)
	case errors.Is(err, media.ErrUnsupportedCodec):
		return nil, api.Errorf(api.UnsupportedStreamMediaTypeException,
			"The fragment cannot be packaged: %v.", err)
	case err != nil:
		return nil, fmt.Errorf("plan transport stream: %w", err)
	}
	return &Segment{stream: segment, Length: segment.Size(), media: m}, nil
}

// writeStream is WriteRange of a transport stream, which is made as it is read.
func (s *Segment) writeStream(w io.Writer, from, length int64) error {
	if _, err := io.CopyN(io.Discard, s.stream, from); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(s.stream, length))
	if err == nil && n < length {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// checkTS returns an error if a transport stream cannot carry the tracks.
func checkTS(tracks []media.Track) error {
	for i := range tracks {
		if err := mpegts.Check(&tracks[i]); err != nil {
			return api.Errorf(api.UnsupportedStreamMediaTypeException,
				"The stream cannot be played as MPEG_TS: %v.", err)
		}
	}
	return nil
}

// errFormat returns the answer to an action of another container format than the session's.
func errFormat() error {
	return api.NewError(api.ResourceNotFoundException,
		"The streaming session is of another container format.")
}
