package rows

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
)

// spot is the place of a fragment that may be sent again: a producer timestamp, or a timecode of a
// document.
type spot struct {
	stream   int64
	document string
	at       int64
}

func (c *commit) spot(i int) spot {
	row := &c.rows[i]
	s := spot{stream: c.heads[row.Stream].key, document: row.Arrival.Document, at: row.Timecode}
	if s.document == "" {
		s.at = row.Info.ProducerTimestamp
	}
	return s
}

// raced reports whether a fragment was committed at the place of a row that the appender of the row
// has not seen.
func (c *commit) raced(i int) bool {
	a := c.rows[i].Arrival
	if a == nil {
		return false
	}
	if c.late[i] {
		return true
	}
	for _, j := range c.here[c.spot(i)] { // in this very commit
		if other := &c.rows[j]; other.Info.Sequence > a.Seen &&
			(a.Document == "" || other.Arrival.Connection != a.Connection) {
			return true
		}
	}
	return false
}

// queueRaces asks which rows have a fragment at their place that their appender has not seen. There
// is rarely one: a stream has one producer, and it saw the newest.
func (c *commit) queueRaces(batch *pgx.Batch) {
	var rows, streams, places, seen [2][]int64 // by timestamp, and by timecode
	var documents [][]byte
	var connections []string
	for i := range c.rows {
		row := &c.rows[i]
		h := c.heads[row.Stream]
		if h == nil || row.Arrival == nil || h.sequence <= row.Arrival.Seen {
			continue
		}
		kind := 0
		if row.Arrival.Document != "" {
			kind = 1
			documents = append(documents, []byte(row.Arrival.Document))
			connections = append(connections, row.Arrival.Connection)
		}
		rows[kind] = append(rows[kind], int64(i))
		streams[kind] = append(streams[kind], h.key)
		places[kind] = append(places[kind], c.spot(i).at)
		seen[kind] = append(seen[kind], row.Arrival.Seen)
	}
	read := func(rows pgx.Rows) error {
		_, err := collect(rows, func(rows pgx.Rows) (i int, err error) {
			err = rows.Scan(&i)
			c.late[i] = true
			return i, err
		})
		return err
	}
	if len(rows[0]) > 0 {
		batch.Queue(`SELECT u.row FROM unnest($1::bigint[], $2::bigint[], $3::bigint[],
			$4::bigint[]) AS u(row, stream, at, seen) WHERE EXISTS (SELECT 1 FROM fragments f
				WHERE f.stream = u.stream AND f.producer_ts = u.at AND f.sequence > u.seen)`,
			rows[0], streams[0], places[0], seen[0]).Query(read)
	}
	if len(rows[1]) > 0 {
		batch.Queue(`SELECT u.row FROM unnest($1::bigint[], $2::bigint[], $3::bigint[],
			$4::bigint[], $5::bytea[], $6::text[]) AS u(row, stream, at, seen, document, connection)
			WHERE EXISTS (SELECT 1 FROM arrivals a WHERE a.stream = u.stream
				AND a.document = u.document AND a.timecode = u.at AND a.sequence > u.seen
				AND a.connection <> u.connection AND a.at_ms > `+databaseTime+` - $7)`,
			rows[1], streams[1], places[1], seen[1], documents, connections,
			store.ResendWindow.Milliseconds()).Query(read)
	}
}

// queueArrivals adds how the fragments with relative timecodes arrived.
func (c *commit) queueArrivals(batch *pgx.Batch) {
	var streams, timecodes, numbers, sequences []int64
	var documents [][]byte
	var connections []string
	for _, i := range c.added {
		row := &c.rows[i]
		if row.Arrival == nil || row.Arrival.Document == "" {
			continue
		}
		streams = append(streams, c.heads[row.Stream].key)
		timecodes = append(timecodes, row.Timecode)
		numbers = append(numbers, int64(row.Info.Number))
		sequences = append(sequences, row.Info.Sequence)
		documents = append(documents, []byte(row.Arrival.Document))
		connections = append(connections, row.Arrival.Connection)
	}
	if len(streams) == 0 {
		return
	}
	batch.Queue(`INSERT INTO arrivals (stream, timecode, number, sequence, document, connection,
		at_ms) SELECT u.*, `+databaseTime+` FROM unnest($1::bigint[], $2::bigint[], $3::bigint[],
		$4::bigint[], $5::bytea[], $6::text[]) AS u`,
		streams, timecodes, numbers, sequences, documents, connections)
}

// Arrived returns at most limit fragments of a stream that came with a timecode of a document on
// other connections within store.ResendWindow, newest first. It leaves out connections that have
// ended properly.
func (db *DB) Arrived(
	ctx context.Context, id store.StreamID, a store.Arrival, timecode int64, limit int,
) (all []store.Arrived, err error) {
	st, err := db.Row(ctx, id)
	if err != nil {
		return nil, err
	}
	err = db.again(ctx, func(ctx context.Context) (err error) {
		all, err = list(ctx, db.pool, func(rows pgx.Rows) (f store.Arrived, err error) {
			err = rows.Scan(&f.Number, &f.Sequence)
			return f, err
		}, `SELECT number, sequence FROM arrivals WHERE stream = $1 AND document = $2
			AND timecode = $3 AND connection <> $4 AND at_ms > `+databaseTime+` - $5
			ORDER BY sequence DESC LIMIT $6`, st.Key, []byte(a.Document), timecode, a.Connection,
			store.ResendWindow.Milliseconds(), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("arrivals: %w", err)
	}
	return all, nil
}

// EndConnection forgets what a connection brought to a stream. The connection has ended properly,
// so nothing of it comes again.
func (db *DB) EndConnection(ctx context.Context, id store.StreamID, connection string) error {
	st, err := db.Row(ctx, id)
	if err == nil {
		_, err = db.exec(ctx, `DELETE FROM arrivals WHERE stream = $1 AND connection = $2`, st.Key,
			connection)
	}
	if errors.Is(err, store.ErrNotFound) { // the stream is deleted
		return nil
	}
	if err != nil {
		return fmt.Errorf("end of a connection: %w", err)
	}
	return nil
}

// DropArrivals forgets at most limit arrivals that are too old to be sent again, and returns how
// many.
func (db *DB) DropArrivals(ctx context.Context, l Lease, limit int) (n int, err error) {
	err = db.fenced(ctx, l, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM arrivals WHERE (stream, document, timecode, number) IN
			(SELECT stream, document, timecode, number FROM arrivals
			WHERE at_ms <= `+databaseTime+` - $1 ORDER BY at_ms LIMIT $2)`,
			store.ResendWindow.Milliseconds(), limit)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}
