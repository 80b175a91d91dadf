package relay

import (
	"context"
	"sync"
	"time"

	"weir/internal/store"
)

// followed is a stream that somebody follows here, or did recently. Guarded by Relay.mu.
type followed struct {
	followers int
	left      time.Time // when the last one left
	asked     bool      // the nodes have been asked who receives it
	links     map[string]*link
	ready     chan struct{} // closed when links are ready
	settled   bool
}

// askTime is how long a query for the receivers of streams may take.
const askTime = 5 * time.Second

// Follow implements live.Remote.
func (r *Relay) Follow(id store.StreamID) (ready <-chan struct{}, leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.followed[id]
	if f == nil {
		f = &followed{links: make(map[string]*link), ready: make(chan struct{})}
		r.followed[id] = f
		r.ask()
	}
	f.followers++
	return f.ready, sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		f.followers--
		f.left = time.Now()
	})
}

// Burst implements live.Remote.
func (r *Relay) Burst(id store.StreamID) (burst time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), r.o.silence/4)
	defer cancel()
	receivers, err := r.o.Nodes.Receivers(ctx, []store.StreamID{id})
	if err != nil {
		r.log.Debug("bursts of a stream are not known", "stream", id, "error", err)
	}
	for i := range receivers {
		burst = max(burst, receivers[i].Burst)
	}
	return burst
}

// keepFollowing repeatedly asks which nodes receive the followed streams, and keeps a link to each.
func (r *Relay) keepFollowing(ctx context.Context) {
	tick := time.NewTicker(r.o.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.asked:
		}
		ids := r.current()
		if len(ids) == 0 {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, askTime)
		receivers, err := r.o.Nodes.Receivers(asking, ids)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil && !r.failing {
			r.log.Error("which nodes receive streams is not known", "error", err)
		}
		r.failing = err != nil
		r.connect(ctx, ids, receivers, err == nil)
	}
}

// current returns the streams that are followed, and forgets the others.
func (r *Relay) current() (ids []store.StreamID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, f := range r.followed {
		if f.followers == 0 && time.Since(f.left) >= r.o.linger {
			for _, l := range f.links {
				r.end(id, l)
			}
			delete(r.followed, id)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// connect begins missing links, and ends those to nodes that no longer receive a stream. If the
// nodes cannot be asked, everything stays as it is.
func (r *Relay) connect(ctx context.Context, ids []store.StreamID, receivers []Receiver,
	answered bool) {
	at := make(map[store.StreamID]map[string]bool, len(ids))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, to := range receivers {
		f := r.followed[to.Stream]
		if f == nil || r.leaving[to.Stream] > 0 {
			continue
		}
		if at[to.Stream] == nil {
			at[to.Stream] = make(map[string]bool)
		}
		at[to.Stream][to.Node] = true
		if f.links[to.Node] == nil {
			f.links[to.Node] = r.newLink(ctx, to)
		}
	}
	for _, id := range ids {
		f := r.followed[id]
		if f == nil {
			continue
		}
		for node, l := range f.links {
			if answered && !at[id][node] {
				r.end(id, l)
				delete(f.links, node)
			}
		}
		if f.asked = true; r.leaving[id] == 0 {
			f.settle()
		}
	}
}

func (r *Relay) newLink(ctx context.Context, to Receiver) *link {
	ctx, leave := context.WithCancel(ctx)
	l := &link{relay: r, stream: to.Stream, receiver: to, leave: leave, ready: make(chan struct{}),
		incoming: make(map[store.Number]*incoming)}
	r.links.Go(func() {
		defer leave()
		l.run(ctx)
		r.ended(l)
	})
	return l
}

// end tells a link to end. Until it has ended, its fragments are still shown, although no other
// node may receive them now, so new followers wait for its end. Relay.mu is held.
func (r *Relay) end(id store.StreamID, l *link) {
	l.leave()
	l.left = true
	r.leaving[id]++
}

// ended forgets a link that has ended.
func (r *Relay) ended(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !l.left {
		return // the relay ends
	}
	if r.leaving[l.stream]--; r.leaving[l.stream] > 0 {
		return
	}
	delete(r.leaving, l.stream)
	r.ask()
}

// ask makes keepFollowing ask at once. Relay.mu is held.
func (r *Relay) ask() {
	select {
	case r.asked <- struct{}{}:
	default:
	}
}

// linkReady says that a link of a stream has become ready.
func (r *Relay) linkReady(id store.StreamID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.followed[id]; f != nil && f.asked && r.leaving[id] == 0 {
		f.settle()
	}
}

// settle wakes those who wait for what other nodes receive, if it is here. Relay.mu is held.
func (f *followed) settle() {
	if f.settled {
		return
	}
	for _, l := range f.links {
		select {
		case <-l.ready:
		default:
			return
		}
	}
	f.settled = true
	close(f.ready)
}
