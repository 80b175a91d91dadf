package store

import "sync"

// Wake wakes all who wait for a change. The zero value is ready for use. It is safe for concurrent
// use.
type Wake struct {
	mu      sync.Mutex
	changed chan struct{} // closed by the next change; nil: nobody waits; guarded by mu
}

// Next returns a channel that is closed when something may have changed since the call.
func (w *Wake) Next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// Tell wakes those who wait.
func (w *Wake) Tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}
