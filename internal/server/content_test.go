package server

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/internal/store"
)

func TestRanges(t *testing.T) {
	t.Parallel()
	const media = "0123456789"
	for _, c := range []struct {
		spec, ifRange string
		status        int
		body, span    string
	}{
		{"", "", 200, media, ""},
		{"bytes=0-", "", 206, media, "bytes 0-9/10"},
		{"bytes=0-9", "", 206, media, "bytes 0-9/10"},
		{"bytes=2-3", "", 206, "23", "bytes 2-3/10"},
		{"bytes=2-6", "", 206, "23456", "bytes 2-6/10"},
		{"bytes=4-", "", 206, "456789", "bytes 4-9/10"},
		{"bytes=7-7", "", 206, "7", "bytes 7-7/10"},
		{"bytes=7-99", "", 206, "789", "bytes 7-9/10"},
		{"bytes=-3", "", 206, "789", "bytes 7-9/10"},
		{"bytes=-99", "", 206, media, "bytes 0-9/10"},
		{"Bytes= 1-1", "", 206, "1", "bytes 1-1/10"},
		{"bytes=10-", "", 416, "", "bytes */10"},
		{"bytes=99-100", "", 416, "", "bytes */10"},
		{"bytes=-0", "", 416, "", "bytes */10"},
		{"bytes=1-2", `"etag"`, 200, media, ""}, // nothing to compare with: all of it
		{"bytes=0-1,3-4", "", 200, media, ""},
		{"bytes=5-4", "", 200, media, ""},
		{"bytes=-", "", 200, media, ""},
		{"bytes=a-b", "", 200, media, ""},
		{"lines=1-2", "", 200, media, ""},
		{"bytes=+1-2", "", 200, media, ""},
		{"bytes=99999999999999999999-", "", 416, "", "bytes */10"},
		{"bytes=7-99999999999999999999", "", 206, "789", "bytes 7-9/10"},
		{"bytes=-99999999999999999999", "", 206, media, "bytes 0-9/10"},
	} {
		for _, answer := range []*content{
			{text: []byte(media)}, {media: piece{store.Bytes([]byte(media))}, length: 10},
		} {
			closed := false
			answer.contentType, answer.cacheControl, answer.ranges = typeMP4, cacheFragment, true
			answer.close = func() { closed = true }
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			if c.spec != "" {
				r.Header.Set("Range", c.spec)
			}
			if c.ifRange != "" {
				r.Header.Set("If-Range", c.ifRange)
			}
			w := httptest.NewRecorder()
			if err := answer.send(w, r); err != nil {
				t.Errorf("%q: %v", c.spec, err)
			}
			if w.Code != c.status || w.Body.String() != c.body ||
				w.Header().Get("Content-Range") != c.span {
				t.Errorf("%q: %d %q %q, want %d %q %q", c.spec,
					w.Code, w.Body, w.Header().Get("Content-Range"), c.status, c.body, c.span)
			}
			if !closed {
				t.Errorf("%q: the media was not closed", c.spec)
			}
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	const match, noneMatch = "If-Match", "If-None-Match"
	for _, c := range []struct {
		method string
		given  [][2]string
		status int
	}{
		{"GET", [][2]string{{match, `"a"`}}, 200},
		{"GET", [][2]string{{match, `"b", "a"`}}, 200},
		{"GET", [][2]string{{match, "*"}}, 200},
		{"GET", [][2]string{{match, `"b"`}}, 412},
		{"HEAD", [][2]string{{match, `"b"`}}, 412},
		{"GET", [][2]string{{match, `W/"a"`}}, 412}, // compared strongly
		{"GET", [][2]string{{match, `"b"`}, {noneMatch, `"a"`}}, 412},
		{"GET", [][2]string{{match, `"b"`}, {"Range", "bytes=0-1"}}, 412},
		{"GET", [][2]string{{noneMatch, `"a"`}}, 304},
		{"GET", [][2]string{{noneMatch, `"b", W/"a"`}, {"Range", "bytes=0-1"}}, 304},
		{"GET", [][2]string{{noneMatch, `"b"`}}, 200},
		{"POST", [][2]string{{noneMatch, `"a"`}, {match, `"b"`}}, 200}, // a call is no resource
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		for _, h := range c.given {
			r.Header.Set(h[0], h[1])
		}
		answer := &content{contentType: typeMP4, text: []byte("0123"), ranges: true, etag: `"a"`}
		w := httptest.NewRecorder()
		if err := answer.send(w, r); err != nil || w.Code != c.status ||
			w.Header().Get("ETag") != `"a"` || c.status != 200 && w.Body.Len() > 0 {
			t.Errorf("%s %v: %d %q, %v", c.method, c.given, w.Code, w.Body, err)
		}
	}
}

func TestHeadTellsTheLengthAndReadsNothing(t *testing.T) {
	t.Parallel()
	answer := &content{contentType: typeMP4, media: failing{}, length: 10, ranges: true}
	w := httptest.NewRecorder()
	if err := answer.send(w, httptest.NewRequest(http.MethodHead, "/", nil)); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Content-Length") != "10" || w.Body.Len() != 0 {
		t.Errorf("length %q, body %q", w.Header().Get("Content-Length"), w.Body)
	}
}

// piece is media of which all is one range.
type piece struct{ store.Range }

func (p piece) WriteRange(w io.Writer, from, length int64) error {
	_, err := p.Slice(from, length).WriteTo(w)
	return err
}

type failing struct{}

func (failing) WriteRange(io.Writer, int64, int64) error { return io.ErrUnexpectedEOF }

func TestShortMediaIsAnError(t *testing.T) {
	t.Parallel()
	answer := &content{contentType: typeMP4, media: failing{}, length: 10}
	err := answer.send(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("media that ends early was sent: %v", err)
	}
}

func TestLargePlaylistsAreCompressed(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("#EXTINF:2.0,\n", 200)
	for _, c := range []struct {
		accept, text string
		compressed   bool
	}{
		{"gzip, deflate", text, true},
		{"deflate, GZIP;q=0.5", text, true},
		{"gzip;q=0", text, false},
		{"identity", text, false},
		{"", text, false},
		{"gzip", "#EXTM3U\n", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", c.accept)
		w := httptest.NewRecorder()
		if err := playlist([]byte(c.text)).send(w, r); err != nil {
			t.Fatal(err)
		}
		var body io.Reader = w.Body
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.compressed {
			t.Errorf("%q: compressed %v", c.accept, got)
		} else if got {
			z, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != c.text {
			t.Errorf("%q: %d bytes, %v", c.accept, len(got), err)
		}
		if w.Header().Get("Vary") != "Accept-Encoding" ||
			w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: headers %v", c.accept, w.Header())
		}
	}
}
