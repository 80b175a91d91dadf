package throttle

import (
	"sync"
	"time"
)

// Producers retry a refused call at once, about 75 times a second, for ever
// (docs/reference/producers.md, "Reconnecting"). So a client that keeps failing gets its errors
// later and later, up to a second. The first ones come at once, and one success resets everything.
// ERROR acknowledgements of PutMedia count as failures, and a newly stored fragment as a success. A
// connection alone does not: with a full disk it ends in ERROR at once, 18 times a second.
const (
	FreePenalties = 4                      // failures in a row that are answered at once
	penaltyStep   = 200 * time.Millisecond // added for each failure after those
	maxPenalty    = time.Second
	penaltyWindow = 10 * time.Second // a failure that is this much later starts again at one
)

// Penalties counts failures in a row by key: one client that does one thing. It remembers MaxKeys;
// the one that failed longest ago is forgotten first. It is safe for concurrent use.
type Penalties[K comparable] struct {
	clock func() time.Time

	mu      sync.Mutex
	clients recent[K, failures]
}

type failures struct {
	count int
	last  time.Time
}

// NewPenalties returns Penalties without any failures.
func NewPenalties[K comparable](clock func() time.Time) *Penalties[K] {
	return &Penalties[K]{clock: clock, clients: newRecent[K, failures](MaxKeys)}
}

// Failed counts a failure and returns how long to delay its answer.
func (p *Penalties[K]) Failed(key K) time.Duration {
	now := p.clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	of, _ := p.clients.use(key)
	if now.Sub(of.last) > penaltyWindow {
		of.count = 0
	}
	of.count++
	of.last = now
	if of.count <= FreePenalties {
		return 0
	}
	return min(time.Duration(of.count-FreePenalties)*penaltyStep, maxPenalty)
}

// Succeeded resets the client's failures.
func (p *Penalties[K]) Succeeded(key K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients.drop(key)
}
