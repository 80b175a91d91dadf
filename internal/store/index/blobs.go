package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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
	}, blobQuery+`ORDER BY b.key`)
	return list, err
}

const blobQuery = `SELECT b.name, s.id, b.state, b.indexed, b.last_server_ts FROM blobs b JOIN streams s ON s.key = b.stream `

// BlobsInState implements store.Index.
func (x *SQLite) BlobsInState(ctx context.Context, state store.BlobState) ([]store.BlobInfo, error) {
	var list []store.BlobInfo
	// The state stands in the text for the sake of the partial index.
	err := x.read(ctx, func(rows *sql.Rows) error {
		var b store.BlobInfo
		err := rows.Scan(&b.Name, &b.Stream, &b.State, &b.Indexed, &b.LastServerTimestamp)
		list = append(list, b)
		return err
	}, fmt.Sprintf(`%sWHERE b.state = %d AND s.deleted = 0 ORDER BY b.key`, blobQuery, state))
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

// CloseBlobs implements store.Index.
func (x *SQLite) CloseBlobs(ctx context.Context, blobs []store.BlobInfo) error {
	if len(blobs) == 0 {
		return nil
	}
	return x.write(ctx, durable, func(t *tx) error {
		for i := range blobs {
			_, err := t.exec(`UPDATE blobs SET state = 1, indexed = CASE WHEN indexed < ? THEN ? ELSE indexed END WHERE name = ? AND state = 0`,
				blobs[i].Indexed, blobs[i].Indexed, blobs[i].Name)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetBlobs implements store.Index.
func (x *SQLite) ForgetBlobs(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return x.write(ctx, ordered, func(t *tx) error {
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
			if state != store.BlobDoomed { // which has none
				if err := t.dropRows(stream, key); err != nil {
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
