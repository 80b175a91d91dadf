package cluster

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/cluster/rows"
)

// damaged is a fragment whose record cannot be read.
type damaged struct {
	number store.Number
	err    error // store.ErrCorrupt, store.ErrGone
}

// damagedError lists the fragments that a compaction could not read; at least one.
type damagedError []damaged

func (e damagedError) Error() string {
	return fmt.Sprintf("fragment %d: %v", e[0].number, e[0].err)
}

// damage is what compaction leaves alone: the fragments that it has found damaged since the node
// started.
type damage struct {
	gauge   prometheus.Gauge // how many there are
	mu      sync.Mutex
	streams map[store.StreamID]map[store.Number]bool // guarded by mu
}

func (d *damage) add(id store.StreamID, list damagedError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.count()
	if d.streams == nil {
		d.streams = make(map[store.StreamID]map[store.Number]bool)
	}
	if d.streams[id] == nil {
		d.streams[id] = make(map[store.Number]bool)
	}
	for _, f := range list {
		d.streams[id][f.number] = true
	}
}

// count updates the gauge. The caller holds mu.
func (d *damage) count() {
	n := 0
	for _, numbers := range d.streams {
		n += len(numbers)
	}
	d.gauge.Set(float64(n))
}

// keep forgets the streams that no longer have rows to compact.
func (d *damage) keep(list []rows.Backlog) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.count()
	listed := make(map[store.StreamID]bool, len(list))
	for i := range list {
		listed[list[i].Stream] = true
	}
	for id := range d.streams {
		if !listed[id] {
			delete(d.streams, id)
		}
	}
}

// split splits a stream's fragments at the damaged ones into runs without any, and forgets damaged
// fragments that are no longer listed.
func (d *damage) split(id store.StreamID, list []store.FragmentInfo) (runs [][]store.FragmentInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.count()
	listed := make(map[store.Number]bool)
	begin := 0
	for i := range list {
		if !d.streams[id][list[i].Number] {
			continue
		}
		listed[list[i].Number] = true
		if i > begin {
			runs = append(runs, list[begin:i])
		}
		begin = i + 1
	}
	if begin < len(list) {
		runs = append(runs, list[begin:])
	}
	if delete(d.streams, id); len(listed) > 0 {
		d.streams[id] = listed
	}
	return runs
}

// chooseWhole is choose within the oldest run of fragments that are not known to be damaged,
// because an object must have all fragments of its range of sequences.
func (s *Store) chooseWhole(
	id store.StreamID, list []store.FragmentInfo, all bool,
) (chosen []store.FragmentInfo, more bool) {
	runs := s.damage.split(id, list)
	for i, run := range runs {
		if chosen, more = s.choose(run, all); len(chosen) > 0 {
			return chosen, more || i+1 < len(runs)
		}
	}
	return nil, false
}
