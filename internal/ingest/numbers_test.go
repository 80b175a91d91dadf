package ingest

import (
	"errors"
	"testing"

	"weir/internal/store"
)

// A number is in flight from before it is known until its fragment is stored or given up. Whoever
// waits for it is then woken.
func TestNumbers(t *testing.T) {
	t.Parallel()
	const id = "stream"
	n, s := NewNumbers(), newStore()
	inside := false
	s.onNumber = func(store.Number) error {
		if lowest, changed := n.Lowest(id, 0); lowest != 1 || changed == nil {
			t.Errorf("while a number is being given out: %d", lowest)
		}
		inside = true
		return nil
	}
	first, firstDone, err := n.next(t.Context(), s, id)
	if err != nil || !inside {
		t.Fatal(err)
	}
	s.onNumber = nil
	second, secondDone, err := n.next(t.Context(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	lowest, changed := n.Lowest(id, 0)
	if lowest != first {
		t.Errorf("the lowest is %d, not %d", lowest, first)
	}
	if above, _ := n.Lowest(id, first); above != second {
		t.Errorf("above %d is %d, not %d", first, above, second)
	}
	if _, none := n.Lowest(id, second); none != nil {
		t.Error("something is above the greatest")
	}
	if _, none := n.Lowest("other", 0); none != nil {
		t.Error("another stream has one in flight")
	}
	firstDone()
	firstDone() // only the first call counts
	<-changed
	if lowest, _ := n.Lowest(id, 0); lowest != second {
		t.Errorf("then the lowest is %d, not %d", lowest, second)
	}
	broken := errors.New("disk on fire")
	s.onNumber = func(store.Number) error { return broken }
	if _, _, err := n.next(t.Context(), s, id); !errors.Is(err, broken) {
		t.Error(err)
	}
	secondDone()
	if len(n.streams) > 0 {
		t.Errorf("%d streams are left", len(n.streams))
	}
}
