package server

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"weir/internal/api"
)

// Producers retry a refused call at once, about 75 times a second, for ever
// (docs/reference/producers.md, "Reconnecting"). A client that keeps failing therefore gets its
// error answers later and later, up to a second; the first ones come at once, and one success
// forgets everything. ERROR acknowledgements of PutMedia are answers in this sense, and a new
// fragment stored is the success: a connection alone is none, for one that meets a full disk ends
// in ERROR at once, 18 times a second.
const (
	penaltyFree   = 4                      // failures in a row that are answered at once
	penaltyStep   = 200 * time.Millisecond // added per failure after those
	penaltyMax    = time.Second
	penaltyWindow = 10 * time.Second // a failure longer after the one before starts anew
	// clients remembered, 8 MB; the one that failed longest ago is forgotten first
	penaltyClients = 1 << 14
)

// penaltyKey is one client doing one thing.
type penaltyKey struct {
	site   netip.Prefix
	path   string // as the route table has it
	stream string // what a PutMedia with a right signature names; strangers could name any number
	acks   bool   // ERROR acknowledgements, not answers
}

func penaltyOf(req *request, rt *route) penaltyKey {
	key := penaltyKey{site: siteOf(req)}
	// unknown paths are one place: a scanner does not push producers out of the table
	if rt != nil {
		key.path = rt.path
	}
	if req.operation == opPutMedia && req.signer() != "" {
		key.stream = shorten(req.Header.Get(api.HeaderStreamName) +
			req.Header.Get(api.HeaderStreamARN))
	}
	return key
}

type penaltyEntry struct {
	key      penaltyKey
	failures int
	last     time.Time
}

// penalties counts failures in a row per client. Safe for concurrent use.
type penalties struct {
	clock func() time.Time

	mu      sync.Mutex
	entries map[penaltyKey]*list.Element // of penaltyEntry in order
	order   *list.List                   // latest failure first
}

func newPenalties(clock func() time.Time) *penalties {
	return &penalties{clock: clock, entries: map[penaltyKey]*list.Element{}, order: list.New()}
}

// failed notes a failure and returns how long its answer should wait.
func (p *penalties) failed(key penaltyKey) time.Duration {
	now := p.clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	element, ok := p.entries[key]
	if !ok {
		if p.order.Len() >= penaltyClients {
			oldest := p.order.Back()
			delete(p.entries, oldest.Value.(*penaltyEntry).key)
			p.order.Remove(oldest)
		}
		element = p.order.PushFront(&penaltyEntry{key: key})
		p.entries[key] = element
	}
	p.order.MoveToFront(element)
	entry := element.Value.(*penaltyEntry)
	if now.Sub(entry.last) > penaltyWindow {
		entry.failures = 0
	}
	entry.failures++
	entry.last = now
	if entry.failures <= penaltyFree {
		return 0
	}
	return min(time.Duration(entry.failures-penaltyFree)*penaltyStep, penaltyMax)
}

// succeeded forgets the client's failures.
func (p *penalties) succeeded(key penaltyKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if element, ok := p.entries[key]; ok {
		delete(p.entries, key)
		p.order.Remove(element)
	}
}
