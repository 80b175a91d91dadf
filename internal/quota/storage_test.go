package quota

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/store"
)

// heap is what streams take, by name, which is also their ID. The creator is in their DeviceName.
type heap struct {
	streams []store.Stream
	bytes   map[store.StreamID]int64
	failure error
	counts  int
	during  func()
}

func (h *heap) add(name, creator string, bytes int64) *store.Stream {
	id := store.StreamID(name)
	h.streams = append(h.streams, store.Stream{ID: id, Name: name, DeviceName: creator,
		RetentionHours: 1})
	h.bytes[id] = bytes
	return &h.streams[len(h.streams)-1]
}

func (h *heap) ListStreams(_ context.Context, _, after string, _ int) ([]store.Stream, error) {
	h.counts++
	return slices.DeleteFunc(slices.Clone(h.streams),
		func(s store.Stream) bool { return s.Name <= after }), h.failure
}

func (h *heap) Usage(_ context.Context, id store.StreamID) (int64, error) {
	if h.during != nil {
		h.during()
	}
	if bytes, ok := h.bytes[id]; ok {
		return bytes, nil
	}
	return 0, store.ErrNotFound // like a stream that was deleted since it was listed
}

func newHeap() *heap { return &heap{bytes: map[store.StreamID]int64{}} }

func (h *heap) storage(limits Limits, clock func() time.Time) *Storage {
	return NewStorage(limits, h, func(s *store.Stream) string { return s.DeviceName }, clock)
}

// A stream and a creator each have their limit, whatever others store. What retention deletes makes
// room again.
func TestStorageIsLimited(t *testing.T) {
	t.Parallel()
	ctx, now := t.Context(), time.UnixMilli(1_700_000_000_000)
	h := newHeap()
	h.streams = make([]store.Stream, 0, 8) // what add returns must not move
	h.add("gone", "ann", 0)
	delete(h.bytes, "gone")
	one, two := h.add("one", "ann", 60), h.add("two", "ann", 30)
	bob, nobody := h.add("three", "bob", 0), h.add("four", "", 1000)
	s := h.storage(Limits{StreamStored: 80, CreatorStored: 100},
		func() time.Time { return now })
	full := func(what string, stream *store.Stream, bytes int64, want bool) {
		t.Helper()
		err := s.Room(ctx, stream, bytes)
		if errors.Is(err, ErrStorage) != want || errors.Is(err, store.ErrFull) != want ||
			!want && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, now := s.Limit(stream.ID); now != want {
			t.Errorf("%s: full is %t", what, now)
		}
	}
	full("within the creator's", two, 10, false)
	full("beyond the creator's", two, 1, true)
	full("beyond, in another stream", one, 1, true)
	full("another creator", bob, 80, false)
	full("beyond the stream's", bob, 1, true)
	full("of nobody, beyond the stream's", nobody, 1, true)
	made := h.add("five", "bob", 0)
	full("a new stream", made, 20, false)
	full("a new stream of a full creator", made, 1, true)
	if h.counts != 1 {
		t.Errorf("counted %d times at the same moment", h.counts)
	}
	h.bytes["one"], h.bytes["two"] = 0, 40
	now = now.Add(recountFull)
	full("retention has made room", two, 40, false)
	memory := *two
	memory.RetentionHours = 0
	if err := s.Room(ctx, &memory, 1000); err != nil {
		t.Errorf("what is kept in memory: %v", err)
	}
	if limit, _ := s.Limit("one"); limit == nil || *limit != 80 {
		t.Errorf("limit %v", limit)
	}
	h.failure = errors.New("broken")
	now = now.Add(recountStored)
	if err := s.Room(ctx, bob, 1); !errors.Is(err, h.failure) {
		t.Errorf("a count that fails: %v", err)
	}
	h.failure = nil
	full("the next count", nobody, 1, true)
}

// Without limits nothing is counted.
func TestNoLimitOfStorageCountsNothing(t *testing.T) {
	t.Parallel()
	h := newHeap()
	stream := h.add("one", "ann", 1<<40)
	if err := h.storage(Limits{}, nil).Room(t.Context(), stream, 1<<40); err != nil ||
		h.counts != 0 {
		t.Errorf("%v, %d counts", err, h.counts)
	}
}

// What is stored during a count counts as well, and only a refused caller waits for the count.
func TestStorageIsCountedWhileItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		h := newHeap()
		stream := h.add("one", "ann", 0)
		s := h.storage(Limits{StreamStored: 100}, nil)
		h.during = func() { time.Sleep(time.Second) }
		for range 3 { // everybody waits for the first count
			go func() {
				if err := s.Room(ctx, stream, 10); err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if h.counts != 1 {
			t.Errorf("%d first counts", h.counts)
		}
		h.bytes["one"] = 30
		time.Sleep(recountStored)
		go func() { _ = s.Room(ctx, stream, 0) }()
		synctest.Wait() // it counts
		began := time.Now()
		if err := s.Room(ctx, stream, 60); err != nil || time.Since(began) != 0 {
			t.Errorf("while a count runs: %v after %s", err, time.Since(began))
		}
		// a refused caller waits for the count, which may or may not have seen the 60
		if err := s.Room(ctx, stream, 20); !errors.Is(err, ErrStorage) ||
			time.Since(began) != time.Second {
			t.Errorf("beyond the limit: %v after %s", err, time.Since(began))
		}
		if err := s.Room(ctx, stream, 10); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}
