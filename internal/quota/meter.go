package quota

import (
	"context"
	"io"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/fair"
	"weir/internal/store"
	"weir/internal/throttle"
)

// Meter counts signed calls, connections and media against Limits. Its errors are *api.Error. Its
// memory is bounded by the number of streams and principals, and by package throttle. It is safe
// for concurrent use.
type Meter struct {
	limits Limits
	clock  func() time.Time

	principals *throttle.Buckets[string]
	calls      *throttle.Buckets[call]
	points     *throttle.Buckets[call]
	media      *throttle.Buckets[call]
	places     *fair.Pool // of connections that last

	mu          sync.Mutex
	connections map[call]int
	streams     int       // when they were counted, and how many were created since
	counted     time.Time // zero: never
}

// call is an operation, or a kind of points, and the stream that it concerns.
type call struct {
	what   string
	stream store.StreamID
}

// Operations that last, by their names in the API.
const (
	putMedia = "PutMedia"
	getMedia = "GetMedia"
	getList  = "GetMediaForFragmentList"
)

// ofTheirOwn are operations whose calls are counted elsewhere (packages fragments and playback), or
// against a limit of their own.
var ofTheirOwn = map[string]bool{getMedia: true, "GetHLSStreamingSessionURL": true,
	"GetDASHStreamingSessionURL": true}

// burstSeconds is how many seconds' worth of calls may come at once.
const burstSeconds = api.RateBurstSeconds

// NewMeter returns a Meter. A nil clock is time.Now.
func NewMeter(limits Limits, clock func() time.Time) *Meter {
	if clock == nil {
		clock = time.Now
	}
	return &Meter{limits: limits, clock: clock, principals: throttle.New[string](),
		calls: throttle.New[call](), points: throttle.New[call](), media: throttle.New[call](),
		places: fair.NewPool(limits.MaxConnections), connections: map[call]int{}}
}

// Call counts a signed call of a principal, by the name of its share.
func (m *Meter) Call(who string) error {
	n := m.limits.PrincipalCalls
	if m.principals.Allow(who, n, burstSeconds*n, m.clock()) {
		return nil
	}
	return api.Errorf(api.ClientLimitExceededException,
		"The server allows %d calls of one principal per second.", n)
}

// StreamCall counts an allowed call that concerns a stream.
func (m *Meter) StreamCall(operation string, stream store.StreamID) error {
	n, depth := m.limits.StreamCalls, burstSeconds*m.limits.StreamCalls
	switch {
	case ofTheirOwn[operation]:
		return nil
	case operation == putMedia:
		n, depth = m.limits.PutMediaCalls, m.limits.PutMediaCalls
	}
	if m.calls.Allow(call{operation, stream}, n, depth, m.clock()) {
		return nil
	}
	return api.Errorf(api.ClientLimitExceededException,
		"The stream allows %d calls of %s per second.", n, operation)
}

// Connect counts a connection of PutMedia or GetMedia, or an answer of GetMediaForFragmentList;
// leave, called once, ends it. Package fragments counts the connections of GetMedia to a stream.
func (m *Meter) Connect(operation string, stream store.StreamID, who string) (leave func(),
	err error) {
	most, code := 0, api.ConnectionLimitExceededException
	switch operation {
	case putMedia:
		most = m.limits.PutMediaConnections
	case getList:
		most, code = m.limits.ListConnections, api.ClientLimitExceededException
	}
	key := call{operation, stream}
	m.mu.Lock()
	defer m.mu.Unlock()
	if most > 0 && m.connections[key] >= most {
		return nil, api.Errorf(code, "The stream allows %d connections of %s at a time.", most,
			operation)
	}
	leavePlace, ok := m.places.Enter(who)
	if !ok {
		return nil, api.NewError(code, "The caller has as many connections as others leave to him "+
			"of those that the server allows.")
	}
	m.connections[key]++
	return func() {
		leavePlace()
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.connections[key]--; m.connections[key] == 0 {
			delete(m.connections, key)
		}
	}, nil
}

// Points counts what a call looks up in a stream, fragments in a list and media of fragments,
// before it does so.
func (m *Meter) Points(stream store.StreamID, metadata, media int) error {
	for _, p := range []struct {
		what         string
		n, perSecond int
	}{{"metadata", metadata, m.limits.MetadataPoints}, {"media", media, m.limits.MediaPoints}} {
		// a call that costs more than a second's worth takes all of it
		if p.n > 0 && !m.points.AllowN(call{p.what, stream}, min(p.n, p.perSecond), p.perSecond,
			p.perSecond, m.clock()) {
			return api.Errorf(api.ClientLimitExceededException,
				"The stream allows %d points of fragment %s per second.", p.perSecond, p.what)
		}
	}
	return nil
}

// recount is how long a count of streams is believed.
const recount = time.Minute

// NewStream refuses a stream beyond the limit. count returns how many there are, and stops counting
// at the number that it is given.
func (m *Meter) NewStream(count func(most int) (int, error)) error {
	most := m.limits.Streams
	if most == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	age := now.Sub(m.counted)
	if age > recount || m.streams >= most && age > time.Second {
		n, err := count(most)
		if err != nil {
			return err
		}
		m.streams, m.counted = n, now
	}
	if m.streams >= most {
		return api.Errorf(api.AccountStreamLimitExceededException, "The server allows %d streams.",
			most)
	}
	m.streams++ // probably: the next count will tell
	return nil
}

// Body returns the body of a PutMedia call, which is read no faster than the limit says.
func (m *Meter) Body(ctx context.Context, stream store.StreamID, body io.Reader) io.Reader {
	if m.limits.PutMediaBytes == 0 {
		return body
	}
	return &paced{m, ctx, call{putMedia, stream}, int(m.limits.PutMediaBytes), body, nil}
}

// Answer is the writer for the media of a call about a stream, no faster than the limit says.
func (m *Meter) Answer(ctx context.Context, stream store.StreamID, w io.Writer) io.Writer {
	if m.limits.MediaBytes == 0 {
		return w
	}
	return &paced{m, ctx, call{getMedia, stream}, int(m.limits.MediaBytes), nil, w}
}

// Stored waits until a stream may store its next fragment.
func (m *Meter) Stored(ctx context.Context, stream store.StreamID) {
	if n := m.limits.PutMediaFragments; n > 0 {
		m.wait(ctx, call{"fragments", stream}, 1, n)
	}
}

// paced reads or writes no faster than perSecond bytes a second.
type paced struct {
	meter     *Meter
	ctx       context.Context
	key       call
	perSecond int
	r         io.Reader
	w         io.Writer
}

// Read implements io.Reader.
func (p *paced) Read(b []byte) (int, error) {
	n, err := p.r.Read(b[:min(len(b), p.piece())])
	p.meter.wait(p.ctx, p.key, n, p.perSecond)
	return n, err
}

// Write implements io.Writer.
func (p *paced) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		part := b[:min(len(b), p.piece())]
		p.meter.wait(p.ctx, p.key, len(part), p.perSecond)
		var done int
		done, err = p.w.Write(part)
		n, b = n+done, b[len(part):]
	}
	return n, err
}

// piece is how much may pass at once: a tenth of a second's worth.
func (p *paced) piece() int { return max(p.perSecond/10, 1) }

// wait waits until so many bytes may pass.
func (m *Meter) wait(ctx context.Context, key call, n, perSecond int) {
	after, giveBack := m.media.Reserve(key, n, perSecond, m.clock())
	if after <= 0 {
		return
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		giveBack(m.clock())
	}
}
