package rows

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/sealed"
)

// order is the last row in order of a stream's fragments. From one row in order to the next, the
// number, the sequence and both timestamps rise or stay the same. So a range of times is a range of
// numbers among them, and an index serves it. All other rows are apart, and a query looks at each
// of these. They are few, unless a producer's clock leaps or old media is sent late. The lock of
// the head guards it.
type order struct{ number, server, producer int64 }

// disorder is before every row.
var disorder = order{0, sealed.MinTime, sealed.MinTime}

// takes reports whether the next row is in order; if so, it becomes the last one.
func (o *order) takes(f *store.FragmentInfo) bool {
	if int64(f.Number) <= o.number || f.ServerTimestamp < o.server ||
		f.ProducerTimestamp < o.producer {
		return false
	}
	*o = order{int64(f.Number), f.ServerTimestamp, f.ProducerTimestamp}
	return true
}

// reorder sets a stream's order to that of the rows that are left. So a row that leapt ahead keeps
// later rows apart only as long as it exists itself. The caller has locked the head.
func reorder(ctx context.Context, tx pgx.Tx, id store.StreamID, key int64) error {
	o := disorder
	err := tx.QueryRow(ctx, `SELECT number, server_ts, producer_ts FROM fragments
		WHERE stream = $1 AND apart = 0 ORDER BY number DESC LIMIT 1`, key).Scan(&o.number,
		&o.server, &o.producer)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE heads SET order_number = $2, order_server = $3,
		order_producer = $4 WHERE id = $1`, string(id), o.number, o.server, o.producer)
	return err
}

// hotQuery writes the query for fragments that have rows.
func hotQuery(key int64, q store.Query, edge int64) (string, []any) {
	c := conditions{` WHERE f.stream = $1`, []any{key}}
	c.add("f.server_ts >= ", edge)
	var clock, start, end string // start and end are placeholders
	if r := q.Range; r != nil {
		clock = columnOf("", r.Clock) + "_ts"
		c.add("f."+clock+" >= ", r.Start)
		start = c.last()
		c.add("f."+clock+" <= ", r.End)
		end = c.last()
	}
	if q.AfterSequence > 0 {
		c.add("f.sequence > ", q.AfterSequence)
	}
	if q.After != 0 {
		sign := "f.number > "
		if q.Order == store.ByNumberNewest {
			sign = "f.number < "
		}
		c.add(sign, int64(q.After))
	}
	by, limit := "number", ""
	switch q.Order {
	case store.ByNumberNewest:
		by = "number DESC"
	case store.BySequence:
		by = "sequence"
	}
	if q.Limit > 0 {
		c.args = append(c.args, q.Limit)
		limit = " LIMIT " + c.last()
	}
	const fragments = `SELECT ` + fragmentColumns + ` FROM fragments f`
	if q.Range == nil {
		return fragments + c.text + ` ORDER BY f.` + by + limit, c.args
	}
	// The bounds hold only for rows in order.
	bound := func(than, placeholder, direction string) string {
		return `(SELECT b.number FROM fragments b WHERE b.stream = $1 AND b.apart = 0 AND b.` +
			clock + than + placeholder + ` ORDER BY b.` + clock + direction + `, b.number` +
			direction + ` LIMIT 1)`
	}
	inOrder := ` AND f.apart = 0`
	if q.Range.Start > sealed.MinTime {
		inOrder += ` AND f.number >= ` + bound(" >= ", start, "")
	}
	if q.Range.End < -sealed.MinTime {
		inOrder += ` AND f.number <= ` + bound(" <= ", end, " DESC")
	}
	tail := ` ORDER BY f.` + by + limit + `)`
	return `SELECT * FROM ((` + fragments + c.text + inOrder + tail + ` UNION ALL (` + fragments +
		c.text + ` AND f.apart = 1` + tail + `) AS f ORDER BY ` + by + limit, c.args
}

// last is the placeholder of the last argument.
func (c *conditions) last() string { return "$" + strconv.Itoa(len(c.args)) }
