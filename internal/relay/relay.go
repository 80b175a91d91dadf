// Package relay brings the live edge of other nodes to this one. If a node has followers of a
// stream that another node receives, it asks that node for the frames, over one HTTP connection for
// all followers, and feeds them to its own live.Edge. Playback and GetMedia need not know where
// frames come from. DESIGN.md states the rules.
//
//	relay.go     Relay and its options
//	announce.go  which streams this node receives, for the others
//	follow.go    which streams are followed here, and which nodes receive them
//	link.go      one connection to another node, and what becomes of fragments when it breaks
//	feed.go      from a connection into the live edge
//	serve.go     the other end: sends what this node receives to others
//	wire.go      the messages between nodes
//	seal.go      how they are sealed, and how nodes know each other
package relay

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"weir/internal/live"
	"weir/internal/store"
)

// Receiver is a node that receives a stream.
type Receiver struct {
	Stream  store.StreamID
	Node    string        // its ID; a process that starts again has another
	Address string        // URL without a path
	Burst   time.Duration // live.Edge.Burst there
}

// Nodes is what nodes know about each other; a cluster's store implements it.
type Nodes interface {
	// Node returns the ID of this node, which may change.
	Node() string
	// Receives announces that this node receives these streams now, with their bursts.
	Receives(ctx context.Context, streams []Receiver) error
	// ReceivesNoMore withdraws that.
	ReceivesNoMore(ctx context.Context, streams []store.StreamID) error
	// Receivers returns the other nodes that receive one of the streams.
	Receivers(ctx context.Context, streams []store.StreamID) ([]Receiver, error)
	// Fragment returns a stored fragment. The error is store.ErrNotFound.
	Fragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	// Committed tells the store that another node has committed a fragment: every later List and
	// Wait sees it.
	Committed(id store.StreamID, sequence int64)
}

// Numbers has the fragment numbers in flight; *ingest.Numbers implements it.
type Numbers interface {
	Add(id store.StreamID, n store.Number) (done func())
}

// Options of a Relay. Nodes, Edge, Numbers and Key are required; the others have defaults.
type Options struct {
	Nodes   Nodes
	Edge    *live.Edge
	Numbers Numbers
	Key     []byte // a secret that all nodes have, 32 bytes
	// Memory bounds the bytes of fragments that come from other nodes and have not ended; default
	// 256 MiB. Fragments beyond that come whole from the store.
	Memory  int64
	Logger  *slog.Logger
	Metrics *Metrics
	// Dial connects to another node; default net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	poll time.Duration // how often the nodes are asked who receives the followed streams
	// how long nothing may be received or sent before the other node counts as out of reach
	silence time.Duration
	linger  time.Duration // how long a stream is followed after the last follower
	leave   time.Duration // how long this node counts as a receiver after the last connection
}

// Times of a relay.
const (
	pollTime    = 250 * time.Millisecond
	silenceTime = 3 * time.Second
	lingerTime  = 10 * time.Second
	leaveTime   = 5 * time.Minute
)

func (o *Options) setDefaults() {
	o.Memory = cmp.Or(o.Memory, 256<<20)
	o.poll = cmp.Or(o.poll, pollTime)
	o.silence = cmp.Or(o.silence, silenceTime)
	o.linger = cmp.Or(o.linger, lingerTime)
	o.leave = cmp.Or(o.leave, leaveTime)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = newMetrics()
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.silence}).DialContext
	}
}

// Relay is both ends of the connections between nodes. It is safe for concurrent use.
type Relay struct {
	o      Options
	log    *slog.Logger
	client *http.Client
	nonces nonces
	budget budget

	stopping chan struct{}
	stop     sync.Once

	announced announcements
	asked     chan struct{} // holds one when another stream is followed

	mu       sync.Mutex
	followed map[store.StreamID]*followed // guarded by mu
	leaving  map[store.StreamID]int       // links that were told to end but have not yet; likewise
	links    sync.WaitGroup
	failing  bool // owned by Run: the last question to the nodes failed
}

// New makes a relay and connects the edge to it. Run makes it work.
func New(o Options) *Relay {
	o.setDefaults()
	r := &Relay{o: o, log: o.Logger, stopping: make(chan struct{}), asked: make(chan struct{}, 1),
		followed: make(map[store.StreamID]*followed), leaving: make(map[store.StreamID]int)}
	r.budget.left.Store(o.Memory)
	r.client = newClient(&r.o)
	r.announced.init()
	o.Edge.Connect(r)
	return r
}

// Run announces and follows until ctx ends. A nil Relay does nothing.
func (r *Relay) Run(ctx context.Context) {
	if r == nil {
		return
	}
	defer r.links.Wait()
	var parts sync.WaitGroup
	parts.Go(func() { r.announce(ctx) })
	parts.Go(func() { r.keepFollowing(ctx) })
	parts.Wait()
}

// Stop tells the followers of this node to leave once the fragments that are coming in have ended.
// A nil Relay does nothing.
func (r *Relay) Stop() {
	if r != nil {
		r.stop.Do(func() { close(r.stopping) })
	}
}
