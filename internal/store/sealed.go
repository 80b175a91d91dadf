package store

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sort"
	"sync"
)

// reader reads fragments, hot and sealed: rows, and the tables in the footers of sealed blobs.
//
// A fragment's row turns into a line of a table and never back, and rows are read first; so what is in the rows of one moment
// and in the tables read later is all there was at that moment. What was committed after it is told by its sequence, what
// was replaced before it by Hot.Gone.
type reader struct {
	idx     Index
	blobs   Blobs
	tables  *tableCache
	log     *slog.Logger
	damaged func() // counts a table that cannot be read
}

// list is Store.List over what is stored; fragments with a server timestamp before notBefore are left out.
func (r *reader) list(ctx context.Context, id StreamID, q Query, notBefore int64) ([]FragmentInfo, error) {
	hot, err := r.idx.Hot(ctx, id, q, notBefore)
	if err != nil {
		return nil, err
	}
	rows := hot.Fragments
	if hot.Head.SealedNumber == 0 || q.beyond(rows, hot.Head) {
		return rows, nil
	}
	keep := func(f *FragmentInfo) bool {
		if f.Sequence > hot.Head.Sequence || f.ServerTimestamp < notBefore || !q.Selects(f) {
			return false
		}
		if _, gone := slices.BinarySearch(hot.Gone, f.Number); gone {
			return false
		}
		at := before(&q, rows, f) // the same fragment is there when its blob was sealed in between
		return at == len(rows) || rows[at].Number != f.Number
	}
	var found []FragmentInfo // of sealed blobs, in order
	var after int64
	page := 8
	for {
		blobs, err := r.idx.Sealed(ctx, id, q, notBefore, after, page)
		if err != nil {
			return nil, err
		}
		for i := range blobs {
			b := &blobs[i]
			first := q.first(b) // nothing in this blob or in those behind it comes before it
			if q.Limit > 0 && before(&q, rows, &first)+before(&q, found, &first) >= q.Limit {
				return q.merge(rows, found), nil
			}
			if after = first.Sequence; q.Order != BySequence {
				after = int64(first.Number)
			}
			if found, err = r.add(ctx, &q, b, found, keep); err != nil {
				return nil, err
			}
		}
		if len(blobs) < page {
			return q.merge(rows, found), nil
		}
		page = min(4*page, 512)
	}
}

// add puts what keep keeps of a sealed blob in its places in found.
func (r *reader) add(ctx context.Context, q *Query, b *SealedBlob, found []FragmentInfo, keep func(*FragmentInfo) bool) ([]FragmentInfo, error) {
	t, err := r.table(ctx, b)
	if t == nil {
		return found, err
	}
	if found == nil && q.Limit > 0 {
		found = make([]FragmentInfo, 0, min(q.Limit, 1000)+b.Count)
	}
	n := len(found)
	if found, err = t.choose(found, b.Name, b.Sets, keep); err != nil || len(found) == n {
		return found, err
	}
	fresh := found[n:]
	order := func(x, y FragmentInfo) int { return q.Compare(&x, &y) }
	if q.Order == ByNumberNewest {
		slices.Reverse(fresh)
	}
	if !slices.IsSortedFunc(fresh, order) {
		slices.SortFunc(fresh, order)
	}
	// Blobs overlap a little at most, so there is little to sort again.
	if from := before(q, found[:n], &fresh[0]); from < n {
		slices.SortFunc(found[from:], order)
	}
	return found, nil
}

// table gives the table of a sealed blob; nil when it is past retention and gone by now, or damaged, which costs the
// fragments of that blob only.
func (r *reader) table(ctx context.Context, b *SealedBlob) (*Table, error) {
	if t := r.tables.get(b.Name, b.Footer); t != nil {
		return t, nil
	}
	t, err := readTable(ctx, r.blobs, b.Footer)
	if err == nil && len(t.Sets) != len(b.Sets) {
		err = fmt.Errorf("%w: table with %d track sets, its row has %d", ErrCorrupt, len(t.Sets), len(b.Sets))
	}
	switch {
	case err == nil:
		r.tables.put(b.Name, b.Footer, t)
		return t, nil
	case errors.Is(err, ErrGone):
		return nil, nil
	case errors.Is(err, ErrCorrupt):
		r.log.Error("table of a volume is damaged, its fragments are not listed", "blob", b.Name, "err", err)
		r.damaged()
		return nil, nil
	}
	return nil, fmt.Errorf("table of %s: %w", b.Name, err)
}

// readTable reads and verifies the footer at a place.
func readTable(ctx context.Context, blobs Blobs, at Location) (*Table, error) {
	if at.Length < RecordHeaderSize+FooterTrailer || at.Length > MaxMetaLength+FooterTrailer {
		return nil, fmt.Errorf("%w: footer %+v", ErrCorrupt, at)
	}
	body, err := blobs.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	b := make([]byte, at.Length)
	if _, err := body.ReadAt(b, 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: blob ends inside of the footer", ErrCorrupt)
		}
		return nil, errors.Join(err, body.Close())
	}
	t, err := DecodeFooter(b)
	return t, errors.Join(err, body.Close())
}

// fragment gives one fragment, past retention or not. ErrNotFound.
func (r *reader) fragment(ctx context.Context, id StreamID, n Number) (FragmentInfo, error) {
	f, _, err := r.fragmentAndNext(ctx, id, n, 0)
	return f, err
}

// fragmentAndNext gives one fragment, and up to most others with greater numbers where they lie in the same table, of which
// all is read to find one. ErrNotFound.
func (r *reader) fragmentAndNext(ctx context.Context, id StreamID, n Number, most int) (FragmentInfo, []FragmentInfo, error) {
	f, err := r.idx.HotFragment(ctx, id, n)
	if !errors.Is(err, ErrNotFound) {
		return f, nil, err
	}
	return r.sealedAndNext(ctx, id, n, most)
}

// sealedFragment gives a fragment of a sealed blob. ErrNotFound.
func (r *reader) sealedFragment(ctx context.Context, id StreamID, n Number) (FragmentInfo, error) {
	f, _, err := r.sealedAndNext(ctx, id, n, 0)
	return f, err
}

// sealedAndNext is fragmentAndNext for sealed blobs.
func (r *reader) sealedAndNext(ctx context.Context, id StreamID, n Number, most int) (f FragmentInfo, next []FragmentInfo, err error) {
	if n <= 0 {
		return f, nil, ErrNotFound
	}
	q := Query{After: n - 1}
	var after int64
	for {
		blobs, err := r.idx.Sealed(ctx, id, q, minTime, after, 4)
		if err != nil {
			return f, nil, err
		}
		for i := range blobs {
			b := &blobs[i]
			if after = b.Number.Min; after > int64(n) {
				return f, nil, ErrNotFound
			}
			t, err := r.table(ctx, b)
			if err != nil {
				return f, nil, err
			}
			if t == nil {
				continue
			}
			behind := 0
			found, err := t.choose(make([]FragmentInfo, 0, 1+most), b.Name, b.Sets, func(f *FragmentInfo) bool {
				if f.Number > n {
					behind++
				}
				return f.Number == n || f.Number > n && behind <= most
			})
			if err != nil {
				return f, nil, err
			}
			at := slices.IndexFunc(found, func(f FragmentInfo) bool { return f.Number == n })
			if at < 0 {
				continue
			}
			gone, err := r.idx.Gone(ctx, id)
			if err != nil {
				return f, nil, err
			}
			isGone := func(f FragmentInfo) bool { _, ok := slices.BinarySearch(gone, f.Number); return ok }
			if f = found[at]; isGone(f) {
				return FragmentInfo{}, nil, ErrNotFound
			}
			return f, slices.DeleteFunc(slices.Delete(found, at, at+1), isGone), nil
		}
		if len(blobs) < 4 {
			return f, nil, ErrNotFound
		}
	}
}

// minTime is before every timestamp.
const minTime = -1 << 62

// Compare orders fragments as q does: negative when a comes first.
func (q *Query) Compare(a, b *FragmentInfo) int {
	switch q.Order {
	case ByNumberNewest:
		return cmp.Compare(b.Number, a.Number)
	case BySequence:
		return cmp.Compare(a.Sequence, b.Sequence)
	}
	return cmp.Compare(a.Number, b.Number)
}

// first is a fragment that comes before everything in the blob.
func (q *Query) first(b *SealedBlob) FragmentInfo {
	f := FragmentInfo{Number: Number(b.Number.Min), Sequence: b.Sequence.Min}
	if q.Order == ByNumberNewest {
		f.Number = Number(b.Number.Max)
	}
	return f
}

// before counts the fragments of a sorted list that come before f.
func before(q *Query, sorted []FragmentInfo, f *FragmentInfo) int {
	return sort.Search(len(sorted), func(i int) bool { return q.Compare(&sorted[i], f) >= 0 })
}

// beyond tells that no sealed blob can add to these rows.
func (q *Query) beyond(rows []FragmentInfo, head Head) bool {
	if q.AfterSequence >= head.SealedSequence {
		return true
	}
	switch q.Order {
	case ByNumberNewest:
		return q.Limit > 0 && len(rows) == q.Limit && rows[len(rows)-1].Number > head.SealedNumber
	case ByNumber:
		return q.After >= head.SealedNumber
	}
	return false
}

// merge puts two sorted lists together and cuts them to the limit.
func (q *Query) merge(a, b []FragmentInfo) []FragmentInfo {
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
	out := make([]FragmentInfo, 0, n)
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

// tableCache holds the tables used last, packed as they are, up to a number of bytes.
type tableCache struct {
	limit int64

	mu     sync.Mutex
	bytes  int64                    // guarded by mu
	tables map[string]*list.Element // of *cachedTable; guarded by mu
	order  list.List                // the one used last in front; guarded by mu
}

type cachedTable struct {
	blob  string
	at    Location
	table *Table
}

func newTableCache(limit int64) *tableCache {
	return &tableCache{limit: limit, tables: make(map[string]*list.Element)}
}

func (c *tableCache) get(blob string, at Location) *Table {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.tables[blob]
	if e == nil || e.Value.(*cachedTable).at != at {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedTable).table
}

func (c *tableCache) put(blob string, at Location, t *Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(blob)
	c.tables[blob] = c.order.PushFront(&cachedTable{blob, at, t})
	c.bytes += t.Bytes()
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back().Value.(*cachedTable).blob)
	}
}

// drop forgets a blob's table. The caller holds mu.
func (c *tableCache) drop(blob string) {
	if e := c.tables[blob]; e != nil {
		c.bytes -= e.Value.(*cachedTable).table.Bytes()
		c.order.Remove(e)
		delete(c.tables, blob)
	}
}
