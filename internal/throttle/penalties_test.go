package throttle

import (
	"strconv"
	"testing"
	"time"
)

func TestPenaltyGrowsAndIsForgotten(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_795_000_000, 0)
	p := NewPenalties[string](func() time.Time { return now })
	a, b := "cam1", "cam2"
	ms := time.Millisecond
	fail := func(want ...time.Duration) {
		t.Helper()
		for i, w := range want {
			if got := p.Failed(a); got != w {
				t.Fatalf("failure %d of these is held back for %v, want %v", i+1, got, w)
			}
			now = now.Add(13 * ms)
		}
	}
	fail(0, 0, 0, 0, 200*ms, 400*ms, 600*ms, 800*ms, 1000*ms, 1000*ms)
	if got := p.Failed(b); got != 0 {
		t.Errorf("another stream is held back for %v", got)
	}
	p.Succeeded(a)
	fail(0, 0, 0, 0, 200*ms)
	now = now.Add(penaltyWindow + ms)
	fail(0, 0, 0, 0, 200*ms)
}

func TestPenaltyRemembersOnlySoManyClients(t *testing.T) {
	t.Parallel()
	p := NewPenalties[string](time.Now)
	first := "first"
	for range FreePenalties {
		p.Failed(first)
	}
	for i := range MaxKeys - 1 {
		p.Failed(strconv.Itoa(i))
	}
	if got := p.Failed(first); got != penaltyStep {
		t.Fatalf("a client within the bound is held back for %v", got)
	}
	for i := range MaxKeys {
		p.Failed("x" + strconv.Itoa(i))
	}
	if len(p.clients.entries) != MaxKeys || p.clients.order.Len() != MaxKeys {
		t.Errorf("%d entries, %d in order", len(p.clients.entries), p.clients.order.Len())
	}
	if got := p.Failed(first); got != 0 {
		t.Errorf("a forgotten client is held back for %v", got)
	}
}
