package fragments

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

// rangeOf returns the range of a selector. api.Validate has passed it, and it has both ends.
func rangeOf(sel *api.FragmentSelector) store.TimeRange {
	r := store.TimeRange{
		Start: int64(*sel.TimestampRange.StartTimestamp),
		End:   int64(*sel.TimestampRange.EndTimestamp),
	}
	if sel.FragmentSelectorType == api.SelectorProducerTimestamp {
		r.Clock = store.ProducerTimestamp
	}
	return r
}

// checkRange refuses a range of server timestamps that is past the stream's retention, as the
// service does. A range of producer timestamps may have fragments even then.
func checkRange(r *store.TimeRange, stream *store.Stream, now time.Time) error {
	if r.Clock == store.ServerTimestamp && stream.RetentionHours > 0 &&
		r.End < stream.RetentionEdge(now) {
		return api.Errorf(api.InvalidArgumentException,
			"End timestamp %d is outside of the stream retention period.", r.End)
	}
	return nil
}

// ListFragments returns one page of the fragments that the selector, or that of the token, selects.
// No fragment is on two pages. None is missing that was stored before the first page and is still
// stored at the last.
//
// A selector or token that does not fit the stream is an *api.Error, InvalidArgument.
func (s *Service) ListFragments(ctx context.Context, stream store.Stream,
	in *api.ListFragmentsInput) (*api.ListFragmentsOutput, error) {
	t, found, more, err := s.page(ctx, &stream, in.NextToken, in.FragmentSelector, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListFragmentsOutput{Fragments: make([]api.Fragment, len(found))}
	scales := scales{service: s, stream: stream.ID}
	for i := range found {
		if out.Fragments[i], err = s.describe(ctx, &stream, &found[i], &scales); err != nil {
			return nil, err
		}
	}
	if more {
		t.after = found[len(found)-1].Number
		next := t.encode(&stream)
		out.NextToken = &next
	}
	return out, nil
}

// page lists the fragments of a page, in ascending order. token says where it begins and what it
// selects; without one, selector does. most is how many it has, 0 for as many as the page before.
// more says that others follow; t with the last number encodes to the token of their page.
func (s *Service) page(ctx context.Context, stream *store.Stream, token string,
	selector *api.FragmentSelector, most int) (
	t pageToken, found []store.FragmentInfo, more bool, err error) {
	if token != "" {
		t, err = parsePageToken(stream, token)
	} else {
		t = pageToken{TimeRange: rangeOf(selector), limit: api.MaxListFragments}
		err = checkRange(&t.TimeRange, stream, s.clock())
	}
	if err != nil {
		return t, nil, false, err
	}
	if most > 0 {
		t.limit = most
	}
	found, err = s.store.List(ctx, stream.ID, store.Query{
		Range: &t.TimeRange, After: t.after, Order: store.ByNumber, Limit: t.limit + 1})
	if err != nil {
		return t, nil, false, fmt.Errorf("list fragments: %w", err)
	}
	if len(found) > t.limit {
		return t, found[:t.limit], true, nil
	}
	return t, found, false, nil
}

// describe returns a fragment in the form of the API.
func (s *Service) describe(ctx context.Context, stream *store.Stream, f *store.FragmentInfo,
	scales *scales) (api.Fragment, error) {
	length, err := scales.length(ctx, f)
	return api.Fragment{
		FragmentNumber:               stream.FormatNumber(f.Number),
		FragmentSizeInBytes:          f.Location.Length,
		ProducerTimestamp:            api.Timestamp(f.ProducerTimestamp),
		ServerTimestamp:              api.Timestamp(f.ServerTimestamp),
		FragmentLengthInMilliseconds: length,
	}, err
}

// scales has the timescales of a stream's tracks, of the last track set that was asked for. Most
// fragments have that of the one before.
type scales struct {
	service *Service
	stream  store.StreamID
	set     int64
	tracks  map[int]int64 // track number to ticks a second
}

// length returns the time between the first and the last frame of a fragment in its longest track,
// in milliseconds: what the service calls FragmentLengthInMilliseconds (docs/reference/service.md,
// "Fragments"). A row has the sum of the frames' durations, so a mean duration is subtracted for
// the last frame.
func (c *scales) length(ctx context.Context, f *store.FragmentInfo) (int64, error) {
	return c.longest(ctx, f, false)
}

// longest returns the same as length, or, with whole, the time until the last frame has been shown.
func (c *scales) longest(ctx context.Context, f *store.FragmentInfo, whole bool) (int64, error) {
	if c.tracks == nil || c.set != f.TrackSet {
		tracks, err := c.service.store.TrackSet(ctx, c.stream, f.TrackSet)
		if err != nil {
			return 0, fmt.Errorf("read tracks: %w", err)
		}
		c.set, c.tracks = f.TrackSet, make(map[int]int64, len(tracks))
		for i := range tracks {
			c.tracks[tracks[i].Number] = int64(tracks[i].Timescale)
		}
	}
	var longest int64
	for i := range f.Spans {
		span := &f.Spans[i]
		scale, frames := c.tracks[span.Track], int64(span.Frames)
		if scale <= 0 || frames == 0 {
			continue
		}
		shown := frames - 1
		if whole {
			shown = frames
		}
		per := scale * frames
		longest = max(longest, (span.Duration*shown*1000+per/2)/per)
	}
	return longest, nil
}

// pageToken is the content of a NextToken of ListFragments: everything that the next call needs but
// the stream.
type pageToken struct {
	store.TimeRange
	limit int
	after store.Number
}

// pageTokenForm is the first byte of a token. A new form of token gets a new one.
const pageTokenForm = 1

var errPageToken = api.NewError(api.InvalidArgumentException, "NextToken is invalid.")

// encode writes a token with the characters that the model allows.
func (t *pageToken) encode(stream *store.Stream) string {
	b := append(make([]byte, 0, 64), pageTokenForm, byte(t.Clock))
	b = binary.BigEndian.AppendUint64(b, stream.NumberTag)
	for _, v := range []int64{t.Start, t.End, int64(t.limit), int64(t.after)} {
		b = binary.AppendVarint(b, v)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// parsePageToken reads a token of the stream. A token is neither secret nor a permission: whoever
// sends it may list the whole stream.
func parsePageToken(stream *store.Stream, text string) (t pageToken, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 10 || b[0] != pageTokenForm ||
		binary.BigEndian.Uint64(b[2:]) != stream.NumberTag {
		return t, errPageToken
	}
	r := bytes.NewReader(b[10:])
	var v [4]int64
	for i := range v {
		n, e := binary.ReadVarint(r)
		v[i], err = n, errors.Join(err, e)
	}
	t = pageToken{
		TimeRange: store.TimeRange{Clock: store.TimestampKind(b[1]), Start: v[0], End: v[1]},
		limit:     int(v[2]), after: store.Number(v[3]),
	}
	if err != nil || r.Len() > 0 || t.Clock > store.ProducerTimestamp || t.after <= 0 ||
		v[2] < 1 || v[2] > api.MaxListFragments {
		return t, errPageToken
	}
	return t, nil
}
