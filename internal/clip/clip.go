// Package clip makes clips: one MP4 file of a range of a stream. The file never exists as a whole.
// Its header is made from the frame tables of the fragments. The media after it is sent from where
// it is stored, whole or in ranges.
//
//	clip.go    Service: requests, and how many are served at a time
//	choose.go  which fragments and tracks a clip has
//	again.go   whether a repeated request gets the same clip
//	build.go   the header of a clip
//	file.go    Clip: the file, sent piece by piece
//	cache.go   headers on disk
//	link.go    sealed links
package clip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime"
	"time"

	"weir/internal/api"
	"weir/internal/fair"
	"weir/internal/media"
	"weir/internal/store"
)

// Store is what a clip is made from; a store.Store is one.
type Store interface {
	StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error)
	List(ctx context.Context, id store.StreamID, q store.Query) ([]store.FragmentInfo, error)
	Fragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error)
	Open(ctx context.Context, id store.StreamID, f store.FragmentInfo) (store.Media, error)
	Wait(ctx context.Context, id store.StreamID, after int64) (sequence int64, err error)
}

// Tokens seals and opens links; *auth.TokenKeys is one.
type Tokens interface {
	SealLink(data []byte, expires time.Time) (string, error)
	OpenLink(token string) ([]byte, error)
}

// Limits bound a clip. As at the service, a clip has only the first fragments of its range, up to
// the limits.
type Limits struct {
	Fragments int   // 0: api.MaxClipFragments
	Bytes     int64 // of media; 0: no limit
}

// Options configure a Service. Store and Tokens are required.
type Options struct {
	Store  Store
	Tokens Tokens
	Limits Limits
	// Dir is a directory for the headers of long clips, which only this service may use; files that
	// are left in it are removed. Without one, all headers are made in memory.
	Dir        string
	CacheBytes int64            // most bytes of headers that are kept in Dir
	Clock      func() time.Time // nil: time.Now
	Logger     *slog.Logger     // for headers that could not be kept; nil: none
}

// Service makes clips. It is safe for concurrent use.
type Service struct {
	store  Store
	tokens Tokens
	limits Limits
	clock  func() time.Time
	log    *slog.Logger
	cache  *cache
	known  answers
	// short and long bound how many clips of short and of long ranges are made at a time, because
	// each takes memory. Turns go round among those who ask (fair.As).
	short, long *fair.Turns
}

// maxSequence is beyond every commit.
const maxSequence = math.MaxInt64

// longRange is the longest range of a short clip.
const longRange = time.Hour

// maxWaiting bounds the requests that wait for others: of long clips, and of short ones.
const maxWaiting = 256

// New makes a Service. It fails when Dir cannot be used.
func New(o Options) (*Service, error) {
	s := &Service{store: o.Store, tokens: o.Tokens, limits: o.Limits, clock: o.Clock, log: o.Logger,
		short: fair.NewTurns(4*runtime.GOMAXPROCS(0), maxWaiting, 0),
		long:  fair.NewTurns(2, maxWaiting, 0)}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.limits.Fragments <= 0 || s.limits.Fragments > api.MaxClipFragments {
		s.limits.Fragments = api.MaxClipFragments
	}
	if s.limits.Bytes <= 0 {
		s.limits.Bytes = math.MaxInt64
	}
	var err error
	s.cache, err = newCache(o.Dir, o.CacheBytes)
	return s, err
}

// Request says which clip is wanted.
type Request struct {
	Selector   store.TimestampKind // the clock of the range
	Start, End int64               // of the fragments' starts, milliseconds, both included
	// Exact cuts the clip to the frames that are shown in the range, including those of the
	// fragment that contains Start. Otherwise a clip has whole fragments that start in the range.
	Exact bool
	// KeepGaps leaves gaps in the recording as long as they were. Otherwise they are closed.
	KeepGaps bool
}

// RequestOf returns the request of a valid input.
func RequestOf(in *api.GetClipInput) Request {
	sel := in.ClipFragmentSelector
	r := Request{Start: int64(*sel.TimestampRange.StartTimestamp),
		End: int64(*sel.TimestampRange.EndTimestamp)}
	if sel.FragmentSelectorType == api.SelectorProducerTimestamp {
		r.Selector = store.ProducerTimestamp
	}
	return r
}

// Open makes a clip. The caller closes it.
//
// Errors are *api.Error: InvalidArgument (a range of server timestamps that has not come or is past
// retention), NoDataRetention, ResourceNotFound (no fragments), UnsupportedStreamMediaType,
// MissingCodecPrivateData, InvalidCodecPrivateData (also if it changes within the range),
// ClientLimitExceeded (too many clips are being made) and InvalidMediaFrame (a fragment of the
// range is damaged); store.ErrNotFound if the stream was deleted; anything else is a fault.
func (s *Service) Open(ctx context.Context, stream store.Stream, r Request) (*Clip, error) {
	if err := r.check(&stream, s.clock()); err != nil {
		return nil, err
	}
	c, err := s.make(ctx, &stream, &r, maxSequence, nil)
	if err != nil {
		return nil, err
	}
	return s.newClip(stream.ID, c.header, c.file), nil
}

// check checks a request against the stream, but not its fragments.
func (r *Request) check(stream *store.Stream, now time.Time) error {
	if stream.RetentionHours == 0 {
		return api.NewError(api.NoDataRetentionException, api.MessageNoDataRetention)
	}
	if r.Selector == store.ProducerTimestamp {
		return nil
	}
	// The end may be now, which the wire rounds to the nearest millisecond.
	if r.End > now.Round(time.Millisecond).UnixMilli() {
		return api.Errorf(api.InvalidArgumentException,
			"End timestamp %d must not be in the future.", r.End)
	}
	edge := stream.RetentionEdge(now)
	if r.Start < edge {
		return api.Errorf(api.InvalidArgumentException,
			"Start timestamp %d is outside of the stream retention period.", r.Start)
	}
	return nil
}

// made is a clip that was made or found.
type made struct {
	header   *header
	file     *os.File
	sequence int64 // the greatest of its fragments
}

// make makes a clip of the fragments that were committed up to last. If key is given and the clip
// would have another one, it returns errChanged.
func (s *Service) make(ctx context.Context, stream *store.Stream, r *Request, last int64,
	key *clipKey) (*made, error) {
	if key == nil {
		if m, err := s.again(ctx, stream, r); m != nil || err != nil {
			return m, err
		}
	}
	newest, err := s.store.Wait(ctx, stream.ID, -1) // at once
	if err != nil {
		return nil, fmt.Errorf("read newest commit: %w", err)
	}
	places := s.short
	if r.End-r.Start > longRange.Milliseconds() {
		places = s.long
	}
	leave, err := places.Enter(ctx)
	if errors.Is(err, fair.ErrBusy) {
		return nil, api.Errorf(api.ClientLimitExceededException,
			"%d clips wait to be made already.", maxWaiting)
	}
	if err != nil {
		return nil, err
	}
	defer leave()
	// Retention may delete a fragment after it was listed. The next listing does not have it.
	for tries := 3; ; tries-- {
		c, err := s.choose(ctx, stream, r, last)
		if err != nil {
			return nil, err
		}
		if key != nil && c.key != *key {
			return nil, errChanged
		}
		h, file := s.cache.get(c.key)
		if h == nil {
			h, file, err = s.build(ctx, c)
		}
		if tries > 1 && errors.Is(err, store.ErrGone) {
			continue
		}
		if err == nil && key == nil {
			s.remember(c, newest)
		}
		return &made{h, file, c.sequence}, err
	}
}
