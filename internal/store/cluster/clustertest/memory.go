package clustertest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Memory is an S3 server in memory, for simulations. It counts requests, and the test sets its
// clock. It supports what package objects needs, and does not check signatures.
type Memory struct {
	server *httptest.Server
	now    func() time.Time

	mu      sync.Mutex
	objects map[string]memoryObject // guarded by mu
	counts  Requests                // likewise
}

type memoryObject struct {
	data     []byte
	modified time.Time
}

// Requests counts the requests to an object store.
type Requests struct {
	Puts, Gets, Lists, Deletes int64 // requests, each to delete up to 1,000 objects
	Deleted                    int64 // objects
	PutBytes, GetBytes         int64
	Of                         map[string]int64 // Puts by the first path element after the prefix
}

// NewMemory starts a server that dates its objects by now.
func NewMemory(t testing.TB, now func() time.Time) *Memory {
	t.Helper()
	m := &Memory{now: now, objects: make(map[string]memoryObject)}
	m.counts.Of = make(map[string]int64)
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	return m
}

// URL is the address of the objects under a prefix, like the function URL.
func (m *Memory) URL(prefix string) string { return URL(m.server.URL, prefix) }

// Requests returns the counts since the start.
func (m *Memory) Requests() Requests {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := m.counts
	counts.Of = maps.Clone(counts.Of)
	return counts
}

// Objects returns the sizes of the objects under a prefix, by their keys without it.
func (m *Memory) Objects(prefix string) map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	sizes := make(map[string]int)
	for key, o := range m.objects {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			sizes[name] = len(o.data)
		}
	}
	return sizes
}

// ServeHTTP implements http.Handler.
func (m *Memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	key := strings.Trim(strings.TrimPrefix(r.URL.Path, "/"+BucketOf), "/")
	switch {
	case r.Method == http.MethodPut:
		m.put(w, key, body)
	case r.Method == http.MethodPost && r.URL.Query().Has("delete"):
		m.delete(w, body)
	case r.Method == http.MethodGet && key == "":
		m.list(w, r)
	case r.Method == http.MethodGet:
		m.get(w, r, key)
	case r.Method == http.MethodHead && key == "": // the bucket is there
	default:
		http.Error(w, "not of this server", http.StatusNotImplemented)
	}
}

func (m *Memory) put(w http.ResponseWriter, key string, body []byte) {
	sum := md5.Sum(body)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Puts++
	m.counts.PutBytes += int64(len(body))
	if parts := strings.SplitN(key, "/", 3); len(parts) == 3 {
		m.counts.Of[parts[1]]++
	}
	m.objects[key] = memoryObject{body, m.now()}
}

func (m *Memory) get(w http.ResponseWriter, r *http.Request, key string) {
	m.mu.Lock()
	m.counts.Gets++
	o, ok := m.objects[key]
	m.mu.Unlock()
	if !ok {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>NoSuchKey</Code></Error>`)
		return
	}
	counted := &countingWriter{ResponseWriter: w}
	http.ServeContent(counted, r, "", o.modified, bytes.NewReader(o.data))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.GetBytes += counted.n
}

type countingWriter struct {
	http.ResponseWriter
	n int64
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.n += int64(n)
	return n, err
}

func (m *Memory) delete(w http.ResponseWriter, body []byte) {
	var request struct {
		Object []struct{ Key string }
	}
	if err := xml.Unmarshal(body, &request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Deletes++
	for _, o := range request.Object {
		if _, ok := m.objects[o.Key]; ok {
			m.counts.Deleted++
			delete(m.objects, o.Key)
		}
	}
	fmt.Fprint(w, `<DeleteResult></DeleteResult>`)
}

func (m *Memory) list(w http.ResponseWriter, r *http.Request) {
	type content struct {
		Key          string
		LastModified time.Time
		Size         int
	}
	var result struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []content
	}
	q := r.URL.Query()
	most, err := strconv.Atoi(q.Get("max-keys"))
	if err != nil || most > 1000 {
		most = 1000
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Lists++
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, q.Get("prefix")) && key > q.Get("start-after") &&
			len(result.Contents) < most {
			o := m.objects[key]
			result.Contents = append(result.Contents, content{key, o.modified.UTC(), len(o.data)})
		}
	}
	if err := xml.NewEncoder(w).Encode(result); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
