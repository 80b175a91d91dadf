package local

import (
	"context"
	"sync"

	"weir/internal/store/local/index"
)

// committer is the group commit: rows that wait while a transaction runs go together into the next one. Who comes while none
// runs does the work himself, without a change of goroutine; what was queued meanwhile is done by a goroutine that lives
// as long as there is some. Rows are served in the order in which they were queued, which with streamState.appending makes
// the order of a stream's sequences the order of its bytes.
//
// That order is why a batch of fragments need not be synced. The index may lose its newest rows with the process or in a power
// cut, but only from the end, and it never loses one that began a new volume (the commit is synced then, and with it all before it).
// So every row that can be lost is of a record in a volume whose row is safe and open, behind what the rows that are left say
// is Indexed; recovery reads from there on, finds the records (which were synced before they were queued) in
// the same order and gives them the same sequences. A replacement is written in the record, so it is repeated too.
type committer struct {
	idx     Index
	metrics *Metrics

	mu      sync.Mutex
	queued  []*pending // guarded by mu
	running bool       // somebody has taken a batch off the queue and will look again; guarded by mu
	closed  bool       // guarded by mu
	idle    sync.Cond  // of mu: running became false
}

// pending is one row on its way into the index; without a row it only waits for those before it.
type pending struct {
	row    *index.NewFragment
	result chan index.Committed // one slot
}

// commitBatch bounds the rows of one transaction.
const commitBatch = 512

func newCommitter(idx Index, m *Metrics) *committer {
	c := &committer{idx: idx, metrics: m}
	c.idle.L = &c.mu
	return c
}

// queue queues a row, or nil; who does so calls wait next.
func (c *committer) queue(row *index.NewFragment) *pending {
	p := &pending{row: row, result: make(chan index.Committed, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		p.result <- index.Committed{Err: errStoreClosed}
		return p
	}
	c.queued = append(c.queued, p)
	return p
}

// wait gives what became of a row that was queued.
func (c *committer) wait(p *pending) index.Committed {
	c.mu.Lock()
	if !c.running && len(c.queued) > 0 {
		c.running = true
		batch := c.take()
		c.mu.Unlock()
		c.commit(batch)
		c.mu.Lock()
		if len(c.queued) > 0 {
			go c.run()
		} else {
			c.rest()
		}
	}
	c.mu.Unlock()
	return <-p.result
}

// enqueue queues a row, or nil, and returns where its result will come without a call of wait.
func (c *committer) enqueue(row *index.NewFragment) <-chan index.Committed {
	p := c.queue(row)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start()
	return p.result
}

// start begins to commit what is queued, unless somebody does. The caller holds mu.
func (c *committer) start() {
	if !c.running && len(c.queued) > 0 {
		c.running = true
		go c.run()
	}
}

func (c *committer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.running || len(c.queued) > 0 {
		c.start() // for one who has queued and does not wait yet
		c.idle.Wait()
	}
}

// run commits until nothing is queued. The caller has set running.
func (c *committer) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queued) > 0 {
		batch := c.take()
		c.mu.Unlock()
		c.commit(batch)
		c.mu.Lock()
	}
	c.rest()
}

// take takes a batch off the queue. The caller holds mu.
func (c *committer) take() []*pending {
	batch := c.queued
	c.queued = nil
	if len(batch) > commitBatch {
		batch, c.queued = batch[:commitBatch:commitBatch], batch[commitBatch:]
	}
	return batch
}

// rest ends what running began. The caller holds mu.
func (c *committer) rest() {
	c.running = false
	c.idle.Broadcast()
}

func (c *committer) commit(batch []*pending) {
	rows := make([]index.NewFragment, 0, len(batch))
	for _, p := range batch {
		if p.row != nil {
			rows = append(rows, *p.row)
		}
	}
	var results []index.Committed
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
			p.result <- index.Committed{}
		case err != nil:
			p.result <- index.Committed{Err: err}
		default:
			p.result <- results[i]
			i++
		}
	}
}
