package repair

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
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
// it for one pass.
type Judge struct {
	db     *rows.DB
	bucket *objects.Bucket
	reader *sealed.Reader
	now    func() time.Time
	buried answers[store.StreamID] // streams without rows: whether there is a tombstone
	asked  answers[string]         // objects that have rows: whether they exist
}

// answers remembers some of what was asked for.
type answers[K comparable] struct {
	mu    sync.Mutex
	known map[K]bool
}

// of returns the answer about a key. It asks again only for want of memory, or when two want to
// know at once.
func (a *answers[K]) of(key K, ask func() (bool, error)) (bool, error) {
	a.mu.Lock()
	answer, known := a.known[key]
	a.mu.Unlock()
	if known {
		return answer, nil
	}
	answer, err := ask()
	if err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= cachedAnswers {
		a.known = make(map[K]bool)
	}
	a.known[key] = answer
	return answer, nil
}

// cachedAnswers bounds each kind of answers that a Judge remembers.
const cachedAnswers = 20_000

// NewJudge returns a judge of a cluster's objects. Retention is reckoned from now.
func NewJudge(db *rows.DB, bucket *objects.Bucket, now func() time.Time) *Judge {
	j := &Judge{db: db, bucket: bucket, now: now}
	j.reader = &sealed.Reader{Rows: db, Tables: sealed.NewTables(64 << 20),
		Log: slog.New(slog.DiscardHandler), Damaged: func() {},
		Footer: func(ctx context.Context, at store.Location) (*record.Table, error) {
			return contents.Footer(ctx, bucket, at)
		}}
	return j
}

// tablesOnly are the rows of sealed objects, without those of fragments.
type tablesOnly struct {
	*rows.DB
	hot sealed.Hot // has no fragments
}

// Hot implements sealed.Rows.
func (r tablesOnly) Hot(context.Context, store.StreamID, store.Query, int64) (sealed.Hot, error) {
	return r.hot, nil
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
	buried, err := j.buried.of(id, func() (bool, error) {
		buried, err := j.db.StreamDeleted(ctx, id)
		if err != nil || buried {
			return buried, err
		}
		return j.there(ctx, contents.Tombstones+string(id))
	})
	switch {
	case err != nil:
		return 0, nil, err
	case buried:
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
	return j.asked.of(key, func() (bool, error) { return j.there(ctx, key) })
}

// judgesAtOnce is how many fragments of an object are judged at a time: each takes several queries,
// which are short beside the way to the database.
const judgesAtOnce = 8

// judged is what was decided of a fragment.
type judged struct {
	verdict verdict
	row     *store.FragmentInfo // of one that is stored, if the fragment itself has one
}

// fragments judges all fragments of an object without rows. With an error, some are not judged.
func (j *Judge) fragments(ctx context.Context, list []contents.Fragment) ([]judged, error) {
	all := make([]judged, len(list))
	errs := make([]error, judgesAtOnce)
	var judges sync.WaitGroup
	for n := range judgesAtOnce {
		judges.Go(func() {
			for i := n; i < len(list) && errs[n] == nil; i += judgesAtOnce {
				all[i].verdict, all[i].row, errs[n] = j.fragment(ctx, &list[i])
			}
		})
	}
	judges.Wait()
	return all, errors.Join(errs...)
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
	around, err := j.db.Around(ctx, id, &f.Info, resendWindow)
	if err != nil {
		return 0, nil, err
	}
	row, err := j.row(ctx, f, &around)
	if err != nil {
		return 0, nil, err
	}
	if row != nil {
		if row.PayloadCRC != f.Info.PayloadCRC || row.Size() != f.Info.Size() ||
			row.ServerTimestamp != f.Info.ServerTimestamp {
			return taken, nil, nil
		}
		return stored, row, nil
	}
	superseded, err := j.replaced(ctx, f, &around)
	if err == nil && !superseded {
		superseded, err = j.sentAgain(ctx, f, &around)
	}
	switch {
	case err != nil:
		return 0, nil, err
	case superseded:
		return stored, nil, nil
	}
	return lost, nil, nil
}

// row returns the row of the fragment that has a fragment's number, or its row in a table; nil:
// none has.
func (j *Judge) row(
	ctx context.Context, f *contents.Fragment, a *rows.Around,
) (*store.FragmentInfo, error) {
	for i := range a.Fragments {
		if a.Fragments[i].Number == f.Info.Number {
			return &a.Fragments[i], nil
		}
	}
	if f.Info.Number > a.HighWater.SealedNumber {
		return nil, nil
	}
	row, err := j.reader.SealedFragment(ctx, f.Stream.ID, f.Info.Number)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return &row, err
}

// replaced reports whether another fragment has taken the place of f: f is among those gone from a
// table, or among those that the fragments of a table have replaced.
func (j *Judge) replaced(
	ctx context.Context, f *contents.Fragment, a *rows.Around,
) (bool, error) {
	if _, found := slices.BinarySearch(a.Gone, f.Info.Number); found {
		return true, nil
	}
	if f.Info.Number > a.HighWater.SealedNumber { // what replaced it has a greater number
		return false, nil
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
func (j *Judge) sentAgain(
	ctx context.Context, f *contents.Fragment, a *rows.Around,
) (bool, error) {
	producer := f.Info.ProducerTimestamp
	inPlace := func(by *store.FragmentInfo) bool {
		return by.ProducerTimestamp == producer &&
			(by.PayloadCRC == f.Info.PayloadCRC || f.Info.Partial && !by.Partial)
	}
	for i := range a.Fragments {
		by := &a.Fragments[i]
		if inPlace(by) {
			return true, nil
		}
		if by.PayloadCRC != f.Info.PayloadCRC || by.Size() != f.Info.Size() {
			continue
		}
		m, err := contents.Head(ctx, j.bucket, by)
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
	if a.HighWater.SealedNumber == 0 {
		return false, nil
	}
	tables := *j.reader
	tables.Rows = tablesOnly{j.db, sealed.Hot{HighWater: a.HighWater, Gone: a.Gone}}
	at, err := tables.List(ctx, f.Stream.ID, store.Query{Range: &store.TimeRange{
		Clock: store.ProducerTimestamp, Start: producer, End: producer}}, sealed.MinTime)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(at, func(by store.FragmentInfo) bool { return inPlace(&by) }), nil
}

// Missed reports whether an object without rows has fragments that somebody may miss: whole ones of
// a stream that is not deleted, within retention, and stored nowhere else.
func (j *Judge) Missed(ctx context.Context, info objects.Info) (bool, error) {
	o := scan(ctx, j.bucket, info)
	if err := o.failed(); err != nil {
		return false, ignore(err, store.ErrGone)
	}
	for i := range o.fragments {
		v, _, err := j.fragment(ctx, &o.fragments[i])
		if err == nil && (v == lost || v == lostStream) {
			err = contents.Verify(ctx, o.src, &o.fragments[i].Info)
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
