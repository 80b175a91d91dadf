package server

import (
	"net/http"
	"testing"
	"time"
)

// Before a stop, /readyz says no for a while, in which everything is still served, so that a load
// balancer has time to look elsewhere.
func TestNotice(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(o *Options) { o.Notice = time.Minute })
	ready := func() int {
		resp, err := http.Get(s.url + "/readyz")
		must(t, err)
		must(t, resp.Body.Close())
		return resp.StatusCode
	}
	if got := ready(); got != http.StatusOK {
		t.Fatalf("ready is %d", got)
	}
	noticed, release := make(chan struct{}), make(chan struct{})
	s.mu.Lock()
	s.hold = func() { close(noticed); <-release }
	s.mu.Unlock()
	s.end(nil)
	<-noticed
	if got := ready(); got != http.StatusServiceUnavailable {
		t.Fatalf("while it is about to stop ready is %d", got)
	}
	s.ok("/listStreams", `{}`)
	close(release)
	s.stop()
	if resp, err := http.Get(s.url + "/readyz"); err == nil {
		_ = resp.Body.Close()
		t.Fatal("it answers after the stop")
	}
}
