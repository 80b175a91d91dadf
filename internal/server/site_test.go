package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/clip"
	"weir/internal/fragments"
	"weir/internal/playback"
	"weir/internal/quota"
	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/memory"
)

// engine is all that a server needs of a store.
type engine interface {
	store.Store
	Full() bool
	Room(ctx context.Context, bytes int64) error
	Ready(ctx context.Context) error
}

// inMemory is an engine that is never full and never lost.
type inMemory struct{ *memory.Store }

func (inMemory) Full() bool { return false }

func (inMemory) Room(context.Context, int64) error { return nil }
func (inMemory) Ready(context.Context) error       { return nil }

// patience limits every wait of these tests. Nothing takes that long unless something is wrong.
const patience = 20 * time.Second

// await waits until get returns want. If it never does, the test ends and says what it had.
func await[T comparable](t *testing.T, what string, want T, get func() T) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := get()
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

// site is a server on a port of this machine.
type site struct {
	t       *testing.T
	url     string
	address string
	players string // address of the listener for players, if there is one
	server  *Server
	store   engine
	signer  auth.Signer
	client  *http.Client            // with its own connections
	stop    func()                  // stops Serve gracefully and waits for it; may be called twice
	end     context.CancelCauseFunc // of Serve's context

	mu    sync.Mutex
	holds []time.Duration // delayed error answers; guarded by mu
	hold  func()          // called for each of them; may be nil
}

func newSite(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return newSiteOver(t, inMemory{memory.New(time.Now)}, listener, change...)
}

// openStore opens a store in a directory of the test; closeStore may be called twice.
func openStore(t *testing.T) (st *local.Store, closeStore func() error) {
	t.Helper()
	st, err := local.Open(t.Context(), t.TempDir(), local.Options{})
	must(t, err)
	closeStore = sync.OnceValue(st.Close)
	t.Cleanup(func() { must(t, closeStore()) })
	return st, closeStore
}

// openAccess opens the registry of principals, with a new key pair for root unless the directory
// has one.
func openAccess(t testing.TB, st store.Documents, dir string) (*access.Registry, *auth.KeyFile) {
	t.Helper()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(dir, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	who, err := access.Open(t.Context(), access.Options{Store: st, Keys: keys,
		KeyFile: filepath.Join(dir, "access.key"), Account: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	return who, keys
}

func newSiteOver(t *testing.T, st engine, listener net.Listener,
	change ...func(*Options)) *site {
	t.Helper()
	return newSiteOn(t, st, Listeners{Main: listener}, change...)
}

func newSiteOn(t *testing.T, st engine, on Listeners, change ...func(*Options)) *site {
	t.Helper()
	dir := t.TempDir()
	who, keys := openAccess(t, st, dir)
	tokens, err := auth.LoadOrCreateTokenKeys(filepath.Join(dir, "token-keys"))
	must(t, err)
	clips, err := clip.New(clip.Options{Store: st, Tokens: tokens, Dir: filepath.Join(dir, "clips"),
		CacheBytes: 64 << 20})
	must(t, err)
	registry := prometheus.NewRegistry()
	options := Options{
		Store: st,
		Clips: clips,
		Playback: playback.New(playback.Options{Store: st, Tokens: tokens,
			Limits: playback.LimitsOf(quota.Defaults())}),
		Fragments:  fragments.New(fragments.Options{Store: st}),
		Access:     who,
		TokenKeys:  tokens,
		Region:     "us-west-2",
		Account:    "000000000000",
		Registerer: registry,
		Metrics:    promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	for _, c := range change {
		c(&options)
	}
	srv, err := New(options)
	must(t, err)

	s := &site{
		t: t, server: srv, store: st, address: on.Main.Addr().String(),
		url:    "http://" + on.Main.Addr().String(),
		signer: auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2"},
		client: &http.Client{Transport: &http.Transport{}},
	}
	srv.wait = func(_ context.Context, d time.Duration) {
		s.mu.Lock()
		s.holds = append(s.holds, d)
		s.mu.Unlock()
		if s.hold != nil {
			s.hold()
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, on) }()
	s.end = cancel
	s.stop = sync.OnceFunc(func() {
		cancel(nil)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.stop()
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is the answer to a request.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *site) do(r *http.Request) answer {
	s.t.Helper()
	res, err := s.client.Do(r)
	must(s.t, err)
	return readAnswer(s.t, res)
}

func readAnswer(t *testing.T, res *http.Response) answer {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	return answer{res.StatusCode, res.Header, string(body)}
}

func (s *site) request(method, path, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	must(s.t, err)
	return r
}

// call makes a signed call.
func (s *site) call(path, body string) answer {
	s.t.Helper()
	r := s.request(http.MethodPost, path, body)
	r.Header.Set("Content-Type", "application/json")
	s.signer.Sign(r, []byte(body))
	return s.do(r)
}

// ok makes a signed call that must succeed, and decodes its answer.
func (s *site) ok(path, body string) map[string]any {
	s.t.Helper()
	a := s.call(path, body)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		s.t.Fatalf("%s %s: %d %v\n%s", path, body, a.status, a.header, a.body)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		s.t.Fatalf("%s: %v in %q", path, err, a.body)
	}
	return v
}

var requestID = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z`)

// fails checks the wire form of an error answer.
func (a answer) fails(t *testing.T, status int, code, message string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	text, ok := body["Message"]
	if !ok {
		text = body["message"]
	}
	if a.status != status || a.header.Get("x-amzn-ErrorType") != code ||
		a.header.Get("x-amz-ErrorType") != code ||
		len(body) != 1 || !strings.Contains(text, message) {
		t.Errorf("got %d %s %s\nwant %d %s %q", a.status, a.header.Get("x-amzn-ErrorType"), a.body,
			status, code, message)
	}
	if !requestID.MatchString(a.header.Get("x-amzn-RequestId")) {
		t.Errorf("request id %q", a.header.Get("x-amzn-RequestId"))
	}
	if a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a page could not read this error")
	}
}
