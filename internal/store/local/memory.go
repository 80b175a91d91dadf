package local

import (
	"fmt"

	"weir/internal/media"
	"weir/internal/store"
)

// ring holds the newest fragments of a stream without retention, in the order in which they came.
type ring struct {
	fragments []*memoryFragment
	bytes     int64
}

// memoryFragment is one fragment that is kept in memory only. It never changes.
type memoryFragment struct {
	info     store.FragmentInfo
	fragment *media.Fragment
	payload  [][]byte
	stored   int64 // milliseconds on the server's clock
}

// size estimates the memory that a fragment takes: its bytes, and 16 of each frame in the table.
func (m *memoryFragment) size() int64 {
	n := m.info.Location.Length + 512
	for i := range m.fragment.Runs {
		n += 16 * int64(len(m.fragment.Runs[i].Frames))
	}
	return n
}

// push adds a fragment and drops the oldest ones stored before the given time or beyond limit
// bytes; the new one stays.
func (r *ring) push(m *memoryFragment, before, limit int64) {
	r.fragments = append(r.fragments, m)
	r.bytes += m.size()
	r.trim(before, limit)
}

func (r *ring) trim(before, limit int64) {
	n := 0
	for n < len(r.fragments) && (r.fragments[n].stored < before || (r.bytes > limit &&
		n < len(r.fragments)-1)) {
		r.bytes -= r.fragments[n].size()
		r.fragments[n] = nil
		n++
	}
	r.fragments = r.fragments[n:]
	if len(r.fragments) == 0 {
		r.fragments = nil
	}
}

func (r *ring) find(n store.Number) *memoryFragment {
	for _, m := range r.fragments {
		if m.info.Number == n {
			return m
		}
	}
	return nil
}

func (r *ring) remove(n store.Number) {
	for i, m := range r.fragments {
		if m.info.Number == n {
			r.bytes -= m.size()
			r.fragments = append(r.fragments[:i:i], r.fragments[i+1:]...)
			return
		}
	}
}

// list returns what q selects, Limit and order aside, of the fragments stored since the given time.
func (r *ring) list(q store.Query, since int64) []store.FragmentInfo {
	var list []store.FragmentInfo
	for _, m := range r.fragments {
		if m.stored >= since && q.Selects(&m.info) {
			list = append(list, m.info)
		}
	}
	return list
}

// memoryMedia is a Media over a fragment in memory.
type memoryMedia struct{ m *memoryFragment }

func (m *memoryMedia) Fragment() *media.Fragment { return m.m.fragment }

func (m *memoryMedia) Payload(run int) (store.Range, error) {
	if run < 0 || run >= len(m.m.payload) {
		return nil, fmt.Errorf("fragment has no run %d", run)
	}
	return store.Bytes(m.m.payload[run]), nil
}

func (m *memoryMedia) Close() error { return nil }
