package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// receiver is a server that gets notifications.
type receiver struct {
	*httptest.Server
	got    chan string // bodies
	mu     sync.Mutex
	status []int // of the next answers; then 200
	header http.Header
}

func newReceiver(t *testing.T, status ...int) *receiver {
	r := &receiver{got: make(chan string, 100), status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.header = req.Header
		if len(r.status) > 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(r.status[0])
			r.status = r.status[1:]
			return
		}
		r.got <- string(body)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) next(t *testing.T) string {
	t.Helper()
	select {
	case body := <-r.got:
		return body
	case <-time.After(30 * time.Second):
		t.Fatal("nothing comes")
		return ""
	}
}

// clock is a clock that only sleeping moves.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	c.mu.Unlock()
	return ctx.Err()
}

func newNotifier(t *testing.T, allow string) (*Notifier, *clock) {
	t.Helper()
	c := &clock{now: time.Unix(1_700_000_000, 0)}
	o := Options{Key: []byte("key"), Clock: c.Now, Registerer: prometheus.NewRegistry(),
		sleep: c.sleep}
	if allow != "" {
		o.Allow = []netip.Prefix{netip.MustParsePrefix(allow)}
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n, c
}

func (n *Notifier) results(result string) (count float64) {
	families, _ := n.o.Registerer.(*prometheus.Registry).Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if labels := m.GetLabel(); len(labels) == 1 && labels[0].GetValue() == result {
				count = m.GetCounter().GetValue()
			}
		}
	}
	return count
}

// always is a destination that does not change.
func always(url string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return url, nil }
}

// Messages of a sender arrive in order, with a signature over time and body.
func TestDelivery(t *testing.T) {
	r := newReceiver(t)
	n, _ := newNotifier(t, "127.0.0.0/8")
	for i := range 5 {
		n.Send("cam1", always(r.URL), fmt.Appendf(nil, `{"n":%d}`, i))
	}
	for i := range 5 {
		if got := r.next(t); got != fmt.Sprintf(`{"n":%d}`, i) {
			t.Errorf("message %d is %s", i, got)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write([]byte(`1700000000.{"n":4}`))
	want := "t=1700000000,v1=" + hex.EncodeToString(mac.Sum(nil))
	if got := r.header.Get(headerSignature); got != want ||
		r.header.Get("Content-Type") != "application/json" {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// A failed attempt is repeated with longer and longer pauses, for an hour. A redirection is a
// failure.
func TestRetries(t *testing.T) {
	r := newReceiver(t, 500, 302, 404)
	n, c := newNotifier(t, "127.0.0.0/8")
	n.Send("cam1", always(r.URL), []byte("a"))
	n.Send("cam1", always(r.URL), []byte("b"))
	if a, b := r.next(t), r.next(t); a != "a" || b != "b" {
		t.Errorf("%s before %s", a, b)
	}
	c.mu.Lock()
	if got := fmt.Sprint(c.slept); got != "[1s 2s 4s]" {
		t.Errorf("pauses %s", got)
	}
	c.slept = nil
	c.mu.Unlock()

	r.Close()
	n.Send("cam1", always(r.URL), []byte("c"))
	n.done.Wait() // there is nothing left to do
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum time.Duration
	for _, d := range c.slept {
		sum += d
	}
	if sum > life || sum < life-lastBackoff || n.results(resultExpired) != 1 || n.count != 0 {
		t.Errorf("%v of pauses, %v expired", sum, n.results(resultExpired))
	}
}

// Waiting messages follow their sender's configuration. They go to a new receiver at once, with
// short pauses again, or to nobody. A configuration that cannot be read is a failed attempt.
func TestDestinationChanges(t *testing.T) {
	dead, alive := newReceiver(t), newReceiver(t)
	dead.Close()
	n, c := newNotifier(t, "127.0.0.0/8")
	paused := make(chan struct{}, 10)
	n.o.sleep = func(ctx context.Context, d time.Duration) error {
		if d == 8*time.Second { // until Hurry or Close
			paused <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		return c.sleep(ctx, d)
	}
	var mu sync.Mutex
	url, failure := dead.URL, errors.New("the store does not answer")
	to := func(context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if err := failure; err != nil {
			failure = nil
			return "", err
		}
		return url, nil
	}
	change := func(to string) {
		mu.Lock()
		url = to
		mu.Unlock()
		n.Hurry("cam1")
	}
	n.Send("cam1", to, []byte("a"))
	n.Send("cam1", to, []byte("b"))
	<-paused
	n.Hurry("cam2") // another's
	change(alive.URL)
	if a, b := alive.next(t), alive.next(t); a != "a" || b != "b" {
		t.Errorf("%s before %s", a, b)
	}
	n.done.Wait()
	if n.results(resultFailed) != 5 || n.results(resultDelivered) != 2 {
		t.Errorf("%v failed, %v are delivered", n.results(resultFailed), n.results(resultDelivered))
	}
	url = dead.URL
	n.Send("cam1", to, []byte("c"))
	n.Send("cam1", to, []byte("d"))
	<-paused
	change("")
	n.done.Wait()
	if n.results(resultWithdrawn) != 2 || len(alive.got) != 0 || n.count != 0 {
		t.Errorf("%v are withdrawn, %d came", n.results(resultWithdrawn), len(alive.got))
	}
}

// A destination that changes during an attempt is used without a pause, too.
func TestDestinationChangesInAnAttempt(t *testing.T) {
	alive := newReceiver(t)
	n, c := newNotifier(t, "127.0.0.0/8")
	var url atomic.Value
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		url.Store(alive.URL)
		n.Hurry("cam1")
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer failing.Close()
	url.Store(failing.URL)
	n.Send("cam1", func(context.Context) (string, error) { return url.Load().(string), nil },
		[]byte("a"))
	alive.next(t)
	n.done.Wait()
	if len(c.slept) != 0 {
		t.Errorf("pauses %v", c.slept)
	}
}

// No name, literal or redirection leads to an address outside of the list.
func TestNetworks(t *testing.T) {
	inside, outside := newReceiver(t), newReceiver(t)
	port := outside.URL[strings.LastIndex(outside.URL, ":"):]
	for _, c := range []struct{ allow, url string }{
		{"10.0.0.0/8", outside.URL},
		{"10.0.0.0/8", "http://localhost" + port}, // looked up
		{"10.0.0.0/8", "http://[::ffff:127.0.0.1]" + port},
		{"10.0.0.0/8", "http://[::1]" + port},
		{"", outside.URL},
		{"::/0", outside.URL},
	} {
		n, _ := newNotifier(t, c.allow)
		n.Send("cam1", always(c.url), []byte("x"))
		n.done.Wait()
		if n.results(resultDelivered) != 0 || n.results(resultExpired) != 1 {
			t.Errorf("%s was reached from %q", c.url, c.allow)
		}
	}
	if len(outside.got) != 0 {
		t.Error("a message arrived where none may go")
	}
	n, _ := newNotifier(t, "127.0.0.0/8")
	port = inside.URL[strings.LastIndex(inside.URL, ":"):]
	n.Send("cam1", always("http://[::ffff:127.0.0.1]"+port), []byte("x"))
	inside.next(t)
}

// A receiver that does not answer delays only its own sender, and the number of waiting messages is
// bounded.
func TestWaitingIsBounded(t *testing.T) {
	stuck := make(chan struct{})
	wait := func(http.ResponseWriter, *http.Request) { <-stuck }
	dead := httptest.NewServer(http.HandlerFunc(wait))
	defer dead.Close()
	defer close(stuck)
	r := newReceiver(t)
	n, _ := newNotifier(t, "127.0.0.0/8")
	for i := range 2 * maxWaiting {
		n.Send(fmt.Sprint("cam", i%20), always(dead.URL), []byte("x"))
	}
	if n.results(resultDropped) != maxWaiting {
		t.Errorf("%v are dropped", n.results(resultDropped))
	}
	n.Close() // gives up
	n, _ = newNotifier(t, "127.0.0.0/8")
	for range maxOfSender + 1 {
		n.Send("cam1", always(dead.URL), []byte("x"))
	}
	n.Send("cam2", always(r.URL), []byte("y"))
	if got := r.next(t); got != "y" || n.results(resultDropped) != 1 {
		t.Errorf("%q came, %v are dropped", got, n.results(resultDropped))
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key, err := LoadOrCreateKey(path)
	if err != nil || len(key) != keyBytes {
		t.Fatal(len(key), err)
	}
	again, err := LoadOrCreateKey(path)
	info, _ := os.Stat(path)
	if err != nil || !bytes.Equal(key, again) || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", err, info.Mode())
	}
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(path); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a file that is no key: %v", err)
	}
}
