package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/storetest"
)

// behind returns an option that makes a node reach the database through a proxy.
func (f *fixture) behind() (*clustertest.Proxy, func(*cluster.Options)) {
	f.Helper()
	database, err := url.Parse(f.options.Database)
	must(f, err)
	proxy := clustertest.NewProxy(f, database.Host)
	return proxy, func(o *cluster.Options) {
		o.Database = strings.Replace(o.Database, database.Host, proxy.Address(), 1)
	}
}

// beforeObjects makes nodes reach the object store through a server that calls handle first, and
// passes on what that has not answered.
func (f *fixture) beforeObjects(
	handle func(w http.ResponseWriter, r *http.Request) (answered bool),
) {
	f.Helper()
	endpoint, prefix := clustertest.Bucket(f)
	to, err := url.Parse(endpoint)
	must(f, err)
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !handle(w, r) {
			pass.ServeHTTP(w, r)
		}
	}))
	f.Cleanup(gateway.Close)
	f.options.Objects = clustertest.URL(gateway.URL, prefix)
}

// open opens a session of a stream.
func open(t *testing.T, s store.Sessions, id string, stream store.StreamID) {
	t.Helper()
	_, err := s.OpenSession(t.Context(), store.Session{ID: id, Stream: stream,
		ExpiresMillis: 1 << 60}, 5)
	must(t, err)
}

// While the database is away, refusing or half open, viewers go on with what the node has told them
// before: their sessions, their streams, their fragments. Everybody else is told that the store is
// away. A session that is closed in the meantime is closed once the database is back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	proxy, through := f.behind()
	n, other := f.node(through), f.node()
	short := f.node(through, func(o *cluster.Options) { o.Away = time.Nanosecond })
	st := create(t, n, "cam", 24)
	first, second := add(t, n, clock, st.ID, 0), add(t, n, clock, st.ID, 1)
	open(t, n, "seen", st.ID)
	open(t, n, "unseen", st.ID)
	ctx := t.Context()
	served := func(n *node) error {
		_, errSession := n.Session(ctx, "seen")
		_, errStream := n.StreamByID(ctx, st.ID)
		_, errWait := n.Wait(ctx, st.ID, -1)
		_, errTracks := n.TrackSet(ctx, st.ID, first.TrackSet)
		info, err := n.Fragment(ctx, st.ID, first.Number)
		if err == nil {
			_, err = storetest.ReadPayload(ctx, n, st.ID, info)
		}
		return errors.Join(errSession, errStream, errWait, errTracks, err)
	}
	must(t, served(n))
	must(t, served(short))

	proxy.Refuse(true)
	proxy.Drop()
	must(t, served(n))
	if err := served(short); err == nil {
		t.Error("it is believed for longer than Options.Away")
	}
	_, unseen := n.Session(ctx, "unseen")
	_, uncached := n.Fragment(ctx, st.ID, second.Number)
	for _, err := range []error{unseen, uncached, n.Ready(ctx)} {
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("of what only the database knows: %v", err)
		}
	}
	must(t, other.CloseSession(ctx, "seen"))
	must(t, served(n))

	proxy.Refuse(false)
	closed := func() bool {
		_, err := n.Session(ctx, "seen")
		return errors.Is(err, store.ErrNotFound)
	}
	within(t, "a session that is closed is served no more", closed)

	open(t, n, "again", st.ID)
	_, err := n.Session(ctx, "again")
	must(t, err)
	proxy.Silence(true)
	defer proxy.Silence(false)
	_, err = n.Session(ctx, "again")
	must(t, err)
	inTime(t, n, st.ID, first)
	// A readiness probe cannot wait for a connection that is half open.
	soon, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- n.Ready(soon) }()
	select {
	case err := <-ready:
		if err == nil {
			t.Error("it is ready without a database")
		}
	case <-time.After(6 * time.Second):
		t.Error("it does not say in time that it is not ready")
	}

	proxy.Silence(false)
	within(t, "a checkpoint is written once the database is back", func() bool {
		return n.Checkpoint(ctx, "again", []byte("state")) == nil
	})
}

// within waits until something holds.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// inTime holds what players ask for while the database is silent to their patience, however often
// they ask: a query alone has ten seconds.
func inTime(t *testing.T, n *node, id store.StreamID, first store.FragmentInfo) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		for range 20 {
			_, session := n.Session(t.Context(), "again")
			_, fragment := n.Fragment(t.Context(), id, first.Number)
			_, list := n.List(t.Context(), id, store.Query{Order: store.BySequence,
				AfterSequence: 1})
			saved := n.Checkpoint(t.Context(), "again", nil)
			if !errors.Is(list, store.ErrAway) || !errors.Is(saved, store.ErrAway) ||
				session != nil || fragment != nil {
				ended <- fmt.Errorf("session: %v, fragment: %v, list: %v, checkpoint: %v", session,
					fragment, list, saved)
				return
			}
		}
		ended <- nil
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("of what players ask for: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("players give up before they are answered")
	}
}

// A viewer who asks another node each time is never shown anything older than before. From his
// session a node learns how far his stream has got, whatever the node itself believes.
func TestViewerNeverGoesBack(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	a, b := f.node(), f.node(func(o *cluster.Options) { o.Fresh = time.Hour })
	st := create(t, a, "cam", 24)
	add(t, a, clock, st.ID, 0)
	open(t, a, "viewer", st.ID)
	for want := int64(1); want < 4; want++ {
		_, err := b.Session(t.Context(), "viewer")
		must(t, err)
		if at, err := b.Wait(t.Context(), st.ID, -1); err != nil || at != want {
			t.Fatalf("the stream is at %d, %v, want %d", at, err, want)
		}
		add(t, a, clock, st.ID, uint64(want))
	}
}

// An object store that is full, or that asks for fewer requests, refuses fragments. What it has can
// still be read.
func TestObjectStoreRefuses(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	var refuse atomic.Int64
	var readsToo atomic.Bool // reads are refused, too
	f.beforeObjects(func(w http.ResponseWriter, r *http.Request) (answered bool) {
		status := int(refuse.Load())
		if status == 0 || r.Method != http.MethodPut && !readsToo.Load() {
			return false
		}
		w.WriteHeader(status)
		return true
	})
	n := f.node()
	st := create(t, n, "cam", 24)
	first := add(t, n, clock, st.ID, 0)

	for _, c := range []struct {
		status      int
		full, ready bool
	}{
		{http.StatusInsufficientStorage, true, true},
		{http.StatusServiceUnavailable, false, false},
		{0, false, true},
	} {
		refuse.Store(int64(c.status))
		_, err := storetest.Append(t.Context(), n, st.ID, storetest.Record(clock, 1, 3000))
		if (err == nil) != (c.status == 0) || errors.Is(err, store.ErrFull) != c.full {
			t.Errorf("at status %d: %v", c.status, err)
		}
		if err := n.Ready(t.Context()); (err == nil) != c.ready || n.Full() != c.full {
			t.Errorf("at status %d it is full: %t, ready: %v", c.status, n.Full(), err)
		}
		n.Cache().Drop(first.Location.Volume)
		reads(t, n, st.ID, first, 0)
		clock.Add(2 * time.Second)
	}
	open(t, n, "viewer", st.ID)
	n.Cache().Drop(first.Location.Volume)
	readsToo.Store(true)
	for _, status := range []int64{http.StatusForbidden, http.StatusServiceUnavailable} {
		refuse.Store(status)
		if _, err := n.Open(t.Context(), st.ID, first); !errors.Is(err, store.ErrAway) {
			t.Errorf("read at status %d: %v", status, err)
		}
		must(t, n.Checkpoint(t.Context(), "viewer", nil)) // the database is there
	}
}

// An object whose rows are committed late may look like an orphan to other nodes. So it is not
// committed, although its node has been heard of again.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	proxy, through := f.behind()
	n := f.node(through, func(o *cluster.Options) {
		o.OrphanAge, o.LeaseTime, o.Fresh = 2*time.Second, 100*time.Millisecond, time.Hour
	})
	other := f.node()
	st := create(t, n, "cam", 24)
	add(t, n, clock, st.ID, 0)
	proxy.Refuse(true)
	proxy.Drop()
	failed := make(chan error, 1)
	go func() {
		rec := storetest.Record(clock, 1, 3000)
		rec.Number = store.NumberAt(clock.Now(), 0) + 1<<30
		_, err := n.Append(context.WithoutCancel(t.Context()), st.ID, rec)
		failed <- err
	}()
	for len(keys(t, other, "b/")) < 2 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(600 * time.Millisecond) // a quarter of OrphanAge has passed, but not half of it
	proxy.Refuse(false)
	if err := <-failed; !errors.Is(err, rows.ErrLease) {
		t.Errorf("a late commit: %v", err)
	}
}

// An object store that is slow does not make the database count as away: a follower of old
// fragments waits for their table, and other streams go on.
func TestSlowObjectStore(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	var slow atomic.Bool
	var waited atomic.Int64
	f.beforeObjects(func(_ http.ResponseWriter, r *http.Request) (answered bool) {
		if slow.Load() && r.Method == http.MethodGet {
			waited.Add(1)
			time.Sleep(2500 * time.Millisecond) // longer than the database may take
		}
		return false
	})
	writer := f.node()
	st, other := create(t, writer, "cam", 24), create(t, writer, "other", 24)
	for i := range uint64(4) {
		add(t, writer, clock, st.ID, i)
	}
	clock.Add(2 * time.Hour)
	must(t, writer.Compact(t.Context(), true))
	open(t, writer, "session", other.ID)
	n := f.node()
	slow.Store(true)
	list, err := n.List(t.Context(), st.ID,
		store.Query{Order: store.BySequence, AfterSequence: 1, Limit: 2})
	if err != nil || len(list) != 2 || waited.Load() == 0 {
		t.Errorf("%d fragments after %d slow requests, %v", len(list), waited.Load(), err)
	}
	must(t, n.Checkpoint(t.Context(), "session", []byte("later")))
}

// An answer that comes at the very end of the time for it is one: the database does not count as
// away once it has come, whichever is noticed first. Nor does it when whoever asked has gone, when
// the program is at fault, or when it is the object store that does not answer.
func TestAnswerAtDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 1000 {
			var m cluster.Memory
			v, err := m.Soon(t.Context(), func(context.Context) (int, error) {
				time.Sleep(cluster.AskTime)
				return 7, nil
			})
			synctest.Wait()
			if m.IsAway() || (v != 7 || err != nil) && !errors.Is(err, store.ErrAway) {
				t.Fatalf("%d, %v; it counts as away: %t", v, err, m.IsAway())
			}
		}
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx       context.Context
		err, want error
		away      bool
	}{
		{gone, context.DeadlineExceeded, context.Canceled, false},
		{t.Context(), errFault, errFault, false},
		{t.Context(), io.ErrUnexpectedEOF, store.ErrAway, true},
	} {
		var m cluster.Memory
		_, err := m.Soon(c.ctx, func(context.Context) (int, error) { return 0, c.err })
		if !errors.Is(err, c.want) || m.IsAway() != c.away {
			t.Errorf("%v becomes %v; the database counts as away: %t", c.err, err, m.IsAway())
		}
	}
}

// errFault is of the program.
var errFault = errors.New("a row makes no sense")
