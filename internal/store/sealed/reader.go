package sealed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"

	"weir/internal/store"
	"weir/internal/store/record"
)

// Rows is what an engine keeps about fragments beside their bytes.
type Rows interface {
	// Hot is store.Fragments.List over the fragments that have rows. It leaves out those with a
	// server timestamp before edge (milliseconds).
	Hot(ctx context.Context, id store.StreamID, q store.Query, edge int64) (Hot, error)
	HighWater(ctx context.Context, id store.StreamID) (HighWater, error)
	// HotFragment returns one fragment that has a row, past retention or not. ErrNotFound.
	HotFragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	// Sealed returns at most limit sealed volumes that may have fragments which q selects, without
	// regard to its Limit, with a server timestamp of at least edge. They are in q's order:
	// ByNumber by Number.Min, ByNumberNewest by Number.Max downwards, BySequence by Sequence.Min.
	// If after is not 0, only those after it in that order.
	Sealed(ctx context.Context, id store.StreamID, q store.Query, edge, after int64,
		limit int) ([]Volume, error)
	// Gone returns which fragments of a stream's sealed volumes were replaced since, in ascending
	// order.
	Gone(ctx context.Context, id store.StreamID) ([]store.Number, error)
}

// Reader reads fragments in both forms: rows, and the tables in the footers of sealed volumes. All
// fields are set before the first call.
//
// A fragment moves from its row into a table and never back, and rows are read first. So the rows
// of one moment, and the tables that are read later, have everything that existed at that moment.
// What was committed after it is recognised by its sequence, what was replaced before it by
// Hot.Gone.
type Reader struct {
	Rows Rows
	// acknowledged fragments that have no rows yet; nil: there are none
	Waiting func(store.StreamID) []store.FragmentInfo
	// reads and verifies the footer at a place. ErrGone when its volume is deleted, ErrCorrupt,
	// ErrKey
	Footer  func(ctx context.Context, at store.Location) (*record.Table, error)
	Tables  *Tables
	Log     *slog.Logger
	Damaged func() // called for a table that cannot be read
}

func (r *Reader) waiting(id store.StreamID) []store.FragmentInfo {
	if r.Waiting == nil {
		return nil
	}
	return r.Waiting(id)
}

// Hot is Rows.Hot together with the rows that wait.
func (r *Reader) Hot(
	ctx context.Context, id store.StreamID, q store.Query, edge int64,
) (Hot, error) {
	rows := r.waiting(id)
	hot, err := r.Rows.Hot(ctx, id, q, edge)
	addWaiting(&hot, rows, &q, edge)
	return hot, err
}

// addWaiting adds waiting rows that the index did not have when hot was read. A waiting row enters
// the index before anything else can happen to it; so those beyond the index's high-water mark are
// unchanged.
func addWaiting(hot *Hot, rows []store.FragmentInfo, q *store.Query, edge int64) {
	table := hot.HighWater.Sequence
	n := len(hot.Fragments)
	for i := range rows {
		f := &rows[i]
		if f.Sequence <= table {
			continue
		}
		hot.HighWater.Number, hot.HighWater.Sequence = max(hot.HighWater.Number, f.Number),
			max(hot.HighWater.Sequence, f.Sequence)
		if f.ServerTimestamp >= edge && q.Selects(f) {
			hot.Fragments = append(hot.Fragments, *f)
		}
	}
	if len(hot.Fragments) == n {
		return
	}
	slices.SortFunc(hot.Fragments, func(a, b store.FragmentInfo) int { return q.Compare(&a, &b) })
	if q.Limit > 0 && len(hot.Fragments) > q.Limit {
		hot.Fragments = hot.Fragments[:q.Limit]
	}
}

// List is store.Fragments.List over everything stored. It leaves out fragments with a server
// timestamp before edge.
func (r *Reader) List(
	ctx context.Context, id store.StreamID, q store.Query, edge int64,
) ([]store.FragmentInfo, error) {
	hot, err := r.Hot(ctx, id, q, edge)
	if err != nil {
		return nil, err
	}
	rows := hot.Fragments
	if hot.HighWater.SealedNumber == 0 || beyond(&q, rows, hot.HighWater) {
		return rows, nil
	}
	keep := func(f *store.FragmentInfo) bool {
		if f.Sequence > hot.HighWater.Sequence || f.ServerTimestamp < edge || !q.Selects(f) {
			return false
		}
		if _, gone := slices.BinarySearch(hot.Gone, f.Number); gone {
			return false
		}
		// it is already there if its volume was sealed in between
		at := before(&q, rows, f)
		return at == len(rows) || rows[at].Number != f.Number
	}
	var found []store.FragmentInfo // of sealed volumes, in order
	var after int64
	page := 8
	for {
		volumes, err := r.Rows.Sealed(ctx, id, q, edge, after, page)
		if err != nil {
			return nil, err
		}
		for i := range volumes {
			b := &volumes[i]
			least := first(&q, b) // nothing in this volume or in those after it comes before it
			if q.Limit > 0 && before(&q, rows, &least)+before(&q, found, &least) >= q.Limit {
				return merge(&q, rows, found), nil
			}
			after = b.Cursor(q.Order)
			if found, err = r.add(ctx, &q, b, found, keep); err != nil {
				return nil, err
			}
		}
		if len(volumes) < page {
			return merge(&q, rows, found), nil
		}
		page = min(4*page, 512)
	}
}

// add inserts the fragments of a sealed volume that keep accepts into found, in order.
func (r *Reader) add(ctx context.Context, q *store.Query, b *Volume,
	found []store.FragmentInfo, keep func(*store.FragmentInfo) bool) ([]store.FragmentInfo, error) {
	t, err := r.Table(ctx, b)
	if t == nil {
		return found, err
	}
	if found == nil && q.Limit > 0 {
		found = make([]store.FragmentInfo, 0, min(q.Limit, 1000)+b.Count)
	}
	n := len(found)
	if found, err = t.Choose(found, b.Name, b.Sets, keep); err != nil || len(found) == n {
		return found, err
	}
	fresh := found[n:]
	order := func(x, y store.FragmentInfo) int { return q.Compare(&x, &y) }
	if q.Order == store.ByNumberNewest {
		slices.Reverse(fresh)
	}
	if !slices.IsSortedFunc(fresh, order) {
		slices.SortFunc(fresh, order)
	}
	// Volumes overlap a little at most, so there is little to sort.
	if from := before(q, found[:n], &fresh[0]); from < n {
		slices.SortFunc(found[from:], order)
	}
	return found, nil
}

// Table returns the table of a sealed volume; nil when it is past retention and gone by now, or
// damaged, which costs the fragments of that volume only.
func (r *Reader) Table(ctx context.Context, b *Volume) (*record.Table, error) {
	if t := r.Tables.get(b.Name, b.Footer); t != nil {
		return t, nil
	}
	t, err := r.Footer(ctx, b.Footer)
	if err == nil && len(t.Sets) != len(b.Sets) {
		err = fmt.Errorf("%w: table with %d track sets, its row has %d", store.ErrCorrupt,
			len(t.Sets), len(b.Sets))
	}
	switch {
	case err == nil:
		r.Tables.put(b.Name, b.Footer, t)
		return t, nil
	case errors.Is(err, store.ErrGone):
		return nil, nil
	case errors.Is(err, store.ErrCorrupt):
		r.Log.Error("table of a volume is damaged, its fragments are not listed", "volume", b.Name,
			"error", err)
		r.Damaged()
		return nil, nil
	case errors.Is(err, store.ErrKey):
		r.Log.Error("table of a volume cannot be decrypted, its fragments are not listed", "volume",
			b.Name, "error", err)
		return nil, nil
	}
	return nil, fmt.Errorf("table of %s: %w", b.Name, err)
}

// Fragment returns a fragment, even if it is past retention. ErrNotFound.
func (r *Reader) Fragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	f, _, err := r.FragmentAndNext(ctx, id, n, 0)
	return f, err
}

// FragmentAndNext returns a fragment, and up to most others with greater numbers if they are in the
// same table, all of which is read to find one. ErrNotFound.
func (r *Reader) FragmentAndNext(
	ctx context.Context, id store.StreamID, n store.Number, most int,
) (store.FragmentInfo, []store.FragmentInfo, error) {
	for _, f := range r.waiting(id) {
		if f.Number != n {
			continue
		}
		high, err := r.Rows.HighWater(ctx, id)
		if err != nil || f.Sequence > high.Sequence {
			return f, nil, err
		} // else the index has it by now, or it is gone
	}
	f, err := r.Rows.HotFragment(ctx, id, n)
	if !errors.Is(err, store.ErrNotFound) {
		return f, nil, err
	}
	return r.sealedAndNext(ctx, id, n, most)
}

// SealedFragment returns a fragment of a sealed volume. ErrNotFound.
func (r *Reader) SealedFragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	f, _, err := r.sealedAndNext(ctx, id, n, 0)
	return f, err
}

// sealedAndNext is FragmentAndNext for sealed volumes.
func (r *Reader) sealedAndNext(
	ctx context.Context, id store.StreamID, n store.Number, most int,
) (f store.FragmentInfo, next []store.FragmentInfo, err error) {
	if n <= 0 {
		return f, nil, store.ErrNotFound
	}
	q := store.Query{After: n - 1}
	var after int64
	for {
		volumes, err := r.Rows.Sealed(ctx, id, q, MinTime, after, 4)
		if err != nil {
			return f, nil, err
		}
		for i := range volumes {
			b := &volumes[i]
			if after = b.Number.Min; after > int64(n) {
				return f, nil, store.ErrNotFound
			}
			t, err := r.Table(ctx, b)
			if err != nil {
				return f, nil, err
			}
			if t == nil {
				continue
			}
			later := 0
			found, err := t.Choose(make([]store.FragmentInfo, 0, 1+most), b.Name, b.Sets,
				func(f *store.FragmentInfo) bool {
					if f.Number > n {
						later++
					}
					return f.Number == n || f.Number > n && later <= most
				})
			if err != nil {
				return f, nil, err
			}
			at := slices.IndexFunc(found, func(f store.FragmentInfo) bool { return f.Number == n })
			if at < 0 {
				continue
			}
			gone, err := r.Rows.Gone(ctx, id)
			if err != nil {
				return f, nil, err
			}
			isGone := func(f store.FragmentInfo) bool {
				_, ok := slices.BinarySearch(gone, f.Number)
				return ok
			}
			if f = found[at]; isGone(f) {
				return store.FragmentInfo{}, nil, store.ErrNotFound
			}
			return f, slices.DeleteFunc(slices.Delete(found, at, at+1), isGone), nil
		}
		if len(volumes) < 4 {
			return f, nil, store.ErrNotFound
		}
	}
}

// MinTime is before every timestamp.
const MinTime = -1 << 62

// first is a fragment that comes before everything in the volume.
func first(q *store.Query, b *Volume) store.FragmentInfo {
	f := store.FragmentInfo{Number: store.Number(b.Number.Min), Sequence: b.Sequence.Min}
	if q.Order == store.ByNumberNewest {
		f.Number = store.Number(b.Number.Max)
	}
	return f
}

// before returns how many fragments of a sorted list come before f.
func before(q *store.Query, sorted []store.FragmentInfo, f *store.FragmentInfo) int {
	return sort.Search(len(sorted), func(i int) bool { return q.Compare(&sorted[i], f) >= 0 })
}

// beyond reports whether no sealed volume can add anything to these rows.
func beyond(q *store.Query, rows []store.FragmentInfo, high HighWater) bool {
	if q.AfterSequence >= high.SealedSequence {
		return true
	}
	switch q.Order {
	case store.ByNumberNewest:
		return q.Limit > 0 && len(rows) == q.Limit && rows[len(rows)-1].Number > high.SealedNumber
	case store.ByNumber:
		return q.After >= high.SealedNumber
	}
	return false
}

// merge merges two sorted lists and cuts the result to the limit.
func merge(q *store.Query, a, b []store.FragmentInfo) []store.FragmentInfo {
	n := len(a) + len(b)
	if q.Limit > 0 {
		n = min(n, q.Limit)
	}
	if len(a) == 0 {
		return b[:n:n]
	}
	if len(b) == 0 {
		return a[:n:n]
	}
	out := make([]store.FragmentInfo, 0, n)
	for len(out) < n && len(a)+len(b) > 0 {
		switch {
		case len(b) == 0:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0:
			out, b = append(out, b[0]), b[1:]
		default:
			if q.Compare(&a[0], &b[0]) < 0 {
				out, a = append(out, a[0]), a[1:]
			} else {
				out, b = append(out, b[0]), b[1:]
			}
		}
	}
	return out
}
