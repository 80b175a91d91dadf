package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weir/internal/handover"
)

// statusOf requests a path on a new connection.
func statusOf(t *testing.T, url string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

var (
	metricsURL = regexp.MustCompile(`http://[0-9.:]+/metrics`)
	playersURL = regexp.MustCompile(`players url=http://[0-9.:]+`)
	camerasURL = regexp.MustCompile(`cameras url=https://[0-9.:]+`)
)

// The new server has the addresses and the directory of the old one, which has ended successfully.
func TestTakeover(t *testing.T) {
	data := t.TempDir()
	players := playbackFlags{PlaybackListen: "127.0.0.1:0"}
	cameras := cameraFlags{CameraListen: "127.0.0.1:0"}
	old := serveHere(t, serveCmd{Data: data, MetricsListen: "127.0.0.1:0", Takeover: true,
		playbackFlags: players, cameraFlags: cameras})
	metrics := metricsURL.FindString(old.log.String())
	watch := playersURL.FindString(old.log.String())
	send := camerasURL.FindString(old.log.String())
	if !strings.Contains(old.log.String(), "no server to take over from") {
		t.Errorf("the first one does not say that there was none:\n%s", old.log)
	}
	next := serveHere(t, serveCmd{Data: data, MetricsListen: strings.Split(metrics, "/")[2],
		Takeover: true, playbackFlags: players, cameraFlags: cameras})
	if next.url != old.url || metricsURL.FindString(next.log.String()) != metrics ||
		playersURL.FindString(next.log.String()) != watch || send == "" ||
		camerasURL.FindString(next.log.String()) != send {
		t.Errorf("it serves %s, not %s:\n%s", next.url, old.url, next.log)
	}
	if err := old.stop(); err != nil {
		t.Errorf("the old server: %v", err)
	}
	watch = strings.TrimPrefix(watch, "players url=")
	for _, url := range []string{next.url + "/readyz", watch + "/readyz", metrics} {
		if got := statusOf(t, url); got != 200 {
			t.Errorf("%s: %d", url, got)
		}
	}
	if target, err := readClientConfig(data); err != nil || target.endpoint != next.url {
		t.Errorf("weir env would say %+v, %v", target, err)
	}
	// A third server takes over from the second.
	if last := serveHere(t, serveCmd{Data: data, Takeover: true}); last.url != old.url ||
		!strings.Contains(last.log.String(), "nobody will listen") {
		t.Errorf("the third one serves %s, not %s, without metrics:\n%s", last.url, old.url,
			last.log)
	}
}

// What a new server can know to be wrong, it reports before it asks the old one to stop.
func TestTakeoverThatCannotSucceed(t *testing.T) {
	data := t.TempDir()
	old := serveHere(t, serveCmd{Data: data})
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	damage := func(name, text string) func() {
		path := filepath.Join(data, name)
		was, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.WriteFile(path, was, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	undamaged := func() func() { return func() {} }
	for _, c := range []struct {
		name   string
		damage func() (mend func())
		flags  []string
		says   string
	}{
		{"an address that is taken", undamaged, []string{"--listen", busy.Addr().String()},
			"another program listens there"},
		{"a URL that no client can use", undamaged, []string{"--advertise-url", "video.example"},
			"must start with http"},
		{"a certificate that is not there", undamaged,
			[]string{"--tls-cert", "none.pem", "--tls-key", "none.pem"}, "load certificate"},
		{"credentials that cannot be read", func() func() {
			return damage(credentialsFile, "[default]\naws_access_key_id = AKIA\n")
		}, nil, "key file"},
		{"token keys that cannot be read", func() func() {
			return damage(tokenKeysFile, "1 yesterday none\n")
		}, nil, "token key file"},
		{"a key for secrets that cannot be read", func() func() {
			return damage(accessKeyFile, "0123\n")
		}, nil, "access key file"},
		{"a key for secrets that is another's", func() func() {
			return damage(accessKeyFile, strings.Repeat("0123456789abcdef", 4))
		}, nil, "put the right file back"},
		{"an index of a newer version", func() func() { return setSchema(t, data, 1000) }, nil,
			"newer version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer c.damage()()
			args := append([]string{"serve", "--takeover", "--data", data}, c.flags...)
			if len(c.flags) == 0 || c.flags[0] != "--listen" {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			if code, _, errs := command(t, args...); code == exitOK ||
				!strings.Contains(errs, c.says) {
				t.Errorf("exit code %d\n%s", code, errs)
			}
			if got := statusOf(t, old.url+"/readyz"); got != 200 ||
				strings.Contains(old.log.String(), "takes over") {
				t.Errorf("the old server was touched: %d\n%s", got, old.log)
			}
		})
	}
}

// setSchema changes the schema that an index claims to have, until the returned function is called.
func setSchema(t *testing.T, data string, schema int) (back func()) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "index.db")+"?_pragma=busy_timeout(10000)")
	var was int
	if err == nil {
		err = db.QueryRow("PRAGMA user_version").Scan(&was)
	}
	if err == nil {
		_, err = db.Exec(fmt.Sprint("PRAGMA user_version = ", schema))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		_, err := db.Exec(fmt.Sprint("PRAGMA user_version = ", was))
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// The old server goes on if the new one ends before it serves.
func TestTakeoverThatFails(t *testing.T) {
	data := t.TempDir()
	old := serveHere(t, serveCmd{Data: data})
	next, err := handover.Take(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	next.Close()
	next.Sockets.Close()
	if url := <-old.ready; url != old.url || statusOf(t, old.url+"/readyz") != 200 {
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
	if !strings.HasPrefix(next.url, "http://127.0.0.2:") || statusOf(t, next.url+"/readyz") != 200 {
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
