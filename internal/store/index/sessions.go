package index

import (
	"context"
	"database/sql"

	"weir/internal/store"
)

const sessionColumns = `p.id, s.id, p.created_ms, p.expires_ms, p.parameters, p.checkpoint, p.closed`

const sessionTables = ` FROM sessions p JOIN streams s ON s.key = p.stream `

// sessionRow scans sessionColumns.
type sessionRow struct {
	s      store.Session
	id     []byte
	closed bool
}

func (r *sessionRow) dest() []any {
	s := &r.s
	return []any{&r.id, &s.Stream, &s.CreatedMillis, &s.ExpiresMillis, &s.Parameters, &s.Checkpoint, &r.closed}
}

func (r *sessionRow) session() store.Session {
	s := r.s
	s.ID = string(r.id)
	return s
}

// OpenSession implements store.Index.
func (x *SQLite) OpenSession(ctx context.Context, s store.Session, limit int, now int64) (closed []store.Session, err error) {
	err = x.write(ctx, durable, func(t *tx) error {
		key, err := t.liveKey(s.Stream)
		if err != nil {
			return err
		}
		n, err := t.exec(`INSERT INTO sessions (id, stream, created_ms, expires_ms, parameters, checkpoint, opened)
			SELECT ?, ?, ?, ?, ?, ?, COALESCE(MAX(opened), 0) + 1 FROM sessions WHERE stream = ?
			ON CONFLICT (id) DO NOTHING`, []byte(s.ID), key, s.CreatedMillis, s.ExpiresMillis, notNull(s.Parameters), s.Checkpoint, key)
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrExists
		}
		if limit <= 0 {
			return nil
		}
		closed = nil
		keep := limit - 1 // the new one is the other
		err = t.rows(func(rows *sql.Rows) error {
			var r sessionRow
			if err := rows.Scan(r.dest()...); err != nil {
				return err
			}
			if keep--; keep < 0 {
				closed = append(closed, r.session())
			}
			return nil
		}, `SELECT `+sessionColumns+sessionTables+`WHERE p.stream = ? AND p.closed = 0 AND p.expires_ms > ? AND p.id <> ?
			ORDER BY p.created_ms DESC, p.opened DESC`, key, now, []byte(s.ID))
		if err != nil {
			return err
		}
		for i := range closed {
			if _, err := t.exec(`UPDATE sessions SET closed = 1 WHERE id = ?`, []byte(closed[i].ID)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return closed, nil
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Session implements store.Index.
func (x *SQLite) Session(ctx context.Context, id string) (store.Session, bool, error) {
	var r sessionRow
	err := x.readRow(ctx, r.dest(), `SELECT `+sessionColumns+sessionTables+`WHERE p.id = ?`, []byte(id))
	if err != nil {
		return store.Session{}, false, err
	}
	return r.session(), r.closed, nil
}

// Checkpoint implements store.Index.
func (x *SQLite) Checkpoint(ctx context.Context, id string, data []byte) error {
	return x.write(ctx, visible, func(t *tx) error {
		n, err := t.exec(`UPDATE sessions SET checkpoint = ? WHERE id = ? AND closed = 0`, notNull(data), []byte(id))
		if err != nil || n > 0 {
			return err
		}
		var closed bool
		if err := t.row([]any{&closed}, `SELECT closed FROM sessions WHERE id = ?`, []byte(id)); err != nil {
			return err
		}
		return store.ErrClosed
	})
}

// ExpireSessions implements store.Index.
func (x *SQLite) ExpireSessions(ctx context.Context, before int64, limit int) (n int, err error) {
	var work int
	err = x.readRow(ctx, []any{&work}, `SELECT EXISTS (SELECT 1 FROM sessions WHERE expires_ms < ?)`, before)
	if err != nil || work == 0 {
		return 0, err
	}
	err = x.write(ctx, durable, func(t *tx) error {
		changed, err := t.exec(`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_ms < ? LIMIT ?)`, before, limit)
		n = int(changed)
		return err
	})
	return n, err
}
