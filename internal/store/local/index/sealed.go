package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"weir/internal/store"
	"weir/internal/store/sealed"
)

// Replaced implements local.Index.
func (x *Reader) Replaced(ctx context.Context, name string) ([]store.Number, error) {
	return gone(x.readers.QueryContext(ctx, `SELECT r.number FROM blobs b JOIN replaced r ON
		r.stream = b.stream AND r.blob = b.key
		WHERE b.name = ? ORDER BY r.number`, name))
}

// SealVolume implements local.Index.
func (x *SQLite) SealVolume(ctx context.Context, s sealed.Volume) error {
	return x.write(ctx, durable, func(t *tx) error {
		t.forgetTails(s.Stream)
		var key, stream int64
		err := t.row([]any{&key, &stream}, `SELECT b.key, b.stream FROM blobs b JOIN streams s ON
			s.key = b.stream
			WHERE b.name = ? AND b.state = 1 AND s.deleted = 0`, s.Name)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("volume %s is not closed: %w", s.Name, sealed.ErrUnsealable)
		}
		if err != nil {
			return err
		}
		if err := t.keepHighWater(stream); err != nil {
			return err
		}
		n, err := t.exec(`DELETE FROM fragments WHERE stream = ? AND blob = ?`, stream, key)
		if err != nil {
			return err
		}
		if n != int64(s.Count) {
			return fmt.Errorf("volume %s has %d fragments, its table %d: %w", s.Name, n, s.Count,
				sealed.ErrUnsealable)
		}
		_, err = t.exec(`DELETE FROM replaced WHERE stream = ? AND blob = ?`, stream, key)
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := t.exec(`UPDATE blobs SET state = 2 WHERE key = ?`, key)
			return err
		}
		return t.seal(&s, key, stream)
	})
}

// AddSealed implements local.Index.
func (x *SQLite) AddSealed(ctx context.Context, volumes []sealed.Volume) error {
	if len(volumes) == 0 {
		return nil
	}
	return x.write(ctx, durable, func(t *tx) error {
		t.forgetTails(volumes[0].Stream)
		stream, err := t.liveKey(volumes[0].Stream)
		if err != nil {
			return err
		}
		high, err := t.highWater(stream)
		if err != nil {
			return err
		}
		for i := range volumes {
			s := &volumes[i]
			if s.Sequence.Min <= high.Sequence {
				return fmt.Errorf("volume %s begins with sequence %d, but the high-water mark is "+
					"%d: %w", s.Name, s.Sequence.Min, high.Sequence, sealed.ErrUnsealable)
			}
			n, err := t.exec(`INSERT INTO blobs (stream, name, state, indexed, last_server_ts)
				VALUES (?, ?, 3, ?, ?) ON CONFLICT (name) DO NOTHING`,
				stream, s.Name, s.Footer.Offset, s.Server.Max)
			if err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("volume %s is known: %w", s.Name, sealed.ErrUnsealable)
			}
			var key int64
			if err := t.row([]any{&key}, `SELECT key FROM blobs WHERE name = ?`,
				s.Name); err != nil {
				return err
			}
			if err := t.seal(s, key, stream); err != nil {
				return err
			}
			for _, n := range s.Replaced {
				if err := t.replace(stream, int64(n)); err != nil {
					return err
				}
			}
			high.Number, high.Sequence = max(high.Number, store.Number(s.Number.Max)),
				s.Sequence.Max
		}
		return t.setHighWater(stream, high)
	})
}

// seal adds a volume's row. Sequences of sealed volumes do not overlap, so the order of volumes is
// also that of their fragments.
func (t *tx) seal(s *sealed.Volume, key, stream int64) error {
	var overlap int
	err := t.row([]any{&overlap}, `SELECT COUNT(*) FROM (SELECT sequence_min FROM sealed WHERE
		stream = ? AND sequence_max >= ?
		ORDER BY sequence_max LIMIT 1) WHERE sequence_min <= ?`, stream, s.Sequence.Min,
		s.Sequence.Max)
	if err != nil {
		return err
	}
	if overlap > 0 {
		return fmt.Errorf("sequences of volume %s overlap those of another: %w", s.Name,
			sealed.ErrUnsealable)
	}
	apart, err := t.isApart(stream, s)
	if err != nil {
		return err
	}
	n, err := t.exec(`INSERT INTO sealed (blob, stream, position, length, meta_length, fragments,
		number_min, number_max, sequence_min, sequence_max,
		server_min, server_max, producer_min, producer_max, wide, sets) VALUES (?, ?, ?, ?, ?, ?,
		?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		key, stream, s.Footer.Offset, s.Footer.Length, s.Footer.MetaLength, s.Count, s.Number.Min,
		s.Number.Max, s.Sequence.Min, s.Sequence.Max,
		s.Server.Min, s.Server.Max, s.Producer.Min, s.Producer.Max, truth(apart),
		s.EncodeSets())
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("volume %s has the first or last number of another: %w", s.Name,
			sealed.ErrUnsealable)
	}
	_, err = t.exec(`UPDATE blobs SET state = 3 WHERE key = ?`, key)
	return err
}

// isApart reports whether a volume is wide or out of order. All other volumes are in the same order
// by number, by sequence and by either clock, so any index leads a query to the first ones that it
// wants. Volumes that are apart are looked at one by one. They are few, unless a producer's clock
// leaps or old media is sent late.
func (t *tx) isApart(stream int64, s *sealed.Volume) (apart bool, err error) {
	if s.Wide() {
		return true, nil
	}
	const ranges = `SELECT number_min, number_max, sequence_min, sequence_max, server_min,
		server_max, producer_min, producer_max FROM sealed WHERE stream = ? AND wide = 0
		AND number_min `
	compare := func(query string, inOrder func(next *sealed.Volume) bool) error {
		var next sealed.Volume
		err := t.row([]any{&next.Number.Min, &next.Number.Max, &next.Sequence.Min,
			&next.Sequence.Max, &next.Server.Min, &next.Server.Max, &next.Producer.Min,
			&next.Producer.Max}, ranges+query, stream, s.Number.Min)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		apart = apart || !inOrder(&next)
		return err
	}
	err = errors.Join(compare(`< ? ORDER BY number_min DESC LIMIT 1`, s.Follows),
		compare(`> ? ORDER BY number_min LIMIT 1`,
			func(next *sealed.Volume) bool { return next.Follows(s) }))
	return apart, err
}

const sealedColumns = `b.name, s.position, s.length, s.meta_length, s.fragments, s.number_min,
	s.number_max, s.sequence_min, s.sequence_max,
	s.server_min, s.server_max, s.producer_min, s.producer_max, s.sets`

// Sealed implements local.Index.
func (x *Reader) Sealed(
	ctx context.Context, id store.StreamID, q store.Query, edge, after int64, limit int,
) ([]sealed.Volume, error) {
	key, err := x.key(ctx, id)
	if err != nil {
		return nil, err
	}
	var list []sealed.Volume
	for _, wide := range []bool{false, true} {
		text, args := sealedQuery(key, q, edge, after, limit, wide)
		err := x.read(ctx, func(rows *sql.Rows) error {
			s := sealed.Volume{Stream: id}
			var sets sql.RawBytes
			err := rows.Scan(&s.Name, &s.Footer.Offset, &s.Footer.Length, &s.Footer.MetaLength,
				&s.Count, &s.Number.Min, &s.Number.Max,
				&s.Sequence.Min, &s.Sequence.Max, &s.Server.Min, &s.Server.Max, &s.Producer.Min,
				&s.Producer.Max, &sets)
			if err != nil {
				return err
			}
			s.Footer.Volume = s.Name
			if err := s.DecodeSets(sets); err != nil {
				return err
			}
			list = append(list, s)
			return nil
		}, text, args...)
		if err != nil {
			return nil, err
		}
	}
	sealed.Sort(list, q.Order)
	return list[:min(len(list), limit)], nil
}

// sealedQuery writes the query so that one index serves it, like hotQuery:
//
//   - by sequence, and fragments after a sequence: sealed_sequence;
//   - the first page of a range of time: that timestamp's index, in its order, which is also that
//     of numbers (isApart); with the index on numbers, SQLite would look at every volume before the
//     range;
//   - otherwise by number: sealed_number or sealed_newest, in its order.
//
// Volumes that are apart come by sealed_wide, and each is looked at.
func sealedQuery(
	key int64, q store.Query, edge, after int64, limit int, wide bool,
) (string, []any) {
	bySequence := q.Order == store.BySequence || q.AfterSequence > 0
	byTime := !bySequence && q.Range != nil && q.After == 0 && after == 0
	plus := func(free bool) string { // a column that another index must not serve
		if free && !wide {
			return ""
		}
		return "+"
	}
	byNumber := plus(!bySequence && !byTime)
	where := ` WHERE s.stream = ? AND s.wide = 0 AND s.server_max >= ?`
	if wide {
		where = ` WHERE s.stream = ? AND s.wide = 1 AND s.server_max >= ?`
	}
	args := []any{key, edge}
	add := func(condition string, v int64) {
		where += " AND " + condition
		args = append(args, v)
	}
	minus := func(v, by int64) int64 { // without wrapping around
		if v < -1<<62 {
			return v
		}
		return v - by
	}
	if q.Range != nil {
		stamp := "s.server"
		if q.Range.Clock == store.ProducerTimestamp {
			stamp = "s.producer"
		}
		add(stamp+"_max >= ?", q.Range.Start)
		if byTime && !wide {
			add(stamp+"_min >= ?", minus(q.Range.Start, sealed.WideMillis))
		}
		add(plus(byTime)+stamp+"_min <= ?", q.Range.End)
	}
	if q.AfterSequence > 0 {
		add(plus(bySequence)+"s.sequence_max > ?", q.AfterSequence)
	}
	if q.After != 0 {
		if q.Order == store.ByNumberNewest {
			add("+s.number_min < ?", int64(q.After))
			if byNumber == "" && int64(q.After) < 1<<62 {
				add("s.number_max < ?", int64(q.After)+sealed.WideNumber)
			}
		} else {
			add("+s.number_max > ?", int64(q.After))
			if byNumber == "" {
				add("s.number_min > ?", minus(int64(q.After), sealed.WideNumber))
			}
		}
	}
	var order string
	switch q.Order {
	case store.ByNumberNewest:
		if after != 0 {
			add(byNumber+"s.number_max < ?", after)
		}
		order = " ORDER BY " + byNumber + "s.number_max DESC"
	case store.BySequence:
		if after != 0 {
			add("+s.sequence_min > ?", after)
			add(plus(true)+"s.sequence_max > ?", after)
		}
		order = " ORDER BY " + plus(true) + "s.sequence_max"
	default:
		if after != 0 {
			add(byNumber+"s.number_min > ?", after)
		}
		order = " ORDER BY " + byNumber + "s.number_min"
	}
	if byTime && !wide {
		order = orderByTime(&q)
	}
	return `SELECT ` + sealedColumns + ` FROM sealed s JOIN blobs b ON b.key = s.blob` + where +
		order + limitClause, append(args, limit)
}

// orderByTime is the ORDER BY of a query for a range of time, without a sequence.
func orderByTime(q *store.Query) string {
	stamp := "s.server_min"
	if q.Range.Clock == store.ProducerTimestamp {
		stamp = "s.producer_min"
	}
	if q.Order == store.ByNumberNewest {
		return " ORDER BY " + stamp + " DESC, s.number_max DESC"
	}
	return " ORDER BY " + stamp + ", s.number_min"
}
