package recent

import (
	"bytes"
	"fmt"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// RingAge is how long engines keep a fragment in a Ring.
const RingAge = 5 * time.Minute

// Ring holds the newest fragments of a stream without retention, in the order of their arrival.
type Ring struct {
	fragments []*MemoryFragment
	bytes     int64
}

// MemoryFragment is a fragment that is only kept in memory. It never changes.
type MemoryFragment struct {
	Info     store.FragmentInfo
	Fragment *media.Fragment
	Payload  [][]byte
	Stored   int64 // milliseconds on the server's clock
}

// NewMemoryFragment returns a fragment that shares nothing with its record. head is from
// record.EncodeFragment.
func NewMemoryFragment(
	rec *store.Record, head []byte, info store.FragmentInfo, now int64,
) (*MemoryFragment, error) {
	_, fragment, err := record.DecodeFragment(head)
	if err != nil {
		return nil, err
	}
	m := &MemoryFragment{Info: info, Fragment: fragment, Stored: now}
	for _, p := range rec.Payload {
		m.Payload = append(m.Payload, bytes.Clone(p))
	}
	return m, nil
}

// size estimates the memory that a fragment takes: its bytes, and 16 for each frame in its table.
func (m *MemoryFragment) size() int64 {
	n := m.Info.Location.Length + 512
	for i := range m.Fragment.Runs {
		n += 16 * int64(len(m.Fragment.Runs[i].Frames))
	}
	return n
}

// Push adds a fragment, and drops the oldest ones stored before a given time or beyond limit bytes,
// but not the new one.
func (r *Ring) Push(m *MemoryFragment, before, limit int64) {
	r.fragments = append(r.fragments, m)
	r.bytes += m.size()
	r.Trim(before, limit)
}

// Trim drops those without adding one.
func (r *Ring) Trim(before, limit int64) {
	n := 0
	for n < len(r.fragments) && (r.fragments[n].Stored < before || (r.bytes > limit &&
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

// Find returns the fragment of a number, or nil.
func (r *Ring) Find(n store.Number) *MemoryFragment {
	for _, m := range r.fragments {
		if m.Info.Number == n {
			return m
		}
	}
	return nil
}

// Remove drops the fragment of a number, if it exists.
func (r *Ring) Remove(n store.Number) {
	for i, m := range r.fragments {
		if m.Info.Number == n {
			r.bytes -= m.size()
			r.fragments = append(r.fragments[:i:i], r.fragments[i+1:]...)
			return
		}
	}
}

// List returns the fragments stored since a given time that q selects, without regard to its Limit
// and Order.
func (r *Ring) List(q store.Query, since int64) []store.FragmentInfo {
	var list []store.FragmentInfo
	for _, m := range r.fragments {
		if m.Stored >= since && q.Selects(&m.Info) {
			list = append(list, m.Info)
		}
	}
	return list
}

// Open returns the fragment as a Media, which stays valid whatever happens to the ring.
func (m *MemoryFragment) Open() store.Media { return memoryMedia{m} }

type memoryMedia struct{ m *MemoryFragment }

func (m memoryMedia) Fragment() *media.Fragment { return m.m.Fragment }

func (m memoryMedia) Payload(run int) (store.Range, error) {
	if run < 0 || run >= len(m.m.Payload) {
		return nil, fmt.Errorf("fragment has no run %d", run)
	}
	return store.Bytes(m.m.Payload[run]), nil
}

func (m memoryMedia) Close() error { return nil }

// Empty reports whether the ring has no fragments.
func (r *Ring) Empty() bool { return len(r.fragments) == 0 }
