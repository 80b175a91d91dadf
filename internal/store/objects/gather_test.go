package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// flight is an object that a test's gatherer is to put.
type flight struct {
	data []byte
	rows []string
	land chan error // the result that the test chooses for it
}

// gatherer returns a gatherer whose flights the test ends.
func gatherer(t *testing.T, o Gathering) (*Gatherer[string, string], <-chan flight) {
	t.Helper()
	flights := make(chan flight, 16)
	g := NewGatherer(o, func(data []byte, rows []string) ([]Outcome[string], error) {
		f := flight{bytes.Clone(data), rows, make(chan error, 1)}
		flights <- f
		if err := <-f.land; err != nil {
			return nil, err
		}
		outcomes := make([]Outcome[string], len(rows))
		for i, r := range rows {
			outcomes[i].Result = "stored " + r
			if r == "taken" {
				outcomes[i] = Outcome[string]{Err: errTaken}
			}
		}
		return outcomes, nil
	})
	return g, flights
}

var errTaken = errors.New("taken")

// add adds a record in the background.
func add(
	ctx context.Context, g *Gatherer[string, string], name string, parts ...[]byte,
) <-chan Outcome[string] {
	done := make(chan Outcome[string], 1)
	go func() {
		result, err := g.Add(ctx, func(offset int64) string {
			return fmt.Sprintf("%s at %d", name, offset)
		}, parts...)
		done <- Outcome[string]{result, err}
	}()
	return done
}

// Records that come while an object waits go into it. Each learns its place, and none is
// acknowledged before the object is put and committed. A failure is reported to each of them.
func TestGather(t *testing.T) {
	t.Parallel()
	g, flights := gatherer(t, Gathering{Linger: time.Hour, Bytes: 30})
	a := add(t.Context(), g, "a", []byte("aaaa"), []byte("AAAAAA"))
	awaitRows(g, 1)
	b := add(t.Context(), g, "b", []byte("bbbbbbbbbb"))
	awaitRows(g, 2)
	c := add(t.Context(), g, "c", []byte("cccccccccc")) // which fills it
	f := <-flights
	if string(f.data) != "aaaaAAAAAAbbbbbbbbbbcccccccccc" ||
		fmt.Sprint(f.rows) != "[a at 0 b at 10 c at 20]" {
		t.Fatalf("put %q as %q", f.data, f.rows)
	}
	select {
	case o := <-a:
		t.Fatalf("acknowledged before it is put: %+v", o)
	case o := <-b:
		t.Fatalf("acknowledged before it is put: %+v", o)
	default:
	}
	f.land <- nil
	for name, done := range map[string]<-chan Outcome[string]{"a at 0": a, "b at 10": b,
		"c at 20": c} {
		if o := <-done; o.Err != nil || o.Result != "stored "+name {
			t.Errorf("%s: %+v", name, o)
		}
	}
	a = add(t.Context(), g, "a", make([]byte, 20))
	awaitRows(g, 1)
	b = add(t.Context(), g, "b", make([]byte, 20)) // does not fit
	down := errors.New("down")
	(<-flights).land <- down
	if o := <-a; !errors.Is(o.Err, down) {
		t.Errorf("what was not put is told as %+v", o)
	}
	awaitRows(g, 1)
	go g.Close()
	(<-flights).land <- nil
	if o := <-b; o.Err != nil || o.Result != "stored b at 0" {
		t.Errorf("what came after it is told as %+v", o)
	}
}

// awaitRows waits until an object has gathered so many records.
func awaitRows(g *Gatherer[string, string], n int) {
	for {
		g.mu.Lock()
		ok := g.open != nil && len(g.open.rows) == n
		g.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// The error for one record is only its own.
func TestGatherOutcomes(t *testing.T) {
	t.Parallel()
	g, flights := gatherer(t, Gathering{Linger: -1})
	defer g.Close()
	done := make(chan error, 1)
	go func() {
		_, err := g.Add(t.Context(), func(int64) string { return "taken" }, []byte("x"))
		done <- err
	}()
	(<-flights).land <- nil
	if err := <-done; !errors.Is(err, errTaken) {
		t.Errorf("told as %v", err)
	}
}

// While as many objects are put as is allowed, one more gathers. After that callers wait, and may
// give up. A record whose caller gave up is still put, although the caller may have reused its
// bytes.
func TestGatherIsBounded(t *testing.T) {
	t.Parallel()
	g, flights := gatherer(t, Gathering{Linger: -1, Bytes: 10, Flights: 2})
	var flying []flight
	for range 2 {
		add(t.Context(), g, "flies", make([]byte, 10))
		flying = append(flying, <-flights)
	}
	ctx, cancel := context.WithCancel(t.Context())
	mine := []byte("0123456789")
	gathers := add(ctx, g, "gathers", mine)
	awaitRows(g, 1)
	waits := add(ctx, g, "waits", make([]byte, 10))
	select {
	case <-flights:
		t.Fatal("a third object is put beside two")
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	for _, done := range []<-chan Outcome[string]{gathers, waits} {
		if o := <-done; !errors.Is(o.Err, context.Canceled) {
			t.Errorf("without patience: %+v", o)
		}
	}
	clear(mine)
	flying[0].land <- nil
	if f := <-flights; string(f.data) != "0123456789" {
		t.Errorf("put as %q", f.data)
	} else {
		f.land <- nil
	}
	flying[1].land <- nil
	g.Close()
	if _, err := g.Add(t.Context(), func(int64) string { return "" }); !errors.Is(err, ErrClosed) {
		t.Errorf("after it was closed: %v", err)
	}
	select {
	case f := <-flights:
		t.Errorf("who gave up before has an object: %q", f.rows)
	default:
	}
}

// Many concurrent callers lose nothing and get nothing mixed up.
func TestGatherByMany(t *testing.T) {
	t.Parallel()
	type row struct {
		name   byte
		offset int64
	}
	g := NewGatherer(Gathering{Linger: time.Millisecond, Bytes: 500},
		func(data []byte, rows []row) ([]Outcome[string], error) {
			out := make([]Outcome[string], len(rows))
			for i, r := range rows {
				out[i].Result = string(data[r.offset : r.offset+50])
			}
			return out, nil
		})
	var all sync.WaitGroup
	for n := range 40 {
		name := byte('a' + n%26)
		all.Go(func() {
			part := bytes.Repeat([]byte{name}, 25)
			for range 20 {
				got, err := g.Add(t.Context(),
					func(at int64) row { return row{name, at} }, part, part)
				if err != nil || got != string(part)+string(part) {
					t.Errorf("%c is stored as %q, %v", name, got, err)
				}
			}
		})
	}
	all.Wait()
	g.Close()
}
