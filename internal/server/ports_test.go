package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/throttle"
)

// newPlayersSite is a site with a listener for players, over TLS, and with a recorded stream cam1.
// players is a client of that listener over HTTP/2; session URLs have its address.
func newPlayersSite(t *testing.T, change ...func(*Options)) (s *site, players *http.Client) {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(lender.Close)
	var on Listeners
	for _, l := range []*net.Listener{&on.Main, &on.Playback} {
		var err error
		*l, err = net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
	}
	on.PlaybackTLS = &tls.Config{Certificates: lender.TLS.Certificates}
	st, _ := openStore(t)
	s = newSiteOn(t, st, on, change...)
	s.players = on.Playback.Addr().String()
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	players = lender.Client()
	players.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	t.Cleanup(players.CloseIdleConnections)
	return s, players
}

// fetch gets a URL with a client.
func (s *site) fetch(
	c *http.Client, method, address string, headers ...string,
) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, nil)
	must(s.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := c.Do(r)
	must(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(s.t, err)
	return res, string(body)
}

// Everything in a session comes over HTTP/2 from the listener that its URL names, and is the same
// as over HTTP/1.1 there and at the main listener.
func TestPlayersListener(t *testing.T) {
	t.Parallel()
	s, players := newPlayersSite(t)
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: players.Transport.(*http.Transport).TLSClientConfig.RootCAs}}}
	defer old.CloseIdleConnections()
	everywhere := func(address string, headers ...string) string {
		t.Helper()
		res, body := s.fetch(players, "GET", address, headers...)
		if res.ProtoMajor != 2 || res.StatusCode/100 != 2 {
			t.Fatalf("%s: %s %s\n%s", address, res.Proto, res.Status, body)
		}
		for client, address := range map[*http.Client]string{
			old: address, s.client: strings.Replace(address, "https://"+s.players, s.url, 1)} {
			again, same := s.fetch(client, "GET", address, headers...)
			if again.ProtoMajor != 1 || again.StatusCode != res.StatusCode || same != body ||
				again.Header.Get("Content-Range") != res.Header.Get("Content-Range") {
				t.Errorf("%s: %s, and not the %d bytes of HTTP/2", address, again.Status, len(body))
			}
		}
		return body
	}
	for _, container := range []string{"FRAGMENTED_MP4", "MPEG_TS"} {
		master := s.ok("/getHLSStreamingSessionURL", `{"StreamName":"cam1","ContainerFormat":"`+
			container+`"}`)["HLSStreamingSessionURL"].(string)
		if !strings.HasPrefix(master, "https://"+s.players+"/hls/v1/") {
			t.Fatalf("the session is at %s", master)
		}
		media := relative(t, master, uriLine.FindString(everywhere(master)))
		list := everywhere(media)
		if init := mapURI.FindStringSubmatch(list); init != nil {
			everywhere(relative(t, media, init[1]))
		}
		segment := relative(t, media, uriLine.FindString(list))
		whole := everywhere(segment)
		if part := everywhere(segment, "Range: bytes=100-299"); part != whole[100:300] {
			t.Error("a range is not that part of the segment")
		}
	}
	manifest := s.ok("/getDASHStreamingSessionURL",
		`{"StreamName":"cam1"}`)["DASHStreamingSessionURL"].(string)
	everywhere(manifest)
	link := s.ok("/getClip?LinkExpires=300",
		`{"StreamName":"cam1",`+clipRange(time.Minute)+`}`)["ClipURL"].(string)
	if whole := everywhere(link); everywhere(link, "Range: bytes=2000-") != whole[2000:] {
		t.Error("a range is not that part of the clip")
	}
	for _, path := range []string{"/player", "/player/player.js", "/healthz", "/readyz"} {
		everywhere("https://" + s.players + path)
	}
	for name, want := range map[string]string{
		`weir_http_listener_connections{listener="playback"}`:                        "2",
		`weir_http_listener_requests_total{listener="playback",protocol="HTTP/2"}`:   "16",
		`weir_http_listener_requests_total{listener="playback",protocol="HTTP/1.1"}`: "16",
	} {
		if got := s.metric(name); got != want {
			t.Errorf("%s %s, want %s", name, got, want)
		}
	}
}

// Nothing that needs a signature is answered there, even with a valid one, and no metrics.
func TestPlayersListenerServesPlayersOnly(t *testing.T) {
	t.Parallel()
	s, players := newPlayersSite(t)
	for _, path := range []string{"/listStreams", "/ListStreams", "/putMedia", "//putMedia",
		"/getHLSStreamingSessionURL", "/getClip", "/getMedia", "/metrics", "/debug/pprof/"} {
		r, err := http.NewRequest(http.MethodPost, "https://"+s.players+path,
			strings.NewReader("{}"))
		must(t, err)
		r.Header.Set("x-amzn-stream-name", "cam1")
		s.signer.Sign(r, []byte("{}"))
		res, err := players.Do(r)
		must(t, err)
		body, err := io.ReadAll(res.Body)
		must(t, err)
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound ||
			!strings.Contains(string(body), "UnknownOperation") &&
				res.Header.Get("x-amzn-ErrorType") != "UnknownOperationException" {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
}

// URLs for players begin with what the operator has set, whether there is a listener for them or a
// proxy in front of the main one.
func TestPlaybackURL(t *testing.T) {
	t.Parallel()
	const url = "https://watch.example"
	with := func(o *Options) { o.PlaybackURL = url + "/" }
	behind, _ := newPlayersSite(t, with)
	alone := newStreamSite(t, with)
	alone.record()
	for _, s := range []*site{behind, alone} {
		for call, member := range map[string]string{
			"/getClip?LinkExpires=300":    "ClipURL",
			"/getHLSStreamingSessionURL":  "HLSStreamingSessionURL",
			"/getDASHStreamingSessionURL": "DASHStreamingSessionURL"} {
			body := `{"StreamName":"cam1"}`
			if member == "ClipURL" {
				body = `{"StreamName":"cam1",` + clipRange(time.Minute) + `}`
			}
			if got := s.ok(call, body)[member].(string); !strings.HasPrefix(got, url+"/") {
				t.Errorf("%s: %s", call, got)
			}
		}
		const call = `{"StreamName":"cam1","APIName":"PUT_MEDIA"}`
		if got := s.ok("/getDataEndpoint", call); got["DataEndpoint"] != s.url {
			t.Errorf("producers are sent to %v", got)
		}
	}
	for _, bad := range []string{"watch.example", "https://watch.example/tv", "ftp://x",
		"https://a@b"} {
		if err := CheckPlaybackURL(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// A stop of the server leaves an answer over HTTP/2 its time, and tells the client to go elsewhere.
func TestStopEndsAnswersOverHTTP2(t *testing.T) {
	t.Parallel()
	s, _ := newPlayersSite(t)
	c := s.dialHTTP2(0)
	c.request(1, "/player/player.js")
	c.until(frameHeaders, 1)
	s.end(nil)
	c.until(frameGoAway, 0)
	if _, err := tls.Dial("tcp", s.players, &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("connections are still accepted")
	}
	c.window(0, 1<<20)
	c.window(1, 1<<20)
	for f := c.until(frameData, 1); f.flags&flagEndStream == 0; {
		f = c.until(frameData, 1)
	}
	s.stop()
}

// A client that accepts nothing of one answer loses that answer and keeps the others; a client that
// reads nothing at all loses the connection.
func TestSlowClientsOverHTTP2(t *testing.T) {
	t.Parallel()
	// It holds for the calls below as well, and other tests run beside this one.
	s, _ := newPlayersSite(t, func(o *Options) { o.answerTime = 500 * time.Millisecond })
	c := s.dialHTTP2(0)
	c.request(1, "/player/player.js")
	c.until(frameReset, 1)
	c.request(3, "/player/player.js")
	c.until(frameHeaders, 3)

	now, camera, p := time.Now().UnixMilli(), newCamera(t), s.dial("cam1")
	p.started()
	p.send(camera.cluster(now, 25, 40_000).endOfFragment().take())
	p.until(fmt.Sprintf("PERSISTED %d", now))
	master := s.ok("/getHLSStreamingSessionURL",
		`{"StreamName":"cam1"}`)["HLSStreamingSessionURL"].(string)
	media := relative(t, master, uriLine.FindString(s.get(strings.Replace(master,
		"https://"+s.players, s.url, 1)).body))
	list := s.get(strings.Replace(media, "https://"+s.players, s.url, 1)).body
	lines := strings.Fields(list)
	deaf := s.dialHTTP2(1 << 30)
	deaf.window(0, 1<<30)
	for id := range uint32(20) { // 20 MB
		deaf.request(2*id+1, strings.TrimPrefix(relative(t, media, lines[len(lines)-1]),
			"https://"+s.players))
	}
	await(t, "connections without the one that reads nothing", true, func() bool {
		return s.server.connections.On(portPlayers) <= 1
	})
}

// Streams count even if the client resets them at once: a client that goes on is cut off.
func TestRapidReset(t *testing.T) {
	t.Parallel()
	s, players := newPlayersSite(t)
	held, release := make(chan struct{}, 10_000), make(chan struct{})
	s.server.penalties = throttle.NewPenalties[penaltyKey](
		func() time.Time { return time.Unix(0, 0) })
	s.hold = func() { held <- struct{}{}; <-release }
	defer close(release)
	c := s.dialHTTP2(1 << 16)
	go func() {
		for id := uint32(1); ; id += 2 {
			if c.write(frameHeaders, flagEndHeaders|flagEndStream, id,
				headerBlock("/nothing")) != nil ||
				c.write(frameReset, 0, id, []byte{0, 0, 0, 8}) != nil {
				return // it was sent away
			}
		}
	}()
	const enhanceYourCalm = 11 // RFC 9113 section 7
	if f := c.until(frameGoAway, 0); f.payload[7] != enhanceYourCalm {
		t.Errorf("the connection ends with error %d", f.payload[7])
	}
	if len(held) > 100 {
		t.Errorf("%d requests of one connection were being answered at a time", len(held))
	}
	if res, _ := s.fetch(players, "GET", "https://"+s.players+"/healthz"); res.StatusCode != 200 {
		t.Errorf("another client: %s", res.Status)
	}
}

// Strangers who open as many streams as they may and accept no answer fill no memory, and lock
// nobody out.
func TestStrangersOverHTTP2(t *testing.T) {
	t.Parallel()
	s, players := newPlayersSite(t)
	const connections, streams = 14, 100
	var all []*http2Conn
	for range connections {
		c := s.dialHTTP2(0)
		all = append(all, c)
		for i := range uint32(streams) {
			c.request(2*i+1, "/player/player.js")
		}
	}
	refused := 0
	for _, c := range all {
		for range streams {
			for {
				f := c.next()
				if f.kind == frameReset {
					refused++
				}
				if f.kind == frameReset || f.kind == frameHeaders {
					break
				}
			}
		}
	}
	if bytes := s.server.connections.Held().Bytes; bytes > 16<<20 || refused == 0 ||
		refused > connections*streams/2 {
		t.Errorf("%d requests refused, %d bytes held", refused, bytes)
	}
	master := s.ok("/getHLSStreamingSessionURL",
		`{"StreamName":"cam1"}`)["HLSStreamingSessionURL"].(string)
	if res, body := s.fetch(players, "GET", master); res.StatusCode != 200 {
		t.Errorf("a player that comes meanwhile: %s %s", res.Status, body)
	}
	for _, c := range all {
		c.conn.Close()
	}
	await(t, "bytes that are held of connections that are gone", 0, func() int64 {
		return s.server.connections.Held().Bytes
	})
}
