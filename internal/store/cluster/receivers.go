package cluster

import (
	"context"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/rows"
)

// beats is how many heartbeats a node may miss before other nodes no longer follow streams there.
const beats = 3

// Node returns the ID of this node. It changes when the other nodes have forgotten it.
func (s *Store) Node() string { return *s.node.Load() }

// Receives says which streams this node receives now: see rows.DB.Receives.
func (s *Store) Receives(ctx context.Context, streams []rows.Receiver) error {
	return s.db.Receives(ctx, s.Node(), streams)
}

// ReceivesNoMore takes it back.
func (s *Store) ReceivesNoMore(ctx context.Context, streams []store.StreamID) error {
	return s.db.ReceivesNoMore(ctx, s.Node(), streams)
}

// Receivers returns the other nodes that receive one of the streams and have an address.
func (s *Store) Receivers(
	ctx context.Context, streams []store.StreamID,
) ([]rows.Receiver, error) {
	all, err := s.db.Receivers(ctx, streams, beats*s.beatTime())
	own := s.Node()
	return slices.DeleteFunc(all, func(r rows.Receiver) bool {
		return r.Node == own || r.Address == ""
	}), err
}

// Committed says that another node has committed a fragment: this node need not wait for its next
// query to know.
func (s *Store) Committed(id store.StreamID, sequence int64) { s.watch.committed(id, sequence) }

// beatTime is how often this node tells the others that it is there.
func (s *Store) beatTime() time.Duration { return min(10*time.Second, s.o.LeaseTime/4) }
