package repair

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// verdict says what a fragment of an object is that has no row.
type verdict int

const (
	stored     verdict = iota // it, or what its producer sent in its place, has a row
	expired                   // it is past retention
	deleted                   // its stream is deleted
	lost                      // it has no row
	lostStream                // its stream has none either
	taken                     // another fragment has its number
)

// Judge decides what becomes of the fragments of objects without rows. It remembers answers, so use
// it for one pass and in one goroutine.
type Judge struct {
	db     *rows.DB
	bucket *objects.Bucket
	reader *sealed.Reader
	now    func() time.Time
	buried map[store.StreamID]bool // streams without rows: whether there is a tombstone
	asked  map[string]bool         // objects that have rows: whether they exist
}

// cachedAnswers bounds each kind of answers that a Judge remembers.
const cachedAnswers = 20_000

// NewJudge returns a judge of a cluster's objects. Retention is reckoned from now.
func NewJudge(db *rows.DB, bucket *objects.Bucket, now func() time.Time) *Judge {
	j := &Judge{db: db, bucket: bucket, now: now, buried: map[store.StreamID]bool{},
		asked: map[string]bool{}}
	j.reader = &sealed.Reader{Rows: db, Tables: sealed.NewTables(64 << 20),
		Log: slog.New(slog.DiscardHandler), Damaged: func() {},
		Footer: func(ctx context.Context, at store.Location) (*record.Table, error) {
			return contents.Footer(ctx, bucket, at)
		}}
	return j
}

// stream returns whether a stream is stored, deleted, or a lostStream, which has no row.
func (j *Judge) stream(ctx context.Context, id store.StreamID) (verdict, *rows.Stream, error) {
	st, err := j.db.Row(ctx, id)
	if err == nil {
		return stored, &st, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return 0, nil, err
	}
	buried, known := j.buried[id]
	if !known {
		if buried, err = j.db.StreamDeleted(ctx, id); err != nil {
			return 0, nil, err
		}
		if !buried {
			if buried, err = j.there(ctx, contents.Tombstones+string(id)); err != nil {
				return 0, nil, err
			}
		}
		if len(j.buried) >= cachedAnswers {
			clear(j.buried)
		}
		j.buried[id] = buried
	}
	if buried {
		return deleted, nil, nil
	}
	return lostStream, nil, nil
}

// there reports whether an object exists.
func (j *Judge) there(ctx context.Context, key string) (bool, error) {
	_, err := j.bucket.ReadAll(ctx, key, 0, 1)
	if errors.Is(err, store.ErrGone) {
		return false, nil
	}
	return err == nil || errors.Is(err, store.ErrCorrupt), ignore(err, store.ErrCorrupt)
}

// ignore returns err unless it is the other error.
func ignore(err, other error) error {
	if errors.Is(err, other) {
		return nil
	}
	return err
}

// present is there for objects that have rows. It asks once for each.
func (j *Judge) present(ctx context.Context, key string) (bool, error) {
	if there, known := j.asked[key]; known {
		return there, nil
	}
	there, err := j.there(ctx, key)
	if err == nil {
		if len(j.asked) >= cachedAnswers {
			clear(j.asked)
		}
		j.asked[key] = there
	}
	return there, err
}

// fragment judges a fragment of an object without rows. For one that is stored it returns the row,
// if the fragment itself has one.
func (j *Judge) fragment(
	ctx context.Context, f *contents.Fragment,
) (verdict, *store.FragmentInfo, error) {
	id := f.Stream.ID
	v, st, err := j.stream(ctx, id)
	if err != nil || v != stored {
		if v == lostStream && f.Info.ServerTimestamp < f.Stream.StoredEdge(j.now()) {
			v = expired
		}
		return v, nil, err
	}
	if f.Info.ServerTimestamp < st.Edge(j.now()) {
		return expired, nil, nil
	}
	row, err := j.reader.Fragment(ctx, id, f.Info.Number)
	if err == nil {
		if row.PayloadCRC != f.Info.PayloadCRC || row.Size() != f.Info.Size() ||
			row.ServerTimestamp != f.Info.ServerTimestamp {
			return taken, nil, nil
		}
		return stored, &row, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return 0, nil, err
	}
	for _, superseded := range []func(context.Context, *contents.Fragment) (bool, error){
		j.replaced, j.sentAgain} {
		yes, err := superseded(ctx, f)
		if err != nil {
			return 0, nil, err
		}
		if yes {
			return stored, nil, nil
		}
	}
	return lost, nil, nil
}

// replaced reports whether another fragment has taken the place of f: f is among those gone from a
// table, or among those that the fragments of a table have replaced.
func (j *Judge) replaced(ctx context.Context, f *contents.Fragment) (bool, error) {
	gone, err := j.db.Gone(ctx, f.Stream.ID)
	if err != nil {
		return false, err
	}
	if _, found := slices.BinarySearch(gone, f.Info.Number); found {
		return true, nil
	}
	server := f.Info.ServerTimestamp
	later := store.Query{Range: &store.TimeRange{Clock: store.ServerTimestamp, Start: server,
		End: server + replaceWindow}}
	for after := int64(0); ; {
		page, err := j.db.Sealed(ctx, f.Stream.ID, later, sealed.MinTime, after, sealedPage)
		if err != nil || len(page) == 0 {
			return false, err
		}
		for i := range page {
			t, err := j.reader.Table(ctx, &page[i])
			if err != nil {
				return false, err
			}
			if t == nil {
				continue // the check of objects reports it
			}
			if _, found := slices.BinarySearch(t.Replaced, f.Info.Number); found {
				return true, nil
			}
		}
		if len(page) < sealedPage {
			return false, nil
		}
		after = page[len(page)-1].Number.Min
	}
}

const (
	sealedPage = 100
	// resendWindow is for how long, in milliseconds, a producer may send a fragment again: what its
	// buffer holds when it reconnects (docs/reference/producers.md, "Reconnecting"), and room for
	// outages.
	resendWindow = int64(10 * time.Minute / time.Millisecond)
	// replaceWindow is the same for a producer that stores what it sends.
	replaceWindow = int64(24 * time.Hour / time.Millisecond)
)

// sentAgain reports whether the producer has sent a fragment once more and the copy is stored: the
// same payload at the same producer timestamp, or, with relative timecodes, at the same timecode of
// the same document; or a whole fragment of which this one is a part.
func (j *Judge) sentAgain(ctx context.Context, f *contents.Fragment) (bool, error) {
	twins, err := j.db.Twins(ctx, f.Stream.ID, &f.Info, resendWindow)
	if err != nil {
		return false, err
	}
	for i := range twins {
		if twins[i].ProducerTimestamp == f.Info.ProducerTimestamp {
			return true, nil
		}
		m, err := contents.Head(ctx, j.bucket, &twins[i])
		if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrGone) {
			continue
		}
		if err != nil {
			return false, err
		}
		if m.Timecode == f.Media.Timecode && bytes.Equal(m.Header, f.Media.Header) {
			return true, nil
		}
	}
	producer := f.Info.ProducerTimestamp
	at, err := j.reader.List(ctx, f.Stream.ID, store.Query{Range: &store.TimeRange{
		Clock: store.ProducerTimestamp, Start: producer, End: producer}}, sealed.MinTime)
	if err != nil {
		return false, err
	}
	for i := range at {
		if at[i].PayloadCRC == f.Info.PayloadCRC || f.Info.Partial && !at[i].Partial {
			return true, nil
		}
	}
	return false, nil
}

// Missed reports whether an object without rows has fragments that somebody may miss: whole ones of
// a stream that is not deleted, within retention, and stored nowhere else.
func (j *Judge) Missed(ctx context.Context, info objects.Info) (bool, error) {
	src, err := contents.Load(ctx, j.bucket, info.Key, info.Size)
	if err != nil {
		return false, ignore(ignore(err, store.ErrCorrupt), store.ErrGone)
	}
	fragments, err := contents.Scan(ctx, src, info.Key, info.Size)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return false, ignore(err, store.ErrGone)
	}
	for i := range fragments {
		v, _, err := j.fragment(ctx, &fragments[i])
		if err == nil && (v == lost || v == lostStream) {
			err = contents.Verify(ctx, src, &fragments[i].Info)
			if err == nil {
				return true, nil
			}
			err = ignore(ignore(err, store.ErrCorrupt), store.ErrGone)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}
