package live

import (
	"context"
	"time"

	"weir/internal/store"
)

// Remote knows the edges of other processes, and brings what is received there to this one by
// Edge.Bring, while somebody follows it here.
type Remote interface {
	// Follow says that somebody follows a stream here, until leave is called. ready is closed when
	// what others receive of the stream has arrived here, or cannot be fetched.
	Follow(id store.StreamID) (ready <-chan struct{}, leave func())
	// Receive says that a producer of the stream is connected to this process, until leave is
	// called.
	Receive(id store.StreamID) (leave func())
	// Burst asks for the Edge.OwnBurst of the process that receives the stream. It returns 0 when
	// the answer does not come soon.
	Burst(id store.StreamID) time.Duration
}

// Connect connects the edge to those of other processes. Call it once, before any other method.
func (e *Edge) Connect(r Remote) { e.remote = r }

// Receive says that a producer of the stream is connected, until leave is called.
func (e *Edge) Receive(id store.StreamID) (leave func()) {
	if e == nil || e.remote == nil {
		return func() {}
	}
	return e.remote.Receive(id)
}

// FollowOwn is Follow, but shows only what this process receives.
func (e *Edge) FollowOwn(id store.StreamID) *Follower {
	w := e.follow(id)
	w.own, w.leave = true, func() {}
	return w
}

// Bring is Begin for a fragment that another process receives. Its Drafts tell what is final there.
func (e *Edge) Bring(id store.StreamID, h Head) *Fragment { return e.begin(id, h, true) }

// Ready is closed when what other processes receive of the stream is shown, or cannot be fetched.
// It is nil when there are no other processes.
func (w *Follower) Ready() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.ready
}

// AwaitRemote waits until Ready is closed, at most for a while, or until ctx ends.
func (w *Follower) AwaitRemote(ctx context.Context, most time.Duration) {
	if w.Ready() == nil {
		return
	}
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-w.Ready():
	case <-late.C:
	case <-ctx.Done():
	}
}

// Touch wakes followers: more frames are final, although no new one has come.
func (f *Fragment) Touch() {
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	f.stream.wake()
}

// Differ says that a frame that had been called final is not the same in the stored run. Even if
// nobody saw that frame here, a player may have seen it at another node. Call it before Whole.
func (f *Fragment) Differ() {
	f.final.mu.Lock()
	defer f.final.mu.Unlock()
	f.final.differs = true
}

// CutOff ends the reading of a fragment before its end, because the rest of it will not come. Its
// followers continue from the store.
func (f *Fragment) CutOff() {
	f.edge.mu.Lock()
	defer f.edge.mu.Unlock()
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	f.edge.o.Metrics.cutOff.Add(float64(f.holds))
	f.drop()
	f.stream.wake()
}
