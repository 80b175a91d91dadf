package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/rows"
)

// watch knows how far the commit order has got in the streams that somebody asks about, whichever
// node commits their fragments. The truth comes from one query for all of them, at every interval;
// what this node commits counts at once. An answer is believed for an interval. A stream that
// nobody has asked about for a while is forgotten.
type watch struct {
	db       *rows.DB
	interval time.Duration
	log      *slog.Logger

	mu      sync.Mutex
	streams map[store.StreamID]*watched // guarded by mu
	failed  bool                        // the last query did; guarded by mu
}

// watched is one stream. Its fields are guarded by watch.mu.
type watched struct {
	sequence int64
	deleted  bool
	read     time.Time     // when sequence was asked for; zero: never
	asking   chan struct{} // closed when the running query for it ends; nil: none runs
	used     time.Time     // when somebody last asked
	waiters  int
	changed  chan struct{} // closed when sequence rises or the stream is deleted; nil: nobody waits
}

// watchedFor is for how long a stream that nobody waits for is still asked about.
const watchedFor = 10 * time.Second

func newWatch(db *rows.DB, interval time.Duration, log *slog.Logger) *watch {
	return &watch{db: db, interval: interval, log: log,
		streams: make(map[store.StreamID]*watched)}
}

// run queries until ctx ends.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := w.ask(ctx, w.all())
		w.mu.Lock()
		first := err != nil && !w.failed
		w.failed = err != nil
		w.mu.Unlock()
		if first && ctx.Err() == nil {
			w.log.Error("new fragments of other nodes are not seen", "error", err)
		}
	}
}

// all returns the streams to ask about, none while the database is away, and forgets those that
// nobody has asked about for a while.
func (w *watch) all() (ids []store.StreamID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, s := range w.streams {
		if s.waiters == 0 && !w.failed && (s.deleted || time.Since(s.used) > watchedFor) {
			delete(w.streams, id)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

func (w *watch) ask(ctx context.Context, ids []store.StreamID) error {
	if len(ids) == 0 {
		return nil
	}
	asked := time.Now()
	sequences, err := w.db.Sequences(ctx, ids)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		s := w.streams[id]
		if s == nil {
			continue
		}
		sequence, ok := sequences[id]
		if asked.After(s.read) {
			s.read = asked
		}
		if !ok && !s.deleted {
			s.deleted = true
			s.tell()
		}
		s.rise(sequence)
	}
	return nil
}

func (s *watched) rise(sequence int64) {
	if sequence > s.sequence {
		s.sequence = sequence
		s.tell()
	}
}

func (s *watched) tell() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// committed notes that a fragment was committed: by this node, as a query here found, or as another
// node says.
func (w *watch) committed(id store.StreamID, sequence int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.streams[id]; s != nil {
		s.rise(sequence)
	}
}

// deleted notes that this node has deleted a stream.
func (w *watch) deleted(id store.StreamID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.streams[id]; s != nil && !s.deleted {
		s.deleted = true
		s.tell()
	}
}

// wait is store.Fragments.Wait. It believes a query that began after the call, however long the
// query took, or an answer that is fresh.
func (w *watch) wait(ctx context.Context, id store.StreamID, after int64) (int64, error) {
	entered := time.Now()
	s := w.enter(id)
	defer w.leave(s)
	for {
		w.mu.Lock()
		sequence, deleted := s.sequence, s.deleted
		known := !s.read.Before(entered) || time.Since(s.read) < 2*w.interval
		if sequence <= after && !deleted && known && s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		w.mu.Unlock()
		switch {
		case deleted:
			return 0, store.ErrNotFound
		case known && sequence > after:
			return sequence, nil
		case !known:
			if err := w.askOnce(ctx, id, s); err != nil {
				return 0, err
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// askOnce asks about a stream, or waits for a query that is already running.
func (w *watch) askOnce(ctx context.Context, id store.StreamID, s *watched) error {
	w.mu.Lock()
	asking := s.asking
	if asking == nil {
		s.asking = make(chan struct{})
	}
	w.mu.Unlock()
	if asking != nil {
		select {
		case <-asking:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		close(s.asking)
		s.asking = nil
	}()
	return w.ask(ctx, []store.StreamID{id})
}

func (w *watch) enter(id store.StreamID) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.streams[id]
	if s == nil {
		s = &watched{}
		w.streams[id] = s
	}
	s.used = time.Now()
	s.waiters++
	return s
}

func (w *watch) leave(s *watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.waiters--
}

// knows reports whether a stream is asked about and not deleted.
func (w *watch) knows(id store.StreamID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.streams[id]
	return s != nil && !s.deleted
}

// Wait implements store.Fragments. While the database is away, a call that need not wait returns as
// if nothing were new.
func (s *Store) Wait(ctx context.Context, id store.StreamID, after int64) (int64, error) {
	known := func() (int64, bool) { return 0, after < 0 && s.watch.knows(id) }
	sequence, err := ask(ctx, &s.memory, known, func(ctx context.Context) (int64, error) {
		return s.watch.wait(ctx, id, after)
	})
	if err != nil {
		return 0, fmt.Errorf("wait for fragments: %w", unanswered(ctx, err))
	}
	return sequence, nil
}
