package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
)

const camera = store.StreamID("00000000000000000000000000000001")

// site is a cluster: what its nodes know about each other, and what is stored.
type site struct {
	key []byte

	mu        sync.Mutex
	receivers map[Receiver]bool
	stored    map[store.Number]store.FragmentInfo
	away      bool // the store does not answer
}

func newSite() *site {
	s := &site{key: make([]byte, 32), receivers: map[Receiver]bool{},
		stored: map[store.Number]store.FragmentInfo{}}
	_, _ = rand.Read(s.key)
	return s
}

// node is a node of a site, with its address.
type node struct {
	*Relay
	site    *site
	id      string
	address string
	edge    *live.Edge
	numbers numbers
	server  *httptest.Server
	kill    func()

	committed int64 // the newest commit that it was told of; guarded by site.mu
}

// numbers implements Numbers.
type numbers struct {
	mu sync.Mutex
	in map[store.Number]int
}

func (n *numbers) Add(_ store.StreamID, number store.Number) (done func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.in[number]++
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.in[number]--; n.in[number] == 0 {
			delete(n.in, number)
		}
	}
}

func (n *numbers) flying() []store.Number {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.in))
}

var errAway = errors.New("the database is away")

func (n *node) Node() string { return n.id }

func (n *node) Receives(_ context.Context, streams []Receiver) error {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	if n.site.away {
		return errAway
	}
	for _, r := range streams {
		maps.DeleteFunc(n.site.receivers, func(old Receiver, _ bool) bool {
			return old.Stream == r.Stream && old.Node == n.id
		})
		r.Node, r.Address = n.id, n.address
		n.site.receivers[r] = true
	}
	return nil
}

func (n *node) ReceivesNoMore(_ context.Context, streams []store.StreamID) error {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	maps.DeleteFunc(n.site.receivers, func(r Receiver, _ bool) bool {
		return r.Node == n.id && slices.Contains(streams, r.Stream)
	})
	return nil
}

func (n *node) Receivers(_ context.Context, streams []store.StreamID) (all []Receiver, err error) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	if n.site.away {
		return nil, errAway
	}
	for r := range n.site.receivers {
		if r.Node != n.id && slices.Contains(streams, r.Stream) {
			all = append(all, r)
		}
	}
	return all, nil
}

func (n *node) Fragment(_ context.Context, _ store.StreamID, number store.Number) (
	store.FragmentInfo, error) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	info, ok := n.site.stored[number]
	switch {
	case n.site.away:
		return info, errAway
	case !ok:
		return info, store.ErrNotFound
	}
	return info, nil
}

func (n *node) Committed(_ store.StreamID, sequence int64) {
	n.site.mu.Lock()
	defer n.site.mu.Unlock()
	n.committed = max(n.committed, sequence)
}

func (s *site) commit(f *live.Fragment) store.FragmentInfo {
	info := store.FragmentInfo{Number: f.Number, Sequence: int64(f.Number), TrackSet: 3,
		ServerTimestamp: f.ServerTimestamp, Location: store.Location{Volume: "o", Length: 9},
		Spans: []store.Span{{Track: 1, Frames: 2, KeyStart: true}}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored[f.Number] = info
	return info
}

// node starts a node; change may change its options.
func (s *site) node(t testing.TB, change func(*Options)) *node {
	t.Helper()
	n := &node{site: s, id: rand.Text(), edge: live.New(live.Options{}),
		numbers: numbers{in: map[store.Number]int{}}}
	o := Options{Nodes: n, Edge: n.edge, Numbers: &n.numbers, Key: s.key,
		poll: 5 * time.Millisecond}
	if change != nil {
		change(&o)
		n.edge = o.Edge
	}
	n.Relay = New(o)
	n.server = httptest.NewServer(n.Relay)
	n.address = n.server.URL
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	n.kill = sync.OnceFunc(func() {
		_ = n.server.Listener.Close() // before anybody can connect again
		n.server.CloseClientConnections()
		n.server.Close()
		stop()
		<-ended
	})
	t.Cleanup(n.kill)
	return n
}

// producer is ingest's side of a fragment of one track.
type producer struct {
	*live.Fragment
	site    *site
	samples []media.Sample
	payload []byte
}

// allButLast takes every sample but the newest for final: each lasts a tick.
type allButLast struct{}

func (allButLast) Final(samples []media.Sample) media.Run {
	run := media.Run{Track: 1, BaseDecodeTime: samples[0].Time}
	for _, s := range samples[:len(samples)-1] {
		run.Frames = append(run.Frames, media.Frame{Duration: 1, Size: s.Size, Key: s.Key})
	}
	return run
}

func (n *node) begin(number store.Number) *producer {
	return &producer{site: n.site, Fragment: n.edge.Begin(camera, live.Head{Number: number,
		ProducerTimestamp: 5, ServerTimestamp: 6, Timecode: 7, Header: []byte("head"),
		Tags:   []media.Tag{{Name: "place", Value: "door"}},
		Tracks: []media.Track{{Number: 1, Kind: media.Video, CodecPrivate: []byte{1}}},
		Drafts: []media.Draft{allButLast{}}})}
}

func (p *producer) block(text string) {
	p.samples = append(p.samples, media.Sample{Time: int64(100 + len(p.samples)),
		Size: uint32(len(text)), Key: len(p.samples) == 0})
	p.payload = append(p.payload, text...)
	p.Add(0, p.samples, p.payload, time.Now())
}

// whole ends the fragment's frames, each of which lasts ticks.
func (p *producer) whole(ticks uint32) {
	run := media.Run{Track: 1, BaseDecodeTime: 100}
	for _, s := range p.samples {
		run.Frames = append(run.Frames, media.Frame{Duration: ticks, Size: s.Size, Key: s.Key})
	}
	p.Whole(&media.Fragment{ProducerTimestamp: 5, ServerTimestamp: 6, Timecode: 7,
		Header: []byte("head"), Tracks: p.Tracks, Runs: []media.Run{run},
		Tags: append(slices.Clip(p.Tags), media.Tag{Name: "late", Value: "yes"})})
}

func (p *producer) store() {
	p.whole(1)
	p.Stored(p.site.commit(p.Fragment))
	p.Release(int64(cap(p.payload)), func() { clear(p.payload) })
}

// waitTime is how long a test waits for something that must happen.
const waitTime = 30 * time.Second

// until waits until ok accepts what a follower sees.
func until(t *testing.T, w *live.Follower, what string, ok func([]*live.Fragment) bool) {
	t.Helper()
	late := time.After(waitTime)
	for {
		fragments, changed := w.Fragments()
		if ok(fragments) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// eventually waits for something that no follower sees.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(waitTime); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// reads waits until the fragment with a number has this payload, and returns a Hold of it.
func reads(t *testing.T, w *live.Follower, n store.Number, payload string) *live.Hold {
	t.Helper()
	var hold *live.Hold
	until(t, w, "payload "+payload, func(fragments []*live.Fragment) bool {
		for _, f := range fragments {
			if _, ended := f.End(); f.Number != n || ended {
				continue
			}
			if hold == nil {
				hold = f.Hold()
			}
			state, ok := hold.State()
			return ok && string(state.Tracks[0].Payload) == payload
		}
		return false
	})
	t.Cleanup(hold.Release)
	return hold
}

// ended waits for the end of a fragment.
func ended(t *testing.T, w *live.Follower, n store.Number) (end live.End) {
	t.Helper()
	until(t, w, "the end of the fragment", func(fragments []*live.Fragment) (over bool) {
		for _, f := range fragments {
			if f.Number == n {
				end, over = f.End()
			}
		}
		return over
	})
	return end
}

// receives makes a node one that receives the camera's stream.
func (n *node) receives(t *testing.T) {
	t.Helper()
	t.Cleanup(n.edge.Receive(camera))
}

// Followers at one node see what another receives as it comes, with its final frames and its end.
func TestFollow(t *testing.T) {
	s := newSite()
	a, b := s.node(t, nil), s.node(t, nil)
	a.receives(t)
	p := a.begin(7)
	p.block("one")
	w := b.edge.Follow(camera)
	defer w.Close()
	reads(t, w, 7, "one")
	p.block("two")
	p.block("three")
	h := reads(t, w, 7, "onetwothree")
	if got := b.numbers.flying(); !slices.Equal(got, []store.Number{7}) {
		t.Errorf("numbers in flight are %v", got)
	}
	f := h.Fragment()
	if f.ProducerTimestamp != 5 || f.ServerTimestamp != 6 || f.Timecode != 7 ||
		string(f.Header) != "head" || !slices.Equal(f.Tags, p.Tags) ||
		!bytes.Equal(f.Tracks[0].CodecPrivate, []byte{1}) {
		t.Errorf("the head is %+v", f.Head)
	}
	until(t, w, "two frames are final", func([]*live.Fragment) bool {
		state, _ := h.State()
		run := state.Tracks[0].Final
		return run.BaseDecodeTime == 100 && slices.Equal(run.Frames, []media.Frame{
			{Duration: 1, Size: 3, Key: true}, {Duration: 1, Size: 3}})
	})
	p.store()
	end := ended(t, w, 7)
	s.mu.Lock()
	if b.committed != 7 {
		t.Error("the end is seen before the commit")
	}
	s.mu.Unlock()
	state, ok := h.State()
	if want := s.stored[7]; !end.Stored || !ok || end.Info.Sequence != want.Sequence ||
		end.Info.Location != want.Location || !slices.Equal(end.Info.Spans, want.Spans) {
		t.Errorf("the end is %+v", end)
	}
	if state.Whole == nil || len(state.Tracks[0].Final.Frames) != 3 || state.Differs ||
		len(state.Whole.Tags) != 2 || string(state.Whole.Header) != "head" {
		t.Errorf("the whole is %+v", state.Whole)
	}
	q := a.begin(8)
	q.block("x")
	reads(t, w, 8, "x")
	q.BrokenOff()
	if end := ended(t, w, 8); end.Stored {
		t.Error("what broke off is stored")
	}
	eventually(t, "no number is in flight", func() bool { return len(b.numbers.flying()) == 0 })
}

// If a part was listed anywhere from frames that then changed, the fragment is a gap everywhere,
// even where it was not listed.
func TestDifferingFramesDifferEverywhere(t *testing.T) {
	s := newSite()
	a, b := s.node(t, nil), s.node(t, nil)
	a.receives(t)
	there := a.edge.Follow(camera)
	defer there.Close()
	p := a.begin(7)
	p.block("one")
	p.block("two")
	reads(t, there, 7, "onetwo") // one frame of a tick was final
	p.whole(2)
	w := b.edge.Follow(camera)
	defer w.Close()
	h := reads(t, w, 7, "onetwo")
	until(t, w, "the whole", func([]*live.Fragment) bool {
		state, _ := h.State()
		return state.Whole != nil
	})
	if state, _ := h.State(); !state.Differs {
		t.Error("it does not differ at the other node")
	}
	p.Stored(s.commit(p.Fragment))
	if end := ended(t, w, 7); !end.Stored || !end.Differs {
		t.Errorf("the end is %+v", end)
	}
}

// Two nodes receive one stream while a producer renews its token. Each sees what the other
// receives, once, and passes on only its own.
func TestTwoReceivers(t *testing.T) {
	s := newSite()
	a, b, c := s.node(t, nil), s.node(t, nil), s.node(t, nil)
	a.receives(t)
	b.receives(t)
	first, second := a.begin(1), b.begin(2)
	first.block("old")
	second.block("new")
	for _, n := range []*node{a, b, c} {
		w := n.edge.Follow(camera)
		defer w.Close()
		reads(t, w, 1, "old")
		reads(t, w, 2, "new")
		if fragments, _ := w.Fragments(); len(fragments) != 2 {
			t.Errorf("%d fragments", len(fragments))
		}
	}
}

// However many follow, there is one connection, which ends soon after the last follower has left.
func TestOneConnection(t *testing.T) {
	s := newSite()
	var mu sync.Mutex
	dials := 0
	a := s.node(t, nil)
	b := s.node(t, func(o *Options) {
		o.linger = 20 * time.Millisecond
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dials++
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	a.receives(t)
	p := a.begin(1)
	p.block("x")
	var followers []*live.Follower
	for range 20 {
		w := b.edge.Follow(camera)
		followers = append(followers, w)
		reads(t, w, 1, "x")
	}
	mu.Lock()
	if dials != 1 {
		t.Errorf("%d connections", dials)
	}
	mu.Unlock()
	for _, w := range followers {
		w.Close()
	}
	eventually(t, "the stream is not followed any more", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.followed) == 0
	})
	p.block("y")
	// a second time
	again := b.edge.Follow(camera)
	defer again.Close()
	<-again.Ready()
	reads(t, again, 1, "xy")
}
