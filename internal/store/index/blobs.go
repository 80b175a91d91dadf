package index

import (
	"context"
	"database/sql"
	"errors"

	"weir/internal/store"
)

// Blobs implements store.Index.
func (x *SQLite) Blobs(ctx context.Context) ([]store.BlobInfo, error) {
	var list []store.BlobInfo
	err := x.read(ctx, func(rows *sql.Rows) error {
		var b store.BlobInfo
		err := rows.Scan(&b.Name, &b.Stream, &b.State, &b.Indexed, &b.LastServerTimestamp)
		list = append(list, b)
		return err
	}, `SELECT b.name, s.id, b.state, b.indexed, b.last_server_ts FROM blobs b JOIN streams s ON s.key = b.stream ORDER BY b.key`)
	return list, err
}

// AddBlob implements store.Index.
func (x *SQLite) AddBlob(ctx context.Context, id store.StreamID, name string) error {
	return x.write(ctx, durable, func(t *tx) error {
		key, err := t.liveKey(id)
		if err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO blobs (stream, name, state, indexed, last_server_ts) VALUES (?, ?, 0, 0, 0) ON CONFLICT (name) DO NOTHING`, key, name)
		return err
	})
}

// CloseBlob implements store.Index.
func (x *SQLite) CloseBlob(ctx context.Context, name string, indexed int64) error {
	return x.write(ctx, durable, func(t *tx) error {
		_, err := t.exec(`UPDATE blobs SET state = 1, indexed = CASE WHEN indexed < ? THEN ? ELSE indexed END WHERE name = ? AND state = 0`,
			indexed, indexed, name)
		return err
	})
}

// ForgetBlobs implements store.Index.
func (x *SQLite) ForgetBlobs(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return x.write(ctx, durable, func(t *tx) error {
		for _, name := range names {
			var key, stream int64
			var state store.BlobState
			err := t.row([]any{&key, &stream, &state}, `SELECT key, stream, state FROM blobs WHERE name = ?`, name)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			// A doomed blob has no rows; those of another are looked for among all of the stream, which happens after a loss only.
			if state != store.BlobDoomed {
				if _, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND blob = ?`, stream, key); err != nil {
					return err
				}
			}
			if _, err := t.exec(`DELETE FROM blobs WHERE key = ?`, key); err != nil {
				return err
			}
		}
		return nil
	})
}
