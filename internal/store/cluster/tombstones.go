package cluster

import (
	"context"
	"fmt"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
)

// tombstoneTime is how long DeleteStream waits for the object store. After that a sweep does the
// rest.
const tombstoneTime = 5 * time.Second

// putTombstone writes the object that says that a stream was deleted. A database that is set back
// no longer knows of the deletion, and a repair would bring the stream back. The object has a few
// bytes, and is kept.
func (s *Store) putTombstone(ctx context.Context, id store.StreamID) error {
	err := s.bucket.Put(ctx, contents.Tombstones+string(id),
		[]byte(s.o.Clock().UTC().Format(time.RFC3339)+"\n"))
	if err != nil {
		return fmt.Errorf("tombstone: %w", err)
	}
	return nil
}

// DeleteStream implements store.Streams. The other nodes learn of it within Options.Fresh.
func (s *Store) DeleteStream(ctx context.Context, id store.StreamID, version string) error {
	if err := s.db.DeleteStream(ctx, id, version); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.rings, id)
	s.mu.Unlock()
	s.watch.deleted(id)
	// The stream is deleted, even if the tombstone cannot be written: it only counts when the
	// database is set back.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), tombstoneTime)
	defer cancel()
	if err := s.putTombstone(within, id); err != nil {
		s.log.Warn("the next sweep writes the tombstone of a stream", "stream", id, "error", err)
	}
	return nil
}
