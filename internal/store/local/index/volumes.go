package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"weir/internal/store"
)

// Volumes implements local.Index.
func (x *Reader) Volumes(ctx context.Context) ([]VolumeInfo, error) {
	return x.volumeInfos(ctx, volumeQuery+`ORDER BY b.key`)
}

// volumeInfos returns the volumes of a volumeQuery.
func (x *Reader) volumeInfos(ctx context.Context, query string) ([]VolumeInfo, error) {
	var list []VolumeInfo
	err := x.read(ctx, func(rows *sql.Rows) error {
		var b volumeRow
		err := rows.Scan(b.dest()...)
		list = append(list, b.info())
		return err
	}, query)
	return list, err
}

// Usage implements local.Index. A footer comes last in a volume, so it ends where the volume does.
func (x *Reader) Usage(ctx context.Context, id store.StreamID) (bytes int64, err error) {
	err = x.readRow(ctx, []any{&bytes}, `SELECT
		(SELECT COALESCE(SUM(v.position + v.length), 0) FROM sealed v WHERE v.stream = s.key) +
		(SELECT COALESCE(SUM(f.length), 0) FROM fragments f WHERE f.stream = s.key)
		FROM streams s WHERE s.id = ? AND s.deleted = 0`, string(id))
	return bytes, err
}

// The row of an open volume may lag up to markEvery rows behind those of its fragments.
var volumeQuery = `SELECT b.key, b.name, s.id, b.state, b.indexed, b.last_server_ts, ` +
	unmarked(`f.position + f.length`) + `, ` + unmarked(`f.server_ts`) +
	` FROM blobs b JOIN streams s ON s.key = b.stream `

// unmarked is the greatest value of a column among the rows that the mark of a volume may not cover
// yet.
func unmarked(column string) string {
	return fmt.Sprintf(`CASE WHEN b.state = 0 THEN (SELECT COALESCE(MAX(%s), 0) FROM (SELECT blob,
		position, length, server_ts FROM fragments
		WHERE stream = b.stream ORDER BY sequence DESC LIMIT %d) f WHERE f.blob = b.key)
		ELSE 0 END`, column, markEvery)
}

// volumeRow scans the columns of volumeQuery.
type volumeRow struct {
	b       VolumeInfo
	key     int64
	indexed int64
	last    int64
}

func (r *volumeRow) dest() []any {
	b := &r.b
	return []any{&r.key, &b.Name, &b.Stream, &b.State, &b.Indexed, &b.LastServerTimestamp,
		&r.indexed, &r.last}
}

func (r *volumeRow) info() VolumeInfo {
	b := r.b
	b.Indexed, b.LastServerTimestamp = max(b.Indexed, r.indexed), max(b.LastServerTimestamp, r.last)
	return b
}

// streamsOf returns the streams of volumes.
func streamsOf(names []string) (streams []store.StreamID) {
	for _, name := range names {
		id, _, _ := strings.Cut(name, "/")
		streams = append(streams, store.StreamID(id))
	}
	return streams
}

// closeVolumes closes the open volumes of live streams that a condition on b selects. Their ends
// are indexed if they are greater than what is known.
func (t *tx) closeVolumes(indexed int64, where string, args ...any) error {
	var list []volumeRow
	err := t.rows(func(rows *sql.Rows) error {
		var b volumeRow
		err := rows.Scan(b.dest()...)
		list = append(list, b)
		return err
	}, volumeQuery+where, args...)
	if err != nil {
		return err
	}
	for i := range list {
		b := list[i].info()
		_, err := t.exec(`UPDATE blobs SET state = 1, indexed = ?, last_server_ts = ?
			WHERE key = ?`, max(b.Indexed, indexed), b.LastServerTimestamp, list[i].key)
		if err != nil {
			return err
		}
	}
	return nil
}

// VolumesInState implements local.Index.
func (x *Reader) VolumesInState(ctx context.Context, state VolumeState) ([]VolumeInfo, error) {
	// The state is in the text, not a parameter, so that SQLite uses the partial index.
	return x.volumeInfos(ctx, fmt.Sprintf(`%sWHERE b.state = %d AND s.deleted = 0 ORDER BY b.key`,
		volumeQuery, state))
}

// AddVolume implements local.Index.
func (x *SQLite) AddVolume(ctx context.Context, id store.StreamID, name string) error {
	return x.write(ctx, durable, func(t *tx) error {
		key, err := t.liveKey(id)
		if err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO blobs (stream, name, state, indexed, last_server_ts)
			VALUES (?, ?, 0, 0, 0) ON CONFLICT (name) DO NOTHING`, key, name)
		return err
	})
}

// CloseVolumes implements local.Index.
func (x *SQLite) CloseVolumes(ctx context.Context, volumes []VolumeInfo) error {
	if len(volumes) == 0 {
		return nil
	}
	var names []string
	for i := range volumes {
		names = append(names, volumes[i].Name)
	}
	return x.write(ctx, durable, func(t *tx) error {
		t.forgetTails(streamsOf(names)...)
		for i := range volumes {
			if err := t.closeVolumes(volumes[i].Indexed, `WHERE b.name = ? AND b.state = 0`,
				volumes[i].Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetVolumes implements local.Index.
func (x *SQLite) ForgetVolumes(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return x.write(ctx, ordered, func(t *tx) error {
		t.forgetTails(streamsOf(names)...)
		for _, name := range names {
			var key, stream int64
			var state VolumeState
			err := t.row([]any{&key, &stream, &state},
				`SELECT key, stream, state FROM blobs WHERE name = ?`, name)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if state != VolumeDoomed { // which has none
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
