package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"weir/internal/store"
)

const streamColumns = `id, name, created_ms, version, retention_hours, device_name, media_type,
	kms_key_id, storage_tier, settings, tags, number_tag`

// streamRow scans streamColumns.
type streamRow struct {
	s    store.Stream
	tags string
	tag  int64
}

func (r *streamRow) dest() []any {
	s := &r.s
	return []any{&s.ID, &s.Name, &s.CreatedMillis, &s.Version, &s.RetentionHours, &s.DeviceName,
		&s.MediaType, &s.KMSKeyID,
		&s.StorageTier, &s.Settings, &r.tags, &r.tag}
}

func (r *streamRow) stream() (store.Stream, error) {
	s := r.s
	s.NumberTag = uint64(r.tag)
	s.Tags = map[string]string{}
	if err := json.Unmarshal([]byte(r.tags), &s.Tags); err != nil {
		return s, fmt.Errorf("%w: tags of stream %s: %v", store.ErrCorrupt, s.ID, err)
	}
	return s, nil
}

// CreateStream implements local.Index.
func (x *SQLite) CreateStream(ctx context.Context, s store.Stream) error {
	tags, err := json.Marshal(s.Tags)
	if err != nil {
		return err
	}
	return x.add(ctx, durable, func(t *tx) error {
		n, err := t.exec(`INSERT INTO streams (`+streamColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?,
			?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			string(s.ID), s.Name, s.CreatedMillis, s.Version, s.RetentionHours, s.DeviceName,
			s.MediaType, s.KMSKeyID,
			s.StorageTier, s.Settings, string(tags), int64(s.NumberTag))
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrExists
		}
		key, err := t.liveKey(s.ID)
		if err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO heads (stream, number, sequence) VALUES (?, 0, 0)`, key)
		return err
	})
}

// Stream implements local.Index.
func (x *Reader) Stream(ctx context.Context, name string) (store.Stream, error) {
	var r streamRow
	if err := x.readRow(ctx, r.dest(),
		`SELECT `+streamColumns+` FROM streams WHERE name = ? AND deleted = 0`, name); err != nil {
		return store.Stream{}, err
	}
	return r.stream()
}

// StreamByID implements local.Index.
func (x *Reader) StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error) {
	var r streamRow
	if err := x.readRow(ctx, r.dest(),
		`SELECT `+streamColumns+` FROM streams WHERE id = ? AND deleted = 0`,
		string(id)); err != nil {
		return store.Stream{}, err
	}
	return r.stream()
}

// ListStreams implements local.Index.
func (x *Reader) ListStreams(
	ctx context.Context, prefix, after string, limit int,
) ([]store.Stream, error) {
	query := `SELECT ` + streamColumns +
		` FROM streams WHERE deleted = 0 AND name > ? AND name >= ? AND substr(name, 1, ?) = ?
			ORDER BY name`
	args := []any{after, prefix, len([]rune(prefix)), prefix}
	if limit > 0 {
		query += ` LIMIT ?`
		args = append(args, limit)
	}
	var list []store.Stream
	err := x.read(ctx, func(rows *sql.Rows) error {
		var r streamRow
		if err := rows.Scan(r.dest()...); err != nil {
			return err
		}
		s, err := r.stream()
		list = append(list, s)
		return err
	}, query, args...)
	return list, err
}

// UpdateStream implements local.Index.
func (x *SQLite) UpdateStream(
	ctx context.Context, id store.StreamID, change func(*store.Stream) error,
) (s store.Stream, err error) {
	err = x.write(ctx, durable, func(t *tx) error {
		if s, err = t.stream(id); err != nil {
			return err
		}
		if err := change(&s); err != nil {
			return err
		}
		tags, err := json.Marshal(s.Tags)
		if err != nil {
			return err
		}
		_, err = t.exec(`UPDATE streams SET version = ?, retention_hours = ?, device_name = ?,
			media_type = ?, kms_key_id = ?,
			storage_tier = ?, settings = ?, tags = ? WHERE id = ?`,
			s.Version, s.RetentionHours, s.DeviceName, s.MediaType, s.KMSKeyID, s.StorageTier,
			s.Settings, string(tags), string(id))
		return err
	})
	return s, err
}

func (t *tx) stream(id store.StreamID) (store.Stream, error) {
	var r streamRow
	if err := t.row(r.dest(), `SELECT `+streamColumns+` FROM streams WHERE id = ? AND deleted = 0`,
		string(id)); err != nil {
		return store.Stream{}, err
	}
	return r.stream()
}

// DeleteStream implements local.Index.
func (x *SQLite) DeleteStream(
	ctx context.Context, id store.StreamID, check func(*store.Stream) error,
) error {
	return x.write(ctx, durable, func(t *tx) error {
		t.forgetTails(id)
		s, err := t.stream(id)
		if err != nil {
			return err
		}
		if err := check(&s); err != nil {
			return err
		}
		key, err := t.liveKey(id)
		if err != nil {
			return err
		}
		if _, err := t.dropSessions(`stream = ?`, key); err != nil {
			return err
		}
		_, err = t.exec(`UPDATE streams SET deleted = 1 WHERE key = ?`, key)
		return err
	})
}

// DeletedStreams implements local.Index.
func (x *Reader) DeletedStreams(ctx context.Context) ([]store.StreamID, error) {
	var ids []store.StreamID
	err := x.read(ctx, func(rows *sql.Rows) error {
		var id store.StreamID
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, `SELECT id FROM streams WHERE deleted = 1 ORDER BY key`)
	return ids, err
}

// PurgeStream implements local.Index.
func (x *SQLite) PurgeStream(
	ctx context.Context, id store.StreamID, limit int,
) (done bool, err error) {
	err = x.write(ctx, durable, func(t *tx) error {
		t.forgetTails(id)
		var key int64
		err := t.row([]any{&key}, `SELECT key FROM streams WHERE id = ? AND deleted = 1`,
			string(id))
		if errors.Is(err, store.ErrNotFound) {
			done = true
			return nil
		}
		if err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND number IN (SELECT number FROM
			fragments WHERE stream = ? LIMIT ?)`, key, key, limit)
		if err != nil || n == int64(limit) {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM gone WHERE stream = ?`, `DELETE FROM replaced WHERE stream = ?`,
			`DELETE FROM sealed WHERE stream = ?`, `DELETE FROM track_sets WHERE stream = ?`,
			`DELETE FROM blobs WHERE stream = ?`, `DELETE FROM heads WHERE stream = ?`,
			`DELETE FROM session_totals WHERE stream = ?`,
			`DELETE FROM streams WHERE key = ?`,
		} {
			if _, err := t.exec(statement, key); err != nil {
				return err
			}
		}
		x.keys.Delete(id)
		done = true
		return nil
	})
	return done, err
}
