package objects_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/objects"
)

// strange starts an object store that shows each request to before, and answers it unless before
// has done so and returned true.
func strange(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	m := clustertest.NewMemory(t, time.Now)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !before(w, r) {
			m.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// refuse answers with an error like S3.
func refuse(w http.ResponseWriter, status int, code, message string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
	return true
}

// unsized is an answer without Content-Length.
type unsized struct{ http.ResponseWriter }

func (w unsized) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

// What is between Weir and its object store may answer with less than was requested, with
// everything, or in chunks. Either the bytes are right, or the error blames neither the object nor
// its key.
func TestStrangeRanges(t *testing.T) {
	t.Parallel()
	data := payload(1, 10_000)
	all := [][2]int64{{0, 10_000}, {0, 100}, {2_000, 5_000}, {9_999, 1}}
	for name, c := range map[string]struct {
		change  func(w *http.ResponseWriter, r *http.Request)
		refused bool // ranges that do not begin at 0
	}{
		"as asked for": {func(*http.ResponseWriter, *http.Request) {}, false},
		"a part": {func(_ *http.ResponseWriter, r *http.Request) {
			var from, to int
			if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); n == 2 {
				r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, min(to, from+999)))
			}
		}, false},
		"all": {func(_ *http.ResponseWriter, r *http.Request) { r.Header.Del("Range") }, true},
		"chunks": {func(w *http.ResponseWriter, _ *http.Request) { *w = unsized{*w} },
			false},
	} {
		var on atomic.Bool
		m := clustertest.NewMemory(t, time.Now)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if on.Load() {
				c.change(&w, r)
			}
			m.ServeHTTP(w, r)
		}))
		defer s.Close()
		b := open(t, s.URL, "p", keys)
		must(t, b.Put(t.Context(), "k", data))
		on.Store(true)
		for _, r := range all {
			got, err := b.ReadAll(t.Context(), "k", r[0], r[1])
			switch refused := c.refused && r[0] > 0; {
			case refused && (err == nil || errors.Is(err, store.ErrCorrupt)):
				t.Errorf("%s: %d bytes from %d: %v", name, r[1], r[0], err)
			case !refused && (err != nil || !bytes.Equal(got, data[r[0]:r[0]+r[1]])):
				t.Errorf("%s: %d bytes from %d: %d, %v", name, r[1], r[0], len(got), err)
			}
		}
		if !c.refused && name != "chunks" {
			_, err := b.ReadAll(t.Context(), "k", 9_000, 2_000)
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s, beyond the end: %v", name, err)
			}
		}
	}
}

// A proxy's page with status 404 says nothing about an object; S3's own message does.
func TestNotFoundOfAProxy(t *testing.T) {
	t.Parallel()
	b := open(t, strange(t, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/lost") && r.Method == http.MethodGet {
			http.NotFound(w, r)
			return true
		}
		return false
	}), "p", keys)
	_, err := b.ReadAll(t.Context(), "lost", 0, 1)
	if errors.Is(err, store.ErrGone) || !objects.IsAway(err) {
		t.Errorf("a page of a proxy: %v", err)
	}
	_, err = b.ReadAll(t.Context(), "none", 0, 1)
	if !errors.Is(err, store.ErrGone) || objects.IsAway(err) {
		t.Errorf("no object: %v", err)
	}
}

// A passing error is tried again, even if S3 answers it with a status of the client's fault. A
// bucket that demands a checksum of its own gets it.
func TestPutIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, no := range map[string]func(w http.ResponseWriter, r *http.Request, puts int64) bool{
		"a connection that was silent": func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			return n == 1 && refuse(w, 400, "RequestTimeout", "Your socket connection to the "+
				"server was not read from or written to within the timeout period.")
		},
		"less is wanted": func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			return n == 1 && refuse(w, 503, "SlowDown", "Please reduce your request rate.")
		},
		"object lock": func(w http.ResponseWriter, r *http.Request, _ int64) bool {
			return r.Header.Get("Content-MD5") != "TYtghPPRZ7dsrGaiKpG+Ag==" &&
				refuse(w, 400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is "+
					"required for Put Object requests with Object Lock parameters")
		},
	} {
		var puts atomic.Int64
		b := open(t, strange(t, func(w http.ResponseWriter, r *http.Request) bool {
			return r.Method == http.MethodPut && no(w, r, puts.Add(1))
		}), "p", keys)
		if err := b.Put(t.Context(), "k", []byte("kept")); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := b.ReadAll(t.Context(), "k", 0, 4); err != nil || string(got) != "kept" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Keys in a file that have expired, and have been replaced there, are read again.
func TestKeysAreRenewed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(id string) {
		must(t, os.WriteFile(file, []byte("[default]\naws_access_key_id = "+id+
			"\naws_secret_access_key = secret\naws_session_token = token-"+id+"\n"), 0o600))
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY",
		"AWS_SECRET_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	var good atomic.Value
	good.Store("FIRST")
	b := open(t, strange(t, func(w http.ResponseWriter, r *http.Request) bool {
		id := good.Load().(string)
		return !(strings.Contains(r.Header.Get("Authorization"), "Credential="+id+"/") &&
			r.Header.Get("X-Amz-Security-Token") == "token-"+id) &&
			refuse(w, 400, "ExpiredToken", "The provided token has expired.")
	}), "p", objects.Options{})
	write("FIRST")
	must(t, b.Put(t.Context(), "k", []byte("kept")))
	good.Store("SECOND")
	if _, err := b.ReadAll(t.Context(), "k", 0, 4); err == nil {
		t.Error("keys that have ended are good")
	}
	write("SECOND")
	got, err := b.ReadAll(t.Context(), "k", 0, 4)
	if err != nil || string(got) != "kept" {
		t.Errorf("with new keys: %q, %v", got, err)
	}
}

// When the object store lets nobody in, the error says why, although the answer to HEAD has no room
// for it.
func TestCheckSaysWhy(t *testing.T) {
	t.Parallel()
	b := open(t, strange(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return refuse(w, 403, "RequestTimeTooSkewed", "The difference between the request "+
			"time and the server's time is too large.")
	}), "p", keys)
	if err := b.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "server's time") {
		t.Error(err)
	}
}
