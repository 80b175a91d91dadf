package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

var storeQueryAll = store.Query{}

// record puts three fragments of one second each into cam1 and returns when they are durable.
func (s *site) record() {
	s.t.Helper()
	p := s.dial("cam1")
	p.started()
	start := time.Now().Add(-4 * time.Second).UnixMilli()
	c := newCamera(s.t)
	for i := range 3 {
		c.cluster(start+int64(i)*1000, 25, 200)
	}
	p.send(c.endOfFragment().take())
	p.until(fmt.Sprintf("PERSISTED %d", start+2000))
	p.end()
}

func (s *site) get(address string, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, address, nil)
	must(s.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return s.do(r)
}

// relative resolves a URI of a playlist.
func relative(t *testing.T, base, uri string) string {
	t.Helper()
	b, err := url.Parse(base)
	must(t, err)
	u, err := b.Parse(uri)
	must(t, err)
	return u.String()
}

var (
	uriLine = regexp.MustCompile(`(?m)^[^#].*$`)
	mapURI  = regexp.MustCompile(`#EXT-X-MAP:URI="([^"]+)"`)
)

// boxes lists the types of the top-level boxes of MP4 data.
func boxes(data string) (types string) {
	for b := []byte(data); len(b) >= 8; {
		n := binary.BigEndian.Uint32(b)
		types += string(b[4:8]) + " "
		if n < 8 || int(n) > len(b) {
			return types + "(broken)"
		}
		b = b[n:]
	}
	return types
}

func TestPlaybackByTokenAlone(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.call("/getHLSStreamingSessionURL", `{"StreamName":"cam1"}`).fails(t, 404,
		"ResourceNotFoundException", "No fragments found")
	s.record()
	master, _ := s.ok("/getHLSStreamingSessionURL",
		`{"StreamName":"cam1","PlaybackMode":"LIVE"}`)["HLSStreamingSessionURL"].(string)
	if !strings.HasPrefix(master, s.url+"/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=") {
		t.Fatalf("URL %q", master)
	}

	a := s.get(master)
	if a.status != 200 || a.header.Get("Content-Type") != "application/vnd.apple.mpegurl" ||
		a.header.Get("Cache-Control") != "no-store" ||
		a.header.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.HasPrefix(a.body, "#EXTM3U\n") {
		t.Fatalf("master playlist: %d %v\n%s", a.status, a.header, a.body)
	}
	mediaURL := relative(t, master, uriLine.FindString(a.body))
	a = s.get(mediaURL)
	segments := uriLine.FindAllString(a.body, -1)
	if a.status != 200 || a.header.Get("Content-Type") != "application/vnd.apple.mpegurl" ||
		len(segments) != 3 {
		t.Fatalf("media playlist: %d %v\n%s", a.status, a.header, a.body)
	}

	init := s.get(relative(t, mediaURL, mapURI.FindStringSubmatch(a.body)[1]))
	if init.status != 200 || init.header.Get("Content-Type") != "video/mp4" ||
		boxes(init.body) != "ftyp moov " {
		t.Errorf("init: %d %v %s", init.status, init.header, boxes(init.body))
	}
	segmentURL := relative(t, mediaURL, segments[0])
	whole := s.get(segmentURL)
	if whole.status != 200 || whole.header.Get("Content-Type") != "video/mp4" ||
		!strings.HasSuffix(boxes(whole.body), "moof mdat ") ||
		!strings.Contains(whole.header.Get("Cache-Control"), "private") ||
		whole.header.Get("Content-Length") != fmt.Sprint(len(whole.body)) {
		t.Errorf("segment: %d %v %s", whole.status, whole.header, boxes(whole.body))
	}
	if n := strings.Count(whole.body, "\x00\x00\x00\xc4"); n < 25 {
		t.Errorf("the segment holds %d of 25 frames", n)
	}

	n := len(whole.body)
	for spec, want := range map[string]string{
		"bytes=0-": whole.body, "bytes=0-99": whole.body[:100],
		fmt.Sprintf("bytes=%d-", n-1000):           whole.body[n-1000:],
		fmt.Sprintf("bytes=%d-%d", n-3000, n-2000): whole.body[n-3000 : n-1999],
	} {
		if a := s.get(segmentURL, "Range: "+spec); a.status != 206 || a.body != want {
			t.Errorf("%s: %d, %d bytes of %d", spec, a.status, len(a.body), len(want))
		}
	}
	if a := s.get(segmentURL, fmt.Sprintf("Range: bytes=%d-", n)); a.status != 416 {
		t.Errorf("a range past the end: %d", a.status)
	}
	r := s.request(http.MethodHead, strings.TrimPrefix(segmentURL, s.url), "")
	if a := s.do(r); a.status != 200 || a.body != "" ||
		a.header.Get("Content-Length") != fmt.Sprint(n) {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

// takingListener accepts connections that note what they are given to read from: a limited file
// goes to sendfile(2).
type takingListener struct {
	net.Listener
	took chan io.Reader
}

func (l *takingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &takingConn{c.(*net.TCPConn), l.took}, nil
}

type takingConn struct {
	*net.TCPConn
	took chan io.Reader
}

func (c *takingConn) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		c.took <- &io.LimitedReader{R: limited.R, N: limited.N} // as it is now
	} else {
		c.took <- r
	}
	return c.TCPConn.ReadFrom(r)
}

// The frames of a segment, or of a range of it, reach the connection as one file.
func TestSegmentIsOneSendfile(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	taking := &takingListener{listener, make(chan io.Reader, 100)}
	st, _ := openStore(t)
	s := newSiteOver(t, st, taking)
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	master, _ := s.ok("/getHLSStreamingSessionURL",
		`{"StreamName":"cam1"}`)["HLSStreamingSessionURL"].(string)
	playlist := relative(t, master, uriLine.FindString(s.get(master).body))
	segment := relative(t, playlist, uriLine.FindString(s.get(playlist).body))
	if len(taking.took) != 0 {
		t.Fatal("playlists were taken for files")
	}
	var whole string
	for _, c := range []struct {
		spec string
		want int64 // bytes of the file
	}{{"", 25 * 200}, {"bytes=-300", 300}, {"bytes=0-20", 0}} {
		a := s.get(segment, "Range: "+c.spec)
		if c.spec == "" {
			whole = a.body
		}
		if c.want == 0 {
			if a.body != whole[:21] || len(taking.took) != 0 {
				t.Errorf("%q: %d bytes, and %d files", c.spec, len(a.body), len(taking.took))
			}
			continue
		}
		if !strings.HasSuffix(whole, a.body) || len(taking.took) != 1 {
			t.Errorf("%q: %d bytes of %d in %d files", c.spec, len(a.body), len(whole),
				len(taking.took))
			continue
		}
		limited, ok := (<-taking.took).(*io.LimitedReader)
		if !ok || limited.N != c.want {
			t.Errorf("%q: the connection got %+v, want %d bytes of a file", c.spec, limited, c.want)
			continue
		}
		if _, ok := limited.R.(*os.File); !ok {
			t.Errorf("%q: the connection got a %T", c.spec, limited.R)
		}
	}
}

// Whatever a player asks for on its connection, even if it is refused, it can then ask for
// something else there.
func TestPlayersKeepTheirConnection(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.record()
	master := strings.TrimPrefix(
		s.ok("/getHLSStreamingSessionURL",
			`{"StreamName":"cam1"}`)["HLSStreamingSessionURL"].(string), s.url)
	media := strings.Replace(master, "Master", "Media", 1) + "&TrackNumber=1"
	segment := sessionurl.HLSPath + uriLine.FindString(s.get(s.url+media).body)
	requests := []struct {
		method, target, headers string
		status                  int
	}{
		{"GET", master, "", 200},
		{"GET", media, "Accept-Encoding: gzip\r\n", 200},
		{"GET", segment, "", 200},
		{"HEAD", segment, "", 200},
		{"GET", segment, "Range: bytes=10-99\r\n", 206},
		{"GET", segment, "Range: bytes=99999999-\r\n", 416},
		{"GET", segment, "Range: bytes=10-99\r\nIf-Range: \"x\"\r\n", 200}, // there is no validator
		{"GET", segment, "If-None-Match: *\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
			200},
		{"GET", media + "&TrackNumber=1", "", 400},
		{"GET", sessionurl.HLSPath + "getMP4InitFragment.mp4?TrackNumber=1", "", 403},
		{"HEAD", strings.Replace(segment, "FragmentNumber=", "FragmentNumber=1", 1), "", 404},
		{"GET", sessionurl.HLSPath + "getNothing", "", 404},
		{"GET", segment, "", 200},
		{"OPTIONS", segment, "", 204},
		{"GET", segment, "", 200},
	}
	for _, ahead := range []int{1, len(requests)} { // requests sent before the first answer is read
		conn, err := net.Dial("tcp", s.address)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		answers := bufio.NewReader(conn)
		for i, c := range requests {
			if i%ahead == 0 {
				for _, c := range requests[i : i+ahead] {
					fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: camera.local\r\n%s\r\n", c.method,
						c.target, c.headers)
				}
			}
			res, err := http.ReadResponse(answers, &http.Request{Method: c.method})
			if err != nil {
				t.Fatalf("%s %s: %v", c.method, c.target, err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != c.status || res.Close ||
				len(body) == 0 && c.method == "GET" && c.status != 416 {
				t.Errorf("%s %s: %d, closing %v, %d bytes, %v", c.method, c.target, res.StatusCode,
					res.Close, len(body), err)
			}
		}
	}
}

// A head beyond the limit is refused; that of a browser with many cookies is not.
func TestLimitOfHeads(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for size, want := range map[int]int{api.MaxHeaderBytes - 1<<10: 200,
		api.MaxHeaderBytes + 8<<10: 431} {
		if a := s.get(s.url+"/healthz", "Cookie: "+strings.Repeat("c", size)); a.status != want {
			t.Errorf("%d bytes of a head: %d, want %d", size, a.status, want)
		}
	}
}

func TestSessionActionsRefuse(t *testing.T) {
	t.Parallel()
	s := newStreamSite(t)
	s.record()
	master := s.ok("/getHLSStreamingSessionURL",
		`{"StreamName":"cam1"}`)["HLSStreamingSessionURL"].(string)
	_, token, _ := strings.Cut(master, "SessionToken=")
	at := func(action string) string { return s.url + "/hls/v1/" + action }
	s.get(at("getHLSMasterPlaylist.m3u8?SessionToken=AAAA")).fails(t, 403, "NotAuthorizedException",
		"")
	s.get(at("getHLSMasterPlaylist.m3u8?SessionToken="+token+"&SessionToken=x")).fails(t, 400,
		"InvalidArgumentException", "SessionToken")
	s.get(at("getHLSMediaPlaylist.m3u8?SessionToken="+token)).fails(t, 400,
		"InvalidArgumentException", "TrackNumber")
	s.get(at("getHLSMediaPlaylist.m3u8?TrackNumber=x&SessionToken="+token)).fails(t, 400,
		"InvalidArgumentException", "TrackNumber")
	s.get(at("getHLSMediaPlaylist.m3u8?TrackNumber=9&SessionToken="+token)).fails(t, 404,
		"ResourceNotFoundException", "")
	s.get(at("getMP4InitFragment.mp4?TrackNumber=1&SequenceNumber=-1&SessionToken="+token)).fails(t,
		400, "InvalidArgumentException", "SequenceNumber")
	s.get(at("getMP4MediaFragment.mp4?TrackNumber=1&SessionToken="+token)).fails(t, 400,
		"InvalidArgumentException", "FragmentNumber")
	s.get(at("getMP4MediaFragment.mp4?FragmentNumber=1&TrackNumber=1&SessionToken="+token)).fails(t,
		404, "ResourceNotFoundException", "")
	arn := s.ok("/describeStream",
		`{"StreamName":"cam1"}`)["StreamInfo"].(map[string]any)["StreamARN"]
	s.ok("/deleteStream", fmt.Sprintf(`{"StreamARN":%q}`, arn))
	s.get(master).fails(t, 403, "NotAuthorizedException", "the stream was deleted")
	// A player that keeps asking is not delayed: its stream may be quiet for a while.
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.holds) != 0 {
		t.Errorf("held back %v", s.holds)
	}
}

func TestNoRetentionHasNoPlayback(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.ok("/createStream", `{"StreamName":"cam1"}`)
	s.call("/getHLSStreamingSessionURL", `{"StreamName":"cam1"}`).fails(t, 400,
		"NoDataRetentionException", "")
}
