package rows

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
)

// Names of the leases for background work, each held by one node at a time. Compaction has one
// lease for each of Compactors parts, whose number follows the name, so that several nodes can
// compact different streams.
const (
	SweepLease   = "sweep"
	CompactLease = "compact"
	Compactors   = 8
)

// ErrLease says that another node now holds the lease for the work.
var ErrLease = errors.New("another node holds the lease")

// Lease is the right to do a piece of background work. Every change that it covers checks the token
// in its own transaction, so a node that was paused beyond the end of its lease changes nothing.
type Lease struct {
	Name  string
	Token int64 // rises with each holder
}

// databaseTime is the time of the database's clock, in milliseconds. Leases and nodes go by it,
// because all nodes share it.
const databaseTime = `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)`

// Lease takes a lease for ttl, or extends it to ttl from now if holder has it. ErrLease when
// another node holds it.
func (db *DB) Lease(
	ctx context.Context, name, holder string, ttl time.Duration,
) (Lease, error) {
	l := Lease{Name: name}
	err := db.row(ctx, []any{&l.Token}, `INSERT INTO leases (name, holder, token, expires_ms)
		VALUES ($1, $2, 1, `+databaseTime+` + $3)
		ON CONFLICT (name) DO UPDATE SET holder = $2, expires_ms = `+databaseTime+` + $3,
			token = leases.token + CASE WHEN leases.holder = $2 THEN 0 ELSE 1 END
		WHERE leases.holder = $2 OR leases.expires_ms < `+databaseTime+` RETURNING token`,
		name, holder, ttl.Milliseconds())
	if errors.Is(err, store.ErrNotFound) {
		err = ErrLease
	}
	if err != nil {
		return Lease{}, fmt.Errorf("lease of %s: %w", name, err)
	}
	return l, nil
}

// Release lets others take a lease at once. It may have been lost already.
func (db *DB) Release(ctx context.Context, l Lease) error {
	_, err := db.exec(ctx, `UPDATE leases SET expires_ms = 0, holder = '' WHERE name = $1
		AND token = $2`, l.Name, l.Token)
	return err
}

// fenced runs fn in a transaction during which nobody else can take the lease. ErrLease when
// another node holds it.
func (db *DB) fenced(
	ctx context.Context, l Lease, fn func(ctx context.Context, tx pgx.Tx) error,
) error {
	return db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var token int64
		err := tx.QueryRow(ctx, `SELECT token FROM leases WHERE name = $1 AND token = $2
			AND holder <> '' FOR UPDATE`, l.Name, l.Token).Scan(&token)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrLease
		}
		if err != nil {
			return err
		}
		return fn(ctx, tx)
	})
}

// Node is a node that has sent a heartbeat.
type Node struct {
	ID      string
	Address string        // where other nodes reach it; may be empty
	Age     time.Duration // since it was heard of
}

// Join adds a node, under a new ID.
func (db *DB) Join(ctx context.Context, address string) (id string, err error) {
	id = rand.Text()
	_, err = db.exec(ctx, `INSERT INTO nodes (id, address, heartbeat_ms)
		VALUES ($1, $2, `+databaseTime+`)`, id, address)
	if err != nil {
		return "", fmt.Errorf("join: %w", err)
	}
	return id, nil
}

// Heartbeat says that a node is there. ErrLease when it was silent for Options.Silent or was
// forgotten: objects that it wrote under that ID may be deleted, so it must join again.
func (db *DB) Heartbeat(ctx context.Context, id string) error {
	n, err := db.exec(ctx, `UPDATE nodes SET heartbeat_ms = `+databaseTime+` WHERE id = $1
		AND heartbeat_ms > `+databaseTime+` - $2`, id, db.o.Silent.Milliseconds())
	if err == nil && n == 0 {
		err = ErrLease
	}
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}

// lockNode finds a node that was silent for no longer than $2 ms. Nobody can forget it before the
// transaction ends; its heartbeat does not have to wait.
const lockNode = `SELECT id FROM nodes WHERE id = $1 AND heartbeat_ms > ` + databaseTime + ` - $2
	FOR KEY SHARE`

// checkNode refuses a node that was silent for too long, or was forgotten. ErrLease.
func (db *DB) checkNode(ctx context.Context, tx pgx.Tx, id string) error {
	if id == "" {
		return nil
	}
	err := tx.QueryRow(ctx, lockNode, id, db.o.Silent.Milliseconds()).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrLease
	}
	return err
}

// Now is the time of the database's clock, the one that all nodes share.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var millis int64
	err := db.row(ctx, []any{&millis}, `SELECT `+databaseTime)
	return time.UnixMilli(millis), err
}

// Nodes returns the nodes whose last heartbeat is no older than a given time, by ID.
func (db *DB) Nodes(ctx context.Context, within time.Duration) (nodes []Node, err error) {
	err = db.again(ctx, func(ctx context.Context) (err error) {
		nodes, err = list(ctx, db.pool, func(rows pgx.Rows) (n Node, err error) {
			var age int64
			err = rows.Scan(&n.ID, &n.Address, &age)
			n.Age = time.Duration(age) * time.Millisecond
			return n, err
		}, `SELECT id, address, age FROM (SELECT id, address, `+databaseTime+` - heartbeat_ms AS age
			FROM nodes) n WHERE age < $1 ORDER BY id`, within.Milliseconds())
		return err
	})
	return nodes, err
}

// Leave removes a node that ends.
func (db *DB) Leave(ctx context.Context, id string) error {
	return db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM receivers WHERE node = $1`, id)
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM nodes WHERE id = $1`, id)
		}
		return err
	})
}

// ForgetNodes removes the nodes that were silent for a given time; later commits of theirs are
// refused. It comes before the collection of objects without rows.
func (db *DB) ForgetNodes(ctx context.Context, l Lease, silent time.Duration) error {
	return db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM nodes WHERE heartbeat_ms <= `+databaseTime+` - $1`,
			silent.Milliseconds())
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM receivers
				WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE id = receivers.node)`)
		}
		return err
	})
}
