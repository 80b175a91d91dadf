// Package playback serves stored media: sessions and what they show, their playlists and their
// segments. DESIGN.md states the rules of selection; those of numbering are in package timeline.
// The package never parses Matroska, and reads no media byte for a playlist.
package playback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/quota"
	"weir/internal/store"
	"weir/internal/throttle"
	"weir/internal/timeline"
)

// Fragments is the part of a store about media that playback uses.
type Fragments interface {
	StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error)
	List(ctx context.Context, id store.StreamID, q store.Query) ([]store.FragmentInfo, error)
	Fragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error)
	Open(ctx context.Context, id store.StreamID, f store.FragmentInfo) (store.Media, error)
	Wait(ctx context.Context, id store.StreamID, after int64) (int64, error)
}

// Sessions is the part of a store about sessions that playback uses.
type Sessions interface {
	OpenSession(ctx context.Context, s store.Session, limit int) (closed []string, err error)
	Session(ctx context.Context, id string) (store.Session, error)
	Checkpoint(ctx context.Context, id string, data []byte) error
	BindSession(ctx context.Context, id, address string) (bound string, err error)
}

// Store is the part of store.Store that playback uses.
type Store interface {
	Fragments
	Sessions
}

// Tokens seals and opens session tokens; *auth.TokenKeys is one.
type Tokens interface {
	Seal(auth.Claims) string
	Open(token string) (auth.Claims, error)
}

// Limits bound what playback allows and keeps.
type Limits struct {
	// open sessions of each kind for a stream; one more closes the oldest; 0: no limit
	HLSSessionsPerStream  int
	DASHSessionsPerStream int
	SessionURLsPerSecond  int // calls of OpenHLS, of OpenDASH, per stream and second; 0: no limit
	// requests for master playlists, media playlists and init segments, of each per session and
	// second; 0: no limit
	PlaylistsPerSecond int
	FragmentsPerSecond int // requests for media segments per session and second; 0: no limit
	// requests that wait for media at a time: of a session, of a stream, and all; 0: no limit
	WaitingPerSession int
	WaitingPerStream  int
	Waiting           int
	// players that may share a session: its limits are multiplied by this; 0: one
	Viewers    int
	CacheBytes int64 // playlist text and timelines kept in memory, over all sessions
}

func (l *Limits) viewers() int { return max(l.Viewers, 1) }

// LimitsOf returns the limits of sessions in a table of limits, with 64 MB of cache.
func LimitsOf(l *quota.Limits) Limits {
	return Limits{
		HLSSessionsPerStream:  l.HLSSessions,
		DASHSessionsPerStream: l.DASHSessions,
		SessionURLsPerSecond:  l.SessionURLs,
		PlaylistsPerSecond:    l.PlaylistRate,
		FragmentsPerSecond:    l.FragmentRate,
		WaitingPerSession:     api.DefaultWaitingRequests,
		WaitingPerStream:      l.BlockedPerStream,
		Waiting:               l.Blocked,
		CacheBytes:            64 << 20,
	}
}

// Options configure a Service. Store and Tokens are required.
type Options struct {
	Store  Store
	Tokens Tokens
	Limits Limits // the zero value limits nothing and caches nothing
	// SwitchCodecs makes new sessions show fragments whose codec private data differs from the
	// first one's, with a discontinuity and an init segment of their own (the service's rule
	// today). Otherwise such fragments are left out (its rule of 2018).
	SwitchCodecs bool
	// PartTarget is about how long parts are in new LIVE sessions of fragmented MP4; 0: they have
	// none.
	PartTarget time.Duration
	// BindSessions allows a session to be used only from the address of its first request.
	BindSessions bool

	Edge    *live.Edge       // what is being received; nil: that is not known
	Metrics *Metrics         // nil: none
	Clock   func() time.Time // nil: time.Now
	// for checkpoints that could not be written, which does not affect answers; nil: none
	Logger *slog.Logger
}

// Service answers the playback calls. It is safe for concurrent use.
//
// Errors for the caller are *api.Error, or store.ErrNotFound when the stream was deleted in the
// middle of a call; anything else is a fault.
type Service struct {
	store     Store
	tokens    Tokens
	limits    Limits
	switching bool
	clock     func() time.Time
	log       *slog.Logger
	rate      *throttle.Buckets[limitKey]
	known     tokenCache

	deflaters *sync.Pool
	views     *viewCache

	partTarget time.Duration
	bind       bool

	edge    *live.Edge
	metrics *Metrics
	waiting waiters

	stopping  sync.Mutex // nobody begins to follow while the service stops
	stopped   chan struct{}
	followers sync.WaitGroup
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{store: o.Store, tokens: o.Tokens, limits: o.Limits, switching: o.SwitchCodecs,
		clock: o.Clock, log: o.Logger, partTarget: o.PartTarget, bind: o.BindSessions,
		edge:    o.Edge,
		metrics: o.Metrics, stopped: make(chan struct{})}
	if s.metrics == nil {
		s.metrics = newMetrics()
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.rate, s.waiting = throttle.New[limitKey](), newWaiters(&s.limits)
	s.deflaters = newDeflaters()
	s.views = newViewCache(o.Limits.CacheBytes)
	return s
}

// Stop ends all waiting: waiting requests are answered with what there is, and later ones do not
// wait. Nothing is followed any more.
func (s *Service) Stop() {
	s.stopping.Lock()
	defer s.stopping.Unlock()
	if !s.isStopped() {
		close(s.stopped)
	}
}

// Stopped waits, after Stop, until what sessions have listed is written, or ctx is over. The store
// must not be closed before.
func (s *Service) Stopped(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.followers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) isStopped() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// Messages for a token that opens nothing, or no longer.
const (
	messageBadToken      = "Streaming session token is invalid"
	messageSessionClosed = "Streaming session is closed: a newer session of the stream took its " +
		"place, the stream was deleted, or the server has lost it"
	messageOtherAddress = "Streaming session belongs to a client with another address"
	messageOtherVersion = "Streaming session was opened with another version of the server"
)

// request is a request of a session.
type request struct {
	session store.Session
	stream  store.Stream
	p       *parameters
	token   string
	now     time.Time
}

// edge returns the server timestamp (milliseconds) before which fragments are past retention.
func (o *request) edge() int64 { return o.stream.RetentionEdge(o.now) }

// session opens a token. The error is 403 NotAuthorizedException if the token is forged or expired,
// its session is closed or forgotten, or the stream was deleted, which closes its sessions. It is
// 400 ClientLimitExceeded if the session has made too many requests for the action. The registry is
// asked every time, so that closing takes effect at once.
func (s *Service) session(ctx context.Context, token string, a action) (*request, error) {
	now := s.clock()
	known := s.known.get(token)
	first := known == nil
	if first {
		claims, err := s.tokens.Open(token)
		if errors.Is(err, auth.ErrTokenExpired) {
			return nil, api.NewError(api.NotAuthorizedException, api.MessageTokenExpired)
		} else if err != nil {
			return nil, api.NewError(api.NotAuthorizedException, messageBadToken)
		}
		known = &knownToken{token: strings.Clone(token), id: claims.SessionID,
			expires: claims.Expires}
	}
	row, err := s.registered(ctx, known, now)
	if err != nil {
		if !first {
			s.known.drop(token)
		}
		return nil, err
	}
	if s.bind {
		if err := s.bound(ctx, &row); err != nil {
			return nil, err
		}
	}
	if first {
		known.p, err = decodeParameters(row.Parameters)
		if err == nil {
			_, _, err = timeline.ReadCursor(row.Checkpoint)
		}
		if err != nil {
			return nil, api.NewError(api.NotAuthorizedException, messageOtherVersion)
		}
		s.known.put(known)
	}
	if err := s.throttle(row.ID, known.p, a, now); err != nil {
		return nil, err
	}
	stream, err := s.store.StreamByID(ctx, row.Stream)
	if errors.Is(err, store.ErrNotFound) { // deleted since the registry was asked
		return nil, api.NewError(api.NotAuthorizedException, messageSessionClosed)
	} else if err != nil {
		return nil, fmt.Errorf("read stream: %w", err)
	}
	return &request{session: row, stream: stream, p: known.p, token: known.token, now: now}, nil
}

// sessionOf is session for an action of some formats. The error is ResourceNotFound if the session
// has another format.
func (s *Service) sessionOf(ctx context.Context, token string, a action,
	of ...format) (*request, error) {
	o, err := s.session(ctx, token, a)
	if err == nil && !slices.Contains(of, o.p.format) {
		return nil, errFormat()
	}
	return o, err
}

// registered returns the row of a session whose token is genuine. The error is
// NotAuthorizedException if the session or the token has ended.
func (s *Service) registered(ctx context.Context, known *knownToken,
	now time.Time) (store.Session, error) {
	if !now.Before(known.expires) {
		return store.Session{}, api.NewError(api.NotAuthorizedException, api.MessageTokenExpired)
	}
	row, err := s.store.Session(ctx, known.id)
	if err == nil {
		return row, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return row, fmt.Errorf("read session: %w", err)
	}
	s.views.drop(known.id)
	return row, api.NewError(api.NotAuthorizedException, messageSessionClosed)
}
