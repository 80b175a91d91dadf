package rows

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
)

// OpenSession implements store.Sessions. It locks the stream's row, so that the limit holds however
// many nodes open sessions at once.
func (db *DB) OpenSession(
	ctx context.Context, s store.Session, limit int,
) (closed []string, err error) {
	err = db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		st, err := lockStream(ctx, tx, s.Stream)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `DELETE FROM sessions WHERE stream = $1 AND expires_ms <= $2`,
			st.Key, db.now()); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO sessions (id, stream, stream_id, kind, created_ms,
			expires_ms, parameters, checkpoint, principal, address)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING`,
			[]byte(s.ID), st.Key, string(s.Stream), int64(s.Kind), s.CreatedMillis,
			s.ExpiresMillis, notNull(s.Parameters), s.Checkpoint, s.Principal, s.Address)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return store.ErrExists
		}
		closed, err = closeBeyond(ctx, tx, &s, st.Key, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	return closed, nil
}

// closeBeyond deletes the earliest created sessions of a kind beyond the limit, except the one that
// must stay, and returns their IDs, earliest first.
func closeBeyond(
	ctx context.Context, tx pgx.Tx, stays *store.Session, key int64, limit int,
) (closed []string, err error) {
	if limit <= 0 {
		return nil, nil
	}
	others, err := list(ctx, tx, scanOne[[]byte], `SELECT id FROM sessions WHERE stream = $1
		AND kind = $2 AND id <> $3 ORDER BY created_ms, opened`,
		key, int64(stays.Kind), []byte(stays.ID))
	if err != nil || len(others) < limit {
		return nil, err
	}
	over := others[:len(others)-(limit-1)]
	for _, id := range over {
		closed = append(closed, string(id))
	}
	_, err = tx.Exec(ctx, `DELETE FROM sessions WHERE id = ANY($1)`, over)
	return closed, err
}

// Session implements store.Sessions.
func (db *DB) Session(ctx context.Context, id string) (store.Session, error) {
	s, _, err := db.SessionAt(ctx, id)
	return s, err
}

// SessionAt is Session, with the sequence of the newest commit of its stream. A viewer who asks for
// a playlist then sees at least that much, whichever node has answered before.
func (db *DB) SessionAt(
	ctx context.Context, id string,
) (s store.Session, sequence int64, err error) {
	err = db.row(ctx, []any{&s.Stream, &s.Kind, &s.CreatedMillis, &s.ExpiresMillis, &s.Parameters,
		&s.Checkpoint, &s.Principal, &s.Address, &sequence}, `SELECT s.stream_id, s.kind,
		s.created_ms, s.expires_ms, s.parameters, s.checkpoint, s.principal, s.address,
		coalesce(h.sequence, 0) FROM sessions s LEFT JOIN heads h ON h.id = s.stream_id
		WHERE s.id = $1 AND s.expires_ms > $2`, []byte(id), db.now())
	if err != nil {
		return store.Session{}, 0, fmt.Errorf("session: %w", err)
	}
	s.ID = id
	return s, sequence, nil
}

// Checkpoint implements store.Sessions.
func (db *DB) Checkpoint(ctx context.Context, id string, data []byte) error {
	n, err := db.exec(ctx, `UPDATE sessions SET checkpoint = $2 WHERE id = $1`, []byte(id), data)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("checkpoint session: %w", err)
	}
	return nil
}

// BindSession implements store.Sessions.
func (db *DB) BindSession(ctx context.Context, id, address string) (bound string, err error) {
	err = db.row(ctx, []any{&bound}, `UPDATE sessions
		SET address = CASE WHEN address = '' THEN $2 ELSE address END WHERE id = $1
		RETURNING address`, []byte(id), address)
	if err != nil {
		return "", fmt.Errorf("bind session: %w", err)
	}
	return bound, nil
}

// ListSessions implements store.Sessions.
func (db *DB) ListSessions(
	ctx context.Context, q store.SessionQuery,
) (all []store.Session, err error) {
	where, args := []string{`expires_ms > $1`, `id > $2`}, []any{db.now(), []byte(q.After)}
	add := func(condition string, v any) {
		args = append(args, v)
		where = append(where, condition+strconv.Itoa(len(args)))
	}
	if q.Stream != "" {
		add(`stream_id = $`, string(q.Stream))
	}
	if q.Principal != "" {
		add(`principal = $`, q.Principal)
	}
	query := `SELECT id, stream_id, kind, created_ms, expires_ms, principal, address FROM sessions
		WHERE ` + strings.Join(where, ` AND `) + ` ORDER BY id`
	if q.Limit > 0 {
		args = append(args, q.Limit)
		query += ` LIMIT $` + strconv.Itoa(len(args))
	}
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (s store.Session, err error) {
			var id []byte
			err = rows.Scan(&id, &s.Stream, &s.Kind, &s.CreatedMillis, &s.ExpiresMillis,
				&s.Principal, &s.Address)
			s.ID = string(id)
			return s, err
		}, query, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return all, nil
}

// CloseSession implements store.Sessions.
func (db *DB) CloseSession(ctx context.Context, id string) error {
	n, err := db.exec(ctx, `DELETE FROM sessions WHERE id = $1 AND expires_ms > $2`, []byte(id),
		db.now())
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("close session: %w", err)
	}
	return nil
}

// ExpireSessions drops at most limit sessions whose time is over and returns how many went.
func (db *DB) ExpireSessions(ctx context.Context, l Lease, limit int) (n int, err error) {
	err = db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM sessions WHERE id IN (SELECT id FROM sessions
			WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2)`, db.now(), limit)
		n = int(tag.RowsAffected())
		return err
	})
	if errors.Is(err, ErrLease) {
		return 0, err
	}
	return n, err
}
