package clip

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/store"
)

// listPage is how many fragments one call of List returns at most.
const listPage = 1000

// layoutVersion is part of a clip's key. A program that lays clips out differently must have
// another version, because the clip of a link never changes.
const layoutVersion = 1

// keySize is the size of a clip's key in bytes: a truncated SHA-256.
const keySize = 16

type clipKey [keySize]byte

// choice is what a clip is made from.
type choice struct {
	*Request
	stream    store.StreamID
	fragments []fragment        // in the order of the clip
	tracks    []fmp4.MovieTrack // video first
	numbers   map[int64][]int   // by track set: the number that each of the tracks has there
	key       clipKey
	sequence  int64 // the greatest of the fragments
}

// fragment is a fragment of a clip.
type fragment struct {
	store.FragmentInfo       // without its spans, which take as much again
	size               int64 // bytes of the clip's tracks
}

func errNoFragments() error {
	return api.NewError(api.ResourceNotFoundException,
		"No fragments found in the stream for the clip request.")
}

// choose lists the fragments of a clip and decides which tracks it has: the first video and the
// first audio track that is declared. In a range of producer timestamps, of several fragments with
// the same one it takes that with the greatest number, which came last.
func (s *Service) choose(ctx context.Context, stream *store.Stream, r *Request,
	last int64) (*choice, error) {
	c := &choice{Request: r, stream: stream.ID, numbers: map[int64][]int{}}
	span := r.span()
	q := store.Query{Range: &span, Order: store.ByNumber, Limit: listPage}
	for {
		page, err := s.store.List(ctx, stream.ID, q)
		if err != nil {
			return nil, fmt.Errorf("list fragments: %w", err)
		}
		for i := range page {
			f := &page[i]
			q.After = f.Number
			if f.Sequence > last {
				continue
			}
			if err := c.add(ctx, s, f); err != nil {
				return nil, err
			}
			if len(c.fragments) > api.MaxClipFragments {
				return nil, api.Errorf(api.InvalidArgumentException, "The range has more than %d "+
					"fragments, which is the most that a clip can have.", api.MaxClipFragments)
			}
		}
		// Fragments are listed in order of their server timestamps, except for small differences
		// between parallel connections, so those beyond the limit need not be looked at.
		if len(page) < q.Limit || r.Selector == store.ServerTimestamp && !r.Exact &&
			len(c.fragments) >= s.limits.Fragments {
			break
		}
	}
	c.order()
	c.limit(s.limits)
	if len(c.fragments) == 0 {
		return nil, errNoFragments()
	}
	if err := c.settle(); err != nil {
		return nil, err
	}
	c.seal()
	return c, nil
}

// exactMargin is how much longer than MaxFragmentDuration a fragment may be: the duration of its
// last frame.
const exactMargin = 10 * time.Second

// span returns the range in which the fragments of a clip begin.
func (r *Request) span() store.TimeRange {
	span := store.TimeRange{Clock: r.Selector, Start: r.Start, End: r.End}
	if r.Exact {
		span.Start -= api.MaxFragmentDuration.Milliseconds() + exactMargin.Milliseconds()
	}
	return span
}

// add adds a fragment, unless it has no frames of the clip's tracks or ends before an exact clip.
func (c *choice) add(ctx context.Context, s *Service, f *store.FragmentInfo) error {
	numbers, ok := c.numbers[f.TrackSet]
	if !ok {
		set, err := s.store.TrackSet(ctx, c.stream, f.TrackSet)
		if err != nil {
			return fmt.Errorf("read tracks: %w", err)
		}
		if numbers, err = c.match(set, f); err != nil {
			return err
		}
		c.numbers[f.TrackSet] = numbers
	}
	has, size := false, int64(0)
	end := int64(0)
	for i, number := range numbers {
		span := f.Span(number)
		if number == 0 || span == nil {
			continue
		}
		t := &c.tracks[i]
		has = true
		size += span.Size
		t.Advance = max(t.Advance, span.Reorder)
		end = max(end, c.timestamp(f)+1+span.Duration*1000/int64(t.Track.Timescale))
	}
	if !has || c.Exact && end < c.Start {
		return nil
	}
	k := fragment{*f, size}
	k.Spans = nil
	c.fragments = append(c.fragments, k)
	return nil
}

// timestamp returns a fragment's timestamp on the clock of the range.
func (r *Request) timestamp(f *store.FragmentInfo) int64 {
	if r.Selector == store.ProducerTimestamp {
		return f.ProducerTimestamp
	}
	return f.ServerTimestamp
}

// match finds the clip's tracks in a set, and adds a track of a kind that the clip does not have
// yet.
func (c *choice) match(set []media.Track, f *store.FragmentInfo) ([]int, error) {
	numbers := make([]int, len(c.tracks), 2)
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		i := slices.IndexFunc(set, func(t media.Track) bool { return t.Kind == kind })
		if i < 0 {
			continue
		}
		t := &set[i]
		k := slices.IndexFunc(c.tracks,
			func(o fmp4.MovieTrack) bool { return o.Track.Kind == kind })
		if k < 0 {
			c.tracks = append(c.tracks, fmp4.MovieTrack{Track: t})
			numbers = append(numbers, t.Number)
			continue
		}
		o := c.tracks[k].Track
		switch {
		case o.CodecID != t.CodecID || o.Timescale != t.Timescale:
			return nil, api.Errorf(api.UnsupportedStreamMediaTypeException,
				"The codec of track %d changes from %s to %s at %s; ask for a clip that ends "+
					"before, and one that begins there.", t.Number, o.CodecID, t.CodecID,
				c.moment(f))
		case !bytes.Equal(o.CodecPrivate, t.CodecPrivate):
			return nil, api.Errorf(api.InvalidCodecPrivateDataException,
				"The codec private data of track %d changes at %s; ask for a clip that ends "+
					"before, and one that begins there.",
				t.Number, c.moment(f))
		}
		numbers[k] = t.Number
	}
	return numbers, nil
}

// moment returns the start of a fragment as text.
func (c *choice) moment(f *store.FragmentInfo) string {
	return time.UnixMilli(c.timestamp(f)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// order puts fragments in the order of the clip: that of ingest, or of the producer's timestamps.
// Of those that begin before an exact clip's start it keeps only the last, which contains the
// start.
func (c *choice) order() {
	if c.Selector == store.ProducerTimestamp {
		slices.SortFunc(c.fragments, func(a, b fragment) int {
			return cmp.Or(cmp.Compare(a.ProducerTimestamp, b.ProducerTimestamp),
				cmp.Compare(b.Number, a.Number))
		})
		c.fragments = slices.CompactFunc(c.fragments, func(a, b fragment) bool {
			return a.ProducerTimestamp == b.ProducerTimestamp
		})
	}
	before := 0
	for before < len(c.fragments) && c.timestamp(&c.fragments[before].FragmentInfo) < c.Start {
		before++
	}
	if before > 1 {
		c.fragments = c.fragments[before-1:]
	}
}

// limit removes fragments beyond the limits, but not the first.
func (c *choice) limit(l Limits) {
	c.fragments = c.fragments[:min(len(c.fragments), l.Fragments)]
	var size int64
	for i := range c.fragments {
		if size += c.fragments[i].size; size > l.Bytes && i > 0 {
			c.fragments = c.fragments[:i]
			return
		}
	}
}

// settle checks that the tracks can be packaged.
func (c *choice) settle() error {
	for _, t := range c.tracks {
		_, err := media.CodecString(t.Track)
		number := t.Track.Number
		switch {
		case errors.Is(err, media.ErrUnsupportedCodec):
			return api.Errorf(api.UnsupportedStreamMediaTypeException, "The codec %s of track %d "+
				"is not supported for clips; supported are %s, %s, %s, and G.711 as %s.",
				t.Track.CodecID, number, media.CodecAVC, media.CodecHEVC, media.CodecAAC,
				media.CodecACM)
		case errors.Is(err, media.ErrMissingCodecPrivate):
			return api.Errorf(api.MissingCodecPrivateDataException,
				"Missing codec private data in fragment for track %d.", number)
		case err != nil:
			return api.Errorf(api.InvalidCodecPrivateDataException,
				"Invalid codec private data in fragment for track %d: %v.", number, err)
		}
	}
	return nil
}

// seal computes the key from everything that the bytes of the clip depend on. The numbers of its
// fragments suffice, because a fragment never changes.
func (c *choice) seal() {
	b := []byte{layoutVersion, 0}
	if c.KeepGaps {
		b[1] |= 1
	}
	if c.Exact {
		b[1] |= 2
		b = append(b, byte(c.Selector))
		b = binary.BigEndian.AppendUint64(b, uint64(c.Start))
		b = binary.BigEndian.AppendUint64(b, uint64(c.End))
	}
	h := sha256.New()
	h.Write(b)
	h.Write([]byte(c.stream))
	for i := range c.fragments {
		f := &c.fragments[i]
		h.Write(binary.BigEndian.AppendUint64(b[:0], uint64(f.Number)))
		c.sequence = max(c.sequence, f.Sequence)
	}
	copy(c.key[:], h.Sum(nil))
}
