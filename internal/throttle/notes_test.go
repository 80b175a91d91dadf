package throttle

import (
	"testing"
	"time"
)

func TestNotesCountWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_795_000_000, 0)
	n := NewNotes[string](func() time.Time { return now })
	due := func(kind string, left int, ok bool) {
		t.Helper()
		if l, k := n.Due(kind); l != left || k != ok {
			t.Errorf("%s: %d left out, due %v; want %d, %v", kind, l, k, left, ok)
		}
	}
	due("a", 0, true)
	due("a", 0, false)
	due("b", 0, true)
	now = now.Add(NoteEvery - 1)
	due("a", 0, false)
	now = now.Add(1)
	due("a", 2, true)
	due("a", 0, false)
	now = now.Add(-time.Hour) // the clock was set back
	due("a", 1, true)
}

func TestNotesRememberOnlySoManyKinds(t *testing.T) {
	t.Parallel()
	n := NewNotes[int](time.Now)
	for i := range MaxNotes + 1 {
		n.Due(i)
	}
	if len(n.kinds.entries) != MaxNotes || n.kinds.order.Len() != MaxNotes {
		t.Errorf("%d entries, %d in order", len(n.kinds.entries), n.kinds.order.Len())
	}
	if _, ok := n.Due(0); !ok {
		t.Error("a forgotten kind is not written")
	}
}
