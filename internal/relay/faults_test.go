package relay

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"weir/internal/live"
	"weir/internal/store"
)

// line is the network between two nodes: it can be cut, and it can go quiet.
type line struct {
	mu    sync.Mutex
	conns []net.Conn
	down  bool
	quiet chan struct{} // closed: nothing is delivered any more
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		_ = conn.Close()
		return nil, io.ErrClosedPipe // as without a network, not as a refusal
	}
	l.conns = append(l.conns, conn)
	return &lineConn{conn, l.quiet}, nil
}

func (l *line) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// lineConn reads nothing once the line is quiet, until it is closed.
type lineConn struct {
	net.Conn
	quiet <-chan struct{}
}

func (c *lineConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.quiet:
		if err == nil {
			_, err = io.Copy(io.Discard, c.Conn)
			return 0, err
		}
	default:
	}
	return n, err
}

// overLine starts a node that receives the camera, with changed options unless change is nil. w
// follows the camera at another node, which reaches the first one through l.
func overLine(t *testing.T, change func(*Options)) (a *node, w *live.Follower, l *line) {
	s := newSite()
	a, l = s.node(t, change), &line{quiet: make(chan struct{})}
	b := s.node(t, func(o *Options) { o.Dial = l.dial })
	a.receives(t)
	w = b.edge.Follow(camera)
	t.Cleanup(w.Close)
	return a, w, l
}

// A connection that is cut in the middle of a fragment does not end the fragment: it continues over
// the next connection, with every block once.
func TestCutLine(t *testing.T) {
	a, w, line := overLine(t, nil)
	p := a.begin(1)
	p.block("one")
	reads(t, w, 1, "one")
	line.cut(false)
	p.block("two")
	reads(t, w, 1, "onetwo")
	p.store()
	if end := ended(t, w, 1); !end.Stored {
		t.Error("it broke off")
	}
}

// A connection that is cut when all frames of a fragment have come, and before it is stored, is
// made again like any other.
func TestCutLineAfterTheLastFrame(t *testing.T) {
	a, w, line := overLine(t, nil)
	p := a.begin(1)
	p.block("one")
	p.whole(1)
	until(t, w, "all its frames", func(fragments []*live.Fragment) bool {
		return len(fragments) == 1 && fragments[0].IsWhole()
	})
	line.cut(false)
	a.begin(2).block("two")
	reads(t, w, 2, "two")
	p.Stored(p.site.commit(p.Fragment))
	if end := ended(t, w, 1); !end.Stored {
		t.Error("it broke off")
	}
}

// Of fragments that ended while there was no connection, the store says how.
func TestEndsWithoutALine(t *testing.T) {
	a, w, line := overLine(t, func(o *Options) {
		o.Edge = live.New(live.Options{Linger: 1})
	})
	p, q := a.begin(1), a.begin(2)
	p.block("p")
	q.block("q")
	reads(t, w, 1, "p")
	reads(t, w, 2, "q")
	line.cut(true)
	p.block("more")
	p.store()
	if end := ended(t, w, 1); !end.Stored || end.Info.Sequence != 1 {
		t.Error("what was stored has broken off")
	}
	until(t, w, "the other one goes on", func(fragments []*live.Fragment) bool {
		_, over := fragments[len(fragments)-1].End()
		return !over
	})
	q.BrokenOff()
	q.Release(1, func() {})
	eventually(t, "it is not shown any more where it was received", func() bool {
		own := a.edge.FollowOwn(camera)
		defer own.Close()
		fragments, _ := own.Fragments()
		return len(fragments) == 0
	})
	line.cut(false)
	if end := ended(t, w, 2); end.Stored {
		t.Error("what broke off is stored")
	}
}

// When a node is killed, the fragments that it received break off at every other node.
func TestKilledReceiver(t *testing.T) {
	s := newSite()
	a := s.node(t, nil)
	a.receives(t)
	p := a.begin(1)
	p.block("one")
	var followers []*live.Follower
	for range 2 {
		w := s.node(t, nil).edge.Follow(camera)
		defer w.Close()
		reads(t, w, 1, "one")
		followers = append(followers, w)
	}
	a.kill()
	for _, w := range followers {
		if end := ended(t, w, 1); end.Stored {
			t.Error("it is stored")
		}
	}
}

// A new process at an old address knows nothing of what the one before received.
func TestOtherProcessAtTheAddress(t *testing.T) {
	s := newSite()
	a, b := s.node(t, nil), s.node(t, nil)
	a.receives(t)
	w := b.edge.Follow(camera)
	defer w.Close()
	p := a.begin(1)
	p.block("one")
	reads(t, w, 1, "one")
	a.id = "another" // what a new process joins as
	a.server.CloseClientConnections()
	if end := ended(t, w, 1); end.Stored {
		t.Error("it is stored")
	}
}

// A line that goes quiet is noticed, and the ends of fragments come from the store.
func TestQuietLine(t *testing.T) {
	s := newSite()
	a := s.node(t, nil)
	l := &line{quiet: make(chan struct{})}
	b := s.node(t, func(o *Options) { o.Dial, o.silence = l.dial, 300*time.Millisecond })
	a.receives(t)
	w := b.edge.Follow(camera)
	defer w.Close()
	p := a.begin(1)
	p.block("one")
	reads(t, w, 1, "one")
	close(l.quiet)
	p.store()
	if end := ended(t, w, 1); !end.Stored {
		t.Error("it broke off")
	}
}

// The node that receives waits for nobody: one that reads nothing is cut off.
func TestReaderThatTakesNothing(t *testing.T) {
	s := newSite()
	a := s.node(t, func(o *Options) { o.silence = 200 * time.Millisecond })
	a.receives(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &call{stream: camera, from: "me", to: a.id, millis: time.Now().UnixMilli(),
		nonce: newNonce()}
	req, err := http.NewRequest(http.MethodGet, a.address+Path+"?stream="+string(camera), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", c.authorization(s.key))
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	told := func(m prometheus.Metric) float64 {
		var value dto.Metric
		if err := m.Write(&value); err != nil {
			t.Fatal(err)
		}
		return value.GetGauge().GetValue() + value.GetCounter().GetValue()
	}
	eventually(t, "it follows", func() bool { return told(a.o.Metrics.readers) == 1 })
	gone := make(chan struct{})
	p := a.begin(1)
	go func() {
		defer close(gone)
		for n := store.Number(2); n < 48; n++ { // more than sockets hold, the last fragment alone
			p.block(strings.Repeat("x", 1<<20))
			if n%8 == 0 {
				p.BrokenOff()
				p.Release(1, func() {})
				p = a.begin(n)
			}
		}
	}()
	select {
	case <-gone: // nothing held the producer up
	case <-time.After(waitTime):
		t.Fatal("the producer waits")
	}
	eventually(t, "it is cut off", func() bool {
		return told(a.o.Metrics.readers) == 0 && told(a.o.Metrics.cutOff) == 1
	})
}

// A call without the nodes' key gets nothing, nor does a replayed call, or one of another time or
// version.
func TestStrangers(t *testing.T) {
	s := newSite()
	a := s.node(t, nil)
	status := func(header string, path string) int {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, a.address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res, err := http.DefaultClient.Do(req.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	good := func(change func(*call)) *call {
		c := &call{stream: camera, from: "me", to: a.id, millis: time.Now().UnixMilli(),
			nonce: newNonce()}
		change(c)
		return c
	}
	path := Path + "?stream=" + string(camera)
	same := func(*call) {}
	again := good(same).authorization(s.key)
	other := good(same).authorization(s.key)
	late := func(by time.Duration) string {
		return good(func(c *call) { c.millis += by.Milliseconds() }).authorization(s.key)
	}
	for _, c := range []struct {
		what, header, path string
		want               int
	}{
		{"a good call", again, path, http.StatusOK},
		{"the same again", again, path, http.StatusUnauthorized},
		{"nothing", "", path, http.StatusUnauthorized},
		{"another key", good(same).authorization(make([]byte, 32)), path,
			http.StatusUnauthorized},
		{"another stream", other, Path + "?stream=" + strings.Repeat("0", 32),
			http.StatusUnauthorized},
		{"an hour ago", late(-time.Hour), path, http.StatusUnauthorized},
		{"in an hour", late(time.Hour), path, http.StatusUnauthorized},
		{"clocks a little apart", late(time.Minute), path, http.StatusOK},
		{"another node", good(func(c *call) { c.to = "you" }).authorization(s.key), path,
			http.StatusMisdirectedRequest},
		{"another version", strings.Replace(other, " "+strconv.Itoa(version)+" ", " 999 ", 1),
			path, http.StatusUpgradeRequired},
		{"a short nonce", good(func(c *call) { c.nonce = c.nonce[1:] }).authorization(s.key),
			path, http.StatusUnauthorized},
	} {
		if got := status(c.header, c.path); got != c.want {
			t.Errorf("%s: status %d, want %d", c.what, got, c.want)
		}
	}
}

// Pieces that were not sealed for this call do not open.
func TestSealed(t *testing.T) {
	var text strings.Builder
	key := []byte(strings.Repeat("k", 32))
	c := &call{stream: camera, from: "a", to: "b", nonce: newNonce()}
	nonce := newNonce()
	seal := &sealer{w: &text, aead: answerCipher(key, c, nonce)}
	want := strings.Repeat("secret ", 20_000)
	if _, err := io.WriteString(seal, want); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "secret") {
		t.Fatal("it is not sealed")
	}
	open := func(sealed string, c *call, nonce []byte) (string, error) {
		o := &opener{r: bufio.NewReader(strings.NewReader(sealed)), came: func(int) {},
			aead: answerCipher(key, c, nonce)}
		got, err := io.ReadAll(o)
		return string(got), err
	}
	if got, err := open(text.String(), c, nonce); got != want || err != nil {
		t.Fatalf("%d bytes open, %v", len(got), err)
	}
	second := *c
	second.stream = "another"
	damaged := []byte(text.String())
	damaged[100] ^= 1
	swapped := text.String()[pieceSize+20:] // without the first piece
	for what, err := range map[string]error{
		"another call":  failure(open(text.String(), &second, nonce)),
		"another nonce": failure(open(text.String(), c, newNonce())),
		"damaged":       failure(open(string(damaged), c, nonce)),
		"another order": failure(open(swapped, c, nonce)),
	} {
		if err == nil {
			t.Errorf("%s opens", what)
		}
	}
}

func failure(_ string, err error) error { return err }
