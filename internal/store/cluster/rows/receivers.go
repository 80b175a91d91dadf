package rows

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
)

// Receiver is a node that receives a stream.
type Receiver struct {
	Stream  store.StreamID
	Node    string        // its ID
	Address string        // where other nodes reach it; may be empty
	Burst   time.Duration // live.Edge.Burst there, in whole milliseconds
}

// Receives says which streams a node receives now. Only Stream and Burst count.
func (db *DB) Receives(ctx context.Context, node string, streams []Receiver) error {
	ids, bursts := make([]string, len(streams)), make([]int64, len(streams))
	for i := range streams {
		ids[i], bursts[i] = string(streams[i].Stream), streams[i].Burst.Milliseconds()
	}
	_, err := db.exec(ctx, `INSERT INTO receivers (stream, node, burst_ms)
		SELECT s, $2, b FROM unnest(CAST($1 AS text[]), CAST($3 AS bigint[])) AS n (s, b)
		ON CONFLICT (stream, node) DO UPDATE SET burst_ms = excluded.burst_ms`, ids, node, bursts)
	if err != nil {
		return fmt.Errorf("say what the node receives: %w", err)
	}
	return nil
}

// ReceivesNoMore takes it back.
func (db *DB) ReceivesNoMore(ctx context.Context, node string, streams []store.StreamID) error {
	_, err := db.exec(ctx, `DELETE FROM receivers WHERE node = $1 AND stream = ANY($2)`, node,
		streamIDs(streams))
	if err != nil {
		return fmt.Errorf("say what the node receives: %w", err)
	}
	return nil
}

// Receivers returns the nodes that receive one of the streams and whose last heartbeat is no older
// than a given time, by stream and node.
func (db *DB) Receivers(
	ctx context.Context, streams []store.StreamID, within time.Duration,
) (all []Receiver, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (r Receiver, err error) {
			var burst int64
			err = rows.Scan(&r.Stream, &r.Node, &r.Address, &burst)
			r.Burst = time.Duration(burst) * time.Millisecond
			return r, err
		}, `SELECT r.stream, r.node, n.address, r.burst_ms FROM receivers r
			JOIN nodes n ON n.id = r.node
			WHERE r.stream = ANY($1) AND n.heartbeat_ms > `+databaseTime+` - $2
			ORDER BY r.stream, r.node`, streamIDs(streams), within.Milliseconds())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("which nodes receive: %w", err)
	}
	return all, nil
}
