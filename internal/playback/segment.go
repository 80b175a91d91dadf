package playback

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/mpegts"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
)

// Segment is a media segment that is ready to be written.
type Segment struct {
	Header []byte // MP4: moof, and the head of mdat; the frames follow. MPEG_TS: nil
	Length int64  // all bytes
	frames store.Range
	stream *mpegts.Segment // instead of frames
	media  store.Media
	done   func() // called instead of media's Close; nil: that is called
	failed bool   // it could not be written
}

// WriteRange writes length bytes of the segment from an offset on, stored frames as
// store.Range.WriteTo does. It must be called once. The error is io.ErrUnexpectedEOF if there are
// fewer bytes.
func (s *Segment) WriteRange(w io.Writer, from, length int64) error {
	if s.stream != nil {
		return s.writeStream(w, from, length)
	}
	if n := int64(len(s.Header)); from < n {
		part := s.Header[from:min(n, from+length)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		from, length = n, length-int64(len(part))
	}
	if length == 0 {
		return nil
	}
	_, err := s.frames.Slice(from-int64(len(s.Header)), length).WriteTo(w)
	s.failed = err != nil
	return err
}

// Close frees what the segment is written from. It must be called once, after the last write.
func (s *Segment) Close() {
	if s.done != nil {
		s.done()
		return
	}
	s.media.Close() // it was only read from: nothing can be lost
}

// InitSegment serves GetMP4InitFragment: ftyp and moov of a track. sequence counts the generations
// of the session's codec private data from 0. The error is ResourceNotFound if the session does not
// have that generation or that track.
func (s *Service) InitSegment(ctx context.Context, token string, track int,
	sequence int) ([]byte, error) {
	return s.initSegment(ctx, token, hlsFragmentedMP4, sessionurl.InitSegment{Track: track,
		Sequence: sequence})
}

func (s *Service) initSegment(ctx context.Context, token string, f format,
	ref sessionurl.InitSegment) ([]byte, error) {
	o, err := s.sessionOf(ctx, token, getInitSegment, f)
	if err != nil {
		return nil, err
	}
	tracks, err := s.generationTracks(ctx, o, ref.Sequence)
	if err != nil {
		return nil, err
	}
	for i := range tracks {
		if tracks[i].Number == ref.Track {
			data, err := fmp4.InitSegment(&tracks[i])
			if err != nil {
				return nil, fmt.Errorf("write init segment: %w", err)
			}
			return data, nil
		}
	}
	return nil, noTrack(ref.Track)
}

func noFragment() error {
	return api.NewError(api.ResourceNotFoundException,
		"The fragment was not found in the streaming session.")
}

func silenceOf(r *sessionurl.Segment) timeline.Silence {
	return timeline.Silence{From: r.SilenceStart, Until: r.SilenceEnd}
}

func sliceOf(r *sessionurl.Segment) timeline.Slice {
	return timeline.Slice{From: r.StartOffset, Until: r.EndOffset}
}

// MediaSegment serves GetMP4MediaFragment: one track of a fragment or of a slice. The caller closes
// the segment. The error is ResourceNotFound if the token does not open the fragment (DESIGN.md),
// the track has no frames in it, or it is past retention.
func (s *Service) MediaSegment(ctx context.Context, token string,
	ref sessionurl.Segment) (*Segment, error) {
	o, err := s.sessionOf(ctx, token, getMediaSegment, hlsFragmentedMP4)
	if err != nil {
		return nil, err
	}
	return s.mediaSegment(ctx, o, ref)
}

func (s *Service) mediaSegment(ctx context.Context, o *request,
	ref sessionurl.Segment) (*Segment, error) {
	info, m, err := s.openFragment(ctx, o, ref)
	if err != nil {
		return nil, err
	}
	segment, err := pack(o, info, m, ref)
	if err != nil {
		m.Close()
		return nil, err
	}
	return segment, nil
}

// openFragment finds the fragment of a segment. The caller closes the media.
func (s *Service) openFragment(ctx context.Context, o *request,
	ref sessionurl.Segment) (*store.FragmentInfo, store.Media, error) {
	if !o.p.lists(ref.Track) {
		return nil, nil, noTrack(ref.Track)
	}
	n, err := o.stream.ParseNumber(ref.Number)
	if err != nil || o.p.mode == timeline.Live && n < o.p.first {
		return nil, nil, noFragment()
	}
	info, err := s.store.Fragment(ctx, o.stream.ID, n)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrGone) {
		return nil, nil, noFragment()
	} else if err != nil {
		return nil, nil, fmt.Errorf("find fragment: %w", err)
	}
	if ok, err := s.opens(ctx, o, &info); err != nil {
		return nil, nil, err
	} else if !ok {
		return nil, nil, noFragment()
	}
	m, err := s.store.Open(ctx, o.stream.ID, info)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrGone) {
		return nil, nil, noFragment()
	} else if err != nil {
		return nil, nil, fmt.Errorf("open fragment: %w", err)
	}
	return &info, m, nil
}

// opens reports whether the session may show the fragment.
func (s *Service) opens(ctx context.Context, o *request, info *store.FragmentInfo) (bool, error) {
	if info.ServerTimestamp < o.edge() {
		return false, nil
	}
	if o.p.mode == timeline.Live {
		if info.Partial {
			return false, nil
		}
	} else if at := o.p.rules().Timestamp(info); at < o.p.start || at > o.p.end {
		return false, nil
	}
	if info.TrackSet == o.p.trackSet {
		return true, nil
	}
	reference, err := s.packagedTracks(ctx, o)
	if err != nil {
		return false, err
	}
	same := classes{service: s, stream: o.stream.ID, format: o.p.format, switching: o.p.switching,
		reference: reference}
	c, err := same.of(ctx, info.TrackSet)
	return err == nil && c.ok, err
}

// moofSequence returns the sequence number in the moof of a fragment's segment. It never changes,
// and grows along a playlist in ingest order; slices of a fragment share it. It is the fragment's
// commit sequence. In a session with parts a slice may be read before its commit: there it is the
// time of the fragment's number since the first one's, in units of 131 ms, enough for 17 years.
func (o *request) moofSequence(f *store.FragmentInfo) uint32 {
	if o.p.partTarget > 0 {
		return 1 + uint32((f.Number-o.p.first)>>(store.NumberSlotBits+17))
	}
	return uint32(f.Sequence)
}

// pack puts the header of a media segment before the frames of one track.
func pack(o *request, info *store.FragmentInfo, m store.Media,
	ref sessionurl.Segment) (*Segment, error) {
	f := m.Fragment()
	r := o.p.rules().Scaled(scalesOf(o.p.tracks, f.Tracks))
	start, ok := r.Start(info)
	if !ok {
		return nil, noFragment()
	}
	timescale := r.Tracks[o.p.track(ref.Track)].Timescale
	description, run, frames, err := take(r, m, o.p.track(ref.Track), start, ref)
	if err != nil {
		return nil, err
	}
	if len(run.Frames) == 0 {
		return nil, noFragment()
	}
	header, err := fmp4.AppendMediaHeader(nil, description, &run, o.moofSequence(info),
		r.DecodeTime(run.BaseDecodeTime, timescale, start))
	if err != nil {
		return nil, fmt.Errorf("write segment header: %w", err)
	}
	return &Segment{Header: header, Length: int64(len(header)) + run.Size(), frames: frames,
		media: m}, nil
}

// take returns the frames of a packaged track in a segment, including those of silence, and their
// bytes. The run is empty if there are none. r has the fragment's timescales, start is its start.
func take(r *timeline.Rules, m store.Media, track int, start int64,
	ref sessionurl.Segment) (*media.Track, media.Run, store.Range, error) {
	f, scale := m.Fragment(), r.Tracks[track].Timescale
	run := media.Run{Track: r.Tracks[track].Number}
	t := f.Track(run.Track)
	if t == nil {
		return nil, run, nil, noFragment()
	}
	frames := store.Bytes(nil)
	if i := f.RunOf(run.Track); i >= 0 {
		var err error
		if run, frames, err = cut(&ref, m, i, scale, start); err != nil {
			return nil, run, nil, err
		}
	}
	if q := silenceOf(&ref); t.Kind == media.Audio && q != (timeline.Silence{}) {
		if !q.Valid(scale) {
			return nil, run, nil, noFragment()
		}
		with, before, after := q.Fill(run, timeline.Rescale(start, 1000, scale),
			media.SilenceOf(t))
		if len(before)+len(after) > 0 {
			run, frames = with, store.Concat(store.Bytes(before), frames, store.Bytes(after))
		}
	}
	return t, run, frames, nil
}

// scalesOf returns the timescales that a fragment's tracks have, for the session's.
func scalesOf(tracks []timeline.Track, own []media.Track) (scales [timeline.MaxTracks]int64) {
	for i := range tracks {
		scales[i] = tracks[i].Timescale
		for j := range own {
			if own[j].Number == tracks[i].Number {
				scales[i] = int64(own[j].Timescale)
			}
		}
	}
	return scales
}
