package index

import (
	"context"
	"errors"

	"weir/internal/store"
	"weir/internal/store/local/clock"
)

// ClockMark implements local.Index.
func (x *Reader) ClockMark(ctx context.Context) (m clock.Mark, err error) {
	err = x.readRow(ctx, []any{&m.Boot, &m.Up, &m.Wall, &m.Retention},
		`SELECT boot, up_ms, wall_ms, retention_ms FROM clock`)
	if errors.Is(err, store.ErrNotFound) {
		return clock.Mark{}, nil
	}
	return m, err
}

// SetClockMark implements local.Index.
func (x *SQLite) SetClockMark(ctx context.Context, m clock.Mark) error {
	return x.write(ctx, visible, func(t *tx) error {
		_, err := t.exec(`INSERT INTO clock (one, boot, up_ms, wall_ms, retention_ms) VALUES (1,
			?, ?, ?, ?)
			ON CONFLICT (one) DO UPDATE SET boot = excluded.boot, up_ms = excluded.up_ms, wall_ms
			= excluded.wall_ms,
			retention_ms = excluded.retention_ms`, m.Boot, m.Up, m.Wall, m.Retention)
		return err
	})
}
