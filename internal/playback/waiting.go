package playback

import (
	"context"
	"strings"
	"sync"

	"weir/internal/api"
	"weir/internal/fair"
	"weir/internal/store"
)

// waiters counts the requests that wait for media: of each session, of each stream, and in all.
// Openers of sessions have fair shares of all. Any request that waits holds a goroutine and its
// connection's buffers.
type waiters struct {
	shares *fair.Pool

	mu       sync.Mutex
	sessions map[string]int
	streams  map[store.StreamID]int
}

// enter counts a request until leave is called.
//
// Beyond the session's limit it returns ClientLimitExceeded, because the users of the session cause
// that. Beyond those of the stream and the server it returns ServiceUnavailable, because that is
// temporary: players try again after 503, but not after 400.
func (w *waiters) enter(o *request, limits *Limits) (leave func(), err error) {
	beyond := func(n, most int) bool { return most > 0 && n >= most }
	w.mu.Lock()
	defer w.mu.Unlock()
	most := limits.WaitingPerSession * limits.viewers()
	switch {
	case beyond(w.sessions[o.session.ID], most):
		return nil, api.Errorf(api.ClientLimitExceededException,
			"The streaming session allows %d requests that wait.", most)
	case beyond(w.streams[o.stream.ID], limits.WaitingPerStream):
		return nil, api.Errorf(api.ServiceUnavailable,
			"%d requests wait for media of the stream already.", limits.WaitingPerStream)
	}
	leaveShare, ok := w.shares.Enter(shareOf(o.session.Principal))
	if !ok {
		return nil, api.Errorf(api.ServiceUnavailable, "Too many requests wait for media already; "+
			"%d may, and those of one opener's sessions have a share of them.", limits.Waiting)
	}
	w.sessions[o.session.ID]++
	w.streams[o.stream.ID]++
	return func() { w.leave(o); leaveShare() }, nil
}

func newWaiters(limits *Limits) waiters {
	return waiters{shares: fair.NewPool(limits.Waiting), sessions: make(map[string]int),
		streams: make(map[store.StreamID]int)}
}

// shareOf returns the share that a session counts for, by the ARN of its opener. All sessions of a
// role have one share, because whoever may assume the role can invent any number of session names.
func shareOf(opener string) string {
	const session = ":assumed-role/"
	account, role, ok := strings.Cut(opener, session)
	if !ok {
		return opener
	}
	role, _, _ = strings.Cut(role, "/")
	return account + session + role
}

func (w *waiters) leave(o *request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sessions[o.session.ID]--; w.sessions[o.session.ID] == 0 {
		delete(w.sessions, o.session.ID)
	}
	if w.streams[o.stream.ID]--; w.streams[o.stream.ID] == 0 {
		delete(w.streams, o.stream.ID)
	}
}

// enter counts a request that waits, until leave is called, and calls OnWait's function.
func (s *Service) enter(ctx context.Context, o *request) (leave func(), err error) {
	left, err := s.waiting.enter(o, &s.limits)
	if err != nil {
		s.metrics.refused.Inc()
		return nil, err
	}
	if begins, ok := ctx.Value(waitKey{}).(func()); ok {
		begins()
	}
	s.metrics.blocked.Inc()
	return func() {
		s.metrics.blocked.Dec()
		left()
	}, nil
}

// waitKey is the key of OnWait in a context.
type waitKey struct{}

// OnWait returns a context for a request of a session. begins is called once the request has shown
// a valid token and begins to wait for media.
func OnWait(ctx context.Context, begins func()) context.Context {
	return context.WithValue(ctx, waitKey{}, begins)
}
