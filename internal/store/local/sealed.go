package local

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sort"
	"sync"

	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/record"
)

// reader reads fragments, hot and sealed: rows, and the tables in the footers of sealed volumes.
//
// A fragment's row turns into a line of a table and never back, and rows are read first; so what is
// in the rows of one moment and in the tables read later is all there was at that moment. What was
// committed after it is told by its sequence, what was replaced before it by Hot.Gone.
type reader struct {
	idx     IndexReader
	volumes VolumeReader
	waiting func(store.StreamID) []store.FragmentInfo // rows that are not in idx yet
	tables  *tableCache
	log     *slog.Logger
	damaged func() // counts a table that cannot be read
}

// hot is Index.Hot with the rows that wait.
func (r *reader) hot(
	ctx context.Context, id store.StreamID, q store.Query, edge int64,
) (index.Hot, error) {
	rows := r.waiting(id)
	hot, err := r.idx.Hot(ctx, id, q, edge)
	addWaiting(&hot, rows, &q, edge)
	return hot, err
}

// addWaiting adds what the table had not got when the rest was read. Whatever else happened to a
// row that waited, it was in the table first; so those beyond its high-water mark are still as they
// were.
func addWaiting(hot *index.Hot, rows []store.FragmentInfo, q *store.Query, edge int64) {
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

// list is Store.List over what is stored; fragments with a server timestamp before edge are left
// out.
func (r *reader) list(
	ctx context.Context, id store.StreamID, q store.Query, edge int64,
) ([]store.FragmentInfo, error) {
	hot, err := r.hot(ctx, id, q, edge)
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
		// the same fragment is there when its volume was sealed in between
		at := before(&q, rows, f)
		return at == len(rows) || rows[at].Number != f.Number
	}
	var found []store.FragmentInfo // of sealed volumes, in order
	var after int64
	page := 8
	for {
		volumes, err := r.idx.Sealed(ctx, id, q, edge, after, page)
		if err != nil {
			return nil, err
		}
		for i := range volumes {
			b := &volumes[i]
			least := first(&q, b) // nothing in this volume or in those after it comes before it
			if q.Limit > 0 && before(&q, rows, &least)+before(&q, found, &least) >= q.Limit {
				return merge(&q, rows, found), nil
			}
			if after = least.Sequence; q.Order != store.BySequence {
				after = int64(least.Number)
			}
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

// add puts what keep keeps of a sealed volume in its places in found.
func (r *reader) add(ctx context.Context, q *store.Query, b *index.SealedVolume,
	found []store.FragmentInfo, keep func(*store.FragmentInfo) bool) ([]store.FragmentInfo, error) {
	t, err := r.table(ctx, b)
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
	// Volumes overlap a little at most, so there is little to sort again.
	if from := before(q, found[:n], &fresh[0]); from < n {
		slices.SortFunc(found[from:], order)
	}
	return found, nil
}

// table returns the table of a sealed volume; nil when it is past retention and gone by now, or
// damaged, which costs the fragments of that volume only.
func (r *reader) table(ctx context.Context, b *index.SealedVolume) (*record.Table, error) {
	if t := r.tables.get(b.Name, b.Footer); t != nil {
		return t, nil
	}
	t, err := readTable(ctx, r.volumes, b.Footer)
	if err == nil && len(t.Sets) != len(b.Sets) {
		err = fmt.Errorf("%w: table with %d track sets, its row has %d", store.ErrCorrupt,
			len(t.Sets), len(b.Sets))
	}
	switch {
	case err == nil:
		r.tables.put(b.Name, b.Footer, t)
		return t, nil
	case errors.Is(err, store.ErrGone):
		return nil, nil
	case errors.Is(err, store.ErrCorrupt):
		r.log.Error("table of a volume is damaged, its fragments are not listed", "blob", b.Name,
			"error", err)
		r.damaged()
		return nil, nil
	}
	return nil, fmt.Errorf("table of %s: %w", b.Name, err)
}

// readTable reads and verifies the footer at a place.
func readTable(
	ctx context.Context, volumes VolumeReader, at store.Location,
) (*record.Table, error) {
	if at.Length < record.HeaderSize+record.FooterTrailer ||
		at.Length > record.MaxMetaLength+record.FooterTrailer {
		return nil, fmt.Errorf("%w: footer %+v", store.ErrCorrupt, at)
	}
	body, err := volumes.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	b := make([]byte, at.Length)
	if _, err := body.ReadAt(b, 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: blob ends inside of the footer", store.ErrCorrupt)
		}
		return nil, errors.Join(err, body.Close())
	}
	t, err := record.DecodeFooter(b)
	return t, errors.Join(err, body.Close())
}

// fragment returns one fragment, past retention or not. ErrNotFound.
func (r *reader) fragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	f, _, err := r.fragmentAndNext(ctx, id, n, 0)
	return f, err
}

// fragmentAndNext returns one fragment, and up to most others with greater numbers where they lie
// in the same table, of which all is read to find one. ErrNotFound.
func (r *reader) fragmentAndNext(
	ctx context.Context, id store.StreamID, n store.Number, most int,
) (store.FragmentInfo, []store.FragmentInfo, error) {
	for _, f := range r.waiting(id) {
		if f.Number != n {
			continue
		}
		high, err := r.idx.HighWater(ctx, id)
		if err != nil || f.Sequence > high.Sequence {
			return f, nil, err
		} // else the index has it by now, or it is gone
	}
	f, err := r.idx.HotFragment(ctx, id, n)
	if !errors.Is(err, store.ErrNotFound) {
		return f, nil, err
	}
	return r.sealedAndNext(ctx, id, n, most)
}

// sealedFragment returns a fragment of a sealed volume. ErrNotFound.
func (r *reader) sealedFragment(
	ctx context.Context, id store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	f, _, err := r.sealedAndNext(ctx, id, n, 0)
	return f, err
}

// sealedAndNext is fragmentAndNext for sealed volumes.
func (r *reader) sealedAndNext(
	ctx context.Context, id store.StreamID, n store.Number, most int,
) (f store.FragmentInfo, next []store.FragmentInfo, err error) {
	if n <= 0 {
		return f, nil, store.ErrNotFound
	}
	q := store.Query{After: n - 1}
	var after int64
	for {
		volumes, err := r.idx.Sealed(ctx, id, q, minTime, after, 4)
		if err != nil {
			return f, nil, err
		}
		for i := range volumes {
			b := &volumes[i]
			if after = b.Number.Min; after > int64(n) {
				return f, nil, store.ErrNotFound
			}
			t, err := r.table(ctx, b)
			if err != nil {
				return f, nil, err
			}
			if t == nil {
				continue
			}
			behind := 0
			found, err := t.Choose(make([]store.FragmentInfo, 0, 1+most), b.Name, b.Sets,
				func(f *store.FragmentInfo) bool {
					if f.Number > n {
						behind++
					}
					return f.Number == n || f.Number > n && behind <= most
				})
			if err != nil {
				return f, nil, err
			}
			at := slices.IndexFunc(found, func(f store.FragmentInfo) bool { return f.Number == n })
			if at < 0 {
				continue
			}
			gone, err := r.idx.Gone(ctx, id)
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

// minTime is before every timestamp.
const minTime = -1 << 62

// first is a fragment that comes before everything in the volume.
func first(q *store.Query, b *index.SealedVolume) store.FragmentInfo {
	f := store.FragmentInfo{Number: store.Number(b.Number.Min), Sequence: b.Sequence.Min}
	if q.Order == store.ByNumberNewest {
		f.Number = store.Number(b.Number.Max)
	}
	return f
}

// before counts the fragments of a sorted list that come before f.
func before(q *store.Query, sorted []store.FragmentInfo, f *store.FragmentInfo) int {
	return sort.Search(len(sorted), func(i int) bool { return q.Compare(&sorted[i], f) >= 0 })
}

// beyond tells that no sealed volume can add to these rows.
func beyond(q *store.Query, rows []store.FragmentInfo, high index.HighWater) bool {
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

// merge puts two sorted lists together and cuts them to the limit.
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

// tableCache holds the tables used last, packed as they are, up to a number of bytes
// (Options.TableBytes). A table never changes, and one that was written anew lies elsewhere: nobody
// needs to tell of anything, and a table whose volume is gone is not asked for.
type tableCache struct {
	limit int64

	mu     sync.Mutex
	bytes  int64                    // guarded by mu
	tables map[string]*list.Element // of *cachedTable; guarded by mu
	order  list.List                // the one used last in front; guarded by mu
}

type cachedTable struct {
	volume string
	at     store.Location
	table  *record.Table
}

func newTableCache(limit int64) *tableCache {
	return &tableCache{limit: limit, tables: make(map[string]*list.Element)}
}

func (c *tableCache) get(volume string, at store.Location) *record.Table {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.tables[volume]
	if e == nil || e.Value.(*cachedTable).at != at {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedTable).table
}

func (c *tableCache) put(volume string, at store.Location, t *record.Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(volume)
	c.tables[volume] = c.order.PushFront(&cachedTable{volume, at, t})
	c.bytes += t.Bytes()
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back().Value.(*cachedTable).volume)
	}
}

// drop forgets a volume's table. The caller holds mu.
func (c *tableCache) drop(volume string) {
	if e := c.tables[volume]; e != nil {
		c.bytes -= e.Value.(*cachedTable).table.Bytes()
		c.order.Remove(e)
		delete(c.tables, volume)
	}
}
