package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/connections"
)

// open connects and sends what a stranger sends.
func (s *site) open(sent string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	must(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	must(s.t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, sent)
	must(s.t, err)
	return conn
}

// metric returns a line of /metrics without its name; the connection that asks is closed.
func (s *site) metric(name string) string {
	s.t.Helper()
	conn := s.open("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(s.t, err)
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	must(s.t, err)
	for line := range strings.Lines(string(all)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	s.t.Fatalf("no metric %s", name)
	return ""
}

// connections waits until the server has so many.
func (s *site) connections(want int) {
	s.t.Helper()
	await(s.t, "connections", want, func() int { return s.server.connections.Held().Connections })
}

// idle waits until so many connections wait for their next request: a client has the whole answer a
// moment before the server counts its connection as idle.
func (s *site) idle(want int) {
	s.t.Helper()
	await(s.t, "idle connections", want, func() int { return s.server.connections.Held().Idle })
}

// closedByServer waits for the end of a connection, without an answer.
func closedByServer(conn net.Conn) bool {
	n, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	return n == 0 && err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

// viewer is a player's kept-alive connection.
type viewer struct {
	conn    net.Conn
	in      *bufio.Reader
	request string
}

// get asks for the master playlist.
func (v *viewer) get() (status int, err error) {
	if _, err := io.WriteString(v.conn, v.request); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// newViewer returns a viewer of cam1, which has media.
func (s *site) newViewer() *viewer {
	s.t.Helper()
	master := s.ok("/getHLSStreamingSessionURL",
		`{"StreamName":"cam1"}`)["HLSStreamingSessionURL"].(string)
	s.client.CloseIdleConnections()
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", strings.TrimPrefix(master, s.url))
	conn := s.open("")
	return &viewer{conn, bufio.NewReader(conn), request}
}

// Strangers who hold all connections with half a head are closed to make room for newcomers;
// players and cameras are not.
func TestStrangersMakeRoom(t *testing.T) {
	t.Parallel()
	const most = 8
	// loopback has no limit
	s := newStreamSite(t, func(o *Options) {
		o.Connections = connections.Limits{Total: most, PerAddress: 1}
	})
	s.record()
	player := s.newViewer()
	if status, err := player.get(); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	s.connections(1)
	camera := s.dial("cam1")
	camera.started()
	var strangers []net.Conn
	for range most - 2 {
		strangers = append(strangers, s.open("GET /player HTTP/1.1\r\nHost: x\r\n"))
	}
	s.connections(most)
	if got := s.metric(`weir_http_connections_closed_total{reason="replaced"}`); got != "1" {
		t.Errorf("%s connections made room for one", got)
	}
	if !closedByServer(strangers[0]) {
		t.Error("the stranger that has waited longest is still there")
	}
	for range 3 * most { // more strangers, who stay
		s.open("POST /putMedia HTTP/1.1\r\n")
	}
	if status, err := player.get(); status != 200 || err != nil {
		t.Errorf("a player that was there before: %d, %v", status, err)
	}
	now := time.Now().UnixMilli()
	camera.send(newCamera(t).cluster(now, 2, 100).endOfFragment().take())
	camera.until(fmt.Sprintf("PERSISTED %d", now))
}

// Without strangers, the player that was idle longest is closed to make room. When all connections
// are busy, the newcomer is.
func TestConnectionsAtWorkStay(t *testing.T) {
	t.Parallel()
	const most = 4
	s := newPermitTest(t, func(o *Options) { o.Connections.Total = most })
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	player := s.newViewer()
	if status, err := player.get(); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	s.connections(1)
	s.idle(1)
	var cameras []*producer
	for i := range most {
		if i == most-1 { // more than the share of one
			s.signer.Credentials = s.as(statement("Allow", "kinesisvideo:*", "*", ""))
		}
		c := s.dial("cam1")
		c.started()
		cameras = append(cameras, c)
	}
	if !closedByServer(player.conn) {
		t.Error("an idle player did not make room for a camera")
	}
	if !closedByServer(s.open("")) {
		t.Error("there are more connections than may be")
	}
	now := time.Now().UnixMilli()
	for i, c := range cameras {
		c.send(newCamera(t).cluster(now+int64(i)*1000, 2, 100).endOfFragment().take())
		c.until(fmt.Sprintf("PERSISTED %d", now+int64(i)*1000))
	}
	cameras[0].end()
	s.connections(most - 1)
	if got := s.metric(`weir_http_connections_closed_total{reason="refused"}`); got != "1" {
		t.Errorf("%s connections were refused", got)
	}
}

// What is refused by its head is refused before any byte of its body has come, and takes no memory.
func TestRefusedByTheHead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	signed := func(size int) string {
		r := s.request(http.MethodPost, "/listStreams", "")
		s.signer.Sign(r, []byte("something else"))
		return fmt.Sprintf("X-Amz-Date: %s\r\nAuthorization: %s\r\nContent-Length: %d\r\n",
			r.Header.Get("X-Amz-Date"), r.Header.Get("Authorization"), size)
	}
	for headers, want := range map[string]string{
		"Content-Length: 1048576\r\n": "MissingAuthenticationTokenException",
		strings.Replace(signed(1<<20), "=WEIR", "=NONE",
			1): "UnrecognizedClientException",
		strings.Replace(signed(1<<20), "/kinesisvideo/", "/s3/", 1):   "InvalidSignatureException",
		strings.Replace(signed(1<<20), "X-Amz-Date: 2", "Date: 1", 1): "InvalidSignatureException",
		signed(api.MaxBodyBytes +
			1): "RequestEntityTooLargeException",
	} {
		conn := s.open("POST /listStreams HTTP/1.1\r\nHost: " + s.address + "\r\n" + headers +
			"\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.Header.Get("x-amzn-ErrorType") != want || !res.Close {
			t.Errorf("%q: %v, %v, want %s", headers, res, err, want)
		}
		conn.Close()
	}
	s.connections(0)
}

// Strangers with a known key who send bodies or long heads, and hold back the end, share a small
// budget. A client that sends little does not notice.
func TestUnverifiedBytesAreBounded(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.record()
	player := s.newViewer()
	r := s.request(http.MethodPost, "/listStreams", "")
	s.signer.Sign(r, []byte("something else"))
	head := fmt.Sprintf("POST /listStreams HTTP/1.1\r\nHost: %s\r\nX-Amz-Date: "+
		"%s\r\nAuthorization: %s\r\n",
		s.address, r.Header.Get("X-Amz-Date"), r.Header.Get("Authorization"))
	body := head + fmt.Sprintf("Content-Length: %d\r\n\r\n", api.MaxBodyBytes) +
		strings.Repeat("x", api.MaxBodyBytes-1)
	long := head + "Cookie: " + strings.Repeat("c", api.MaxHeaderBytes/2)
	held := func() int64 { return s.server.connections.Held().Bytes }

	until := func(what string, done func() bool) {
		t.Helper()
		await(t, what, true, done)
	}
	s.open(long)
	until("half a head", func() bool { return held() >= api.MaxHeaderBytes/2 })
	var holders []net.Conn
	for range api.MaxUnverifiedBytes/api.MaxBodyBytes + 5 {
		holders = append(holders, s.open(body))
	}
	until("many bodies", func() bool { return held() > api.MaxUnverifiedBytes-api.MaxBodyBytes })
	if held() > api.MaxUnverifiedBytes {
		t.Errorf("%d bytes are held", held())
	}
	padded := "{" + strings.Repeat(" ", api.MaxBodyBytes-2) + "}"
	s.call("/listStreams", padded).fails(t, 503, "ServiceUnavailable", "not verified yet")
	refused := s.metric("weir_http_unverified_refused_total")
	for range 3 * api.MaxBodyBytes / api.MaxHeaderBytes { // more than the last body has left
		s.open(long)
	}
	until("long heads", func() bool {
		return s.metric("weir_http_unverified_refused_total") != refused
	})
	if status, err := player.get(); status != 200 || err != nil {
		t.Errorf("a player meanwhile: %d, %v", status, err)
	}
	s.ok("/describeStream", `{"StreamName":"cam1"}`)
	for _, c := range holders {
		c.Close()
	}
	until("after all", func() bool { return held() < 2*api.MaxBodyBytes })
	s.ok("/listStreams", padded)
}
