package fair

import (
	"context"
	"errors"
	"testing"
	"time"
)

// One name that takes all it can get leaves a quarter, two leave a seventh, and so on: the next one
// always finds a place.
func TestPoolLeavesRoom(t *testing.T) {
	t.Parallel()
	p := NewPool(280)
	take := func(who string) (n int) {
		for {
			if _, ok := p.Enter(who); !ok {
				return n
			}
			n++
		}
	}
	if n := take("greedy"); n != 210 {
		t.Errorf("one gets %d of 280", n)
	}
	for _, who := range []string{"another", "a third", "a fourth"} {
		if n := take(who); n < 2 {
			t.Errorf("%s gets %d places", who, n)
		}
	}
	leave, ok := p.Enter("modest")
	if !ok {
		t.Fatal("who wants one place finds none")
	}
	leave()
	p = NewPool(2)
	if _, ok := p.Enter("a"); !ok {
		t.Error("a small pool lets nobody in")
	}
	p = NewPool(0)
	for range 1000 {
		if _, ok := p.Enter("a"); !ok {
			t.Fatal("a pool without a size is full")
		}
	}
}

// A place that is returned is free for anybody.
func TestPoolGetsBack(t *testing.T) {
	t.Parallel()
	p := NewPool(4)
	for range 100 {
		var all []func()
		for _, who := range []string{"a", "a", "a", "b"} {
			if leave, ok := p.Enter(who); ok {
				all = append(all, leave)
			}
		}
		if len(all) < 3 {
			t.Fatalf("%d places of 4", len(all))
		}
		for _, leave := range all {
			leave()
		}
	}
	if p.used != 0 || len(p.held) != 0 {
		t.Errorf("%d places are held, by %v", p.used, p.held)
	}
}

// waiter is a request that waits for a turn.
type waiter struct {
	leave func()
	err   error
}

func enter(ctx context.Context, t *Turns, who string) <-chan waiter {
	before := t.Waiting()
	out := make(chan waiter, 1)
	go func() {
		leave, err := t.Enter(As(ctx, who))
		out <- waiter{leave, err}
	}()
	// wait until it is in line or has an answer
	for len(out) == 0 && t.Waiting() == before {
		time.Sleep(time.Millisecond)
	}
	return out
}

// A request of one name waits for at most one turn of another, even if that asked for many before.
func TestTurnsGoRound(t *testing.T) {
	t.Parallel()
	turns := NewTurns(1, 100, 0)
	leave, err := turns.Enter(As(t.Context(), "greedy"))
	if err != nil {
		t.Fatal(err)
	}
	var greedy []<-chan waiter
	for range 10 {
		greedy = append(greedy, enter(t.Context(), turns, "greedy"))
	}
	modest := enter(t.Context(), turns, "modest")
	leave()
	(<-greedy[0]).leave()
	got := <-modest
	if got.err != nil {
		t.Fatal(got.err)
	}
	if turns.Waiting() != 9 {
		t.Errorf("%d of the greedy one's wait, want 9", turns.Waiting())
	}
	got.leave()
	for _, g := range greedy[1:] {
		(<-g).leave()
	}
	if leave, ok := turns.Try(); !ok {
		t.Error("a turn is lost")
	} else {
		leave()
	}
}

// If too many wait, the newest request of the name with the most is refused.
func TestFullLinesMakeRoom(t *testing.T) {
	t.Parallel()
	turns := NewTurns(1, 3, 0)
	leave, _ := turns.Try()
	a := []<-chan waiter{enter(t.Context(), turns, "a"), enter(t.Context(), turns, "a"),
		enter(t.Context(), turns, "a")}
	if w := <-enter(t.Context(), turns, "a"); !errors.Is(w.err, ErrBusy) {
		t.Errorf("one more of who has most: %v", w.err)
	}
	b := make(chan waiter, 1)
	go func() {
		leave, err := turns.Enter(As(t.Context(), "b"))
		b <- waiter{leave, err}
	}()
	if w := <-a[2]; !errors.Is(w.err, ErrBusy) {
		t.Errorf("the newest of who has most: %v", w.err)
	}
	leave()
	(<-a[0]).leave()
	if w := <-b; w.err != nil {
		t.Error(w.err)
	} else {
		w.leave()
	}
	(<-a[1]).leave()
}

// A request does not wait longer than its context or its patience, and a turn that comes just then
// is not lost.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	turns := NewTurns(1, 10, time.Millisecond)
	leave, _ := turns.Try()
	if _, err := turns.Enter(t.Context()); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	turns.patience = 0
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	waits := enter(ctx, turns, "a")
	cancel(gone)
	if w := <-waits; !errors.Is(w.err, gone) {
		t.Error(w.err)
	}
	leave()
	if _, ok := turns.Try(); !ok {
		t.Error("the turn is lost")
	}
}
