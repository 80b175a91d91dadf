package rows

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// Object is an object with the bytes of fragments. It never changes.
type Object struct {
	Name  string
	Bytes int64
	// ID of the node that wrote it; a commit checks that the node was not forgotten. "": not
	// checked
	Node string
	// objects that the node has committed before. If one of them has no row, nothing is committed.
	Known []string
}

// Row is a fragment to be committed.
type Row struct {
	Stream store.StreamID
	// Sequence and TrackSet are filled in by Commit; Location.Volume is the object's name.
	Info     store.FragmentInfo
	Tracks   []media.Track
	Replaces store.Number // the fragment that goes in the same commit; 0: none
	Timecode int64        // as in media.Fragment
	Arrival  *store.Arrival
	// up to which sequence the appender has looked in sealed objects without finding that number,
	// or what came to its place (Arrival)
	Looked int64
}

// Committed is what became of a Row.
type Committed struct {
	Info store.FragmentInfo // with its Sequence and TrackSet
	// store.ErrNotFound: the stream is gone; store.ErrExists: the number is taken; store.ErrRaced:
	// its place is taken; ErrMaybeSealed
	Err error
}

// ErrMaybeSealed says that a sealed object may have the number or the place of a row. The caller
// must look there, and say so in Looked when none has.
var ErrMaybeSealed = errors.New("a sealed object may have the number or the place")

// ErrRetained refuses a sequence for a fragment in memory: the stream has a retention.
var ErrRetained = errors.New("the stream has a retention by now")

// head is where the orders of a stream have got to.
type head struct {
	key, number, sequence, sets, retention, sealedNumber, sealedSequence int64
	order                                                                order
}

// ofStream finds the head of the stream with the key $1 by its ID, of which there is an index.
const ofStream = `id = (SELECT id FROM streams WHERE key = $1)`

// lockHeads reads the heads of streams and locks them until the transaction ends. It locks them in
// the order of the IDs, so that no two transactions wait for each other. It is a statement of its
// own: later statements see what those committed that it waited for.
func lockHeads(
	ctx context.Context, tx pgx.Tx, ids []string,
) (map[store.StreamID]*head, error) {
	heads := make(map[store.StreamID]*head, len(ids))
	rows, err := tx.Query(ctx, `SELECT id, stream, number, sequence, sets, retention_hours,
		sealed_number, sealed_sequence, order_number, order_server, order_producer
		FROM heads WHERE id = ANY($1) ORDER BY id FOR UPDATE`, ids)
	if err != nil {
		return nil, err
	}
	_, err = collect(rows, func(rows pgx.Rows) (*head, error) {
		var id store.StreamID
		h := &head{}
		err := rows.Scan(&id, &h.key, &h.number, &h.sequence, &h.sets, &h.retention,
			&h.sealedNumber, &h.sealedSequence, &h.order.number, &h.order.server,
			&h.order.producer)
		heads[id] = h
		return h, err
	})
	return heads, err
}

// lockHead is lockHeads for one stream. store.ErrNotFound when it is deleted.
func lockHead(ctx context.Context, tx pgx.Tx, id store.StreamID) (*head, error) {
	heads, err := lockHeads(ctx, tx, []string{string(id)})
	if err == nil && heads[id] == nil {
		err = store.ErrNotFound
	}
	return heads[id], err
}

// Commit adds the rows of fragments whose bytes are in an object, in the given order and in one
// transaction, which is durable on return. Each row gets its stream's next sequence. There is a
// result for each row; an error is about all of them, and they may or may not be there. If a row is
// there already, at the same place of the same object, an earlier try has added it, and it counts
// as added. ErrLease when the object's node was silent for Options.Silent or was forgotten, so that
// the object may be gone; ErrSetBack when one of object.Known is missing.
func (db *DB) Commit(ctx context.Context, object Object, rows []Row) ([]Committed, error) {
	var results []Committed
	err := db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		c, err := db.beginCommit(ctx, tx, &object, rows)
		if err != nil {
			return err
		}
		if object.Node != "" && !c.joined {
			return ErrLease
		}
		if c.known < len(object.Known) {
			return ErrSetBack
		}
		results = c.decide(object)
		return c.write(ctx, tx, object)
	})
	if err != nil {
		return nil, fmt.Errorf("commit %d fragments: %w", len(rows), err)
	}
	return results, nil
}

// place names a fragment.
type place struct {
	stream int64
	number store.Number
}

// setKey names a set of tracks.
type setKey struct {
	stream int64
	hash   [sha256.Size]byte
}

// commit is one run of Commit: what was there when the heads were locked, and what to add.
type commit struct {
	rows   []Row
	tracks [][]byte // encoded, one of each row
	hashes [][sha256.Size]byte
	heads  map[store.StreamID]*head
	stored map[place]store.FragmentInfo
	sets   map[setKey]int64
	joined bool         // the object's node is known, and stays so until the end
	known  int          // how many of Object.Known exist
	late   map[int]bool // rows whose place another fragment took

	here     map[spot][]int // places in rows of those added with an Arrival
	added    []int          // places in rows
	apart    []int64        // for each of added: 0 if the row is in order, else 1
	newSets  []int          // places in rows of those whose track set is new
	replaced []place
}

// beginCommit locks the heads and reads what exists of the rows.
func (db *DB) beginCommit(
	ctx context.Context, tx pgx.Tx, object *Object, rows []Row,
) (*commit, error) {
	c := &commit{rows: rows, stored: map[place]store.FragmentInfo{}, sets: map[setKey]int64{},
		late: map[int]bool{}, here: map[spot][]int{}}
	var ids []string
	for i := range rows {
		ids = append(ids, string(rows[i].Stream))
		encoded := record.AppendTracks(nil, rows[i].Tracks)
		c.tracks = append(c.tracks, encoded)
		c.hashes = append(c.hashes, sha256.Sum256(encoded))
	}
	slices.Sort(ids)
	var err error
	if c.heads, err = lockHeads(ctx, tx, slices.Compact(ids)); err != nil {
		return nil, err
	}
	var streams, numbers []int64
	var hashes [][]byte
	for i := range rows {
		if h := c.heads[rows[i].Stream]; h != nil {
			streams = append(streams, h.key)
			numbers = append(numbers, int64(rows[i].Info.Number))
			hashes = append(hashes, c.hashes[i][:])
		}
	}
	var batch pgx.Batch
	batch.Queue(`SELECT f.stream, f.number, f.sequence, f.track_set, o.name, f.position
		FROM unnest($1::bigint[], $2::bigint[]) AS u(stream, number)
		JOIN fragments f ON f.stream = u.stream AND f.number = u.number
		JOIN objects o ON o.key = f.object`, streams, numbers).Query(c.readStored)
	batch.Queue(`SELECT t.stream, t.hash, t.id
		FROM unnest($1::bigint[], $2::bytea[]) AS u(stream, hash)
		JOIN track_sets t ON t.stream = u.stream AND t.hash = u.hash`, streams, hashes,
	).Query(c.readSets)
	batch.Queue(`SELECT COUNT(*) FROM objects WHERE name = ANY($1)`, object.Known).QueryRow(
		func(row pgx.Row) error { return row.Scan(&c.known) })
	batch.Queue(lockNode, object.Node, db.o.Silent.Milliseconds()).Query(func(rows pgx.Rows) error {
		found, err := collect(rows, scanOne[string])
		c.joined = len(found) > 0
		return err
	})
	c.queueRaces(&batch)
	return c, tx.SendBatch(ctx, &batch).Close()
}

func (c *commit) readStored(rows pgx.Rows) error {
	_, err := collect(rows, func(rows pgx.Rows) (p place, err error) {
		var f store.FragmentInfo
		err = rows.Scan(&p.stream, &p.number, &f.Sequence, &f.TrackSet, &f.Location.Volume,
			&f.Location.Offset)
		c.stored[p] = f
		return p, err
	})
	return err
}

func (c *commit) readSets(rows pgx.Rows) error {
	_, err := collect(rows, func(rows pgx.Rows) (k setKey, err error) {
		var hash []byte
		var id int64
		err = rows.Scan(&k.stream, &hash, &id)
		copy(k.hash[:], hash)
		c.sets[k] = id
		return k, err
	})
	return err
}

// decide sets the sequence and the track set of each row, or its error.
func (c *commit) decide(object Object) []Committed {
	results := make([]Committed, len(c.rows))
	for i := range c.rows {
		row, r := &c.rows[i], &results[i]
		r.Info = row.Info
		h := c.heads[row.Stream]
		if h == nil {
			r.Err = store.ErrNotFound
			continue
		}
		at := place{h.key, row.Info.Number}
		if f, ok := c.stored[at]; ok {
			if f.Location.Volume != object.Name || f.Location.Offset != row.Info.Location.Offset {
				r.Err = store.ErrExists
				continue
			}
			r.Info.Sequence, r.Info.TrackSet = f.Sequence, f.TrackSet
			continue
		}
		if c.raced(i) {
			r.Err = store.ErrRaced
			continue
		}
		if h.maybeSealed(row) {
			r.Err = ErrMaybeSealed
			continue
		}
		key := setKey{h.key, c.hashes[i]}
		set, ok := c.sets[key]
		if !ok {
			h.sets++
			set = h.sets
			c.sets[key], c.newSets = set, append(c.newSets, i)
		}
		h.sequence++
		h.number = max(h.number, int64(row.Info.Number))
		r.Info.Sequence, r.Info.TrackSet, r.Info.Location.Volume = h.sequence, set, object.Name
		row.Info = r.Info
		c.stored[at], c.added = r.Info, append(c.added, i)
		c.apart = append(c.apart, truth(!h.order.takes(&r.Info)))
		if row.Arrival != nil {
			c.here[c.spot(i)] = append(c.here[c.spot(i)], i)
		}
		if row.Replaces != 0 {
			c.replaced = append(c.replaced, place{h.key, row.Replaces})
		}
	}
	return results
}

// maybeSealed reports whether a sealed object may have the number of a row, or what came to its
// place and the appender has not seen.
func (h *head) maybeSealed(row *Row) bool {
	if row.Looked >= h.sealedSequence {
		return false
	}
	return int64(row.Info.Number) <= h.sealedNumber ||
		row.Arrival != nil && row.Arrival.Document == "" && row.Arrival.Seen < h.sealedSequence
}

// write sends all that is new at once.
func (c *commit) write(ctx context.Context, tx pgx.Tx, object Object) error {
	if len(c.added) == 0 {
		return nil
	}
	var batch pgx.Batch
	batch.Queue(`INSERT INTO objects (name, bytes) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET unused_ms = 0`, object.Name, object.Bytes)
	c.queueSets(&batch)
	c.queueFragments(&batch, object)
	c.queueArrivals(&batch)
	if len(c.replaced) > 0 {
		var streams, numbers []int64
		for _, p := range c.replaced {
			streams, numbers = append(streams, p.stream), append(numbers, int64(p.number))
		}
		batch.Queue(`DELETE FROM fragments f
			USING unnest($1::bigint[], $2::bigint[]) AS u(stream, number)
			WHERE f.stream = u.stream AND f.number = u.number`, streams, numbers)
		batch.Queue(`INSERT INTO gone (stream, number, object)
			SELECT u.stream, u.number, s.object
			FROM unnest($1::bigint[], $2::bigint[]) AS u(stream, number)
			JOIN sealed s ON s.stream = u.stream AND s.number_min <= u.number
				AND s.number_max >= u.number ON CONFLICT DO NOTHING`, streams, numbers)
	}
	var ids []string
	var numbers, sequences, sets []int64
	var inOrder [3][]int64
	for id, h := range c.heads {
		ids = append(ids, string(id))
		numbers, sequences = append(numbers, h.number), append(sequences, h.sequence)
		sets = append(sets, h.sets)
		for i, v := range [3]int64{h.order.number, h.order.server, h.order.producer} {
			inOrder[i] = append(inOrder[i], v)
		}
	}
	batch.Queue(`UPDATE heads h SET number = u.number, sequence = u.sequence, sets = u.sets,
		order_number = u.order_number, order_server = u.order_server,
		order_producer = u.order_producer
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
			$6::bigint[], $7::bigint[]) AS u(id, number, sequence, sets, order_number,
			order_server, order_producer) WHERE h.id = u.id`, ids, numbers, sequences, sets,
		inOrder[0], inOrder[1], inOrder[2])
	return tx.SendBatch(ctx, &batch).Close()
}

func (c *commit) queueSets(batch *pgx.Batch) {
	if len(c.newSets) == 0 {
		return
	}
	var streams, ids []int64
	var hashes, tracks [][]byte
	for _, i := range c.newSets {
		key := setKey{c.heads[c.rows[i].Stream].key, c.hashes[i]}
		streams, ids = append(streams, key.stream), append(ids, c.sets[key])
		hashes, tracks = append(hashes, c.hashes[i][:]), append(tracks, c.tracks[i])
	}
	batch.Queue(`INSERT INTO track_sets (stream, id, hash, tracks)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[])`,
		streams, ids, hashes, tracks)
}

func (c *commit) queueFragments(batch *pgx.Batch, object Object) {
	const columns = 11
	var values [columns][]int64
	var spans [][]byte
	for _, i := range c.added {
		f := &c.rows[i].Info
		for j, v := range [columns]int64{c.heads[c.rows[i].Stream].key, int64(f.Number),
			f.Sequence, f.ServerTimestamp, f.ProducerTimestamp, f.TrackSet, int64(f.PayloadCRC),
			truth(f.Partial), f.Location.Offset, f.Location.Length, f.Location.MetaLength} {
			values[j] = append(values[j], v)
		}
		spans = append(spans, record.AppendSpans(nil, f.Spans))
	}
	args := []any{object.Name, spans, c.apart}
	for j := range values {
		args = append(args, values[j])
	}
	batch.Queue(`INSERT INTO fragments (object, spans, apart, stream, number, sequence, server_ts,
		producer_ts, track_set, payload_crc, partial, position, length, meta_length)
		SELECT (SELECT key FROM objects WHERE name = $1), u.* FROM unnest($2::bytea[],
		$3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
		$9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
		$14::bigint[]) AS u`, args...)
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// NextNumber implements store.Fragments: the time, or the next number after the greatest that any
// node gave out or stored. The stream's row decides, so that numbers rise although clocks differ.
func (db *DB) NextNumber(ctx context.Context, id store.StreamID) (n store.Number, err error) {
	err = db.row(ctx, []any{&n}, `UPDATE heads
		SET number = greatest($2, ((number >> $3) + 1) << $3) WHERE id = $1 RETURNING number`,
		string(id), int64(store.NumberAt(db.o.Clock(), 0)), store.NumberSlotBits)
	if err != nil {
		return 0, fmt.Errorf("next fragment number: %w", err)
	}
	return n, nil
}

// Next takes the next sequence of a stream, for a fragment that is kept in a node's memory, and
// returns it with the set of the fragment's tracks, which it adds if it is new. store.ErrNotFound;
// ErrRetained when the stream has a retention by now.
func (db *DB) Next(ctx context.Context, id store.StreamID, tracks []media.Track) (
	sequence, set int64, err error) {
	encoded := record.AppendTracks(nil, tracks)
	err = db.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		h, err := lockHead(ctx, tx, id)
		if err != nil {
			return err
		}
		if h.retention > 0 {
			return ErrRetained
		}
		sets, err := trackSets(ctx, tx, h, encoded)
		if err != nil {
			return err
		}
		sequence, set = h.sequence+1, sets[0]
		_, err = tx.Exec(ctx, `UPDATE heads SET sequence = $2, sets = $3 WHERE id = $1`, string(id),
			sequence, h.sets)
		return err
	})
	return sequence, set, err
}

// trackSets returns the IDs of track sets in the form of record.AppendTracks, and adds those that
// are new. It counts them in h.sets; the caller writes that.
func trackSets(
	ctx context.Context, tx pgx.Tx, h *head, tracks ...[]byte,
) (ids []int64, err error) {
	for _, encoded := range tracks {
		hash := sha256.Sum256(encoded)
		var id int64
		err := tx.QueryRow(ctx, `SELECT id FROM track_sets WHERE stream = $1 AND hash = $2`, h.key,
			hash[:]).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			h.sets++
			id = h.sets
			_, err = tx.Exec(ctx, `INSERT INTO track_sets (stream, id, hash, tracks)
				VALUES ($1, $2, $3, $4)`, h.key, id, hash[:], encoded)
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
