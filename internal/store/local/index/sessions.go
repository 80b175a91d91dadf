package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"weir/internal/store"
)

const sessionColumns = `p.id, s.id, p.kind, p.created_ms, p.expires_ms, p.parameters, p.checkpoint,
	p.principal, p.address`

const sessionTables = ` FROM sessions p JOIN streams s ON s.key = p.stream `

// sessionSize is what a session counts for in session_totals: its own bytes, and 256 for the rest
// of its row and its index entries.
const sessionSize = `LENGTH(parameters) + COALESCE(LENGTH(checkpoint), 0) + LENGTH(principal) +
	LENGTH(address) + 256`

// sessionRow scans sessionColumns.
type sessionRow struct {
	s                      store.Session
	id, principal, address []byte
}

func (r *sessionRow) dest() []any {
	s := &r.s
	return []any{&r.id, &s.Stream, &s.Kind, &s.CreatedMillis, &s.ExpiresMillis, &s.Parameters,
		&s.Checkpoint, &r.principal, &r.address}
}

func (r *sessionRow) session() store.Session {
	s := r.s
	s.ID, s.Principal, s.Address = string(r.id), string(r.principal), string(r.address)
	return s
}

// OpenSession implements local.Index.
func (x *SQLite) OpenSession(
	ctx context.Context, s store.Session, limits SessionLimits, now int64,
) ([]string, error) {
	var closed []string
	err := x.add(ctx, durable, func(t *tx) error {
		closed = nil
		key, err := t.liveKey(s.Stream)
		if err != nil {
			return err
		}
		if _, err := t.dropSessions(`stream = ? AND expires_ms <= ?`, key, now); err != nil {
			return err
		}
		n, err := t.exec(`INSERT INTO sessions (id, stream, kind, created_ms, expires_ms,
			parameters, checkpoint, principal, address, opened)
			SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, COALESCE(MAX(opened), 0) + 1 FROM sessions WHERE stream =
			? AND created_ms = ?
			ON CONFLICT (id) DO NOTHING`, []byte(s.ID), key, s.Kind, s.CreatedMillis,
			s.ExpiresMillis, notNull(s.Parameters),
			s.Checkpoint, []byte(s.Principal), []byte(s.Address), key, s.CreatedMillis)
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrExists
		}
		if err := t.countSession(key, 1, s.Size()); err != nil {
			return err
		}
		if closed, err = t.closeSessions(key, &s, limits); err != nil {
			return err
		}
		return t.withinBytes(limits.Bytes)
	})
	if err != nil {
		return nil, err
	}
	return closed, nil
}

// closeSessions deletes the earliest created sessions of a stream until the rest is within the
// limits; one always stays.
func (t *tx) closeSessions(
	key int64, stays *store.Session, limits SessionLimits,
) (closed []string, err error) {
	for {
		count, bytes, err := t.sessionTotals(key)
		if err != nil {
			return nil, err
		}
		if limits.Count > 0 && count > int64(limits.Count) { // of all kinds: mostly one
			err = t.row([]any{&count}, `SELECT COUNT(*) FROM
				(SELECT 1 FROM sessions WHERE stream = ? AND kind = ? LIMIT ?)`, key, stays.Kind,
				limits.Count+1)
			if err != nil {
				return nil, err
			}
		}
		of, args := `stream = ? AND id <> ?`, []any{key, []byte(stays.ID)}
		switch {
		case limits.Count > 0 && count > int64(limits.Count):
			of, args = of+` AND kind = ?`, append(args, stays.Kind)
		case limits.StreamBytes > 0 && bytes > limits.StreamBytes:
		default:
			return closed, nil
		}
		var id []byte
		err = t.row([]any{&id},
			`SELECT id FROM sessions WHERE `+of+` ORDER BY created_ms, opened LIMIT 1`, args...)
		if errors.Is(err, store.ErrNotFound) {
			return closed, nil // nothing but the one
		}
		if err != nil {
			return nil, err
		}
		if _, err := t.dropSessions(`id = ?`, id); err != nil {
			return nil, err
		}
		closed = append(closed, string(id))
	}
}

// sessionTotals returns how many sessions a stream has and their bytes; for stream 0, those of all
// streams.
func (t *tx) sessionTotals(key int64) (count, bytes int64, err error) {
	err = t.row([]any{&count, &bytes},
		`SELECT sessions, bytes FROM session_totals WHERE stream = ?`, key)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return count, bytes, err
}

// withinBytes returns store.ErrFull when all sessions together take more than limit bytes; 0: no
// limit.
func (t *tx) withinBytes(limit int64) error {
	_, bytes, err := t.sessionTotals(0)
	if err == nil && limit > 0 && bytes > limit {
		err = fmt.Errorf("%w for sessions: they would take %d bytes", store.ErrFull, bytes)
	}
	return err
}

// countSession adds sessions and their bytes to the totals of a stream and of all streams.
func (t *tx) countSession(key int64, sessions int, bytes int64) error {
	for _, stream := range []int64{key, 0} {
		_, err := t.exec(`INSERT INTO session_totals (stream, sessions, bytes) VALUES (?, ?, ?)
			ON CONFLICT (stream) DO UPDATE
			SET sessions = session_totals.sessions + excluded.sessions, bytes =
			session_totals.bytes + excluded.bytes`, stream, sessions, bytes)
		if err != nil {
			return err
		}
	}
	return nil
}

// dropSessions deletes the sessions that a condition selects, and returns how many there were.
func (t *tx) dropSessions(where string, args ...any) (n int, err error) {
	type total struct {
		sessions int
		bytes    int64
	}
	gone := make(map[int64]total)
	err = t.rows(func(rows *sql.Rows) error {
		var stream, size int64
		err := rows.Scan(&stream, &size)
		had := gone[stream]
		gone[stream] = total{had.sessions + 1, had.bytes + size}
		n++
		return err
	}, `DELETE FROM sessions WHERE `+where+` RETURNING stream, `+sessionSize, args...)
	for stream, g := range gone {
		if err == nil {
			err = t.countSession(stream, -g.sessions, -g.bytes)
		}
	}
	return n, err
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Session implements local.Index.
func (x *Reader) Session(ctx context.Context, id string) (store.Session, error) {
	var r sessionRow
	err := x.readRow(ctx, r.dest(), `SELECT `+sessionColumns+sessionTables+`WHERE p.id = ?`,
		[]byte(id))
	if err != nil {
		return store.Session{}, err
	}
	return r.session(), nil
}

// Checkpoint implements local.Index.
func (x *SQLite) Checkpoint(ctx context.Context, id string, data []byte, limit int64) error {
	return x.add(ctx, visible, func(t *tx) error {
		var key, had int64
		err := t.row([]any{&key, &had},
			`SELECT stream, COALESCE(LENGTH(checkpoint), 0) FROM sessions WHERE id = ?`, []byte(id))
		if err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE sessions SET checkpoint = ? WHERE id = ?`, notNull(data),
			[]byte(id)); err != nil {
			return err
		}
		more := int64(len(data)) - had
		if err := t.countSession(key, 0, more); err != nil || more <= 0 {
			return err
		}
		return t.withinBytes(limit)
	})
}

// ExpireSessions implements local.Index.
func (x *SQLite) ExpireSessions(ctx context.Context, now int64, limit int) (n int, err error) {
	var work int
	err = x.readRow(ctx, []any{&work},
		`SELECT EXISTS (SELECT 1 FROM sessions WHERE expires_ms <= ?)`, now)
	if err != nil || work == 0 {
		return 0, err
	}
	err = x.write(ctx, durable, func(t *tx) error {
		n, err = t.dropSessions(`id IN (SELECT id FROM sessions WHERE expires_ms <= ? LIMIT ?)`,
			now, limit)
		return err
	})
	return n, err
}
