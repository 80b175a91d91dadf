package volume

import (
	"sync"
	"time"
)

// rounds collects syncs: those that are asked for within an interval are done together, and each
// caller waits for its own. One syncfs(2) does the work. It lets the disk take the writes in its
// own order, and makes one commit of the journal for all of them, where ext4 makes one for each
// separate fdatasync(2); each costs a disk with a head a seek or two. Then comes the fdatasync of
// each file, which has nothing left to write, and only this one says what became of that file:
// kernels before 5.8 do not report errors by syncfs.
type rounds struct {
	interval time.Duration
	all      func() error // syncfs(2)
	turn     sync.Mutex   // held while a round syncs

	mu      sync.Mutex
	waiting []syncRequest // guarded by mu
}

type syncRequest struct {
	sync func() error
	done chan error // one slot
}

// do runs sync in the next round and returns its error.
func (r *rounds) do(sync func() error) error {
	q := syncRequest{sync, make(chan error, 1)}
	r.mu.Lock()
	r.waiting = append(r.waiting, q)
	first := len(r.waiting) == 1
	r.mu.Unlock()
	if first {
		time.AfterFunc(r.interval, r.run)
	}
	return <-q.done
}

func (r *rounds) run() {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	round := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	if len(round) > 1 {
		_ = r.all() // each file's own sync tells
	}
	for _, q := range round {
		q.done <- q.sync()
	}
}
