package ingest

import (
	"slices"
	"sync"

	"weir/internal/api"
	"weir/internal/store"
)

// AckWriter sends acknowledgements to the producer.
type AckWriter interface {
	// WriteAck sends one acknowledgement. Producers expect one per HTTP chunk, so each call must
	// leave as a chunk of its own, flushed (docs/reference/producers.md, "Acknowledgements"). It
	// may block for as long as the producer does not read.
	WriteAck(ack []byte) error
}

// ackKind orders acknowledgements by importance: the least is dropped first.
type ackKind uint8

const (
	ackIdle ackKind = iota
	ackBuffering
	ackReceived
	ackPersisted
	ackError
)

// ack is one acknowledgement. It is small, because thousands may wait for a producer that reads
// none until its upload is over (as Python's requests does).
type ack struct {
	kind     ackKind
	errorID  api.AckErrorID
	number   store.Number // 0: of no fragment
	timecode int64        // raw Cluster Timestamp
	since    int64        // Unix nanoseconds from which the latency of this acknowledgement counts
}

// ackQueue lets acknowledgements be sent without waiting for a producer that may not read them. One
// goroutine writes.
//
// The queue is bounded. When it is full, IDLE and BUFFERING acknowledgements are dropped first,
// then RECEIVED ones, which only report progress. The oldest PERSISTED are next: a producer that
// has not read 64k acknowledgements waits for the last one, and a fragment whose PERSISTED it
// misses is resent and recognised. ERROR is never dropped: it is the last.
type ackQueue struct {
	limit int
	write func(ack) error // formats and sends

	mu      sync.Mutex
	waiting *sync.Cond
	queue   []ack
	closed  bool
	done    chan struct{} // closed when the writing goroutine has ended
}

func newAckQueue(limit int, write func(ack) error) *ackQueue {
	q := &ackQueue{limit: limit, write: write, done: make(chan struct{})}
	q.waiting = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// put queues an acknowledgement. It does not block.
func (q *ackQueue) put(a ack) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if len(q.queue) >= q.limit {
		q.shed()
	}
	q.queue = append(q.queue, a)
	q.waiting.Signal()
}

// shed makes room for at least one more.
func (q *ackQueue) shed() {
	for _, cheap := range []ackKind{ackBuffering, ackReceived} {
		before := len(q.queue)
		q.queue = slices.DeleteFunc(q.queue, func(a ack) bool { return a.kind <= cheap })
		if len(q.queue) < before {
			return
		}
	}
	q.queue = slices.Delete(q.queue, 0, 1)
}

// close lets the queue run empty. Then done is closed.
func (q *ackQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.waiting.Signal()
}

func (q *ackQueue) run() {
	defer close(q.done)
	var batch []ack
	for {
		q.mu.Lock()
		for len(q.queue) == 0 && !q.closed {
			q.waiting.Wait()
		}
		if len(q.queue) == 0 {
			q.mu.Unlock()
			return
		}
		// A few at a time: what is taken out can no longer be shed.
		n := min(len(q.queue), 16)
		batch = append(batch[:0], q.queue[:n]...)
		q.queue = slices.Delete(q.queue, 0, n)
		q.mu.Unlock()
		for _, a := range batch {
			if q.write(a) != nil {
				// The producer is gone. Reading will soon fail too.
				q.mu.Lock()
				q.closed, q.queue = true, nil
				q.mu.Unlock()
				return
			}
		}
	}
}
