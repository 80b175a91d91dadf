package blob

import (
	"sync"
	"time"
)

// rounds collects syncs: those asked for within an interval are done together, one after the other, and all who asked wait for
// their own. On a spinning disk the first makes the journal's commit, which is most of the work, for all of them; side by
// side each would make its own and the head would move for every one.
type rounds struct {
	interval time.Duration
	turn     sync.Mutex // held while a round syncs

	mu      sync.Mutex
	waiting []syncRequest // guarded by mu
}

type syncRequest struct {
	sync func() error
	done chan error // one slot
}

// do runs sync in the next round and gives its error.
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
	for _, q := range round {
		q.done <- q.sync()
	}
}
