package server

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRanges(t *testing.T) {
	t.Parallel()
	const media = "0123456789" // 4 bytes of head, 6 of body
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
		{"bytes=1-2", `"etag"`, 200, media, ""}, // nothing to compare with: the whole
		{"bytes=0-1,3-4", "", 200, media, ""},
		{"bytes=5-4", "", 200, media, ""},
		{"bytes=-", "", 200, media, ""},
		{"bytes=a-b", "", 200, media, ""},
		{"lines=1-2", "", 200, media, ""},
		{"bytes=99999999999999999999-", "", 200, media, ""},
	} {
		for _, body := range []io.Reader{
			io.NewSectionReader(strings.NewReader("another's"+media[4:]+"not this fragment's"), 9, 6), strings.NewReader(media[4:]),
		} {
			closed := false
			answer := &content{contentType: typeMP4, cacheControl: cacheFragment, ranges: true,
				head: []byte(media[:4]), body: body, bodyLength: 6, close: func() { closed = true }}
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
			if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Content-Range") != c.span {
				t.Errorf("%q of a %T: %d %q %q, want %d %q %q", c.spec, body, w.Code, w.Body, w.Header().Get("Content-Range"), c.status, c.body, c.span)
			}
			if !closed {
				t.Errorf("%q: the media was not closed", c.spec)
			}
		}
	}
}

func TestHeadTellsTheLengthAndReadsNothing(t *testing.T) {
	t.Parallel()
	answer := &content{contentType: typeMP4, head: []byte("head"), body: failing{}, bodyLength: 6, ranges: true}
	w := httptest.NewRecorder()
	if err := answer.send(w, httptest.NewRequest(http.MethodHead, "/", nil)); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("Content-Length") != "10" || w.Body.Len() != 0 {
		t.Errorf("length %q, body %q", w.Header().Get("Content-Length"), w.Body)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestShortMediaIsAnError(t *testing.T) {
	t.Parallel()
	answer := &content{contentType: typeMP4, head: []byte("head"), body: io.LimitReader(strings.NewReader("abc"), 6), bodyLength: 6}
	if err := answer.send(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)); err == nil {
		t.Error("three bytes of six were sent without an error")
	}
}

// readFromWriter stands for net/http's writer, whose ReadFrom uses sendfile when it gets a limited file after a Flush.
type readFromWriter struct {
	http.ResponseWriter
	flushed bool
	got     io.Reader
}

func (w *readFromWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.flushed {
		w.got = src
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, src)
}

func (w *readFromWriter) Flush() { w.flushed = true }

func TestFileReachesTheConnectionAsItIs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "volume")
	if err := os.WriteFile(path, []byte("record before|payload|record after"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ spec, want string }{{"", "headpayload"}, {"bytes=6-8", "ylo"}} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		sent := httptest.NewRecorder()
		under := &readFromWriter{ResponseWriter: sent}
		w := &recorder{ResponseWriter: under}
		answer := &content{contentType: typeMP4, head: []byte("head"), body: io.NewSectionReader(f, 14, 7), bodyLength: 7,
			ranges: true, close: func() { f.Close() }}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c.spec != "" {
			r.Header.Set("Range", c.spec)
		}
		if err := answer.send(w, r); err != nil {
			t.Fatal(err)
		}
		if limited, ok := under.got.(*io.LimitedReader); !ok || limited.R != f {
			t.Errorf("%q: the connection got a %T", c.spec, under.got)
		}
		if body := sent.Body.String(); body != c.want || w.bytes != int64(len(c.want)) {
			t.Errorf("%q: sent %q and counted %d, want %q", c.spec, body, w.bytes, c.want)
		}
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
		if w.Header().Get("Vary") != "Accept-Encoding" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: headers %v", c.accept, w.Header())
		}
	}
}
