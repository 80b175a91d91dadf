package store

import "sync"

// Wake wakes whoever waits for a change. The zero value is ready. It is safe for use by many
// goroutines.
type Wake struct {
	mu      sync.Mutex
	changed chan struct{} // closed by the next change; nil: nobody waits; guarded by mu
}

// Next is closed when something may have changed since it was asked for.
func (w *Wake) Next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// Tell lets those who wait look.
func (w *Wake) Tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}
