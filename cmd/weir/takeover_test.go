package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// status asks for a path on a connection of its own.
func status(t *testing.T, url string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

var metricsURL = regexp.MustCompile(`http://[0-9.:]+/metrics`)

// The new server has the addresses and the directory of the old one, which has ended with success.
func TestTakeover(t *testing.T) {
	data := t.TempDir()
	old := serveHere(t, serveCmd{Data: data, MetricsListen: "127.0.0.1:0", Takeover: true})
	metrics := metricsURL.FindString(old.log.String())
	if !strings.Contains(old.log.String(), "no server to take over from") {
		t.Errorf("the first one does not say that there was none:\n%s", old.log)
	}
	next := serveHere(t, serveCmd{Data: data, MetricsListen: strings.Split(metrics, "/")[2],
		Takeover: true})
	if next.url != old.url || metricsURL.FindString(next.log.String()) != metrics {
		t.Errorf("it serves %s, not %s:\n%s", next.url, old.url, next.log)
	}
	if err := old.stop(); err != nil {
		t.Errorf("the old server: %v", err)
	}
	for _, url := range []string{next.url + "/readyz", metrics} {
		if got := status(t, url); got != 200 {
			t.Errorf("%s: %d", url, got)
		}
	}
	if target, err := readClientConfig(data); err != nil || target.endpoint != next.url {
		t.Errorf("weir env would say %+v, %v", target, err)
	}
	// A third takes over from the second.
	if last := serveHere(t, serveCmd{Data: data, Takeover: true}); last.url != old.url ||
		!strings.Contains(last.log.String(), "nobody will listen") {
		t.Errorf("the third one serves %s, not %s, without metrics:\n%s", last.url, old.url,
			last.log)
	}
}

// A new server that cannot go on leaves the old one serving, whether it knew before the old one
// stopped or only afterwards.
func TestTakeoverThatFails(t *testing.T) {
	data := t.TempDir()
	old := serveHere(t, serveCmd{Data: data})
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()

	args := []string{"serve", "--takeover", "--data", data, "--listen", busy.Addr().String()}
	if code, _, errs := command(t, args...); code != exitError ||
		!strings.Contains(errs, "another program listens there") {
		t.Errorf("an address that is taken: %d\n%s", code, errs)
	}
	if got := status(t, old.url+"/readyz"); got != 200 ||
		strings.Contains(old.log.String(), "takes over") {
		t.Errorf("the old server was touched: %d\n%s", got, old.log)
	}

	args = []string{"serve", "--takeover", "--data", data, "--listen", "127.0.0.1:0",
		"--advertise-url", "video.example"}
	if code, _, errs := command(t, args...); code != exitError ||
		!strings.Contains(errs, "must start with http") {
		t.Errorf("a flag found wrong late: %d\n%s", code, errs)
	}
	if url := <-old.ready; url != old.url || status(t, old.url+"/readyz") != 200 {
		t.Errorf("the old server has not gone on:\n%s", old.log)
	}
	if _, err := os.Stat(filepath.Join(data, clientFile)); err != nil {
		t.Error(err)
	}
	if next := serveHere(t, serveCmd{Data: data, Takeover: true}); next.url != old.url {
		t.Errorf("a takeover after one that failed serves %s, not %s", next.url, old.url)
	}
}

// A new address is served in the place of the old one.
func TestTakeoverWithAnotherAddress(t *testing.T) {
	data := t.TempDir()
	old := serveHere(t, serveCmd{Data: data})
	next := serveHere(t, serveCmd{Data: data, Listen: "127.0.0.2:0", Takeover: true})
	if !strings.HasPrefix(next.url, "http://127.0.0.2:") || status(t, next.url+"/readyz") != 200 {
		t.Errorf("it serves %s", next.url)
	}
	if err := old.stop(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(old.url, "http://")); err == nil {
		conn.Close()
		t.Error("the old address still takes connections")
	}
}
