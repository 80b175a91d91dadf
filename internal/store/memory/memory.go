// Package memory is the contract of package store in its plainest form: maps, slices and one lock.
// It is the reference for what the contract means, and the store for other packages' tests. Nothing
// outlives the process, so its commits are as durable as can be.
package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/media"
	"weir/internal/store"
)

var _ store.Store = (*Store)(nil)

// Store is a store.Store in memory.
type Store struct {
	now func() time.Time

	mu       sync.Mutex // guards the fields below: every method is one critical section
	streams  map[store.StreamID]*stream
	sessions []store.Session // the open ones, in the order of their opening

	documents       map[documentKey]store.Document
	revision        int64         // of the last change of a document
	documentChanged chan struct{} // closed and replaced by each change
}

// stream is a stream and what is stored of it.
type stream struct {
	store.Stream
	fragments []*fragment                // in commit order, none past retention
	byNumber  map[store.Number]*fragment // the same
	allUntil  int64                      // none is past retention until then, milliseconds
	number    store.Number               // the greatest number given out or stored
	sequence  int64                      // of the newest commit
	trackSets [][]media.Track
	changed   chan struct{} // closed and replaced by a commit; closed when the stream is deleted
}

// New returns a store with the given streams, each as it is and without fragments. Retention,
// expiry and fragment numbers go by now.
func New(now func() time.Time, streams ...store.Stream) *Store {
	s := &Store{now: now, streams: make(map[store.StreamID]*stream),
		documents:       make(map[documentKey]store.Document),
		documentChanged: make(chan struct{})}
	for _, st := range streams {
		s.add(st)
	}
	return s
}

// CreateStream implements store.Streams.
func (s *Store) CreateStream(ctx context.Context, st store.Stream) (store.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.Name == "" || st.RetentionHours < 0 {
		return store.Stream{}, errors.New("create stream: name missing or retention negative")
	}
	if s.named(st.Name) != nil {
		return store.Stream{}, fmt.Errorf("create stream: %w", store.ErrExists)
	}
	var random [24]byte
	rand.Read(random[:]) // never fails
	st.ID = store.StreamID(hex.EncodeToString(random[:16]))
	st.NumberTag = binary.LittleEndian.Uint64(random[16:])
	st.CreatedMillis = s.now().UnixMilli()
	st.Version = newVersion()
	s.add(st)
	return copyOf(st), nil
}

// add adds a stream without fragments.
func (s *Store) add(st store.Stream) {
	s.streams[st.ID] = &stream{Stream: copyOf(st), byNumber: make(map[store.Number]*fragment),
		changed: make(chan struct{})}
}

// newVersion returns 20 random alphanumerics.
func newVersion() string { return rand.Text()[:20] }

// copyOf returns a copy of a stream with tags of its own, which are not nil.
func copyOf(st store.Stream) store.Stream {
	tags := make(map[string]string, len(st.Tags))
	maps.Copy(tags, st.Tags)
	st.Tags = tags
	return st
}

func (s *Store) named(name string) *stream {
	for _, st := range s.streams {
		if st.Name == name {
			return st
		}
	}
	return nil
}

// stream finds a stream, after it has deleted what is past retention by now.
func (s *Store) stream(id store.StreamID) (*stream, error) {
	st := s.streams[id]
	if st == nil {
		return nil, fmt.Errorf("stream %s: %w", id, store.ErrNotFound)
	}
	st.expire(s.now().UnixMilli())
	return st, nil
}

// Stream implements store.Streams.
func (s *Store) Stream(ctx context.Context, name string) (store.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.named(name)
	if st == nil {
		return store.Stream{}, fmt.Errorf("stream %q: %w", name, store.ErrNotFound)
	}
	return copyOf(st.Stream), nil
}

// StreamByID implements store.Streams.
func (s *Store) StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(id)
	if err != nil {
		return store.Stream{}, err
	}
	return copyOf(st.Stream), nil
}

// ListStreams implements store.Streams.
func (s *Store) ListStreams(
	ctx context.Context, prefix, after string, limit int,
) ([]store.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []store.Stream
	for _, st := range s.streams {
		if strings.HasPrefix(st.Name, prefix) && st.Name > after {
			list = append(list, copyOf(st.Stream))
		}
	}
	slices.SortFunc(list, func(a, b store.Stream) int { return cmp.Compare(a.Name, b.Name) })
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, nil
}

// UpdateStream implements store.Streams.
func (s *Store) UpdateStream(
	ctx context.Context, id store.StreamID, version string, change func(*store.Stream) error,
) (store.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// stream drops what is past the present retention, so that a longer one does not find it.
	st, err := s.stream(id)
	if err != nil {
		return store.Stream{}, fmt.Errorf("update stream: %w", err)
	}
	next := copyOf(st.Stream)
	if err := next.Update(version, newVersion(), change); err != nil {
		return store.Stream{}, fmt.Errorf("update stream %s: %w", id, err)
	}
	st.Stream, st.allUntil = copyOf(next), 0
	st.expire(s.now().UnixMilli()) // a shorter one hides fragments at once
	return copyOf(next), nil
}

// TagStream implements store.Streams.
func (s *Store) TagStream(
	ctx context.Context, id store.StreamID, change func(tags map[string]string) error,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(id)
	if err != nil {
		return fmt.Errorf("tag stream: %w", err)
	}
	next := copyOf(st.Stream)
	if err := change(next.Tags); err != nil {
		return fmt.Errorf("tag stream %s: %w", id, err)
	}
	st.Stream = next
	return nil
}

// DeleteStream implements store.Streams.
func (s *Store) DeleteStream(ctx context.Context, id store.StreamID, version string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(id)
	if err != nil {
		return fmt.Errorf("delete stream: %w", err)
	}
	if version != "" && version != st.Version {
		return fmt.Errorf("delete stream %s: %w", id, store.ErrVersion)
	}
	delete(s.streams, id)
	close(st.changed)
	s.sessions = slices.DeleteFunc(s.sessions, func(p store.Session) bool { return p.Stream == id })
	return nil
}
