package still

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/media"
)

var imageTracks = []media.Track{{Number: 1, Kind: media.Video, CodecID: "V_MJPEG"}}

// shelf is a cache over a clock of the test.
type shelf struct {
	*testing.T
	*Cache
	dir string
	now time.Time
}

func newShelf(t *testing.T, most int64) *shelf {
	s := &shelf{T: t, dir: t.TempDir(), now: time.Now()}
	s.open(most)
	return s
}

func (s *shelf) open(most int64) {
	s.Helper()
	c, err := OpenCache(s.dir, most, time.Hour, func() time.Time { return s.now })
	must(s.T, err)
	s.Cache = c
}

func (s *shelf) put(stream, name, content string) {
	s.Helper()
	album := s.Album(stream)
	defer album.Close()
	image, err := album.Put(MakeKey([]byte(name)), []byte(content))
	must(s.T, err)
	image.Release()
}

// get returns an image, or "" if there is none.
func (s *shelf) get(stream, name string) string {
	s.Helper()
	image := s.hold(stream, name)
	if image == nil {
		return ""
	}
	defer image.Release()
	return s.read(image)
}

func (s *shelf) hold(stream, name string) *Image {
	album := s.Album(stream)
	defer album.Close()
	return album.Get(MakeKey([]byte(name)))
}

func (s *shelf) read(image *Image) string {
	s.Helper()
	r, err := image.Open()
	must(s.T, err)
	defer r.Close()
	data, err := io.ReadAll(r)
	must(s.T, err)
	if int64(len(data)) != image.Size() {
		s.Errorf("%d bytes of %d", len(data), image.Size())
	}
	return string(data)
}

func (s *shelf) files() (n int) {
	must(s.T, filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func TestCacheKeeps(t *testing.T) {
	s := newShelf(t, 1<<20)
	s.put("s1", "a", "image a")
	s.put("s2", "a", "other")
	for range 2 {
		if a, b, c := s.get("s1", "a"), s.get("s2", "a"), s.get("s1", "c"); a != "image a" ||
			b != "other" || c != "" {
			t.Errorf("%q %q %q", a, b, c)
		}
		s.open(1 << 20)
	}
	must(t, s.Forget("s1"))
	if a, b := s.get("s1", "a"), s.get("s2", "a"); a != "" || b != "other" || s.files() != 1 {
		t.Errorf("%q %q and %d files when one stream is forgotten", a, b, s.files())
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := newShelf(t, 4*(cacheBlock+1000))
	content := strings.Repeat("x", 1000)
	for _, name := range []string{"a", "b", "c", "d"} {
		s.put("s", name, content)
	}
	s.get("s", "a")
	held := s.hold("s", "b")
	s.put("s", "e", content)
	s.put("s", "f", content)
	if s.get("s", "c") != "" || s.get("s", "d") != "" || s.get("s", "a") == "" || s.files() != 4 {
		t.Errorf("not the least recently used went; %d files", s.files())
	}
	for _, name := range []string{"g", "h", "i", "j", "k"} {
		s.put("s", name, content)
	}
	if s.read(held) != content {
		t.Error("what is held went")
	}
	held.Release()
	s.open(1000)
	if s.files() != 0 {
		t.Errorf("%d files stay when there is no room", s.files())
	}
}

// An image that was made twice at once stays while either caller holds it.
func TestImageMadeTwice(t *testing.T) {
	s := newShelf(t, 1) // room for none
	album := s.Album("s")
	defer album.Close()
	key := MakeKey([]byte("a"))
	one, err := album.Put(key, []byte("image"))
	must(t, err)
	two, err := album.Put(key, []byte("image"))
	must(t, err)
	two.Release()
	if got := s.read(one); got != "image" {
		t.Errorf("it is %q", got)
	}
	one.Release()
	if s.files() != 0 {
		t.Errorf("%d files stay", s.files())
	}
}

func TestCacheForgetsWithTime(t *testing.T) {
	s := newShelf(t, 1<<20)
	s.put("s", "a", "a")
	s.now = s.now.Add(59 * time.Minute)
	s.put("s", "b", "b")
	if s.get("s", "a") != "a" {
		t.Error("it went too early")
	}
	s.now = s.now.Add(2 * time.Minute)
	s.Sweep()
	if s.get("s", "a") != "" || s.get("s", "b") != "b" || s.files() != 1 {
		t.Errorf("%d files after an hour", s.files())
	}
}

// A file that differs from what was written counts as absent.
func TestTornImages(t *testing.T) {
	for name, tear := range map[string]func(data []byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"head only":   func(d []byte) []byte { return d[:cacheHead] },
		"cut":         func(d []byte) []byte { return d[:len(d)-1] },
		"longer":      func(d []byte) []byte { return append(d, 0) },
		"zeros":       func(d []byte) []byte { return make([]byte, len(d)) },
		"another bit": func(d []byte) []byte { d[cacheHead] ^= 1; return d },
	} {
		s := newShelf(t, 1<<20)
		s.put("s", "a", "image a")
		must(t, os.WriteFile(filepath.Join(s.dir, "s", "123.new"), []byte("x"), 0o600))
		key := MakeKey([]byte("a"))
		path := filepath.Join(s.dir, "s", hex.EncodeToString(key[:])+cacheSuffix)
		data, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, tear(bytes.Clone(data)), 0o600))
		if got := s.get("s", "a"); got != "" {
			t.Errorf("%s: %q", name, got)
		}
		must(t, os.WriteFile(path, tear(bytes.Clone(data)), 0o600))
		s.open(1 << 20)
		if got := s.get("s", "a"); got != "" || s.files() != 0 {
			t.Errorf("%s: %q and %d files after a restart", name, got, s.files())
		}
		s.put("s", "a", "again")
		if got := s.get("s", "a"); got != "again" {
			t.Errorf("%s: %q when it is made again", name, got)
		}
	}
}

// When a stream is deleted, neither an image that is being made nor one that is held is kept.
func TestImagesOfADeletedStream(t *testing.T) {
	s := newShelf(t, 1<<20)
	s.put("s", "a", "image a")
	album := s.Album("s")
	held := album.Get(MakeKey([]byte("a")))
	must(t, s.Forget("s"))
	if _, err := album.Put(MakeKey([]byte("b")), []byte("image b")); !errors.Is(err, ErrForgotten) {
		t.Errorf("an image is kept of a deleted stream: %v", err)
	}
	if _, err := held.Open(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an image of a deleted stream is read: %v", err)
	}
	held.Release()
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 0 || s.bytes != 0 || s.idle.Len() != 0 {
		t.Errorf("%v stays, %d bytes, %d images, %v", left, s.bytes, s.idle.Len(), err)
	}
	s.put("s", "b", "image c")
	album.Close()
	if got := s.get("s", "b"); got != "image c" || s.get("s", "a") != "" {
		t.Errorf("%q of the new stream", got)
	}
}

// A stream without images leaves neither a directory nor an album.
func TestEmptyAlbumsGo(t *testing.T) {
	s := newShelf(t, cacheBlock+100)
	for i := range 10 {
		s.put(fmt.Sprint(i), "a", "image")
	}
	if dirs, err := os.ReadDir(s.dir); err != nil || len(dirs) != 1 || len(s.Streams()) != 1 {
		t.Errorf("%v and albums of %v, %v", dirs, s.Streams(), err)
	}
}

// BenchmarkCache gets and puts an image in a cache with 20,000 others.
func BenchmarkCache(b *testing.B) {
	c, err := OpenCache(b.TempDir(), 20_000*(cacheBlock+5), time.Hour, nil)
	if err != nil {
		b.Fatal(err)
	}
	album, n := c.Album("s"), 0
	use := func() {
		n++
		image, err := album.Put(MakeKey(fmt.Append(nil, n)), []byte("image"))
		if err != nil {
			b.Fatal(err)
		}
		image.Release()
	}
	for range 20_000 {
		use()
	}
	for b.Loop() {
		use()
		album.Get(MakeKey(fmt.Append(nil, n))).Release()
	}
}
