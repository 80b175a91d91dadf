package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
)

// Reading goes on while a fragment is made durable, up to the bound; then the producer is slowed.
// Until it is durable, a fragment is not even RECEIVED.
func TestReadingGoesOnWhileStoring(t *testing.T) {
	gate := make(chan struct{})
	s := appending(func(*store.Record) error { <-gate; return nil })
	o := absolute(s)
	o.Limits.InFlight = 2
	r, w := io.Pipe()
	log := &ackLog{got: make(chan string, 100)}
	done := make(chan error)
	go func() { done <- New(o).Run(context.Background(), r, log) }()

	send := func(i int64) { w.Write(build(t).gop(epoch+1000*i, 1).Bytes()) }
	w.Write(build(t).header(sdk).Bytes())
	go func() {
		for i := range int64(6) {
			send(i)
		}
		w.Write(build(t).end().Bytes())
		w.Close()
	}()
	// With nothing stored, three clusters are read: one being stored, one queued, one being handed
	// over.
	var before []string
	for len(before) < 3 {
		before = append(before, <-log.got)
	}
	// nothing is RECEIVED before it is stored
	want := []string{"BUFFERING 0", "BUFFERING 1", "BUFFERING 2"}
	for i, a := range before {
		f := strings.Fields(a)
		var at int64
		fmt.Sscan(f[1], &at)
		if got := fmt.Sprint(f[0], " ", (at-epoch)/1000); got != want[i] {
			t.Fatalf("acknowledgement %d is %q, want %q", i, got, want[i])
		}
	}
	close(gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, a := range log.only("PERSISTED") {
		order = append(order, strings.Fields(a)[2])
	}
	if !slices.Equal(order, []string{"#1", "#2", "#3", "#4", "#5", "#6"}) {
		t.Errorf("PERSISTED order %q", order)
	}
}

// blocked does not let an acknowledgement through before open is closed.
type blocked struct {
	ackLog
	open chan struct{}
}

func (b *blocked) WriteAck(a []byte) error {
	<-b.open
	return b.ackLog.WriteAck(a)
}

// A client may read its acknowledgements only after its upload.
func TestClientThatReadsNoAcksIsNotStalled(t *testing.T) {
	const fragments = 3000
	b := build(t).header(sdk)
	for i := range int64(fragments) {
		b.gop(epoch-3_000_000+1000*i, 1)
	}
	b.end()
	stored := make(chan struct{})
	n := 0
	s := appending(func(*store.Record) error {
		if n++; n == fragments {
			close(stored)
		}
		return nil
	})
	log := &blocked{open: make(chan struct{})}
	done := make(chan error)
	go func() { done <- New(absolute(s)).Run(context.Background(), b.reader(), log) }()
	<-stored
	if len(log.all()) > 0 {
		t.Fatal("acknowledgements went through")
	}
	close(log.open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"BUFFERING", "RECEIVED", "PERSISTED"} {
		if got := len(log.only(kind)); got != fragments {
			t.Errorf("%d of %s, want %d", got, kind, fragments)
		}
	}
}

// A full queue drops what only reports progress, then the oldest PERSISTED.
func TestAckQueueSheds(t *testing.T) {
	open := make(chan struct{})
	var got []ack
	q := newAckQueue(32, func(a ack) error { <-open; got = append(got, a); return nil })
	for n := store.Number(1); n <= 100; n++ {
		for _, kind := range []ackKind{ackBuffering, ackReceived, ackPersisted} {
			q.put(ack{kind: kind, number: n})
		}
	}
	q.put(ack{kind: ackError, number: 101})
	close(open)
	q.close()
	<-q.done
	// At most 16 had left the queue before the writer was blocked.
	if len(got) > 32+16 {
		t.Errorf("%d acknowledgements kept", len(got))
	}
	if last := got[len(got)-1]; last.kind != ackError {
		t.Errorf("the last is %v", last)
	}
	if last := got[len(got)-2]; last.kind != ackPersisted || last.number != 100 {
		t.Errorf("the last but one is %v", last)
	}
	for i := 1; i < len(got); i++ {
		if got[i].number < got[i-1].number {
			t.Errorf("order: %v after %v", got[i], got[i-1])
		}
	}
}

// If acknowledgements can no longer be sent, the body is still read to its end.
func TestAckWriteFailure(t *testing.T) {
	s := newStore()
	o := absolute(s)
	b := build(t).header(sdk).gop(epoch, 1).gop(epoch+1000, 1).end()
	if err := New(o).Run(context.Background(), b.reader(),
		ackFunc(func([]byte) error { return io.ErrClosedPipe })); err != nil {
		t.Fatal(err)
	}
	if len(s.all()) != 2 {
		t.Errorf("%d fragments stored", len(s.all()))
	}
}

type ackFunc func([]byte) error

func (f ackFunc) WriteAck(b []byte) error { return f(b) }

// The producer is told of a failure to store at once, even if it sends nothing more.
func TestStoreFailureEndsASilentConnection(t *testing.T) {
	s := appending(func(*store.Record) error { return store.ErrFull })
	r, w := io.Pipe()
	o := absolute(s)
	o.Deadlines = &fakeConn{r: r, past: testNow.Add(stopGrace)}
	log := &ackLog{}
	done := make(chan error)
	go func() { done <- New(o).Run(context.Background(), r, log) }()
	w.Write(build(t).header(sdk).gop(epoch, 1).end().Bytes())
	err := <-done
	wantError(t, err, 5001)
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("the cause is lost: %v", err)
	}
	wantAcks(t, log.all(), fmt.Sprintf("BUFFERING %d #1", epoch),
		fmt.Sprintf("ERROR %d #1 5001", epoch))
}

// After a failure, later fragments are not stored: the producer resends from the failed one on.
func TestNothingIsStoredBehindAFailure(t *testing.T) {
	s := appending(func(r *store.Record) error {
		if r.Number == 2 {
			return store.ErrFull
		}
		return nil
	})
	b := build(t).header(sdk)
	for i := range int64(20) {
		b.gop(epoch+1000*i, 1)
	}
	acks, err := run(t, absolute(s), b.end().reader())
	wantError(t, err, 5001)
	if len(s.all()) != 1 {
		t.Errorf("%d fragments stored", len(s.all()))
	}
	n := 0
	for _, a := range acks {
		if strings.HasPrefix(a, "PERSISTED") || strings.HasPrefix(a, "ERROR") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("acknowledgements %q", acks)
	}
}

func TestSummary(t *testing.T) {
	s := newStore()
	first := build(t).header("device").gop(epoch, 2).gop(epoch+1000, 3)
	for i, c := range []struct {
		body io.Reader
		want Summary
	}{
		{lost(first.Bytes()), Summary{Fragments: 2, Partials: 1, Frames: 5, Unended: true}},
		{build(t).header(sdk).gop(epoch, 2).gop(epoch+1000, 4).cluster(epoch + 2000).reader(),
			Summary{Fragments: 1, Resends: 1, Dropped: 1, Frames: 6}},
	} {
		connection := New(absolute(s))
		if err := connection.Run(context.Background(), c.body, &ackLog{}); err != nil {
			t.Fatal(err)
		}
		got := connection.Summary()
		if got.Bytes == 0 {
			t.Error("no bytes")
		}
		if got.Bytes = 0; got != c.want {
			t.Errorf("connection %d: %+v, want %+v", i+1, got, c.want)
		}
	}
}

func TestWriteDeadlineBehindTheBody(t *testing.T) {
	r, _ := io.Pipe()
	o := absolute(newStore())
	expired := make(chan struct{})
	o.Deadlines = &fakeConn{r: r, onWrite: sync.OnceFunc(func() { close(expired) })}
	w := ackFunc(func([]byte) error { <-expired; return os.ErrDeadlineExceeded })
	if err := New(o).Run(context.Background(), build(t).header(sdk).gop(epoch, 1).end().reader(),
		w); err != nil {
		t.Fatal(err)
	}
}

func TestMemory(t *testing.T) {
	m := NewMemory(0)
	ctx, cancel := context.WithCancel(context.Background())
	me, full := m.join(owner{"me", "key"}, nil), int64(MinMemory/2) // of a stream alone
	if err := m.take(ctx, me, full, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := m.take(ctx, me, 1, time.Nanosecond); !errors.Is(err, errMemory) {
		t.Errorf("over the limit: %v", err)
	}
	took := make(chan error)
	go func() { took <- m.take(ctx, me, 5, time.Hour) }()
	go func() { took <- m.take(ctx, me, 5, time.Hour) }()
	m.give(me.owner, 10)
	for range 2 {
		if err := <-took; err != nil {
			t.Errorf("after bytes came back: %v", err)
		}
	}
	go func() { took <- m.take(ctx, me, 1, time.Hour) }()
	cancel()
	if err := <-took; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if m.Used() != full {
		t.Errorf("%d used", m.Used())
	}
	m.give(me.owner, full)
	if len(m.streams)+len(m.principals) > 0 {
		t.Errorf("owners of nothing are remembered: %v %v", m.streams, m.principals)
	}
	for _, n := range []int{0, 1, 4096, 4097, 1 << 20} {
		b := m.buffer(n)
		if cap(b) < n || len(b) != 0 {
			t.Errorf("buffer(%d): length %d, capacity %d", n, len(b), cap(b))
		}
		m.recycle(b)
	}
	m.recycle(make([]byte, 0, 5000)) // must never be given to somebody who wants 8192
	if b := m.buffer(5000); cap(b) < 5000 {
		t.Errorf("capacity %d", cap(b))
	}
}

// Two connections that need more than there is: one gives up, and its memory lets the other go on.
func TestMemoryIsNeverWaitedForInACircle(t *testing.T) {
	s := newStore()
	// the key may hold 7.5 MiB of it; each fragment needs 4 MiB and some more
	m := newMemory(10 << 20)
	big := strings.Repeat("x", 3<<19)
	results := make(chan error)
	for i := range int64(2) {
		o := absolute(s)
		o.Memory = m
		o.Limits.MemoryWait, o.Limits.FragmentBytes = 20*time.Millisecond, 4<<20
		go func() {
			at := epoch + i
			b := build(t).header(sdk).cluster(at).frame(1, at, big).frame(1, at+1, big).end()
			results <- New(o).Run(context.Background(), b.reader(), &ackLog{})
		}()
	}
	finished := 0
	for range 2 {
		if err := <-results; err != nil {
			wantError(t, err, 5000) // one gives up; both may, if they have waited equally long
		} else {
			finished++
		}
	}
	if len(s.all()) != finished || m.Used() != 0 {
		t.Errorf("%d stored of %d, %d bytes taken", len(s.all()), finished, m.Used())
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := NewMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMetrics(reg); err == nil {
		t.Error("registered twice")
	}
	o := absolute(newStore())
	o.Metrics = m
	b := build(t).header(sdk).gop(epoch, 3).gop(epoch+1000, 2).gop(epoch, 1)
	_, err = run(t, o, b.reader())
	wantError(t, err, 4004)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "weir_put_media_")
			for _, l := range x.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = x.GetCounter().GetValue() + x.GetGauge().GetValue() +
				float64(x.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"connections_total": 1, "connections": 0, "connection_errors_total": 1,
		"fragments_total stored": 2, "frames_total": 5,
		"received_bytes_total": float64(b.Len()), "error_acks_total 4004": 1,
		"ack_latency_seconds PERSISTED": 2,
		"ack_latency_seconds BUFFERING": 2, "fragment_persist_seconds": 2,
		"fragment_ingestion_seconds": 2,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}
