package recent

import (
	"slices"
	"sync"

	"weir/internal/store"
)

// maxFleetingBytes limits the sessions that are only kept in memory.
const maxFleetingBytes = 16 << 20

// Fleeting are sessions that are only kept in memory, in the order of their opening: the latest
// maxFleetingBytes of them. While there is space on the disk there are none. Only this process
// knows them, so they end with it. Checkpoint and Bind change them; CloseSession, DeleteStream and
// the sweep of the engine drop them.
type Fleeting struct {
	mu       sync.Mutex
	sessions []store.Session
}

// Get returns one of them.
func (f *Fleeting) Get(id string) (store.Session, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.index(id); i >= 0 {
		return f.sessions[i], true
	}
	return store.Session{}, false
}

func (f *Fleeting) index(id string) int {
	return slices.IndexFunc(f.sessions, func(s store.Session) bool { return s.ID == id })
}

// Open adds a session. It closes sessions of its stream and kind beyond limit (0: no limit), and
// sessions of any stream beyond maxFleetingBytes. It reports whether there are no others.
func (f *Fleeting) Open(
	session store.Session, limit int, now int64,
) (closed []string, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	count, bytes := 0, int64(0)
	kept := []store.Session{session}
	for _, s := range slices.Backward(f.sessions) {
		if s.ExpiresMillis <= now {
			continue
		}
		counts := s.Stream == session.Stream && s.Kind == session.Kind
		if counts {
			count++
		}
		if bytes += s.Size(); bytes+session.Size() > maxFleetingBytes || counts && limit > 0 &&
			count >= limit {
			bytes -= s.Size()
			closed = append(closed, s.ID)
			continue
		}
		kept = append(kept, s)
	}
	slices.Reverse(kept)
	f.sessions = kept
	return closed, len(kept) == 1
}

// Checkpoint replaces the checkpoint of a session, if it is one of them.
func (f *Fleeting) Checkpoint(id string, data []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.index(id)
	if i >= 0 {
		f.sessions[i].Checkpoint = slices.Clone(data)
	}
	return i >= 0
}

// Drop drops the sessions for which over returns true.
func (f *Fleeting) Drop(over func(*store.Session) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = slices.DeleteFunc(f.sessions, func(s store.Session) bool { return over(&s) })
}

// Bind binds a session to an address, if it is one of them.
func (f *Fleeting) Bind(id, address string) (bound string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.index(id)
	if i < 0 {
		return "", false
	}
	if f.sessions[i].Address == "" {
		f.sessions[i].Address = address
	}
	return f.sessions[i].Address, true
}

// List returns those that are open and that a query selects, in no order.
func (f *Fleeting) List(q *store.SessionQuery, now int64) (list []store.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if s.ExpiresMillis > now && q.Matches(&s) {
			s.Parameters, s.Checkpoint = nil, nil
			list = append(list, s)
		}
	}
	return list
}
