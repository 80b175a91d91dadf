package local

import (
	"context"
	"errors"
	"sync"
	"time"

	"weir/internal/store"
	"weir/internal/store/local/index"
)

// rowQueue is the group commit: the rows of fragments on their way into the index, in the order of
// their sequences. A transaction takes all that are queued.
//
// Most rows are acknowledged when they are queued (acknowledge). Their records are durable, and
// every reader of this process adds them to what the index has (sealed.Reader.Hot). Their
// transaction comes after flushAfter: the more rows share a transaction, the less each one's pages
// cost, and no producer waits for it. A caller that commits a row waits for its transaction. If
// none is running, the caller runs it itself, without a change of goroutine. Rows that are queued
// in the meantime are written by a goroutine, which lives as long as somebody waits.
//
// Acknowledged rows need not be durable, because records of one stream are queued in the order of
// their bytes (streamState.appending). The process or a power cut may lose the newest rows of the
// index, but only from the end, and never the first one of a volume (NewFragment.Durable). So every
// row that can be lost belongs to a record in a volume whose row is safe and open, after the
// volume's Indexed by the rows that are left. Recovery reads from there, finds the records in the
// same order and gives them the same sequences. A replacement is written in its record, so it is
// repeated, too.
//
// The queue is in memory because one process has the directory: nobody else adds rows, so a reader
// of this process misses none. At most maxWaiting rows wait.
type rowQueue struct {
	idx     Index
	metrics *Metrics

	mu      sync.Mutex
	rows    []queuedRow // in order, those of the running transaction first; guarded by mu
	waiters int         // how many of the rows have a result channel; guarded by mu
	running bool        // a transaction is running or about to; guarded by mu
	// the last one failed: nothing is acknowledged until one succeeds; guarded by mu
	failed bool
	closed bool        // guarded by mu
	timer  *time.Timer // runs flushLater; nil when it need not run; guarded by mu
	idle   sync.Cond   // on mu: running became false
}

// queuedRow is a row; with a nil row it only waits for those before it.
type queuedRow struct {
	row    *index.NewFragment
	result chan index.Committed // one slot; nil: the row was acknowledged
}

const (
	flushAfter = 100 * time.Millisecond // how long an acknowledged row waits, roughly
	retryAfter = time.Second            // the same after a failed transaction
	maxWaiting = 4096                   // rows; beyond it appends wait for the index
)

var errStoreClosed = errors.New("store is closed")

func newRowQueue(idx Index, m *Metrics) *rowQueue {
	q := &rowQueue{idx: idx, metrics: m}
	q.idle.L = &q.mu
	return q
}

// acknowledge queues a row that needs no transaction of its own: it follows the stream's other rows
// in a known volume, has the greatest number, and replaces nothing. false when it must be committed
// after all.
func (q *rowQueue) acknowledge(row *index.NewFragment) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed || q.closed || len(q.rows) >= maxWaiting {
		return false
	}
	q.rows = append(q.rows, queuedRow{row: row})
	q.flushSoon()
	return true
}

// flushSoon arranges for queued rows to be written after a while. The caller holds mu.
func (q *rowQueue) flushSoon() {
	if q.timer != nil || q.closed {
		return
	}
	after := flushAfter
	if q.failed {
		after = retryAfter
	}
	q.timer = time.AfterFunc(after, q.flushLater)
}

func (q *rowQueue) flushLater() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = nil
	if !q.running && len(q.rows) > 0 {
		q.running = true
		q.transact()
		q.next()
	}
}

// commit queues a row, or nil, and returns the result. ErrExists and ErrNotFound as in
// index.Committed; after any other error there may or may not be a row.
func (q *rowQueue) commit(row *index.NewFragment) error {
	result := make(chan index.Committed, 1)
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errStoreClosed
	}
	q.rows = append(q.rows, queuedRow{row, result})
	q.waiters++
	if !q.running {
		q.running = true
		q.transact()
		q.next()
	}
	q.mu.Unlock()
	return (<-result).Err
}

// flush writes the acknowledged rows into the index. It may use the space that the index keeps in
// reserve.
func (q *rowQueue) flush() error {
	q.mu.Lock()
	empty := len(q.rows) == 0
	q.mu.Unlock()
	if empty {
		return nil
	}
	return q.commit(nil)
}

// next ends the turn that running began, or passes it to a goroutine. The caller holds mu.
func (q *rowQueue) next() {
	if q.waiters > 0 {
		go func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			for q.waiters > 0 {
				q.transact()
			}
			q.next()
		}()
		return
	}
	q.running = false
	if len(q.rows) > 0 {
		q.flushSoon()
	}
	q.idle.Broadcast()
}

// transact writes all queued rows in one transaction. The caller has set running and holds mu,
// which transact releases in the meantime. After an error the acknowledged rows stay queued.
func (q *rowQueue) transact() {
	batch := q.rows[:len(q.rows):len(q.rows)]
	q.mu.Unlock()
	rows := make([]index.NewFragment, 0, len(batch))
	promised := true // all were acknowledged, and somebody waits until they are in the index
	waits := false
	for _, r := range batch {
		if r.row != nil {
			rows = append(rows, *r.row)
			promised = promised && r.result == nil
		}
		waits = waits || r.result != nil
	}
	var results []index.Committed
	var err error
	if len(rows) > 0 {
		q.metrics.CommitRows.Observe(float64(len(rows)))
		// Not a caller's context: the bytes are durable already, and the batch belongs to many
		// callers.
		results, err = q.idx.Commit(context.Background(), rows, promised && waits)
	}
	q.mu.Lock()
	var kept []queuedRow
	for _, r := range batch {
		switch {
		case r.result != nil:
			q.waiters--
		case err != nil:
			r.row.Retried = true
			kept = append(kept, r)
		}
	}
	q.rows, q.failed = append(kept, q.rows[len(batch):]...), len(kept) > 0
	// Whoever is told finds the row in the index, and no longer here.
	for _, r := range batch {
		switch {
		case r.row == nil:
			r.result <- index.Committed{Err: err}
			continue
		case r.result == nil:
		case err != nil:
			r.result <- index.Committed{Err: err}
		default:
			r.result <- results[0]
		}
		if err == nil {
			results = results[1:]
		}
	}
}

// close refuses new rows and writes the acknowledged ones.
func (q *rowQueue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	for q.running {
		q.idle.Wait()
	}
	last := queuedRow{result: make(chan index.Committed, 1)}
	q.rows, q.waiters, q.running = append(q.rows, last), 1, true
	q.transact()
	q.next()
	return (<-last.result).Err
}

// of returns a copy of a stream's acknowledged rows. Those up to a high-water mark that the index
// returns later are in the index as well.
func (q *rowQueue) of(id store.StreamID) (list []store.FragmentInfo) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.rows {
		if r := &q.rows[i]; r.result == nil && r.row.Stream == id {
			list = append(list, r.row.Info)
		}
	}
	return list
}
