package cluster

import (
	"context"
	"errors"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
)

// Bucket and Rows are what a store is built on.
func (s *Store) Bucket() *objects.Bucket { return s.bucket }
func (s *Store) Rows() *rows.DB          { return s.db }
func (s *Store) Cache() *objects.Cache   { return s.cache }

// Compactor is the lease for the part that a stream belongs to.
type Compactor struct{ l *tenure }

// Hold takes the lease under which a stream is compacted, as soon as no other node holds it.
func (s *Store) Hold(ctx context.Context, id store.StreamID) (*Compactor, error) {
	for {
		l, err := s.hold(ctx, rows.CompactLease+string('0'+rune(part(id))))
		if !errors.Is(err, rows.ErrLease) {
			return &Compactor{l}, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Compact compacts like a node that has checked its lease some time ago.
func (c *Compactor) Compact(ctx context.Context, id store.StreamID) error {
	_, err := c.l.s.compactStream(ctx, c.l, id, true)
	return err
}

// Expire deletes likewise what is past retention.
func (c *Compactor) Expire(ctx context.Context, id store.StreamID, before int64) error {
	_, err := c.l.s.db.Expire(ctx, c.l.lease, id, before, 100)
	return err
}

// SetOrphans changes the Options of a store that does no background work.
func (s *Store) SetOrphans(age, interval time.Duration) {
	s.o.OrphanAge, s.o.OrphanInterval = age, interval
}

// Mark writes the marker again.
func (s *Store) Mark(ctx context.Context) error {
	id, _, err := s.db.BucketID(ctx)
	return errors.Join(err, s.bucket.Put(ctx, contents.Marker, []byte(id)))
}

// Beat is a heartbeat.
func (s *Store) Beat(ctx context.Context) error { return s.beat(ctx) }

// Heartbeat tells the others that this node is there.
func (s *Store) Heartbeat(ctx context.Context) error {
	return errors.Join(s.db.Heartbeat(ctx, *s.node.Load()), s.beat(ctx))
}

// ForgetCommits does what a node does half a day after its commits, by the machine's clock.
func (s *Store) ForgetCommits() { s.mark.forget() }

// Memory asks the database, and answers from memory while it is away.
type Memory struct{ memory }

// Soon asks by read: store.ErrAway when it takes too long.
func (m *Memory) Soon(ctx context.Context, read func(context.Context) (int, error)) (int, error) {
	return soon(ctx, &m.memory, read)
}

// IsAway says that the database is not asked now.
func (m *Memory) IsAway() bool { return m.isAway() }

// AskTime is how long the database has to answer.
const AskTime = askTime
