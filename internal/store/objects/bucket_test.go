package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

var keys = objects.Options{AccessKey: clustertest.AccessKey, SecretKey: clustertest.SecretKey}

func open(t *testing.T, endpoint, prefix string, o objects.Options) *objects.Bucket {
	t.Helper()
	b, err := objects.Open(clustertest.URL(endpoint, prefix), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func bucket(t *testing.T) *objects.Bucket {
	t.Helper()
	endpoint, prefix := clustertest.Bucket(t)
	return open(t, endpoint, prefix, keys)
}

func payload(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is put is read back, as a whole and in ranges, listed under its prefix only, and deleted.
func TestBucket(t *testing.T) {
	t.Parallel()
	endpoint, prefix := clustertest.Bucket(t)
	b := open(t, endpoint, prefix, keys)
	other := open(t, endpoint, prefix+"0", keys) // whose prefix begins like this one's
	must(t, b.Check(t.Context()))
	data := payload(1, 300_000)
	must(t, b.Put(t.Context(), "b/1", data))
	must(t, b.Put(t.Context(), "b/1", data)) // like a try that arrives late
	must(t, b.Put(t.Context(), "b/2", []byte("x")))
	must(t, b.Put(t.Context(), "s/3", []byte("y")))
	must(t, other.Put(t.Context(), "b/9", []byte("z")))
	for _, r := range [][2]int64{{0, 300_000}, {0, 1}, {299_999, 1}, {1000, 280_000}} {
		got, err := b.ReadAll(t.Context(), "b/1", r[0], r[1])
		if err != nil || !bytes.Equal(got, data[r[0]:r[0]+r[1]]) {
			t.Errorf("bytes %d to %d: %d bytes, %v", r[0], r[0]+r[1], len(got), err)
		}
	}
	for name, c := range map[string]struct {
		key          string
		offset, size int64
		want         error
	}{
		"no object": {"b/none", 0, 1, store.ErrGone}, "ends before": {"b/1", 299_000, 2000,
			store.ErrCorrupt}, "beyond it": {"b/1", 300_001, 5, store.ErrCorrupt},
	} {
		if _, err := b.ReadAll(t.Context(), c.key, c.offset, c.size); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	listed := func(prefix, after string) (all []string) {
		for info, err := range b.List(t.Context(), prefix, after) {
			must(t, err)
			if time.Since(info.Modified).Abs() > time.Hour {
				t.Errorf("%s was put at %v", info.Key, info.Modified)
			}
			all = append(all, fmt.Sprint(info.Key, " ", info.Size))
		}
		return all
	}
	if got := fmt.Sprint(listed("", "")); got != "[b/1 300000 b/2 1 s/3 1]" {
		t.Errorf("listed %s", got)
	}
	if got := fmt.Sprint(listed("b/", "b/1")); got != "[b/2 1]" {
		t.Errorf("listed %s", got)
	}
	must(t, b.Delete(t.Context(), []string{"b/2", "b/none", "s/3"}))
	if got := fmt.Sprint(listed("", "")); got != "[b/1 300000]" {
		t.Errorf("left are %s", got)
	}
}

// A list that is longer than a page is complete and in order.
func TestListPages(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	b.SetPage(3)
	for _, n := range []int{6, 7} { // it ends at the end of a page, and not
		for i := range n {
			must(t, b.Put(t.Context(), fmt.Sprintf("%02d", i), nil))
		}
		var keys []string
		for info, err := range b.List(t.Context(), "", "") {
			must(t, err)
			keys = append(keys, info.Key)
		}
		if len(keys) != n || !slices.IsSorted(keys) {
			t.Errorf("%q is listed of %d", keys, n)
		}
	}
}

// Impossible addresses are refused, and no error contains a secret.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "weir", "http://b/p", "s3:///p", "s3://b?endpoint=secret",
		"s3://b?endpoint=http://user:secret@h", "s3://user:secret@b", "s3://b?key=secret",
		"s3://b/\x7fsecret", "s3://b?style=secret"} {
		if _, err := objects.Open(bad, keys); err == nil {
			t.Errorf("%q is taken", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	endpoint, prefix := clustertest.Bucket(t)
	b := open(t, endpoint, prefix, objects.Options{AccessKey: "stranger", SecretKey: "secret"})
	if err := b.Put(t.Context(), "k", nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a stranger puts: %v", err)
	}
}

// While the object store is away, requests fail within the tries. What was put is there when it is
// back.
func TestBucketKilled(t *testing.T) {
	t.Parallel()
	g := clustertest.StartGateway(t)
	b := open(t, g.Endpoint(), "p", objects.Options{AccessKey: keys.AccessKey,
		SecretKey: keys.SecretKey, Timeout: 10 * time.Second, Tries: 2})
	must(t, b.Put(t.Context(), "k", []byte("kept")))
	g.Kill()
	if err := b.Put(t.Context(), "k2", nil); err == nil {
		t.Error("put into nothing")
	}
	if _, err := b.ReadAll(t.Context(), "k", 0, 4); err == nil || errors.Is(err, store.ErrGone) {
		t.Errorf("read of nothing: %v", err)
	}
	must(t, g.Start())
	if got, err := b.ReadAll(t.Context(), "k", 0, 4); err != nil || string(got) != "kept" {
		t.Errorf("read %q, %v", got, err)
	}
}

// newCache returns a cache and a function that reads through it.
func newCache(
	t *testing.T, b *objects.Bucket, limit int64,
) (*objects.Cache, func(key string, off, n int64) ([]byte, error)) {
	t.Helper()
	c, err := objects.NewCache(b, filepath.Join(t.TempDir(), "cache"), limit)
	must(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, func(key string, off, n int64) ([]byte, error) {
		body, err := c.Open(t.Context(), key, off, n)
		if err != nil {
			return nil, err
		}
		got, err := storetest.ReadRange(body.Range(0, n))
		return got, errors.Join(err, body.Close())
	}
}

// What was read is still there when the object store is away. What is open is read to its end even
// if the cache had to drop it. The bytes stay within their limit.
func TestCache(t *testing.T) {
	t.Parallel()
	g := clustertest.StartGateway(t)
	o := keys
	o.Tries, o.Timeout = 1, 10*time.Second
	b := open(t, g.Endpoint(), "p", o)
	data := [][]byte{payload(1, 100_000), payload(2, 100_000), payload(3, 100_000)}
	for i := range data {
		must(t, b.Put(t.Context(), fmt.Sprint(i), data[i]))
	}
	c, read := newCache(t, b, 150_000)
	check := func(i int, off, n int64) {
		t.Helper()
		got, err := read(fmt.Sprint(i), off, n)
		if err != nil || !bytes.Equal(got, data[i][off:off+n]) {
			t.Fatalf("object %d, %d bytes from %d: got %d, %v", i, n, off, len(got), err)
		}
	}
	check(0, 10_000, 20_000)
	check(0, 50_000, 10_000)
	check(0, 5_000, 90_000) // with what is here already in the middle
	kept, err := c.Open(t.Context(), "0", 5_000, 90_000)
	must(t, err)
	if kept.Verified() {
		t.Error("nobody has verified it")
	}
	kept.SetVerified()
	again, err := c.Open(t.Context(), "0", 5_000, 90_000)
	must(t, err)
	if !again.Verified() {
		t.Error("it was verified")
	}
	must(t, again.Close())
	if n := c.Bytes(); n != 90_000 {
		t.Errorf("%d bytes are kept", n)
	}
	check(1, 0, 50_000)
	check(2, 0, 100_000)
	if n := c.Bytes(); n > 150_000 {
		t.Errorf("%d bytes are kept", n)
	}
	p := make([]byte, 90_000)
	if _, err := kept.ReadAt(p, 0); err != nil || !bytes.Equal(p, data[0][5_000:95_000]) {
		t.Errorf("what is open is not what it was: %v", err)
	}
	must(t, kept.Close())
	g.Kill()
	check(2, 0, 100_000)
	check(2, 1234, 5)
	if _, err := read("0", 0, 10); err == nil {
		t.Error("read from nowhere")
	}
	must(t, g.Start())
	check(0, 0, 10)
	if anew, err := c.Open(t.Context(), "0", 0, 10); err != nil || anew.Verified() {
		t.Errorf("it was fetched anew: %v", err)
	} else {
		must(t, anew.Close())
	}
	if _, err := read("none", 0, 10); !errors.Is(err, store.ErrGone) {
		t.Errorf("no object: %v", err)
	}
	if _, err := read("0", 99_000, 2_000); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("it ends before: %v", err)
	}
}

// Concurrent readers of the same bytes wait for one request. A reader who goes through an object in
// order finds the next bytes in the cache.
func TestCacheFetchesOnce(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	data := payload(1, 6<<20)
	must(t, b.Put(t.Context(), "k", data))
	c, read := newCache(t, b, 1<<30)
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			got, err := read("k", 1000, 200_000)
			if err != nil || !bytes.Equal(got, data[1000:201_000]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
	if n := c.Requests(); n != 1 {
		t.Errorf("%d requests for one range", n)
	}
	at := int64(201_000)
	for at+100_000 <= int64(len(data)) { // reading ahead goes beyond the end
		if got, err := read("k", at, 100_000); err != nil ||
			!bytes.Equal(got, data[at:at+100_000]) {
			t.Fatal(len(got), err)
		}
		at += 100_000
	}
	if n := c.Requests(); n > 20 {
		t.Errorf("%d requests for 60 ranges one after the other", n)
	}
}

// The cache keeps more objects than a process may have open files. It keeps nothing of an object
// that does not exist.
func TestCacheOfManyObjects(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	_, read := newCache(t, b, 1<<30)
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(list)
	}
	const objects = 300
	before := files()
	for i := range objects {
		must(t, b.Put(t.Context(), fmt.Sprint(i), []byte("abc")))
		_, err := read(fmt.Sprint(i), 1, 1)
		must(t, err)
		if _, err := read(fmt.Sprint("none", i), 0, 1); !errors.Is(err, store.ErrGone) {
			t.Fatal(err)
		}
	}
	if n := files() - before; n > objects/2 {
		t.Errorf("%d more files are open for %d objects", n, objects)
	}
}

// What is open without waiting for the disk takes a bounded amount of memory, until it is closed.
func TestCacheMemory(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	c, read := newCache(t, b, 1<<30)
	c.SetMemory(250_000)
	var here bool
	c.Opened = func(all bool) { here = all }
	var held []*objects.Body
	for i := range 5 {
		key, data := fmt.Sprint(i), payload(uint64(i), 100_000)
		must(t, b.Put(t.Context(), key, data))
		body, err := c.Open(t.Context(), key, 10, 99_000)
		must(t, err)
		held = append(held, body)
		if got, err := storetest.ReadRange(body.Range(5, 90_000)); err != nil ||
			!bytes.Equal(got, data[15:90_015]) {
			t.Errorf("object %d: %d bytes, %v", i, len(got), err)
		}
		again, err := c.Open(t.Context(), key, 1000, 50_000)
		must(t, err)
		must(t, again.Close())
		if !here {
			t.Errorf("object %d is open, and counts as not here", i)
		}
	}
	c.Settle()
	if n := c.Memory(); n > 250_000 {
		t.Errorf("%d bytes are in memory", n)
	}
	for i, body := range held {
		if got, err := storetest.ReadRange(body.Range(0, 99_000)); err != nil ||
			!bytes.Equal(got, payload(uint64(i), 100_000)[10:99_010]) {
			t.Errorf("object %d, still open: %d bytes, %v", i, len(got), err)
		}
		must(t, body.Close())
	}
	if n := c.Memory(); n != 0 {
		t.Errorf("%d bytes are in memory when nobody reads", n)
	}
	asked := c.Requests()
	if got, err := read("0", 10, 99_000); err != nil || len(got) != 99_000 {
		t.Error(len(got), err)
	}
	if n := c.Requests() - asked; n != 0 {
		t.Errorf("%d requests for what is on the disk", n)
	}
}

// A full or missing disk costs the cache, but no reader.
func TestCacheWithoutDisk(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	must(t, b.Put(t.Context(), "k", payload(1, 1000)))
	dir := filepath.Join(t.TempDir(), "cache")
	c, err := objects.NewCache(b, dir, 1<<20)
	must(t, err)
	must(t, os.RemoveAll(dir))
	for range 2 {
		body, err := c.Open(t.Context(), "k", 10, 500)
		must(t, err)
		if got, err := storetest.ReadRange(body.Range(5, 100)); err != nil ||
			!bytes.Equal(got, payload(1, 1000)[15:115]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		must(t, body.Close())
	}
	must(t, c.Close())
}

// A request that nobody waits for any more completes for the next reader, but the reader who left
// does not wait.
func TestCacheImpatience(t *testing.T) {
	t.Parallel()
	b := bucket(t)
	must(t, b.Put(t.Context(), "k", payload(1, 1000)))
	c, read := newCache(t, b, 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if body, err := c.Open(ctx, "k", 0, 1000); err == nil {
		must(t, body.Close())
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got, err := read("k", 0, 1000); err != nil || len(got) != 1000 {
		t.Error(len(got), err)
	}
}
