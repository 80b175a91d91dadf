package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/store"
)

// fails checks the code of an error, and that its message has the text.
func fails(t *testing.T, err error, code api.ErrorCode, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

func fakeFails(t *testing.T, f *fakeStore, r Request, code api.ErrorCode, text string) {
	t.Helper()
	_, err := newService(t, f).Open(t.Context(), f.stream, r)
	fails(t, err, code, text)
}

// Every range of a clip is a slice of the whole, wherever its header is.
func TestRangesAreSlices(t *testing.T) {
	for name, n := range map[string]int{"memory": 20, "file": 1200} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.fill(t, n)
			c := open(t, newService(t, f), all)
			if (c.file != nil) != (name == "file") {
				t.Fatalf("a header of %d bytes, in a file: %v", c.size, c.file != nil)
			}
			whole, err := read(t, c, 0, c.Size())
			if err != nil || int64(len(whole)) != c.Size() {
				t.Fatalf("%d bytes of %d, %v", len(whole), c.Size(), err)
			}
			var media []byte
			for i := range store.Number(n) {
				p := f.payloads[(i+1)<<16]
				media = append(append(media, p[0]...), p[1]...)
			}
			if !bytes.HasSuffix(whole, media) {
				t.Error("the clip does not end in what is stored")
			}
			rng := rand.New(rand.NewPCG(1, uint64(n)))
			for range 200 {
				from := rng.Int64N(c.Size())
				k := min(rng.Int64N(3000), c.Size()-from)
				if got, err := read(t, c, from, k); err != nil ||
					!bytes.Equal(got, whole[from:from+k]) {
					t.Fatalf("%d bytes from %d on: %d, %v", k, from, len(got), err)
				}
			}
		})
	}
}

// Blocks of one picture are one sample, and what belongs to a picture of the next fragment is not
// in the clip, as it is not in HLS.
func TestClipHasAccessUnits(t *testing.T) {
	f := newFake(t)
	r := second(base)
	r.Frames[3] = media.Frame{Size: 9, Marks: media.Joined}
	r.Frames[24] = media.Frame{Size: 11, Marks: media.Bare}
	n := f.add(t, base, []media.Run{r, sound(base)}, videoTrack(), audioTrack())
	c := open(t, newService(t, f), all)
	whole, err := read(t, c, 0, c.Size())
	if err != nil {
		t.Fatal(err)
	}
	p := f.payloads[n]
	if !bytes.HasSuffix(whole, append(p[0][:len(p[0])-11:len(p[0])-11], p[1]...)) {
		t.Error("the media is not what the samples have")
	}
	at := bytes.Index(whole, []byte("stsz"))
	if n := binary.BigEndian.Uint32(whole[at+12:]); n != 23 {
		t.Errorf("%d samples, want 23", n)
	}
}

func TestTracksOfAClip(t *testing.T) {
	f := newFake(t)
	f.add(t, base, []media.Run{second(base)}, videoTrack()) // sound comes later
	f.add(t, base+1000, []media.Run{second(base + 1000), sound(base + 1000)}, videoTrack(),
		audioTrack())
	text := media.Run{Track: 3, BaseDecodeTime: 1, Frames: []media.Frame{{Size: 5}}}
	f.add(t, base+2000, []media.Run{text},
		media.Track{Number: 3, Kind: 17, CodecID: "S_TEXT/UTF8", Timescale: 1000})
	c := open(t, newService(t, f), all)
	if c.rows != 2 || len(c.kinds) != 2 {
		t.Errorf("%d fragments, kinds %v", c.rows, c.kinds)
	}

	other := videoTrack()
	other.CodecPrivate = bytes.Clone(other.CodecPrivate)
	other.CodecPrivate[3]++
	last := f.add(t, base+3000, []media.Run{second(base + 3000)}, other)
	fakeFails(t, f, all, api.InvalidCodecPrivateDataException,
		"changes at 2026-09-21T14:13:23.000Z")
	hevc := videoTrack()
	hevc.CodecID = media.CodecHEVC
	f.gone(last)
	f.add(t, base+3000, []media.Run{second(base + 3000)}, hevc)
	fakeFails(t, f, all, api.UnsupportedStreamMediaTypeException, "to V_MPEGH/ISO/HEVC at")
	for codec, want := range map[string]api.ErrorCode{
		media.CodecAVC: api.MissingCodecPrivateDataException,
		"V_VP8":        api.UnsupportedStreamMediaTypeException} {
		f := newFake(t)
		f.add(t, base, []media.Run{second(base)}, media.Track{Number: 1, Kind: media.Video,
			CodecID: codec, Timescale: 90000})
		fakeFails(t, f, all, want, "track 1")
	}
}

func TestSelection(t *testing.T) {
	f := newFake(t)
	f.fill(t, 10)
	again := f.add(t, base+4000, []media.Run{second(base + 4000)}, videoTrack(), audioTrack())
	numbers := func(r Request, change ...func(*Options)) (out []int64) {
		c := open(t, newService(t, f, change...), r)
		for i := range c.rows {
			n, _, err := c.row(i)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, int64(n>>16))
		}
		return out
	}
	same := func(what string, got []int64, want ...int64) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
			return
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	}
	r := Request{Selector: store.ProducerTimestamp, Start: base + 2000, End: base + 5000}
	same("both ends", numbers(r), 3, 4, int64(again>>16), 6)
	r.Selector = store.ServerTimestamp
	same("by the server's clock", numbers(r), 3, 4, 5, 6, int64(again>>16))
	r.Start, r.Exact = base+2001, true
	same("exact", numbers(r)[:2], 3, 4)
	limit := func(l Limits) func(*Options) { return func(o *Options) { o.Limits = l } }
	same("fragments", numbers(all, limit(Limits{Fragments: 3})), 1, 2, 3)
	size := int64(len(f.payloads[1<<16][0]) + len(f.payloads[1<<16][1]))
	same("bytes", numbers(all, limit(Limits{Bytes: 2*size + 1})), 1, 2)
	same("bytes of less than one", numbers(all, limit(Limits{Bytes: 1})), 1)

	for _, c := range []struct {
		r    Request
		code api.ErrorCode
		text string
	}{
		{Request{Start: base, End: base + 21*3600_000}, api.InvalidArgumentException, "future"},
		{Request{Start: base - 5*3600_000, End: base}, api.InvalidArgumentException, "retention"},
		{Request{Start: base + 3600_000, End: base + 3700_000}, api.ResourceNotFoundException,
			"No fragments found in the stream for the clip request."},
	} {
		fakeFails(t, f, c.r, c.code, c.text)
	}
	f.stream.RetentionHours = 0
	fakeFails(t, f, all, api.NoDataRetentionException, "")
}

// If a fragment is deleted or found damaged while a clip is sent, the answer ends early. A fragment
// that is deleted before is not in the clip.
func TestWhatGoesOnTheWay(t *testing.T) {
	f := newFake(t)
	f.fill(t, 5)
	var log bytes.Buffer
	s := newService(t, f, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	c := open(t, s, all)
	whole, err := read(t, c, 0, c.Size())
	if err != nil {
		t.Fatal(err)
	}
	f.setFault(4<<16, store.ErrCorrupt)
	if got, err := read(t, c, 0, c.Size()); !errors.Is(err, store.ErrCorrupt) ||
		!bytes.HasPrefix(whole, got) || len(got) == len(whole) {
		t.Errorf("a damaged fragment: %d bytes of %d, %v", len(got), len(whole), err)
	}
	if !strings.Contains(log.String(), "number=262144") {
		t.Errorf("the log says %s", &log)
	}
	f.gone(3 << 16)
	if got, err := read(t, c, 0, c.Size()); !errors.Is(err, store.ErrNotFound) ||
		!bytes.HasPrefix(whole, got) || len(got) == len(whole) {
		t.Errorf("a fragment that went: %d bytes of %d, %v", len(got), len(whole), err)
	}

	once := true
	f.opening = func(n store.Number) {
		if once && n == 2<<16 {
			once = false
			f.gone(n)
		}
	}
	c = open(t, newService(t, f), all)
	if c.rows != 3 {
		t.Errorf("%d fragments of the three that are left", c.rows)
	}
}

func TestLinks(t *testing.T) {
	f := newFake(t)
	f.fill(t, 1200)
	s := newService(t, f)
	r := all
	r.KeepGaps = true
	token, err := s.Link(t.Context(), f.stream, r, time.Hour)
	if err != nil || len(token) > 200 {
		t.Fatalf("token %q, %v", token, err)
	}
	want := open(t, s, r).ETag()
	f.fill(t, 2) // comes later: not in it
	opens := f.opens
	c, err := s.OpenLink(t.Context(), token)
	if err != nil || c.ETag() != want || f.opens != opens {
		t.Fatalf("%v, fragments were opened: %v", err, f.opens != opens)
	}
	c.Close()
	// After a restart the clip is made again.
	fresh := newService(t, f, func(o *Options) { o.Tokens = s.tokens })
	if c, err = fresh.OpenLink(t.Context(), token); err != nil || c.ETag() != want {
		t.Fatal(err)
	}
	c.Close()
	f.gone(1 << 16)
	if c, err = fresh.OpenLink(t.Context(), token); err != nil { // what is left of it
		t.Fatal(err)
	}
	if _, err := read(t, c, c.Size()-100, 100); err != nil {
		t.Error(err)
	}
	if _, err := read(t, c, c.size, 1); err == nil {
		t.Error("a fragment past retention was sent")
	}
	c.Close()
	_, err = newService(t, f, func(o *Options) { o.Tokens = s.tokens }).OpenLink(t.Context(), token)
	fails(t, err, api.ResourceNotFoundException, "past the retention")
	for _, bad := range []string{"", token[:20], token + "A", "B" + token[1:]} {
		_, err := s.OpenLink(t.Context(), bad)
		fails(t, err, api.NotAuthorizedException, "invalid")
	}
	keys := s.tokens.(*auth.TokenKeys)
	now := keys.Clock
	keys.Clock = func() time.Time { return now().Add(time.Hour) }
	_, err = s.OpenLink(t.Context(), token)
	fails(t, err, api.NotAuthorizedException, api.MessageTokenExpired)
	keys.Clock = now
	if err := f.DeleteStream(t.Context(), f.stream.ID, ""); err != nil {
		t.Fatal(err)
	}
	_, err = s.OpenLink(t.Context(), token)
	fails(t, err, api.NotAuthorizedException, "deleted")
}

// Headers on disk are bounded, and a damaged one is made again.
func TestHeadersOnDisk(t *testing.T) {
	f := newFake(t)
	f.fill(t, 1200)
	dir := filepath.Join(t.TempDir(), "clips")
	files := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, filepath.Join(dir, e.Name()))
		}
		return names
	}
	use := func(o *Options) { o.Dir, o.CacheBytes = dir, 1<<20 }
	s := newService(t, f, use)
	first := open(t, s, all)
	want, err := read(t, first, 0, first.Size())
	if err != nil || len(files()) != 1 {
		t.Fatalf("%v, files %v", err, files())
	}
	opens := f.opens
	if open(t, s, all); f.opens != opens {
		t.Error("a header that is there was made again")
	}
	for name, damage := range map[string]func(string) error{
		"cut short": func(path string) error { return os.Truncate(path, 1000) },
		"removed":   os.Remove,
	} {
		if err := damage(files()[0]); err != nil {
			t.Fatal(err)
		}
		c := open(t, s, all)
		if got, err := read(t, c, 0, c.Size()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(want), err)
		}
		if len(files()) != 1 {
			t.Errorf("%s: files %v", name, files())
		}
	}
	for i := range int64(4) {
		r := all
		r.Start = base + i
		open(t, s, r)
	}
	total := int64(0)
	for _, path := range files() {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 1<<20 || len(files()) == 0 {
		t.Errorf("%d bytes in %v", total, files())
	}
	if got, err := read(t, first, 0, first.Size()); err == nil && !bytes.Equal(got, want) {
		t.Error("a clip that is open has changed")
	}
	newService(t, f, use)
	if len(files()) != 0 {
		t.Errorf("left by the process before: %v", files())
	}
	none := newService(t, f, func(o *Options) { o.Dir, o.CacheBytes = dir, 0 })
	if c := open(t, none, all); len(files()) != 0 {
		t.Errorf("without room: %v", files())
	} else if got, err := read(t, c, 0, c.Size()); err != nil || !bytes.Equal(got, want) {
		t.Error(err)
	}
}
