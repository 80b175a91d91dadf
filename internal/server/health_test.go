package server

import (
	"testing"
	"time"

	"weir/internal/store/memory"
)

// needy is a store that needs its operator.
type needy struct{ inMemory }

func (needy) Degraded() string { return "run weir check" }

// A store that works but needs its operator is ready, and says what for.
func TestDegraded(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Store = needy{inMemory{memory.New(time.Now)}} })
	a := s.do(s.request("GET", "/readyz", ""))
	if a.status != 200 || a.body != "degraded: run weir check\n" {
		t.Errorf("readyz: %d %q", a.status, a.body)
	}
}
