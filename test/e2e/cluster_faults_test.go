package e2e_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store/cluster/clustertest"
	"weir/test/output"
)

// refuser starts a proxy before an object store and returns its address. While puts is an HTTP
// status, it answers every PUT with that, as a store that is full or overloaded does; while puts is
// 0, it passes everything on.
func refuser(t *testing.T, gateway string) (address string, puts *atomic.Int64) {
	t.Helper()
	to, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	puts = &atomic.Int64{}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
		panic(http.ErrAbortHandler) // the connection breaks, as that to the object store did
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := int(puts.Load()); status != 0 && r.Method == http.MethodPut {
			w.WriteHeader(status)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), puts
}

// clusterFault is what happens to the database or the object store.
type clusterFault struct {
	name       string
	begin, end func()
	ready      int    // status of /readyz meanwhile
	says       string // what it says
	reads      bool   // also what is not cached can be read
}

// clusterReader follows a stream by GetMedia at a node.
type clusterReader struct {
	came  atomic.Int64 // bytes
	ended chan error
}

func (r *clusterReader) Write(p []byte) (int, error) {
	r.came.Add(int64(len(p)))
	return len(p), nil
}

func newClusterReader(t *testing.T, s *server, stream string) *clusterReader {
	t.Helper()
	r := &clusterReader{ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := s.command(ctx, "weir", "get-media", "--stream-name", stream, "--start-selector",
		"StartSelectorType=EARLIEST", "/dev/stdout")
	cmd.Stdout = r
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		r.ended <- cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

// goesOn reports whether more has come than before; the answer must not have ended.
func (r *clusterReader) goesOn(t *testing.T, before int64) bool {
	t.Helper()
	select {
	case err := <-r.ended:
		t.Fatalf("GetMedia has ended: %v", err)
	default:
	}
	return r.came.Load() > before
}

// Database and object store are stopped, refuse, hang and are slow while cameras send to two
// nodes. Each time, /readyz tells the truth, a viewer still gets what he was served before,
// GetMedia waits, and cameras get 5001 or no connection. Afterwards cameras go on, and in the end
// everything acknowledged is there once.
func TestClusterFaults(t *testing.T) {
	waits(t)
	site := newClusterSite(t)
	gateway, puts := refuser(t, site.gateway.Endpoint())
	rows := clustertest.NewProxy(t, site.postgres.Address())
	objects := clustertest.NewProxy(t, gateway)
	site.reach(rows.Address(), "http://"+objects.Address())
	one, two := site.node(), site.node()
	viewer := newClusterViewer(t, one)

	stop, errs := make(chan struct{}), &output.Buffer{}
	var roaming sync.WaitGroup
	camera := &crashCamera{stream: "faults", base: time.Now().Add(-time.Hour).UnixMilli(),
		acked: map[int]string{}}
	one.run("weir", "create-stream", "--stream-name", camera.stream, "--data-retention-in-hours",
		"24")
	reader := newClusterReader(t, one, camera.stream)
	turn := 0
	roaming.Go(func() {
		camera.roam(stop, errs, func() *server { turn++; return []*server{one, two}[turn%2] })
	})
	set := func(settings string) func() {
		return func() { setDatabase(t, site.postgres, settings) }
	}
	slow := func(by time.Duration) func() {
		return func() { rows.Delay(by); objects.Delay(by) }
	}
	for _, f := range []clusterFault{
		{"the object store is killed", site.gateway.Kill, func() { must(t, site.gateway.Start()) },
			503, "the store does not answer\n", false},
		{"the object store is half open", func() { objects.Silence(true) },
			func() { objects.Silence(false) }, 503, "the store does not answer\n", false},
		{"the object store is full", func() { puts.Store(507) }, func() { puts.Store(0) },
			200, "degraded, read-only", true},
		{"the object store wants less", func() { puts.Store(503) }, func() { puts.Store(0) },
			503, "the store does not answer\n", true},
		{"the database is stopped", func() { must(t, site.postgres.Stop()) },
			func() { must(t, site.postgres.Start()) }, 503, "the store does not answer\n", false},
		{"the database is half open", func() { rows.Silence(true) }, func() { rows.Silence(false) },
			503, "the store does not answer\n", false},
		{"the database is read-only", set("ALTER SYSTEM SET default_transaction_read_only = on"),
			set("ALTER SYSTEM RESET default_transaction_read_only"),
			503, "the store does not answer\n", true},
		{"both are slow", slow(20 * time.Millisecond), slow(0), 200, "ready\n", true},
	} {
		f.begin()
		within(t, time.Minute, f.name+": /readyz tells it at both nodes", func() bool {
			return f.told(t, one) && f.told(t, two)
		})
		viewer.check(t, f)
		f.end()
		was, came := camera.acknowledged(), reader.came.Load()
		within(t, time.Minute, "after that "+f.name+" everything goes on", func() bool {
			status, _, _ := get(t, one.URL+"/readyz")
			return status == http.StatusOK && camera.acknowledged() >= was+3 &&
				reader.goesOn(t, came)
		})
	}
	close(stop)
	roaming.Wait()
	camera.check(t, two)
	for line := range strings.Lines(errs.String()) {
		if !strings.Contains(line, " 5001 ") {
			t.Errorf("a camera was told %s", line)
		}
	}
	t.Logf("%d fragments acknowledged; %d times 5001", len(camera.acked),
		strings.Count(errs.String(), "\n"))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// told reports whether a node's /readyz says what it should during the fault.
func (f *clusterFault) told(t *testing.T, s *server) bool {
	t.Helper()
	status, _, body := get(t, s.URL+"/readyz")
	return status == f.ready && strings.HasPrefix(string(body), f.says)
}

// setDatabase changes settings of the database server for all connections, whatever they are.
func setDatabase(t *testing.T, p *clustertest.Postgres, settings string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.URL("")+"&default_transaction_read_only=off")
	must(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, settings)
	must(t, err)
	_, err = conn.Exec(ctx, "SELECT pg_reload_conf()")
	must(t, err)
}

// clusterViewer watches a recording at a node.
type clusterViewer struct {
	playlist string
	segments []string // URLs
	served   [][]byte // what the first of them are
}

func newClusterViewer(t *testing.T, s *server) *clusterViewer {
	t.Helper()
	s.run("weir", "create-stream", "--stream-name", "film", "--data-retention-in-hours", "24")
	film := &crashCamera{stream: "film", base: time.Now().Add(-time.Hour).UnixMilli(),
		acked: map[int]string{}}
	must(t, film.push(s))
	v := &clusterViewer{playlist: mediaPlaylist(s.hls("film", "--playback-mode", "LIVE"), 1)}
	v.segments = uris(t, v.playlist, string(mustGet(t, v.playlist)))
	if len(v.segments) < 5 {
		t.Fatalf("the viewer has %d segments", len(v.segments))
	}
	v.served = append(v.served, mustGet(t, v.segments[0]))
	return v
}

// check compares what the viewer gets during a fault with what he was served before.
func (v *clusterViewer) check(t *testing.T, f clusterFault) {
	t.Helper()
	if list := mustGet(t, v.playlist); !strings.Contains(string(list), "#EXTINF") {
		t.Errorf("while %s the playlist is\n%s", f.name, list)
	}
	for i, want := range v.served {
		if got := mustGet(t, v.segments[i]); string(got) != string(want) {
			t.Errorf("while %s segment %d is another one", f.name, i)
		}
	}
	if f.reads {
		v.served = append(v.served, mustGet(t, v.segments[len(v.served)]))
	}
}
