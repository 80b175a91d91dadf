package store

import (
	"context"
	"sync"
)

// committer is the group commit: rows that wait while a transaction runs go together into the next one. One goroutine
// serves them in the order in which they were queued, which with streamState.appending makes the order of a stream's
// sequences the order of its bytes.
//
// That order is why a batch of fragments need not be synced. The index may lose its newest transactions in a power cut, but
// only from the end, and it never loses one that began a new blob (the commit is synced then, and with it all before it).
// So every row that can be lost is of a record in a blob whose row is safe and open, behind that row's Indexed mark of the
// same lost transaction; recovery reads from the mark on, finds the records (which were synced before they were queued) in
// the same order and gives them the same sequences. A replacement is written in the record, so it is repeated too.
type committer struct {
	idx     Index
	metrics *Metrics
	queue   chan *pending
	done    chan struct{}

	mu     sync.RWMutex // held for reading while something is queued, so that close can end the queue
	closed bool
}

// pending is one row on its way into the index; without a row it only waits for those before it.
type pending struct {
	row    *NewFragment
	result chan Committed // one slot
}

// commitBatch bounds the rows of one transaction.
const commitBatch = 512

func newCommitter(idx Index, m *Metrics) *committer {
	c := &committer{idx: idx, metrics: m, queue: make(chan *pending, commitBatch), done: make(chan struct{})}
	go c.run()
	return c
}

// enqueue queues a row (or nil) and returns where its result will come.
func (c *committer) enqueue(row *NewFragment) <-chan Committed {
	p := &pending{row: row, result: make(chan Committed, 1)}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		p.result <- Committed{Err: errStoreClosed}
		return p.result
	}
	c.queue <- p
	return p.result
}

func (c *committer) close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mu.Unlock()
	<-c.done
}

func (c *committer) run() {
	defer close(c.done)
	batch := make([]*pending, 0, commitBatch)
	rows := make([]NewFragment, 0, commitBatch)
	for p := range c.queue {
		batch, rows = append(batch[:0], p), rows[:0]
	collect:
		for len(batch) < commitBatch {
			select {
			case more, ok := <-c.queue:
				if !ok {
					break collect
				}
				batch = append(batch, more)
			default:
				break collect
			}
		}
		for _, p := range batch {
			if p.row != nil {
				rows = append(rows, *p.row)
			}
		}
		c.commit(batch, rows)
		clear(batch) // let go of the rows
		clear(rows)
	}
}

func (c *committer) commit(batch []*pending, rows []NewFragment) {
	var results []Committed
	var err error
	if len(rows) > 0 {
		c.metrics.CommitRows.Observe(float64(len(rows)))
		// Nobody's context: the bytes are durable already, and the batch belongs to many.
		results, err = c.idx.Commit(context.Background(), rows)
	}
	i := 0
	for _, p := range batch {
		switch {
		case p.row == nil:
			p.result <- Committed{}
		case err != nil:
			p.result <- Committed{Err: err}
		default:
			p.result <- results[i]
			i++
		}
	}
}
