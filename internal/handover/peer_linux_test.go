package handover

import "testing"

// Another user's process must not get the sockets, even when the directory's mode lets it connect.
func TestTrusted(t *testing.T) {
	for _, c := range []struct {
		peer, self int
		want       bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false},
		{65534, 1000, false}} {
		if got := trusted(c.peer, c.self); got != c.want {
			t.Errorf("peer %d of %d: %v", c.peer, c.self, got)
		}
	}
}
