package throttle

import (
	"sync"
	"time"
)

// A refused producer tries again many times a second. Its operator wants to see the reason once.
const (
	NoteEvery = 10 * time.Second // a line of a kind at most; it says how many it stands for
	MaxNotes  = 1024             // kinds remembered
)

// Notes limits how often lines of a kind are written. It is safe for concurrent use.
type Notes[K comparable] struct {
	clock func() time.Time

	mu    sync.Mutex
	kinds recent[K, lines]
}

type lines struct {
	written time.Time
	left    int // out since
}

// NewNotes returns Notes that have seen no line.
func NewNotes[K comparable](clock func() time.Time) *Notes[K] {
	return &Notes[K]{clock: clock, kinds: newRecent[K, lines](MaxNotes)}
}

// Due reports whether to write a line, and how many of its kind were left out since the last one.
func (n *Notes[K]) Due(kind K) (left int, ok bool) {
	now := n.clock()
	n.mu.Lock()
	defer n.mu.Unlock()
	of, isNew := n.kinds.use(kind)
	if since := now.Sub(of.written); !isNew && since >= 0 && since < NoteEvery {
		of.left++
		return 0, false
	}
	left, of.left, of.written = of.left, 0, now
	return left, true
}

// Left returns how many lines of a kind were left out since the last one, and forgets them.
func (n *Notes[K]) Left(kind K) (left int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if element, ok := n.kinds.entries[kind]; ok {
		of := &element.Value.(*entry[K, lines]).value
		left, of.left = of.left, 0
	}
	return left
}
