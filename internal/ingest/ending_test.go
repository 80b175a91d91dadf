package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

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

// A drained connection receives the current fragment to its end and no other; between fragments it
// ends at once.
func TestDrain(t *testing.T) {
	one := fmt.Sprintf("%d 1:%s", epoch, payload(epoch, 0))
	for _, c := range []struct {
		name          string
		before, after []byte // of the drain
		wait          string // the acknowledgement that shows that before was read
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

// After an ERROR the body is read for a moment longer, so that the producer is not reset before it
// has read the ERROR.
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

// While an ERROR is held back, the producer can send: the body is read meanwhile.
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
