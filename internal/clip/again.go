package clip

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/internal/store"
)

const (
	// maxAnswers bounds the requests whose answers are remembered.
	maxAnswers = 1000
	// maxLater is how many later fragments are looked at before all are listed again.
	maxLater = 1000
	// replaceable is how long after its arrival a fragment may be replaced by one with another
	// producer timestamp. Ingest remembers what may be sent again for only ten minutes.
	replaceable = time.Hour
)

// question is a request to a stream.
type question struct {
	Request
	stream store.StreamID
}

// answer is the clip that a request got, and what shows whether it would get it again.
type answer struct {
	key      clipKey
	sequence int64 // the greatest of the clip's fragments
	seen     int64 // commits up to this one have been considered

	span        store.TimeRange // in which its fragments begin
	oldest      store.Number    // the first fragment that will be deleted, for its age or for space
	first, last int64           // producer timestamps
	arrived     int64           // the latest server timestamp
}

// answers remembers the answers of long clips, whose fragments take long to list. It is safe for
// concurrent use.
type answers struct {
	mu    sync.Mutex
	known map[question]answer
}

func (a *answers) get(q question) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, ok := a.known[q]
	return w, ok
}

func (a *answers) put(q question, w answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= maxAnswers {
		a.known = map[question]answer{} // start again
	}
	a.known[q] = w
}

// remember keeps the answer to a request. Its fragments were listed after the commit seen.
func (s *Service) remember(c *choice, seen int64) {
	if len(c.fragments) <= listPage {
		return
	}
	f := &c.fragments[0]
	w := answer{key: c.key, sequence: c.sequence, seen: seen, span: c.span(),
		first: f.ProducerTimestamp, last: f.ProducerTimestamp}
	oldest := f.ServerTimestamp
	for i := range c.fragments {
		f := &c.fragments[i]
		if f.ServerTimestamp <= oldest {
			oldest, w.oldest = f.ServerTimestamp, f.Number
		}
		w.arrived = max(w.arrived, f.ServerTimestamp)
		w.first, w.last = min(w.first, f.ProducerTimestamp), max(w.last, f.ProducerTimestamp)
	}
	s.known.put(question{*c.Request, c.stream}, w)
}

// again finds the clip that a request got before. It returns nil if the request might get another
// one now, or if the header is gone: then the clip must be made again.
func (s *Service) again(ctx context.Context, stream *store.Stream, r *Request) (*made, error) {
	q := question{*r, stream.ID}
	w, ok := s.known.get(q)
	if !ok {
		return nil, nil
	}
	_, err := s.store.Fragment(ctx, stream.ID, w.oldest)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("find fragment: %w", err)
	}
	later, err := s.store.List(ctx, stream.ID, store.Query{Order: store.BySequence,
		AfterSequence: w.seen, Limit: maxLater})
	if err != nil {
		return nil, fmt.Errorf("list fragments: %w", err)
	}
	if len(later) == maxLater {
		return nil, nil
	}
	for i := range later {
		if w.concerns(&later[i]) {
			return nil, nil
		}
		w.seen = later[i].Sequence
	}
	h, file := s.cache.get(w.key)
	if h == nil {
		return nil, nil
	}
	s.known.put(q, w)
	return &made{h, file, w.sequence}, nil
}

// concerns reports whether a fragment that was stored later may belong to the clip, or may have
// replaced one in it: it then has the same producer timestamp, or came soon after.
func (w *answer) concerns(f *store.FragmentInfo) bool {
	return w.span.Contains(f) ||
		w.first <= f.ProducerTimestamp && f.ProducerTimestamp <= w.last ||
		f.ServerTimestamp <= w.arrived+replaceable.Milliseconds()
}
