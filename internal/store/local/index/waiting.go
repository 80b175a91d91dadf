package index

import (
	"context"
	"slices"
	"sync"
	"time"

	"weir/internal/store"
)

// waiting are the rows that were committed and are not in the table yet. They go there in one transaction after a while, in
// their order: the pages of a row cost the more the fewer rows go together, and no acknowledgement waits for that. Whoever
// reads adds them to what the table has (SQLite.Hot); a transaction that needs the table whole calls alone first. A
// process that dies loses them as a power cut loses the newest transactions: their records are found again.
type waiting struct {
	mu     sync.Mutex
	tails  map[store.StreamID]*tail // of streams that rows may be added to without a transaction; guarded by mu
	rows   []waitingRow             // in the order of their commits; guarded by mu
	timer  *time.Timer              // runs flush; nil when it is not to run; guarded by mu
	failed bool                     // the last flush failed: everybody meets the table until one has not; guarded by mu
	closed bool                     // guarded by mu

	flushes sync.WaitGroup // that timer has started
}

type waitingRow struct {
	stream store.StreamID
	tail   *tail
	info   store.FragmentInfo
}

const (
	flushAfter = 100 * time.Millisecond // how long a row waits at most
	maxWaiting = 4096                   // rows; a Commit beyond it waits for the table
)

// wait commits those fragments that are no more than another row behind a stream's others, and gives the places of the rest.
func (x *SQLite) wait(fragments []NewFragment, results []Committed) (rest []int) {
	w := &x.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed || w.closed || len(w.rows)+len(fragments) > maxWaiting {
		for i := range fragments {
			rest = append(rest, i)
		}
		return rest
	}
	for i := range fragments {
		f := &fragments[i]
		s := w.tails[f.Stream]
		// A number that is not the greatest may be there already.
		if s == nil || s.volume.name != f.Info.Location.Volume || f.Info.Number <= s.high.Number || f.Replaces != 0 {
			delete(w.tails, f.Stream) // the stream's next ones stay behind this one
			rest = append(rest, i)
			continue
		}
		row := waitingRow{stream: f.Stream, tail: s, info: f.Info}
		row.info.Sequence = max(s.high.Sequence, f.AfterSequence) + 1
		s.high.Sequence, s.high.Number = row.info.Sequence, row.info.Number
		w.rows = append(w.rows, row)
		results[i].Sequence = row.info.Sequence
	}
	if len(w.rows) > 0 && w.timer == nil {
		w.flushes.Add(1)
		w.timer = time.AfterFunc(flushAfter, x.flush)
	}
	return rest
}

// flush is what the timer does. When it fails the next Commit tries again and tells why.
func (x *SQLite) flush() {
	w := &x.waiting
	defer w.flushes.Done()
	w.mu.Lock()
	w.timer = nil
	w.mu.Unlock()
	_ = x.add(context.Background(), visible, (*tx).settle)
}

// settled gives the table what waits.
func (x *SQLite) settled(ctx context.Context) error {
	w := &x.waiting
	w.mu.Lock()
	n := len(w.rows)
	w.mu.Unlock()
	if n == 0 {
		return nil
	}
	return x.write(ctx, visible, (*tx).settle)
}

// close gives the table what waits, and lets nothing wait any more.
func (w *waiting) close(settle func() error) error {
	w.mu.Lock()
	w.closed = true
	if w.timer != nil && w.timer.Stop() {
		w.timer = nil
		w.flushes.Done()
	}
	w.mu.Unlock()
	w.flushes.Wait()
	return settle()
}

// settle writes the rows that wait into the table.
func (t *tx) settle() error {
	w := &t.x.waiting
	w.mu.Lock()
	rows := w.rows // only who writes takes of them
	w.mu.Unlock()
	if len(rows) == 0 {
		return nil
	}
	err := t.addRows(rows)
	if err != nil {
		w.fail()
	}
	return err
}

// fail notes that a transaction with what waits may have failed.
func (w *waiting) fail() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = len(w.rows) > 0
}

func (t *tx) addRows(rows []waitingRow) error {
	marks := make(map[*tail]mark)
	for i := range rows {
		r := &rows[i]
		if _, err := t.insert(r.tail.key, r.tail.volume.key, &r.info); err != nil {
			return err
		}
		m, ok := marks[r.tail]
		if !ok {
			m = r.tail.mark
		}
		m.add(&r.info)
		marks[r.tail] = m
	}
	for s, m := range marks {
		if m.unmarked >= markEvery {
			if err := t.setMark(s.volume.key, &m); err != nil {
				return err
			}
			marks[s] = m
		}
	}
	t.onCommit(func() {
		w := &t.x.waiting
		w.mu.Lock()
		defer w.mu.Unlock()
		for s, m := range marks {
			s.mark = m
		}
		w.rows, w.failed = slices.Delete(w.rows, 0, len(rows)), false
	})
	return nil
}

// alone writes the rows that wait, and makes that none of these streams comes to wait before the transaction has ended: what it
// reads of them is all there is.
func (t *tx) alone(streams ...store.StreamID) error {
	w := &t.x.waiting
	w.mu.Lock()
	for _, id := range streams {
		delete(w.tails, id)
	}
	w.mu.Unlock()
	return t.settle()
}

// of gives a copy of a stream's rows that wait. Of these the table has those up to the high-water mark that is read of it afterwards.
func (w *waiting) of(id store.StreamID) (list []store.FragmentInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.rows {
		if w.rows[i].stream == id {
			list = append(list, w.rows[i].info)
		}
	}
	return list
}
