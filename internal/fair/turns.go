package fair

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy says that too many requests wait for a turn, or that a turn did not come in time.
var ErrBusy = errors.New("too many wait for their turn")

// Turns lets a number of requests work at a time. The others wait, and turns go round among the
// names that wait (As): between two turns of a name, each other name has at most one, however many
// requests it has. It is safe for concurrent use.
type Turns struct {
	waiting  int           // most requests that wait
	patience time.Duration // of each

	mu    sync.Mutex
	free  int
	count int // requests that wait
	// lines has the names with requests that wait, in the order of their turns. None is empty.
	lines []*line
}

// line is the requests of one name that wait, the oldest first.
type line struct {
	who   string
	turns []*turn
}

// turn is a request that waits. Its channel is closed when it may go on.
type turn struct {
	decided chan struct{}
	granted bool
}

// NewTurns makes Turns that let atATime requests work at a time, and waiting more wait, each no
// longer than patience. Without patience a request waits until its context ends.
func NewTurns(atATime, waiting int, patience time.Duration) *Turns {
	return &Turns{free: atATime, waiting: waiting, patience: patience}
}

// Enter waits for a turn, which lasts until leave is called, once. The context says whose it is
// (As). It returns ErrBusy if that takes too long, or if too many wait: then the newest request of
// the name with the most requests is refused. If the context ends, it returns the cause.
func (t *Turns) Enter(ctx context.Context) (leave func(), err error) {
	leave = t.leave
	mine, err := t.ask(Who(ctx))
	if err != nil {
		return nil, err
	}
	if mine == nil {
		return leave, nil
	}
	var late <-chan time.Time
	if t.patience > 0 {
		timer := time.NewTimer(t.patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-mine.decided:
	case <-late:
		err = ErrBusy
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case mine.granted: // perhaps at the last moment
		return leave, nil
	case err == nil:
		err = ErrBusy
	default:
		t.drop(mine)
	}
	return nil, err
}

// Try takes a turn that nobody waits for.
func (t *Turns) Try() (leave func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == 0 {
		return nil, false
	}
	t.free--
	return t.leave, true
}

// Waiting returns how many requests wait.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// ask takes a turn and returns nil, or gets in line.
func (t *Turns) ask(who string) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 { // nobody waits then
		t.free--
		return nil, nil
	}
	at := slices.IndexFunc(t.lines, func(l *line) bool { return l.who == who })
	if at < 0 {
		at = len(t.lines)
		t.lines = append(t.lines, &line{who: who})
	}
	mine := &turn{decided: make(chan struct{})}
	t.lines[at].turns = append(t.lines[at].turns, mine)
	t.count++
	if t.count > t.waiting {
		longest := slices.MaxFunc(t.lines, func(a, b *line) int {
			return len(a.turns) - len(b.turns)
		})
		newest := longest.turns[len(longest.turns)-1]
		if len(longest.turns) == len(t.lines[at].turns) {
			newest = mine // if both have as many, the one that asks is refused
		}
		t.drop(newest)
		close(newest.decided)
		if newest == mine {
			return nil, ErrBusy
		}
	}
	return mine, nil
}

// drop takes a request out of its line. The caller holds mu.
func (t *Turns) drop(gone *turn) {
	for i, l := range t.lines {
		if at := slices.Index(l.turns, gone); at >= 0 {
			l.turns = slices.Delete(l.turns, at, at+1)
			t.count--
			if len(l.turns) == 0 {
				t.lines = slices.Delete(t.lines, i, i+1)
			}
			return
		}
	}
}

// leave gives a turn to the next line, which then moves to the end of lines.
func (t *Turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		t.free++
		return
	}
	l := t.lines[0]
	next := l.turns[0]
	t.lines = t.lines[1:]
	if l.turns = l.turns[1:]; len(l.turns) > 0 {
		t.lines = append(t.lines, l)
	}
	t.count--
	next.granted = true
	close(next.decided)
}
