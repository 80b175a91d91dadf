// Package fragments answers calls for fragments as they came: lists of them, and their media as
// Matroska. DESIGN.md states the rules.
//
//	service.go       Service and its options
//	list.go          ListFragments, and its tokens
//	tags.go          ListFragmentTags
//	fragmentlist.go  GetMediaForFragmentList
//	getmedia.go      GetMedia: where it begins, and how it follows a stream
//	live.go          one fragment as Matroska, frame by frame, while it is received
//	chunk.go         one fragment as Matroska
package fragments

import (
	"context"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/throttle"
)

// Store is what fragments are read from; a store.Store is one.
type Store interface {
	List(ctx context.Context, id store.StreamID, q store.Query) ([]store.FragmentInfo, error)
	Fragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error)
	Open(ctx context.Context, id store.StreamID, f store.FragmentInfo) (store.Media, error)
	Wait(ctx context.Context, id store.StreamID, after int64) (int64, error)
}

// Limits bound GetMedia for each stream: connections, and calls a second. 0: no limit.
type Limits struct {
	ConnectionsPerStream int
	CallsPerSecond       int
}

// Options configure a Service. Store is required.
type Options struct {
	Store   Store
	Limits  Limits           // the zero value limits nothing
	Pending Pending          // what GetMedia waits for; nil: nothing
	Edge    *live.Edge       // where GetMedia sees it frame by frame; nil: it waits for the end
	Clock   func() time.Time // nil: time.Now
}

// Service answers the calls. It is safe for concurrent use.
//
// Errors for the caller are *api.Error, or store.ErrNotFound when the stream was deleted; anything
// else is a fault.
type Service struct {
	store   Store
	limits  Limits
	pending Pending
	edge    *live.Edge
	clock   func() time.Time
	calls   *throttle.Buckets[store.StreamID] // of GetMedia
	readers readers

	holdBack time.Duration // the constant holdBack, except in tests
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{store: o.Store, limits: o.Limits, pending: o.Pending, edge: o.Edge,
		clock: o.Clock, calls: throttle.New[store.StreamID](), holdBack: holdBack}
	if s.clock == nil {
		s.clock = time.Now
	}
	return s
}
