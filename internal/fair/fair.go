// Package fair shares scarce resources so that nobody can starve others: places that are held for
// long (Pool), and turns at work that takes a while (Turns). The context says who asks.
package fair

import (
	"context"
	"sync"
)

// whoKey is the key of As in a context.
type whoKey struct{}

// As returns a context for the requests of who. Requests with the same name have one share.
func As(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, whoKey{}, who)
}

// Who returns the name from As in a context, "" without one. All requests without a name have one
// share.
func Who(ctx context.Context) string {
	who, _ := ctx.Value(whoKey{}).(string)
	return who
}

// share times the free places is how many places one name may hold.
const share = 3

// Pool is a number of places that are held for long, such as connections.
//
// A name may hold three times as many places as are free: three quarters of all if nobody else has
// any. The more names hold all they may, the fewer each may hold, and some places are always left
// for the next one. (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
// Switches", IEEE/ACM Transactions on Networking 6, 1998.) A Pool is safe for concurrent use.
type Pool struct {
	size int

	mu   sync.Mutex
	used int
	held map[string]int
}

// NewPool makes a Pool of size places; 0 means no limit.
func NewPool(size int) *Pool { return &Pool{size: size, held: map[string]int{}} }

// Enter takes a place, and reports whether there was one; leave, called once, returns it.
func (p *Pool) Enter(who string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size > 0 && p.held[who] >= share*(p.size-p.used) {
		return nil, false
	}
	p.used++
	p.held[who]++
	return func() { p.leave(who) }, true
}

// Used returns how many places are held.
func (p *Pool) Used() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

func (p *Pool) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if p.held[who]--; p.held[who] == 0 {
		delete(p.held, who)
	}
}
