package recent

import (
	"slices"
	"testing"

	"weir/internal/store"
)

// Of sessions in memory, a new one closes the oldest of its stream and kind beyond the limit, and
// the oldest large one when all take too much. Those that have expired go without a word.
func TestFleetingSessions(t *testing.T) {
	var f Fleeting
	open := func(id string, stream store.StreamID, bytes int, want ...string) {
		t.Helper()
		closed, _ := f.Open(store.Session{ID: id, Stream: stream, ExpiresMillis: 1000,
			Parameters: make([]byte, bytes)}, 2, 1)
		if !slices.Equal(closed, want) {
			t.Errorf("%s closes %q, want %q", id, closed, want)
		}
	}
	open("a", "cam1", 0)
	open("b", "cam2", 0)
	open("c", "cam1", 0)
	open("d", "cam2", 0)
	open("e", "cam1", 0, "a")
	for _, id := range []string{"b", "c", "d", "e"} {
		if !f.Checkpoint(id, []byte(id)) {
			t.Errorf("%s is gone", id)
		}
		for _, address := range []string{"of " + id, "another"} {
			if bound, ok := f.Bind(id, address); !ok || bound != "of "+id {
				t.Errorf("%s is bound to %q, %t", id, bound, ok)
			}
		}
		if s, ok := f.Get(id); !ok || string(s.Checkpoint) != id {
			t.Errorf("%s has checkpoint %q, %t", id, s.Checkpoint, ok)
		}
	}
	if _, ok := f.Bind("a", "x"); ok || f.Checkpoint("a", nil) {
		t.Error("a closed session is there")
	}
	open("f", "cam3", maxFleetingBytes*3/8)
	open("g", "cam4", maxFleetingBytes*3/8)
	open("h", "cam5", maxFleetingBytes*3/8, "f")
	closed, first := f.Open(store.Session{ID: "i", ExpiresMillis: 2000}, 0, 1000)
	if closed != nil || !first {
		t.Errorf("after all have expired, %q are closed, the first: %t", closed, first)
	}
}
