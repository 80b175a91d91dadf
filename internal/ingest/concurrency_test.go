package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
	"weir/internal/store"
)

// Reading goes on while a fragment is made durable, up to the bound; then the producer is slowed.
// What is not durable is not RECEIVED either.
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
	// With nothing stored, three clusters are let in behind the first: one being stored, one
	// queued, one being handed over.
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

// A client may read acknowledgements only when its upload is over.
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

// A full queue gives up what only tells of progress, then the oldest PERSISTED.
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

// A client whose connection breaks while acknowledgements are sent is read to the end.
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

// A failure to store is told at once, although nothing more comes from the producer.
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

// After a failure later fragments are not stored: the producer resends from the failed one.
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

// The end of the context unblocks reading; what was received whole is stored.
func TestContextEnds(t *testing.T) {
	s := newStore()
	r, w := io.Pipe()
	o := absolute(s)
	o.Deadlines = &fakeConn{r: r, past: testNow.Add(stopGrace)}
	log := &ackLog{got: make(chan string, 10)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- New(o).Run(ctx, r, log) }()
	w.Write(build(t).header(sdk).gop(epoch, 1).gop(epoch+1000, 1).Bytes())
	for a := range log.got {
		if strings.HasPrefix(a, fmt.Sprintf("BUFFERING %d", epoch+1000)) {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("Run returned %v", err)
	}
	wantRecords(t, s, fmt.Sprintf("%d 1:%s", epoch, payload(epoch, 0)))
}

func (s *source) awaitDraining() {
	for {
		s.mu.Lock()
		draining := s.draining
		s.mu.Unlock()
		if draining {
			return
		}
		runtime.Gosched()
	}
}

// Drained, a connection takes the fragment at hand to its end and no other; between fragments it
// ends at once.
func TestDrain(t *testing.T) {
	one := fmt.Sprintf("%d 1:%s", epoch, payload(epoch, 0))
	for _, c := range []struct {
		name          string
		before, after []byte // of the drain
		wait          string // the acknowledgement that says that before was taken
		stored        []string
	}{
		{"nothing sent", nil, nil, "", nil},
		{"after the mark", build(t).header(sdk).gop(epoch, 1).end().Bytes(), nil, "PERSISTED",
			[]string{one}},
		{"before the next cluster", build(t).header(sdk).gop(epoch, 1).Bytes(),
			build(t).gop(epoch+1000, 1).Bytes(),
			"BUFFERING", []string{one}},
		{"before the mark", build(t).header(sdk).gop(epoch, 1).Bytes(), build(t).end().Bytes(),
			"BUFFERING", []string{one}},
		{"before another document", build(t).header(sdk).gop(epoch, 1).Bytes(),
			build(t).header(sdk).gop(epoch+1000, 1).Bytes(), "BUFFERING", []string{one}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore()
			r, w := io.Pipe()
			o := absolute(s)
			o.Deadlines = &fakeConn{r: r, past: testNow.Add(stopGrace)}
			o.Limits.DrainLinger = time.Hour // of a clock that stands still: the pipe's end ends it
			drain := make(chan struct{})
			o.Drain = drain
			log := &ackLog{got: make(chan string, 10)}
			done := make(chan error)
			connection := New(o)
			go func() { done <- connection.Run(context.Background(), r, log) }()
			w.Write(c.before)
			if c.wait != "" {
				for a := range log.got {
					if strings.HasPrefix(a, c.wait) {
						break
					}
				}
			}
			close(drain)
			if c.after != nil {
				connection.source.awaitDraining()
				go w.Write(c.after)
			}
			if err := <-done; err != ErrDrained {
				t.Fatalf("Run returned %v", err)
			}
			wantRecords(t, s, c.stored...)
			if got := log.only("PERSISTED"); len(got) != len(c.stored) {
				t.Errorf("acknowledged: %q", got)
			}
		})
	}
}

// idleReader returns its bytes, then runs into the read deadline.
func idleReader(b []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(b), failing{os.ErrDeadlineExceeded})
}

func TestIdle(t *testing.T) {
	r, _ := io.Pipe()
	for _, c := range []struct {
		name   string
		body   *builder
		err    error
		id     int
		stored int
	}{
		{"nothing ever", build(t), ErrIdle, 0, 0},
		{"after the mark", build(t).header(sdk).gop(epoch, 1).end(), ErrIdle, 0, 1},
		{"in a fragment of the SDK", build(t).header(sdk).gop(epoch, 1), ErrIdle, 4000, 0},
		{"in a fragment of a device", build(t).header("device").gop(epoch, 1), ErrIdle, 0, 1},
	} {
		s := newStore()
		o := absolute(s)
		conn := &fakeConn{r: r}
		o.Deadlines = conn
		acks, err := run(t, o, idleReader(c.body.Bytes()))
		if !errors.Is(err, c.err) || len(s.all()) != c.stored {
			t.Errorf("%s: %v, %d stored", c.name, err, len(s.all()))
		}
		var e *Error
		if errors.As(err, &e) != (c.id != 0) {
			t.Errorf("%s: %v, acknowledgements %q", c.name, err, acks)
		}
		if want := testNow.Add(api.PutMediaIdle); !conn.deadlines[0].Equal(want) {
			t.Errorf("%s: read deadline %v, want %v", c.name, conn.deadlines[0], want)
		}
	}
}

func TestIdleAcks(t *testing.T) {
	o := absolute(newStore())
	o.Clock = time.Now
	o.Limits.IdleAck = time.Millisecond
	r, w := io.Pipe()
	log := &ackLog{got: make(chan string)}
	done := make(chan error)
	go func() { done <- New(o).Run(context.Background(), r, log) }()
	if got := <-log.got; got != "IDLE" {
		t.Errorf("got %q", got)
	}
	w.Close()
	go func() {
		for range log.got {
		}
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	close(log.got)
}

// Behind an ERROR the body is read on for a moment, so that the producer is not reset before it has
// read it.
func TestLingersAfterAnError(t *testing.T) {
	r, w := io.Pipe()
	o := absolute(newStore())
	conn := &fakeConn{r: r}
	o.Deadlines = conn
	log := &ackLog{got: make(chan string, 10)}
	done := make(chan error)
	go func() { done <- New(o).Run(context.Background(), r, log) }()
	w.Write(build(t).header(sdk).gop(epoch, 1).gop(epoch, 1).Bytes())
	for a := range log.got {
		if strings.HasPrefix(a, "ERROR") {
			break
		}
	}
	if _, err := w.Write([]byte("what the producer had on its way")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	wantError(t, <-done, 4004)
	if got, want := conn.deadlines[len(conn.deadlines)-1],
		testNow.Add(3*time.Second); !got.Equal(want) {
		t.Errorf("deadline %v, want %v", got, want)
	}
}

// A failure to store ends a connection whose producer is sending; that too must be read before the
// connection is cut.
func TestLingersAfterAStoreFailure(t *testing.T) {
	r, w := io.Pipe()
	o := absolute(appending(func(*store.Record) error { return store.ErrFull }))
	o.Deadlines = &fakeConn{r: r, past: testNow}
	log := &ackLog{got: make(chan string, 10)}
	done := make(chan error)
	go func() { done <- New(o).Run(context.Background(), r, log) }()
	w.Write(build(t).header(sdk).gop(epoch, 1).end().Bytes())
	for a := range log.got {
		if strings.HasPrefix(a, "ERROR") {
			break
		}
	}
	for range 3 {
		if _, err := w.Write([]byte("what the producer had on its way")); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	wantError(t, <-done, 5001)
}

// Acknowledgements that a client never reads hold the connection for Limits.AckDrain only.
// An ERROR that is held back keeps nobody from sending: what is on its way is read meanwhile.
func TestErrorIsHeldBack(t *testing.T) {
	for name, c := range map[string]struct {
		store *testStore
		bad   string
		want  string
	}{
		"storing fails": {appending(func(*store.Record) error {
			return store.ErrFull
		}), "", fmt.Sprintf("ERROR %d #1 5001", epoch)},
		"reading fails": {newStore(), "\x00", "ERROR 4006"},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := io.Pipe()
			log := &ackLog{got: make(chan string, 100)}
			o := absolute(c.store)
			o.Deadlines = &fakeConn{r: r, past: testNow.Add(-time.Second)}
			held := make(chan struct{})
			o.Hold = func(e *Error) time.Duration { close(held); return time.Hour }
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- New(o).Run(ctx, r, log) }()
			w.Write(build(t).header(sdk).gop(epoch, 3).end().Bytes())
			w.Write([]byte(c.bad))
			<-held
			frame := strings.Repeat("x", 1<<20)
			if _, err := w.Write(
				build(t).header(sdk).cluster(epoch+1000).frame(1, epoch+1000,
					frame).Bytes()); err != nil {
				t.Fatal(err)
			}
			for len(log.got) > 0 {
				if a := <-log.got; strings.HasPrefix(a, "ERROR") {
					t.Fatalf("%s at once", a)
				}
			}
			cancel() // the server stops
			for a := range log.got {
				if strings.HasPrefix(a, "ERROR") {
					if a != c.want {
						t.Errorf("%s, want %s", a, c.want)
					}
					break
				}
			}
			w.Close()
			if err := <-done; err == nil {
				t.Error("no error")
			}
		})
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
	if len(m.streams)+len(m.keys) > 0 {
		t.Errorf("owners of nothing are remembered: %v %v", m.streams, m.keys)
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
	// of which the key may hold 7.5 MiB; each needs 4 MiB and what describes it
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
			wantError(t, err, 5000) // one gives way; both may, when they have waited equally long
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
