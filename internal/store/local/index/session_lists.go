package index

import (
	"context"
	"database/sql"
	"strings"

	"weir/internal/store"
)

// ListSessions implements local.Index.
func (x *Reader) ListSessions(
	ctx context.Context, q store.SessionQuery, now int64,
) (list []store.Session, err error) {
	where, args := []string{`p.expires_ms > ?`, `p.id > ?`}, []any{now, []byte(q.After)}
	if q.Stream != "" {
		where, args = append(where, `s.id = ?`), append(args, q.Stream)
	}
	if q.Principal != "" {
		where, args = append(where, `p.principal = ?`), append(args, []byte(q.Principal))
	}
	limit := int64(-1) // none
	if q.Limit > 0 {
		limit = int64(q.Limit)
	}
	err = x.read(ctx, func(rows *sql.Rows) error {
		var r sessionRow
		err := rows.Scan(&r.id, &r.s.Stream, &r.s.Kind, &r.s.CreatedMillis, &r.s.ExpiresMillis,
			&r.principal, &r.address)
		list = append(list, r.session())
		return err
	}, `SELECT p.id, s.id, p.kind, p.created_ms, p.expires_ms, p.principal, p.address`+
		sessionTables+`WHERE `+strings.Join(where, ` AND `)+` ORDER BY p.id LIMIT ?`,
		append(args, limit)...)
	return list, err
}

// CloseSession implements local.Index.
func (x *SQLite) CloseSession(ctx context.Context, id string, now int64) error {
	return x.write(ctx, durable, func(t *tx) error {
		n, err := t.dropSessions(`id = ? AND expires_ms > ?`, []byte(id), now)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	})
}

// BindSession implements local.Index.
func (x *SQLite) BindSession(ctx context.Context, id, address string) (bound string, err error) {
	err = x.write(ctx, durable, func(t *tx) error {
		var key int64
		var had []byte
		err := t.row([]any{&key, &had}, `SELECT stream, address FROM sessions WHERE id = ?`,
			[]byte(id))
		if bound = string(had); err != nil || bound != "" {
			return err
		}
		bound = address
		if _, err := t.exec(`UPDATE sessions SET address = ? WHERE id = ?`, []byte(address),
			[]byte(id)); err != nil {
			return err
		}
		return t.countSession(key, 0, int64(len(address)))
	})
	return bound, err
}
