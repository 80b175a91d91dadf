package relay

import (
	"context"
	"sync"
	"time"

	"weir/internal/store"
)

// announcements has the streams that this node receives, and what it has announced about them.
type announcements struct {
	mu      sync.Mutex
	streams map[store.StreamID]*announced // guarded by mu
	changed chan struct{}                 // holds one when there is something to announce

	node    string // the ID under which it was announced; owned by announce
	failing bool   // likewise
}

// announced is a stream that this node receives, or did not long ago. Guarded by announcements.mu.
type announced struct {
	connections int
	left        time.Time // when the last one ended
	told        bool
	burst       time.Duration // as announced
}

// Times of announcements.
const (
	announceTime  = 5 * time.Second // between checks for changes
	announceRetry = time.Second     // after a failure
	// by how much a burst must change to be announced again
	burstStep = 250 * time.Millisecond
)

func (a *announcements) init() {
	a.streams, a.changed = make(map[store.StreamID]*announced), make(chan struct{}, 1)
}

// Receive implements live.Remote.
func (r *Relay) Receive(id store.StreamID) (leave func()) {
	a := &r.announced
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.streams[id]
	if s == nil {
		s = &announced{}
		a.streams[id] = s
		select {
		case a.changed <- struct{}{}:
		default:
		}
	}
	s.connections++
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		s.connections--
		s.left = time.Now()
	})
}

// announce announces to other nodes until ctx ends.
func (r *Relay) announce(ctx context.Context) {
	next := time.NewTimer(announceTime)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		case <-r.announced.changed:
		}
		err := r.tell(ctx)
		if err != nil && !r.announced.failing && ctx.Err() == nil {
			r.log.Error("the other nodes are not told what this one receives", "error", err)
		}
		if r.announced.failing = err != nil; err != nil {
			next.Reset(announceRetry)
		} else {
			next.Reset(announceTime)
		}
	}
}

// tell announces changes.
func (r *Relay) tell(ctx context.Context) error {
	a := &r.announced
	node := r.o.Nodes.Node()
	begun, over := a.pending(node != a.node, r.o.leave, r.o.Edge.OwnBurst)
	if len(begun) > 0 {
		if err := r.o.Nodes.Receives(ctx, begun); err != nil {
			a.again(begun)
			return err
		}
	}
	a.node = node
	if len(over) == 0 {
		return nil
	}
	if err := r.o.Nodes.ReceivesNoMore(ctx, over); err != nil {
		return err
	}
	a.forget(over)
	return nil
}

// pending returns what is to be announced, and marks it as announced.
func (a *announcements) pending(all bool, leave time.Duration,
	burst func(store.StreamID) time.Duration) (begun []Receiver, over []store.StreamID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, s := range a.streams {
		if s.connections == 0 && time.Since(s.left) >= leave {
			over = append(over, id)
			continue
		}
		now := burst(id).Truncate(time.Millisecond)
		if !all && s.told && (now-s.burst).Abs() < burstStep {
			continue
		}
		s.told, s.burst = true, now
		begun = append(begun, Receiver{Stream: id, Burst: now})
	}
	return begun, over
}

// again marks streams that could not be announced.
func (a *announcements) again(begun []Receiver) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range begun {
		if s := a.streams[begun[i].Stream]; s != nil {
			s.told = false
		}
	}
}

// forget drops streams whose announcement was withdrawn. Those that have begun again meanwhile are
// announced again.
func (a *announcements) forget(over []store.StreamID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range over {
		s := a.streams[id]
		if s.connections == 0 {
			delete(a.streams, id)
			continue
		}
		s.told = false
		select {
		case a.changed <- struct{}{}:
		default:
		}
	}
}
