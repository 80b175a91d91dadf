package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/recut"
)

// instant is a clock on which sleeping takes no time; it notes the waits.
type instant struct {
	mu    sync.Mutex
	now   time.Time
	waits []time.Duration
}

func (c *instant) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *instant) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.waits = append(c.waits, d)
	return ctx.Err()
}

// slice is a Source of given frames.
type slice struct {
	tracks []media.Track
	frames []recut.Frame
	// before, when set, is called with the index of each frame before it is given out.
	before func(ctx context.Context, i int) error
	i      int
}

func (s *slice) Tracks() []media.Track { return s.tracks }

func (s *slice) Next(ctx context.Context) (recut.Frame, error) {
	if s.before != nil {
		if err := s.before(ctx, s.i); err != nil {
			return recut.Frame{}, err
		}
	}
	if s.i == len(s.frames) {
		return recut.Frame{}, io.EOF
	}
	s.i++
	return s.frames[s.i-1], nil
}

const testStart = 1_700_000_000_000

// camera returns n fragments of a second with three frames each, at absolute times.
func camera(n int) *slice {
	s := &slice{tracks: []media.Track{{Number: 1, Kind: media.Video, CodecID: "V_VP9", Width: 320,
		Height: 240}}}
	for i := range n {
		for j := range 3 {
			s.frames = append(s.frames, recut.Frame{
				Start: j == 0, Track: 1, Time: testStart + int64(i)*1000 + int64(j)*333,
				Key:  j == 0,
				Data: fmt.Appendf(nil, "fragment %d frame %d ", i, j),
			})
		}
	}
	return s
}

// want is what a server must end up with from camera(n), but for the fragments left out.
func want(n int, without ...int) []string {
	var out []string
	for i := range n {
		if !slices.Contains(without, i) {
			out = append(out,
				fmt.Sprintf("fragment %[1]d frame 0 fragment %[1]d frame 1 fragment %[1]d frame 2 ",
					i))
		}
	}
	return out
}

// arrived is a fragment as the test server got it.
type arrived struct {
	connection int // from 0
	index      int // within the connection, from 0
	timecode   int64
	payload    string
}

// putMediaServer is a server of PutMedia whose behaviour a test scripts.
type putMediaServer struct {
	*httptest.Server
	t *testing.T
	// before, when set, may answer a connection itself; it then returns true.
	before func(w http.ResponseWriter, r *http.Request, connection int) bool
	// fragment decides about a complete fragment; nil persists it.
	fragment func(c *conversation, f arrived)
	// end is called at END_OF_FRAGMENT, after fragment.
	end func(c *conversation)

	mu        sync.Mutex
	calls     int
	endpoints int
	headers   []http.Header
	got       []arrived         // every complete fragment, resent ones too
	stored    []arrived         // in the order in which they were first persisted
	bodyEnded int               // connections whose body came to a clean end
	protocols map[string]string // by path, of the last request
}

// connKey is the key of the net.Conn in a request's context.
type connKey struct{}

func keepConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// conversation is one connection of it.
type conversation struct {
	s          *putMediaServer
	w          http.ResponseWriter
	conn       net.Conn
	body       io.Reader
	connection int
	tracks     []media.Track
}

func newPutMediaServer(t *testing.T) *putMediaServer {
	s := &putMediaServer{t: t}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ConnContext = keepConn
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *putMediaServer) client() *Client {
	return &Client{Endpoint: s.URL, Region: "us-west-2",
		Credentials: auth.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}}
}

func (s *putMediaServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.protocols == nil {
		s.protocols = map[string]string{}
	}
	s.protocols[r.URL.Path] = r.Proto
	s.mu.Unlock()
	if r.URL.Path == "/getDataEndpoint" {
		s.mu.Lock()
		s.endpoints++
		s.mu.Unlock()
		json.NewEncoder(w).Encode(map[string]string{"DataEndpoint": s.URL})
		return
	}
	s.mu.Lock()
	n := s.calls
	s.calls++
	s.headers = append(s.headers, r.Header.Clone())
	s.mu.Unlock()
	if s.before != nil && s.before(w, r, n) {
		return
	}
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil {
		s.t.Error(err)
	}
	w.WriteHeader(http.StatusOK)
	if err := rc.Flush(); err != nil {
		return
	}
	c := &conversation{s: s, w: w, body: r.Body, conn: r.Context().Value(connKey{}).(net.Conn),
		connection: n}
	c.read(r.Body)
}

// read takes the fragments of a body.
func (c *conversation) read(body io.Reader) {
	s := c.s
	in := mkv.NewReader(body, mkv.DefaultLimits())
	var f *arrived
	index := 0
	finish := func() {
		if f == nil {
			return
		}
		done := *f
		f = nil
		s.mu.Lock()
		s.got = append(s.got, done)
		s.mu.Unlock()
		if s.fragment != nil {
			s.fragment(c, done)
			return
		}
		c.persist(done)
	}
	for {
		ev, err := in.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				s.mu.Lock()
				s.bodyEnded++
				s.mu.Unlock()
			}
			return
		}
		switch ev.Kind {
		case mkv.TracksReady:
			c.tracks = in.Tracks()
		case mkv.ClusterStart:
			finish()
			f = &arrived{connection: c.connection, index: index, timecode: ev.Timecode}
			index++
			c.ack("BUFFERING", f.timecode)
		case mkv.Frame:
			data, err := in.AppendPayload(nil)
			if err != nil {
				return
			}
			f.payload += string(data)
		case mkv.TagsEvent:
			if len(ev.Tags) == 1 && ev.Tags[0].Name == endOfFragment {
				finish()
				if s.end != nil {
					s.end(c)
				}
			}
		}
	}
}

// refuse answers before the body, which has no end yet.
func refuse(w http.ResponseWriter, status int) {
	rc := http.NewResponseController(w)
	rc.EnableFullDuplex()
	w.WriteHeader(status)
	rc.Flush()
}

// ack sends an acknowledgement as a chunk of its own.
func (c *conversation) ack(event string, timecode int64) {
	fmt.Fprintf(c.w, "{\"EventType\":%q,\"FragmentTimecode\":%d,\"FragmentNumber\":\"%d\"}\n",
		event, timecode, timecode)
	http.NewResponseController(c.w).Flush()
}

// store keeps a fragment unless it is stored already, as a server that knows resends does.
func (c *conversation) store(f arrived) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, old := range c.s.stored {
		if old.timecode == f.timecode {
			if old.payload != f.payload {
				c.s.t.Errorf("fragment %d came again with another payload: %q, %q", f.timecode,
					old.payload, f.payload)
			}
			return
		}
	}
	c.s.stored = append(c.s.stored, f)
}

func (c *conversation) persist(f arrived) {
	c.store(f)
	c.ack("RECEIVED", f.timecode)
	c.ack("PERSISTED", f.timecode)
}

// fail sends an ERROR, about f when it is not nil, and breaks the connection.
func (c *conversation) fail(id int, f *arrived) {
	about := ""
	if f != nil {
		about = fmt.Sprintf(`"FragmentTimecode":%d,"FragmentNumber":"1",`, f.timecode)
	}
	fmt.Fprintf(c.w, `{"EventType":"ERROR",%s"ErrorCode":"TEST","ErrorId":%d}`+"\n", about, id)
	http.NewResponseController(c.w).Flush()
	c.hangUp()
}

// hangUp ends the connection in mid-answer, after what was sent before has arrived: closing a
// connection with unread data would reset it, and acknowledgements on their way might be lost.
// Returning alone would make net/http read on to the body's end.
func (c *conversation) hangUp() {
	c.conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c.body)
	panic(http.ErrAbortHandler)
}

func (s *putMediaServer) payloads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, f := range s.stored {
		out = append(out, f.payload)
	}
	return out
}

// times counts how often each fragment came, by its number in camera().
func (s *putMediaServer) times() map[int]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[int]int{}
	for _, f := range s.got {
		var i int
		fmt.Sscanf(f.payload, "fragment %d", &i)
		n[i]++
	}
	return n
}

func (s *putMediaServer) options() ProducerOptions {
	return ProducerOptions{
		Client: s.client(), Stream: api.StreamRef{StreamName: "cam"},
		Clock: &instant{now: time.UnixMilli(testStart)}, Jitter: func() float64 { return 0.5 },
	}
}

func checkStored(t *testing.T, s *putMediaServer, expected []string) {
	t.Helper()
	if got := s.payloads(); !slices.Equal(got, expected) {
		t.Errorf("stored:\n%s\nexpected:\n%s", strings.Join(got, "\n"),
			strings.Join(expected, "\n"))
	}
}
