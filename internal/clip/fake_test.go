package clip

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/store"
)

// Codec private data as encoders wrote it.
const (
	avcC = "0164001effe1001c6764001eacd940b424dff80200016880000003008000" +
		"00190f8a14cb01000668fba3cb22c0fdf8f800"
	asc = "121056e500"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func videoTrack() media.Track {
	return media.Track{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
		CodecPrivate: unhex(avcC), Timescale: media.VideoTimescale}
}

func audioTrack() media.Track {
	return media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC,
		CodecPrivate: unhex(asc), Timescale: 44100}
}

// fakeStore is a store of one stream in memory.
type fakeStore struct {
	mu        sync.Mutex
	stream    store.Stream
	deleted   bool
	sets      [][]media.Track // from number 1 on
	fragments []store.FragmentInfo
	records   map[store.Number]*fakeMedia
	opens     int
	opened    func(store.Number) // called by Open
}

type fakeMedia struct {
	fragment media.Fragment
	payload  [][]byte
	damaged  bool
}

func (m *fakeMedia) Fragment() *media.Fragment { return &m.fragment }
func (m *fakeMedia) Close() error              { return nil }

func (m *fakeMedia) Payload(run int) (store.Range, error) {
	if m.damaged {
		return nil, store.ErrCorrupt
	}
	return store.Bytes(m.payload[run]), nil
}

func newFake() *fakeStore {
	return &fakeStore{
		stream: store.Stream{ID: "00112233445566778899aabbccddeeff", Name: "cam",
			RetentionHours: 24},
		records: map[store.Number]*fakeMedia{},
	}
}

func (f *fakeStore) StreamByID(_ context.Context, id store.StreamID) (store.Stream, error) {
	if f.deleted || id != f.stream.ID {
		return store.Stream{}, store.ErrNotFound
	}
	return f.stream, nil
}

func (f *fakeStore) List(_ context.Context, _ store.StreamID, q store.Query) ([]store.FragmentInfo,
	error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deleted {
		return nil, store.ErrNotFound
	}
	var out []store.FragmentInfo
	for i := range f.fragments {
		if q.Selects(&f.fragments[i]) && (q.Limit == 0 || len(out) < q.Limit) {
			out = append(out, f.fragments[i])
		}
	}
	return out, nil
}

func (f *fakeStore) Fragment(_ context.Context, _ store.StreamID, n store.Number) (
	store.FragmentInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.fragments {
		if f.fragments[i].Number == n {
			return f.fragments[i], nil
		}
	}
	return store.FragmentInfo{}, store.ErrNotFound
}

func (f *fakeStore) TrackSet(
	_ context.Context, _ store.StreamID, set int64,
) ([]media.Track, error) {
	return f.sets[set-1], nil
}

func (f *fakeStore) Open(_ context.Context, _ store.StreamID, info store.FragmentInfo) (store.Media,
	error) {
	if f.opened != nil {
		f.opened(info.Number)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens++
	m := f.records[info.Number]
	if m == nil {
		return nil, store.ErrGone
	}
	return m, nil
}

// gone takes a fragment away, as retention does.
func (f *fakeStore) gone(n store.Number) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.records, n)
	f.fragments = slices.DeleteFunc(f.fragments,
		func(i store.FragmentInfo) bool { return i.Number == n })
}

// set returns the number of a set of tracks.
func (f *fakeStore) set(tracks ...media.Track) int64 {
	for i, s := range f.sets {
		if slices.EqualFunc(s, tracks, func(a, b media.Track) bool {
			return a.Number == b.Number && a.CodecID == b.CodecID &&
				bytes.Equal(a.CodecPrivate, b.CodecPrivate)
		}) {
			return int64(i + 1)
		}
	}
	f.sets = append(f.sets, tracks)
	return int64(len(f.sets))
}

// add stores a fragment with the next number at a time in milliseconds by both clocks. The bytes of
// its frames tell number, run and place.
func (f *fakeStore) add(at int64, runs []media.Run, tracks ...media.Track) store.Number {
	n := store.Number(len(f.records)+1) << 16
	m := &fakeMedia{fragment: media.Fragment{ProducerTimestamp: at, ServerTimestamp: at,
		Tracks: tracks, Runs: runs}}
	for i := range runs {
		b := make([]byte, runs[i].Size())
		for k := range b {
			b[k] = byte(int(n>>16)*31 + i*101 + k*7)
		}
		m.payload = append(m.payload, b)
	}
	info := store.FragmentInfo{Number: n, Sequence: int64(n >> 16), ProducerTimestamp: at,
		ServerTimestamp: at, TrackSet: f.set(tracks...), Spans: store.SpansOf(&m.fragment)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records[n] = m
	f.fragments = append(f.fragments, info)
	return n
}

// second is a run of 25 pictures that begins at a time in milliseconds.
func second(at int64) media.Run {
	r := media.Run{Track: 1, BaseDecodeTime: at * 90}
	for i := range 25 {
		r.Frames = append(r.Frames, media.Frame{Duration: 3600, Size: uint32(20 + i), Key: i == 0})
	}
	return r
}

func sound(at int64) media.Run {
	r := media.Run{Track: 2, BaseDecodeTime: at * 441 / 10}
	for i := range 43 {
		r.Frames = append(r.Frames, media.Frame{Duration: 1024, Size: uint32(5 + i), Key: true})
	}
	return r
}

// fill stores so many fragments of a second each, the first one base milliseconds after 1970.
func (f *fakeStore) fill(n int) {
	for i := range int64(n) {
		at := base + i*1000
		f.add(at, []media.Run{second(at), sound(at)}, videoTrack(), audioTrack())
	}
}

const base = 1_790_000_000_000

func newService(t testing.TB, f Store, change ...func(*Options)) *Service {
	t.Helper()
	keys, err := auth.LoadOrCreateTokenKeys(t.TempDir() + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.UnixMilli(base).Add(20 * time.Hour) }
	keys.Clock = now
	o := Options{Store: f, Tokens: keys, Dir: t.TempDir(), CacheBytes: 64 << 20, Clock: now}
	for _, c := range change {
		c(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// all is the request of everything.
var all = Request{Selector: store.ProducerTimestamp, Start: base - 1000, End: base + 20*3600_000}

func open(t testing.TB, s *Service, r Request) *Clip {
	t.Helper()
	stream, err := s.store.StreamByID(t.Context(), "00112233445566778899aabbccddeeff")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Open(t.Context(), stream, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func read(t testing.TB, c *Clip, from, n int64) ([]byte, error) {
	t.Helper()
	var b bytes.Buffer
	err := c.WriteRange(t.Context(), &b, from, n)
	return b.Bytes(), err
}
