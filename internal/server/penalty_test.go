package server

import (
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/api"
)

func TestPenaltyGrowsAndIsForgotten(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_795_000_000, 0)
	p := newPenalties(func() time.Time { return now })
	a, b := penaltyKey{path: "/putmedia", stream: "cam1"},
		penaltyKey{path: "/putmedia", stream: "cam2"}
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
	t.Parallel()
	p := newPenalties(time.Now)
	first := penaltyKey{stream: "first"}
	for range penaltyFree {
		p.failed(first)
	}
	for i := range penaltyClients - 1 {
		p.failed(penaltyKey{stream: strconv.Itoa(i)})
	}
	if got := p.failed(first); got != penaltyStep {
		t.Fatalf("a client within the bound is held back for %v", got)
	}
	for i := range penaltyClients {
		p.failed(penaltyKey{stream: "x" + strconv.Itoa(i)})
	}
	if len(p.entries) != penaltyClients || p.order.Len() != penaltyClients {
		t.Errorf("%d entries, %d in order", len(p.entries), p.order.Len())
	}
	if got := p.failed(first); got != 0 {
		t.Errorf("a forgotten client is held back for %v", got)
	}
}

// A stranger has one place in the table, whatever stream it names and from whichever address of its
// network, so that it cannot push producers out. Those with a key have a place for each stream.
func TestPenaltyOfStrangersIsOne(t *testing.T) {
	t.Parallel()
	of := func(remote, key, stream string) penaltyKey {
		r := httptest.NewRequest("POST", "/putMedia", nil)
		r.RemoteAddr = remote
		r.Header.Set(api.HeaderStreamName, stream)
		req := &request{Request: r, operation: opPutMedia}
		if key != "" {
			req.principal = &access.Principal{AccessKeyID: key}
		}
		return penaltyOf(req, &route{path: "/putMedia"})
	}
	if a, b := of("[2001:db8::1]:1", "", "cam1"), of("[2001:db8::2:3:4:5]:2", "", "cam2"); a != b {
		t.Errorf("%+v and %+v of one stranger", a, b)
	}
	stranger := of("192.0.2.1:1", "", "cam1")
	for _, other := range []penaltyKey{
		of("192.0.2.2:1", "", "cam1"), of("[2001:db8:0:1::1]:1", "", "cam1"),
		of("192.0.2.1:1", "AKID", "cam1"),
	} {
		if other == stranger {
			t.Errorf("%+v of two clients", other)
		}
	}
	if of("192.0.2.1:1", "AKID", "cam1") == of("192.0.2.1:1", "AKID", "cam2") {
		t.Error("one place for two cameras")
	}
}
