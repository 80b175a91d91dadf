package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/storetest"
)

// producer appends to one stream, tries again what failed, and remembers what was acknowledged.
type producer struct {
	id    store.StreamID
	to    storetest.Appender
	seed  uint64
	count atomic.Int64 // acknowledged

	acked map[store.Number]*store.Record
}

// run appends until end is closed. A record that failed may or may not be stored, so the next try
// has another number.
func (p *producer) run(clock *storetest.Clock, end <-chan struct{}) {
	p.acked = make(map[store.Number]*store.Record)
	for {
		select {
		case <-end:
			return
		default:
		}
		p.seed++
		rec := storetest.Record(clock, p.seed, 3000)
		f, err := storetest.Append(context.Background(), p.to, p.id, rec)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		p.acked[f.Number] = rec
		p.count.Add(1)
		time.Sleep(5 * time.Millisecond) // thousands more would teach nothing new
	}
}

// more waits until each producer has so many more acknowledgements.
func more(t *testing.T, producers []*producer, n int64) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for _, p := range producers {
		for want := p.count.Load() + n; p.count.Load() < want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a producer gets no acknowledgement any more")
			}
		}
	}
}

// While producers append, the database and the object store go away and come back, close
// connections in one direction, stop in the middle, and are slow. What fails is reported, nothing
// that was acknowledged is lost, and what is listed can be read.
func TestFaults(t *testing.T) {
	t.Parallel()
	postgres, gateway := clustertest.StartPostgres(t), clustertest.StartGateway(t)
	rowsProxy := clustertest.NewProxy(t, postgres.Address())
	bytesProxy := clustertest.NewProxy(t, gateway.Address())
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	f.options.Database = postgres.URL("")
	f.options.Objects = clustertest.URL(gateway.Endpoint(), "p")
	through := func(o *cluster.Options) {
		o.Database = strings.Replace(o.Database, postgres.Address(), rowsProxy.Address(), 1)
		o.Objects = clustertest.URL("http://"+bytesProxy.Address(), "p")
		o.Keys.Timeout = 2 * time.Second
	}
	nodes := []*node{f.node(through), f.node(through)}
	var producers []*producer
	end := make(chan struct{})
	var running sync.WaitGroup
	for i := range 4 { // two streams, each by both nodes
		var id store.StreamID
		if i < 2 {
			id = create(t, nodes[0], fmt.Sprint("cam", i), 24).ID
		} else {
			id = producers[i-2].id
		}
		p := &producer{id: id, to: nodes[i/2], seed: uint64(i) << 32}
		producers = append(producers, p)
		running.Go(func() { p.run(clock, end) })
	}
	more(t, producers, 2)
	for _, fault := range []func(){
		rowsProxy.Drop, bytesProxy.Drop,
		func() { rowsProxy.HalfClose(clustertest.Client) },
		func() { rowsProxy.HalfClose(clustertest.Server) },
		func() { bytesProxy.HalfClose(clustertest.Client) },
		func() { bytesProxy.HalfClose(clustertest.Server) },
		func() {
			rowsProxy.Silence(true)
			time.Sleep(200 * time.Millisecond)
			rowsProxy.Silence(false)
		},
		func() {
			bytesProxy.Silence(true)
			time.Sleep(200 * time.Millisecond)
			bytesProxy.Drop()
			bytesProxy.Silence(false)
		},
		func() { must(t, postgres.Stop()); must(t, postgres.Start()) },
		func() { gateway.Kill(); must(t, gateway.Start()) },
		func() {
			postgres.Kill()
			for try := 0; ; try++ { // it does not start before its last process has ended
				err := postgres.Start()
				if err == nil {
					break
				}
				if try == 50 {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
		},
		func() {
			if err := nodes[0].Compact(t.Context(), true); err != nil {
				t.Error(err)
			}
		},
	} {
		fault()
		more(t, producers, 2)
	}
	close(end)
	running.Wait()
	checkAcknowledged(t, f.node(), producers)
}

// A database that takes longer to answer than its answers are believed still wakes those who wait:
// for what is there, and for what comes.
func TestWaitAtSlowDatabase(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	n := f.node()
	address, err := url.Parse(f.options.Database)
	must(t, err)
	proxy := clustertest.NewProxy(t, address.Host)
	slow := f.node(func(o *cluster.Options) {
		o.Database = strings.Replace(o.Database, address.Host, proxy.Address(), 1)
		o.Fresh = time.Millisecond
	})
	proxy.Delay(5 * time.Millisecond)
	st := create(t, n, "cam", 24)
	add(t, n, clock, st.ID, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if at, err := slow.Wait(ctx, st.ID, 0); err != nil || at != 1 {
		t.Fatalf("it waits until %d, %v", at, err)
	}
	told := make(chan error, 1)
	go func() {
		at, err := slow.Wait(ctx, st.ID, 1)
		if err == nil && at != 2 {
			err = fmt.Errorf("it waits until %d", at)
		}
		told <- err
	}()
	add(t, n, clock, st.ID, 1)
	must(t, <-told)
}

// A node keeps its lease while an object store that does not answer delays compaction.
func TestLeaseIsKeptWhilePacking(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	f := newFixture(t, clock)
	endpoint, prefix := clustertest.Bucket(t)
	address, err := url.Parse(endpoint)
	must(t, err)
	proxy := clustertest.NewProxy(t, address.Host)
	const leaseTime = time.Second
	f.options.Objects = clustertest.URL("http://"+proxy.Address(), prefix)
	n := f.node(func(o *cluster.Options) { o.LeaseTime = leaseTime })
	st := create(t, n, "cam", 24)
	first := add(t, n, clock, st.ID, 0)

	database := strings.TrimSuffix(f.options.Database, "&pool_max_conns=16")
	conn, err := pgx.Connect(t.Context(), database)
	must(t, err)
	defer func() { must(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	expires := func() (millis int64) {
		must(t, conn.QueryRow(t.Context(), `SELECT MAX(expires_ms) FROM leases`).Scan(&millis))
		return millis
	}
	held, err := n.Hold(t.Context(), st.ID)
	must(t, err)
	proxy.Silence(true)
	done := make(chan error, 1)
	go func() { done <- held.Compact(context.WithoutCancel(t.Context()), st.ID) }()
	deadline := time.Now().Add(15 * time.Second)
	for end := expires() + leaseTime.Milliseconds(); expires() < end; {
		if time.Now().After(deadline) {
			t.Fatal("the lease is not renewed")
		}
		time.Sleep(10 * time.Millisecond)
	}
	proxy.Silence(false)
	must(t, <-done)
	moved, err := n.Fragment(t.Context(), st.ID, first.Number)
	must(t, err)
	if moved.Location == first.Location {
		t.Error("nothing was compacted")
	}
}

// checkAcknowledged compares what a node lists with what was acknowledged.
func checkAcknowledged(t *testing.T, n *node, producers []*producer) {
	t.Helper()
	acked := make(map[store.StreamID]map[store.Number]*store.Record)
	for _, p := range producers {
		if acked[p.id] == nil {
			acked[p.id] = make(map[store.Number]*store.Record)
		}
		maps.Copy(acked[p.id], p.acked)
	}
	for id, want := range acked {
		list, err := n.List(t.Context(), id, store.Query{Order: store.BySequence})
		must(t, err)
		for i, f := range list {
			if f.Sequence != int64(i+1) {
				t.Fatalf("fragment %d of the stream has sequence %d", i+1, f.Sequence)
			}
			got, err := storetest.ReadPayload(t.Context(), n, id, f)
			if err != nil {
				t.Errorf("listed and not to be read: %v", err)
				continue
			}
			rec := want[f.Number]
			if rec != nil && !slices.EqualFunc(got, rec.Payload, bytes.Equal) {
				t.Errorf("fragment %d is not what was acknowledged", f.Number)
			}
			delete(want, f.Number)
		}
		for number := range want {
			t.Errorf("fragment %d was acknowledged and is lost", number)
		}
	}
}
