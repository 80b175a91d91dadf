package server

import (
	"strconv"
	"testing"
	"time"
)

func TestPenaltyGrowsAndIsForgotten(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	p := newPenalties(func() time.Time { return now })
	a, b := penaltyKey{address: "192.0.2.1", path: "/putmedia", stream: "cam1"}, penaltyKey{address: "192.0.2.1", path: "/putmedia", stream: "cam2"}
	ms := time.Millisecond
	fail := func(want ...time.Duration) {
		t.Helper()
		for i, w := range want {
			if got := p.failed(a); got != w {
				t.Fatalf("failure %d of these is held back for %v, want %v", i+1, got, w)
			}
			now = now.Add(13 * ms)
		}
	}
	fail(0, 0, 0, 0, 200*ms, 400*ms, 600*ms, 800*ms, 1000*ms, 1000*ms)
	if got := p.failed(b); got != 0 {
		t.Errorf("another stream is held back for %v", got)
	}
	p.succeeded(a)
	fail(0, 0, 0, 0, 200*ms)
	now = now.Add(penaltyWindow + ms)
	fail(0, 0, 0, 0, 200*ms)
}

func TestPenaltyRemembersOnlySoManyClients(t *testing.T) {
	p := newPenalties(time.Now)
	first := penaltyKey{address: "192.0.2.1"}
	for range penaltyFree {
		p.failed(first)
	}
	for i := range penaltyClients - 1 {
		p.failed(penaltyKey{address: strconv.Itoa(i)})
	}
	if got := p.failed(first); got != penaltyStep {
		t.Fatalf("a client within the bound is held back for %v", got)
	}
	for i := range penaltyClients {
		p.failed(penaltyKey{address: "x" + strconv.Itoa(i)})
	}
	if len(p.entries) != penaltyClients || p.order.Len() != penaltyClients {
		t.Errorf("%d entries, %d in order", len(p.entries), p.order.Len())
	}
	if got := p.failed(first); got != 0 {
		t.Errorf("a forgotten client is held back for %v", got)
	}
}
