package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
)

// listPage is how many fragments one call of List gives at most.
const listPage = 1000

// selection is what a session begins with.
type selection struct {
	reference int64 // track set of the reference fragment
	tracks    []media.Track
	fragments []store.FragmentInfo // in the order in which they are listed
	cursor    int64                // commits up to here need not be looked at again
}

// errNoFragments is the answer when there is nothing to play.
func errNoFragments() error {
	return api.NewError(api.ResourceNotFoundException, api.MessageNoFragments)
}

// selectLive takes the newest want fragments that belong together.
func (s *Service) selectLive(ctx context.Context, stream *store.Stream, selector store.TimestampKind, want int, now time.Time) (*selection, error) {
	sel := &selection{}
	same := sameSets{service: s, stream: stream.ID}
	seen := make(map[int64]bool) // producer timestamps
	var after store.Number
	for looked, limit := 0, 2*want+history; len(sel.fragments) < want && looked < limit; {
		page, err := s.store.List(ctx, stream.ID, store.Query{
			Order: store.ByNumberNewest, After: after, Limit: min(want-len(sel.fragments)+16, limit-looked),
		})
		if err != nil {
			return nil, storeError("list fragments", err)
		}
		if len(page) == 0 {
			break
		}
		looked += len(page)
		if after == 0 { // of the first page only: a commit between two pages must not be skipped
			for i := range page {
				sel.cursor = max(sel.cursor, page[i].Sequence)
			}
		}
		after = page[len(page)-1].Number
		for i := range page {
			f := &page[i]
			if f.Partial || len(sel.fragments) == want || selector == store.ProducerTimestamp && seen[f.ProducerTimestamp] {
				continue
			}
			if sel.reference == 0 {
				if err := sel.refer(ctx, s, stream, f, &same); err != nil {
					return nil, err
				}
				if f.ServerTimestamp+sel.length(f) < now.Add(-api.LiveFreshness).UnixMilli() {
					return nil, errNoFragments()
				}
			}
			ok, err := same.of(ctx, f.TrackSet)
			if err != nil {
				return nil, err
			}
			if ok && sel.hasFrames(f) {
				seen[f.ProducerTimestamp] = true
				sel.fragments = append(sel.fragments, *f)
			}
		}
	}
	slices.Reverse(sel.fragments)
	return sel, nil
}

// selectRange takes the oldest want fragments whose timestamp lies in the range, both ends included, and orders them.
func (s *Service) selectRange(ctx context.Context, stream *store.Stream, selector store.TimestampKind, want int, start, end int64) (*selection, error) {
	sel := &selection{}
	same := sameSets{service: s, stream: stream.ID}
	seen := make(map[int64]int) // producer timestamp → index in sel.fragments
	q := store.Query{Timestamp: selector, Start: start, End: end, Order: store.ByNumber, Limit: min(listPage, want)}
	for len(sel.fragments) < want {
		page, err := s.store.List(ctx, stream.ID, q)
		if err != nil {
			return nil, storeError("list fragments", err)
		}
		for i := range page {
			f := &page[i]
			if len(sel.fragments) == want {
				break
			}
			if sel.reference == 0 {
				if err := sel.refer(ctx, s, stream, f, &same); err != nil {
					return nil, err
				}
			}
			ok, err := same.of(ctx, f.TrackSet)
			if err != nil {
				return nil, err
			}
			if !ok || !sel.hasFrames(f) {
				continue
			}
			if selector == store.ProducerTimestamp {
				if j, double := seen[f.ProducerTimestamp]; double {
					sel.fragments[j] = *f
					continue
				}
				seen[f.ProducerTimestamp] = len(sel.fragments)
			}
			sel.fragments = append(sel.fragments, *f)
		}
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].Number
	}
	if selector == store.ProducerTimestamp {
		slices.SortFunc(sel.fragments, func(a, b store.FragmentInfo) int {
			return int(a.ProducerTimestamp - b.ProducerTimestamp)
		})
	}
	return sel, nil
}

// refer makes f the reference fragment.
func (sel *selection) refer(ctx context.Context, s *Service, stream *store.Stream, f *store.FragmentInfo, same *sameSets) error {
	tracks, err := s.store.TrackSet(ctx, stream.ID, f.TrackSet)
	if err != nil {
		return storeError("read tracks", err)
	}
	sel.reference, sel.tracks = f.TrackSet, candidates(tracks)
	if len(sel.tracks) == 0 {
		return api.NewError(api.UnsupportedStreamMediaTypeException, "The stream has neither a video nor an audio track.")
	}
	same.reference = sel.tracks
	return nil
}

// length is the longest run of the fragment in milliseconds.
func (sel *selection) length(f *store.FragmentInfo) int64 {
	var longest int64
	for i := range sel.tracks {
		if span := f.Span(sel.tracks[i].Number); span != nil && sel.tracks[i].Timescale > 0 {
			longest = max(longest, rescale(span.Duration, int64(sel.tracks[i].Timescale), 1000))
		}
	}
	return longest
}

func (sel *selection) hasFrames(f *store.FragmentInfo) bool {
	for i := range sel.tracks {
		if f.Span(sel.tracks[i].Number) != nil {
			return true
		}
	}
	return false
}

// settle drops tracks that no selected fragment has frames of, and checks that the others can be packaged.
func (sel *selection) settle() error {
	sel.tracks = slices.DeleteFunc(sel.tracks, func(t media.Track) bool {
		return !slices.ContainsFunc(sel.fragments, func(f store.FragmentInfo) bool { return f.Span(t.Number) != nil })
	})
	for i := range sel.tracks {
		if err := checkCodec(&sel.tracks[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkCodec says whether a track can be played, in the service's words where they are known (kvs-behaviour 4.2).
func checkCodec(t *media.Track) error {
	_, err := media.CodecString(t)
	switch {
	case err == nil && t.Timescale > 0:
		return nil
	case errors.Is(err, media.ErrUnsupportedCodec):
		return api.Errorf(api.UnsupportedStreamMediaTypeException,
			"The codec %s of track %d is not supported for HLS playback; supported are %s, %s and %s.",
			t.CodecID, t.Number, media.CodecAVC, media.CodecHEVC, media.CodecAAC)
	case errors.Is(err, media.ErrMissingCodecPrivate):
		return api.Errorf(api.MissingCodecPrivateDataException, "Missing codec private data in fragment for track %d.", t.Number)
	case errors.Is(err, media.ErrInvalidCodecPrivate):
		return api.Errorf(api.InvalidCodecPrivateDataException, "Invalid codec private data in fragment for track %d: %v.", t.Number, err)
	case err == nil:
		return fmt.Errorf("track %d has no timescale", t.Number)
	}
	return fmt.Errorf("read codec of track %d: %w", t.Number, err)
}

// candidates are the first video and the first audio track, in declaration order, whatever their codecs.
func candidates(tracks []media.Track) []media.Track {
	var chosen []media.Track
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		if i := slices.IndexFunc(tracks, func(t media.Track) bool { return t.Kind == kind }); i >= 0 {
			chosen = append(chosen, tracks[i])
		}
	}
	return chosen
}

// sameSets tells which track sets have the reference's tracks, and remembers it.
type sameSets struct {
	service   *Service
	stream    store.StreamID
	reference []media.Track
	known     map[int64]bool
}

func (c *sameSets) of(ctx context.Context, set int64) (bool, error) {
	if same, ok := c.known[set]; ok {
		return same, nil
	}
	tracks, err := c.service.store.TrackSet(ctx, c.stream, set)
	if err != nil {
		return false, storeError("read tracks", err)
	}
	same := sameTracks(c.reference, tracks)
	if c.known == nil || len(c.known) >= 1024 { // a producer may invent a set per fragment
		c.known = make(map[int64]bool)
	}
	c.known[set] = same
	return same, nil
}

// sameTracks reports whether the first video and the first audio track of a set, as far as the reference has them, are the
// reference's, codec private data included.
func sameTracks(reference, set []media.Track) bool {
	for i := range reference {
		a := &reference[i]
		j := slices.IndexFunc(set, func(t media.Track) bool { return t.Kind == a.Kind })
		if j < 0 {
			return false
		}
		b := &set[j]
		if a.Number != b.Number || a.CodecID != b.CodecID || a.Timescale != b.Timescale || !bytes.Equal(a.CodecPrivate, b.CodecPrivate) {
			return false
		}
	}
	return true
}

// moofBytes and sampleBytes are what the boxes around a run take at most: per fragment and track, and per frame.
const (
	moofBytes   = 200
	sampleBytes = 16
)

// measure gives the frame rate (hundredths of a frame per second, 0 without video) of the first fragment with video, and
// the peak bit rate of a fragment, boxes included, all tracks together.
func measure(fragments []store.FragmentInfo, tracks []packagedTrack) (frameRate, bandwidth int64) {
	for i := range fragments {
		var rate int64
		for _, t := range tracks {
			span := fragments[i].Span(t.number)
			if span == nil || span.Duration <= 0 {
				continue
			}
			bits := 8 * (span.Size + moofBytes + sampleBytes*int64(span.Frames))
			rate += (bits*t.timescale + span.Duration - 1) / span.Duration
			if t.kind == media.Video && frameRate == 0 {
				frameRate = (int64(span.Frames)*100*t.timescale + span.Duration/2) / span.Duration
			}
		}
		bandwidth = max(bandwidth, rate)
	}
	return frameRate, max(bandwidth, 1)
}
