package mediahttp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	prefix   = "/hls/v1/"
	patience = 10 * time.Second
	fileSize = 300_000
	short    = 50 * time.Millisecond
)

// player is what both servers answer with: everything that a handler of this package's does, and something for net/http.
type player struct {
	path  atomic.Pointer[string] // of a file of fileSize bytes
	enter chan struct{}          // "wait" tells that it has begun
	leave chan struct{}          // and ends after this
}

// open panics where there is no file.
func (p *player) open() *os.File {
	f, err := os.Open(*p.path.Load())
	if err != nil {
		panic(err)
	}
	return f
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	action, ok := strings.CutPrefix(r.URL.Path, prefix)
	if !ok {
		body, err := io.ReadAll(r.Body)
		text := fmt.Sprintf("%s %s with %q, %v", r.Method, r.URL.Path, body, err)
		h.Set("Content-Length", strconv.Itoa(len(text)))
		io.WriteString(w, text)
		return
	}
	switch action {
	case "file":
		f := p.open()
		defer f.Close()
		h.Set("Content-Length", strconv.Itoa(4+fileSize-10))
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "head")
		w.(io.ReaderFrom).ReadFrom(io.NewSectionReader(f, 10, fileSize-10))
	case "whole-file":
		f := p.open()
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			panic(err)
		}
		h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		section := io.NewSectionReader(f, 0, info.Size())
		io.CopyN(w, section, 3)
		io.Copy(w, section)
	case "fields":
		r.Header["X-Name"] = append(r.Header["X-Name"], "added") // must not change another field
		text := fmt.Sprintf("%s %q %q %s %d.%d %v %d %v %q\n", r.Method, r.RequestURI, r.URL, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Close, r.ContentLength, r.Body, r.Host)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			text += fmt.Sprintf("%q: %q\n", name, r.Header[name])
		}
		h.Set("Content-Length", strconv.Itoa(len(text)))
		io.WriteString(w, text)
	case "cut-off": // a file that is shorter than it should be
		f := p.open()
		defer f.Close()
		h.Set("Content-Length", strconv.Itoa(fileSize+1))
		io.Copy(w, io.NewSectionReader(f, 0, fileSize+1))
	case "large":
		h.Set("Content-Length", "200000")
		for range 4 {
			w.Write(bytes.Repeat([]byte("x"), 50_000))
		}
	case "missing":
		h.Set("Content-Length", "4")
		w.WriteHeader(http.StatusNotFound)
		w.WriteHeader(http.StatusOK) // counts for nothing
		io.WriteString(w, "none")
	case "nothing":
		w.WriteHeader(http.StatusNoContent)
	case "silent":
		h.Del("Content-Type")
	case "close":
		h.Set("Connection", "close")
		h.Set("Content-Length", "3")
		io.WriteString(w, "end")
	case "much":
		h.Set("Content-Length", "2")
		if n, err := io.WriteString(w, "abc"); n != 0 || !errors.Is(err, http.ErrContentLength) {
			panic(fmt.Sprint(n, err))
		}
		io.WriteString(w, "ab")
	case "hurry": // the deadline of an answer holds on until another is set
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(short))
		h.Set("Content-Length", "3")
		io.WriteString(w, "bye")
	case "endless", "endless-file": // more than a connection takes from one who does not read
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(short))
		h.Set("Content-Length", strconv.Itoa(fileSize*1000))
		for err := error(nil); err == nil; {
			if action == "endless" {
				_, err = w.Write(make([]byte, fileSize))
				continue
			}
			f := p.open()
			_, err = w.(io.ReaderFrom).ReadFrom(io.NewSectionReader(f, 0, fileSize))
			f.Close()
		}
		p.leave <- struct{}{}
	case "abort":
		panic(http.ErrAbortHandler)
	case "wait":
		if p.enter != nil {
			p.enter <- struct{}{}
			<-p.leave
		}
		h.Set("Content-Length", "6")
		io.WriteString(w, "waited")
	default:
		text := fmt.Sprintf("%s %s %q %s %q", r.Method, r.URL, r.URL.RawQuery, r.Host, r.Header.Values("X-Name"))
		h.Set("Content-Length", strconv.Itoa(len(text)))
		io.WriteString(w, text)
	}
}

// side is a running server.
type side struct {
	t        testing.TB
	listener *Listener // nil: net/http alone
	address  string
	player   *player
	server   *http.Server
	logged   *lockedBuffer
	plain    atomic.Int32 // connections that net/http has had
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func startPlain(t testing.TB) *side                   { return start(t, nil) }
func startMedia(t testing.TB, timeouts Options) *side { return start(t, &timeouts) }

func start(t testing.TB, o *Options) *side {
	s := &side{t: t, player: &player{enter: make(chan struct{}), leave: make(chan struct{})}, logged: &lockedBuffer{}}
	var data []byte
	for i := 0; len(data) < fileSize; i++ {
		data = strconv.AppendInt(data, int64(i), 36)
	}
	path := filepath.Join(t.TempDir(), "file")
	s.player.path.Store(&path)
	if err := os.WriteFile(path, data[:fileSize], 0o600); err != nil {
		t.Fatal(err)
	}
	under, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = under.Addr().String()
	s.server = &http.Server{Handler: s.player, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.plain.Add(1)
		}
	}}
	if o != nil {
		o.Prefix, o.Handler, o.ErrorLog = prefix, s.player, log.New(s.logged, "", 0)
		if o.HeaderTimeout == 0 {
			o.HeaderTimeout = patience
		}
		if o.IdleTimeout == 0 {
			o.IdleTimeout = patience
		}
		s.listener = Listen(under, *o)
		under = s.listener
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(under) }()
	t.Cleanup(func() {
		s.server.Close()
		if s.listener != nil {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			s.listener.Shutdown(ctx)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

func (s *side) dial() *net.TCPConn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// exchange sends the pieces one after the other, closes its side, and gives all that was answered, without dates and with the headers
// in order. whole is false when the connection was reset.
func (s *side) exchange(pieces ...string) (answers string, whole bool) {
	s.t.Helper()
	conn := s.dial()
	for _, piece := range pieces {
		if _, err := io.WriteString(conn, piece); err != nil {
			return "", false
		}
	}
	if err := conn.CloseWrite(); err != nil {
		return "", false
	}
	all, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		s.t.Fatalf("%q: no end of the answer after %q", pieces, all)
	}
	return normal(all), err == nil
}

var (
	headPattern = regexp.MustCompile(`(?s)HTTP/1\.1 \d\d\d .*?\r\n\r\n`)
	datePattern = regexp.MustCompile(`Date: [^\r]*\r\n`)
)

func normal(answers []byte) string {
	return headPattern.ReplaceAllStringFunc(datePattern.ReplaceAllString(string(answers), ""), func(head string) string {
		lines := strings.SplitAfter(head, "\r\n")
		slices.Sort(lines[1 : len(lines)-2])
		return strings.Join(lines, "")
	})
}

// token is of the form that a session's has.
const token = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4_QEFCQ0RFRkdISUpLTE1OT1A-"

// requests are what clients may send on one connection, and whether all of it is answered here.
var requests = []struct {
	name string
	sent string
	own  bool
}{
	{"one", "GET /hls/v1/a?b=c HTTP/1.1\r\nHost: camera.local:8080\r\nX-Name: 1\r\nx-name: 2\r\n\r\n", true},
	{"several at once", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\n\r\nGET /hls/v1/missing HTTP/1.1\r\nHost: x\r\n\r\nHEAD /hls/v1/b HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"a file", "GET /hls/v1/file HTTP/1.1\r\nHost: x\r\n\r\nHEAD /hls/v1/file HTTP/1.1\r\nHost: x\r\n\r\nGET /hls/v1/file HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"a file that ends too early", "GET /hls/v1/cut-off HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"a long answer", "GET /hls/v1/large HTTP/1.1\r\nHost: x\r\n\r\nGET /hls/v1/a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", true},
	{"answers without a body", "GET /hls/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /hls/v1/silent HTTP/1.1\r\nHost: x\r\n\r\nGET /hls/v1/a HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"fields in many ways", "GET /hls/v1/fields HTTP/1.1\r\nHOST:x\r\nuser-agent:  a b \r\nX-Name:\r\nX-name: 2\r\nCONNECTION: Keep-Alive\r\nRange: bytes=0-\r\n\r\n" +
		"GET /hls/v1/fields HTTP/1.1\r\nHost: y\r\nX-Name: 3\r\nX-NAME: 4\r\nx-name: 5\r\n\r\n", true},
	{"hls.js", "GET /hls/v1/fields?SessionToken=" + token + "&TrackNumber=1&FragmentNumber=91343852333181432392682062607743920146159169791 HTTP/1.1\r\nHost: cameras.example:8443\r\n" +
		"Connection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nAccept: */*\r\nOrigin: https://site.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n" +
		"Sec-Fetch-Dest: empty\r\nReferer: https://site.example/watch?camera=1\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\r\n", true},
	{"ffmpeg", "GET /hls/v1/fields?SessionToken=" + token + " HTTP/1.1\r\nUser-Agent: Lavf/61.7.100\r\nAccept: */*\r\nRange: bytes=0-\r\nConnection: keep-alive\r\nHost: 127.0.0.1:8080\r\nIcy-MetaData: 1\r\n\r\n", true},
	{"AppleCoreMedia", "GET /hls/v1/fields?SessionToken=" + token + " HTTP/1.1\r\nHost: [fe80::1]:8080\r\nX-Playback-Session-Id: 0A1B2C3D-0000-1111-2222-333344445555\r\nAccept: */*\r\nRange: bytes=0-1\r\n" +
		"User-Agent: AppleCoreMedia/1.0.0.22G86 (iPhone; U; CPU OS 18_6 like Mac OS X; en_us)\r\nAccept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: identity\r\nConnection: keep-alive\r\n\r\n", true},
	{"VLC", "GET /hls/v1/fields?SessionToken=" + token + " HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: */*\r\nAccept-Language: en_US\r\nUser-Agent: VLC/3.0.21 LibVLC/3.0.21\r\nRange: bytes=0-\r\n\r\n", true},
	{"a field that the handler adds to", strings.Repeat("GET /hls/v1/fields HTTP/1.1\r\nHost: x\r\nX-Name: 1\r\nAccept: */*\r\n\r\n", 2), true},
	{"a query of anything", "GET /hls/v1/a?%zz=\"+;&c=?#/~{}|<> HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"a path of anything", "GET /hls/v1/a~b_c.d-e// HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"an empty query", "GET /hls/v1/a? HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"many fields", "GET /hls/v1/fields HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 3*keptFields) + "\r\nGET /hls/v1/fields HTTP/1.1\r\nHost: x\r\nB: c\r\n\r\n", true},
	{"chunks", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n27\r\nGET /hls/v1/b HTTP/1.1\r\nHost: x\r\n\r\nabcd\r\n0\r\n\r\nGET /hls/v1/c HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a trailer", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nTrailer: X-Name\r\n\r\n", false},
	{"upgrade alone", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nUpgrade: h2c\r\n\r\n", false},
	{"closed by the client in capitals", "GET /hls/v1/fields HTTP/1.1\r\nHost: x\r\nConnection: CLOSE\r\n\r\n", true},
	{"closed by the client among others", "GET /hls/v1/fields HTTP/1.1\r\nHost: x\r\nConnection: te, close\r\nTE: gzip\r\n\r\n", false},
	{"not cached", "GET /hls/v1/fields HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n", false},
	{"closed by the client", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true},
	{"closed by the handler", "GET /hls/v1/close HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"more than announced", "GET /hls/v1/much HTTP/1.1\r\nHost: x\r\n\r\nGET /hls/v1/a HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"broken off", "GET /hls/v1/abort HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"nothing", "", true},
	{"another path", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"then another path", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\n\r\nPOST /putMedia HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\nGET /hls/v1/b HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a body", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET GET /hls/v1/b HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a body of no length", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nGET /hls/v1/b HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"two lengths", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", false},
	{"another method", "POST /hls/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", false},
	{"half a head", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\n", false},
	{"half a method", "GE", false},
	{"half a method later", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\n\r\nGET", true},
	{"half a path later", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\n\r\nGET /", false},
	{"HTTP/1.0", "GET /hls/v1/a HTTP/1.0\r\nHost: x\r\n\r\n", false},
	{"HTTP/3.0", "GET /hls/v1/a HTTP/3.0\r\nHost: x\r\n\r\n", false},
	{"no host", "GET /hls/v1/a HTTP/1.1\r\n\r\n", false},
	{"two hosts", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", false},
	{"a host that is none", "GET /hls/v1/a HTTP/1.1\r\nHost: x y\r\n\r\n", false},
	{"a header that is none", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", false},
	{"space before a colon", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\nabcd", false},
	{"a continued line", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nX-Name: a\r\n b\r\n\r\n", false},
	{"a zero in a header", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nX-Name: a\x00b\r\n\r\n", false},
	{"expectation", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", false},
	{"upgrade", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", false},
	{"bare line feeds", "GET /hls/v1/a HTTP/1.1\nHost: x\n\n", false},
	{"a bare line feed at the end", "GET /hls/v1/a HTTP/1.1\r\nHost: x\n\r\n", false},
	{"a long head", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nX-Name: " + strings.Repeat("n", maxHead) + "\r\n\r\n", false},
	{"a head that is too long for everybody", "GET /hls/v1/a HTTP/1.1\r\nHost: x\r\nX-Name: " + strings.Repeat("n", 2<<20) + "\r\n\r\n", false},
	{"a path with another meaning", "GET /hls/v1/../../x HTTP/1.1\r\nHost: x\r\n\r\n", true},
	{"an escaped path", "GET /hls/v1/%61 HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a bad escape", "GET /hls/v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"a fragment", "GET /hls/v1/a#b HTTP/1.1\r\nHost: x\r\n\r\n", false},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", false},
}

// endedEarly names the connections that a server ends before it has read everything. What is still on its way then resets them, and
// may take the answer along.
var endedEarly = []string{"more than announced", "two lengths", "space before a colon", "a head that is too long for everybody"}

// What a client gets does not depend on who answers.
func TestSameAsNetHTTP(t *testing.T) {
	plain, media := startPlain(t), startMedia(t, Options{})
	for _, c := range requests {
		whole := true
		exchange := func(s *side, pieces ...string) string {
			answers, ok := s.exchange(pieces...)
			if whole = whole && ok; !ok && !slices.Contains(endedEarly, c.name) {
				t.Errorf("%s: the connection was reset after %.600q", c.name, answers)
			}
			return answers
		}
		want, got := exchange(plain, c.sent), exchange(media, c.sent)
		if whole && got != want {
			t.Errorf("%s: answered with\n%.600q, net/http with\n%.600q", c.name, got, want)
		}
		if len(c.sent) > 2*maxHead {
			continue
		}
		var pieces []string // as slow clients send
		for i := 0; i < len(c.sent); i += 7 {
			pieces = append(pieces, c.sent[i:min(i+7, len(c.sent))])
		}
		if got = exchange(media, pieces...); whole && got != want {
			t.Errorf("%s, in pieces: answered with\n%.600q, net/http with\n%.600q", c.name, got, want)
		}
	}
}

// What can be answered here is; otherwise nothing would be gained.
func TestOwnRequests(t *testing.T) {
	media := startMedia(t, Options{})
	for _, c := range requests {
		before := media.plain.Load()
		media.exchange(c.sent)
		if own := media.plain.Load() == before; own != c.own {
			t.Errorf("%s: answered here: %v, want %v", c.name, own, c.own)
		}
	}
}

// FuzzSameAsNetHTTP compares answers to whatever strangers send.
func FuzzSameAsNetHTTP(f *testing.F) {
	for _, c := range requests {
		if len(c.sent) < 4*maxHead {
			f.Add(c.sent)
		}
	}
	plain, media := startPlain(f), startMedia(f, Options{})
	plain.player.enter, media.player.enter = nil, nil
	f.Fuzz(func(t *testing.T, sent string) {
		if strings.Contains(sent, "endless") {
			return
		}
		plain.t, media.t = t, t
		want, whole := plain.exchange(sent)
		got, alsoWhole := media.exchange(sent)
		if whole && alsoWhole && got != want {
			t.Errorf("%q is answered with\n%q, by net/http with\n%q", sent, got, want)
		}
	})
}

func get(conn io.ReadWriter, action string) (*http.Response, string, error) {
	fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: x\r\n\r\n", prefix, action)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// ended reports whether the server has closed the connection.
func ended(conn net.Conn) bool {
	n, err := conn.Read(make([]byte, 1))
	return n == 0 && err == io.EOF
}

func TestTimeouts(t *testing.T) {
	conn := startMedia(t, Options{HeaderTimeout: short}).dial()
	if !ended(conn) {
		t.Error("a connection on which nothing comes stays open")
	}
	conn = startMedia(t, Options{IdleTimeout: short}).dial()
	if _, body, err := get(conn, "a"); err != nil || body == "" {
		t.Error(body, err)
	}
	if !ended(conn) {
		t.Error("a connection on which no more comes stays open")
	}
	conn = startMedia(t, Options{HeaderTimeout: short}).dial()
	if _, body, err := get(conn, "a"); err != nil || body == "" {
		t.Error(body, err)
	}
	io.WriteString(conn, "GET /hls/v1/a HTTP/1.1\r\n")
	if !ended(conn) {
		t.Error("a head that does not end keeps its connection open")
	}
}

// What is handed on has none of the deadlines that it had here.
func TestHandedOnWithoutDeadlines(t *testing.T) {
	media := startMedia(t, Options{IdleTimeout: short})
	conn, other := media.dial(), media.dial()
	if _, body, err := get(conn, "hurry"); err != nil || body != "bye" {
		t.Error(body, err)
	}
	io.WriteString(conn, "POST /putMedia HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
	if _, _, err := get(other, "a"); err != nil || !ended(other) { // later than conn would have
		t.Error("a connection on which no more comes stays open", err)
	}
	io.WriteString(conn, "a")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Error(res, err)
	}
}

// A client that does not read its answer does not hold the handler for longer than the handler says.
func TestStuckClient(t *testing.T) {
	for _, action := range []string{"endless", "endless-file"} {
		media := startMedia(t, Options{})
		fmt.Fprintf(media.dial(), "GET %s%s HTTP/1.1\r\nHost: x\r\n\r\n", prefix, action)
		select {
		case <-media.player.leave:
		case <-time.After(patience):
			t.Fatalf("%s: the handler still writes", action)
		}
	}
}

// What does not fit into the buffers of a connection is sent as its client reads, from wherever it is.
func TestLargeFiles(t *testing.T) {
	const size = 16 << 20
	pattern := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
	for _, c := range []struct {
		name string
		fill func(f *os.File) error
		want []byte
	}{
		{"in memory", func(f *os.File) error { _, err := f.Write(pattern); return err }, pattern},
		{"not read so far", func(f *os.File) error { return f.Truncate(size) }, make([]byte, size)},
		{"partly", func(f *os.File) error { _, err := f.WriteAt(pattern[:size/2], size/2); return err }, slices.Concat(make([]byte, size/2), pattern[:size/2])},
	} {
		media := startMedia(t, Options{})
		f, err := os.Create(filepath.Join(t.TempDir(), "large"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.fill(f), f.Close()); err != nil {
			t.Fatal(err)
		}
		path := f.Name()
		media.player.path.Store(&path)
		_, body, err := get(media.dial(), "whole-file")
		if err != nil || body != string(c.want) {
			t.Errorf("%s: %d bytes, %v", c.name, len(body), err)
		}
	}
}

func TestShutdown(t *testing.T) {
	media := startMedia(t, Options{})
	idle, new, busy := media.dial(), media.dial(), media.dial()
	if _, _, err := get(idle, "a"); err != nil {
		t.Fatal(err)
	}
	var answer *http.Response
	var body string
	answered := make(chan error, 1)
	go func() {
		var err error
		answer, body, err = get(busy, "wait")
		answered <- err
	}()
	<-media.player.enter
	stopped := make(chan error, 1)
	go func() { stopped <- media.listener.Shutdown(context.Background()) }()
	if !ended(idle) || !ended(new) {
		t.Error("a connection that waits for a request stays open")
	}
	if conn, err := net.Dial("tcp", media.address); err == nil {
		conn.Close()
		t.Error("a connection is accepted after the stop")
	}
	select {
	case err := <-stopped:
		t.Fatal("the stop did not wait for an answer", err)
	default:
	}
	media.player.leave <- struct{}{}
	if err := <-answered; err != nil || body != "waited" || !answer.Close {
		t.Errorf("%q, closing %v, %v", body, answer.Close, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsOff(t *testing.T) {
	media := startMedia(t, Options{})
	conn := media.dial()
	io.WriteString(conn, "GET /hls/v1/wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-media.player.enter
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := media.listener.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if !ended(conn) {
		t.Error("the connection is still open")
	}
	media.player.leave <- struct{}{}
}

// A bug of the handler ends its connection and is logged; others go on.
func TestPanic(t *testing.T) {
	media := startMedia(t, Options{})
	path := "/none" // "file" panics
	media.player.path.Store(&path)
	other := media.dial()
	if _, _, err := get(other, "a"); err != nil {
		t.Fatal(err)
	}
	conn := media.dial()
	if _, _, err := get(conn, "file"); err == nil {
		t.Error("answered")
	}
	if _, body, err := get(other, "a"); err != nil || body == "" {
		t.Error(body, err)
	}
	if text := media.logged.String(); !strings.Contains(text, "/none") || !strings.Contains(text, "ServeHTTP") {
		t.Errorf("logged %q", text)
	}
}

// http.Server decides how long to wait after an error.
func TestErrorsOfTheListener(t *testing.T) {
	failing := &failingListener{errs: make(chan error), closed: make(chan struct{})}
	l := Listen(failing, Options{Prefix: prefix, Handler: http.NotFoundHandler()})
	for range 2 {
		go func() { failing.errs <- os.ErrDeadlineExceeded }()
		if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

type failingListener struct {
	net.Listener
	errs   chan error
	closed chan struct{}
}

func (f *failingListener) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *failingListener) Close() error {
	close(f.closed)
	return nil
}
