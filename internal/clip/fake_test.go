package clip

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/memory"
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

// fakeStore is the reference store with one stream. Single fragments can be removed or damaged, and
// it counts what is opened.
type fakeStore struct {
	*memory.Store
	stream   store.Stream
	payloads map[store.Number][][]byte // what was stored
	hours    atomic.Int64              // since the first fragment

	mu      sync.Mutex
	faults  map[store.Number]error // ErrCorrupt: of its payload; ErrGone: deleted
	opens   int
	listed  int                // fragments
	opening func(store.Number) // called by Open; may be nil
}

func newFake(t testing.TB) *fakeStore {
	t.Helper()
	f := &fakeStore{payloads: map[store.Number][][]byte{}, faults: map[store.Number]error{}}
	f.hours.Store(20)
	f.Store = memory.New(f.clock)
	var err error
	f.stream, err = f.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakeStore) clock() time.Time {
	return time.UnixMilli(base).Add(time.Duration(f.hours.Load()) * time.Hour)
}

func (f *fakeStore) fault(n store.Number) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.faults[n]
}

func (f *fakeStore) setFault(n store.Number, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[n] = err
}

// gone removes a fragment, as retention does.
func (f *fakeStore) gone(n store.Number) { f.setFault(n, store.ErrGone) }

func (f *fakeStore) List(ctx context.Context, id store.StreamID, q store.Query) (
	[]store.FragmentInfo, error) {
	limit := q.Limit
	q.Limit = 0
	out, err := f.Store.List(ctx, id, q)
	f.mu.Lock()
	defer f.mu.Unlock()
	out = slices.DeleteFunc(out, func(i store.FragmentInfo) bool {
		return errors.Is(f.faults[i.Number], store.ErrGone)
	})
	if limit > 0 {
		out = out[:min(limit, len(out))]
	}
	f.listed += len(out)
	return out, err
}

func (f *fakeStore) Fragment(ctx context.Context, id store.StreamID, n store.Number) (
	store.FragmentInfo, error) {
	if errors.Is(f.fault(n), store.ErrGone) {
		return store.FragmentInfo{}, store.ErrNotFound
	}
	return f.Store.Fragment(ctx, id, n)
}

func (f *fakeStore) Open(ctx context.Context, id store.StreamID, info store.FragmentInfo) (
	store.Media, error) {
	if f.opening != nil {
		f.opening(info.Number)
	}
	f.mu.Lock()
	f.opens++
	f.mu.Unlock()
	err := f.fault(info.Number)
	if errors.Is(err, store.ErrGone) {
		return nil, err
	}
	m, openErr := f.Store.Open(ctx, id, info)
	return fakeMedia{m, err}, openErr
}

type fakeMedia struct {
	store.Media
	err error
}

func (m fakeMedia) Payload(run int) (store.Range, error) {
	if m.err != nil {
		return nil, m.err
	}
	return m.Media.Payload(run)
}

// record makes a fragment that begins at a time in milliseconds on both clocks. The bytes of its
// frames show number, run and place.
func (f *fakeStore) record(at int64, runs []media.Run, tracks ...media.Track) *store.Record {
	n := store.Number(len(f.payloads)+1) << 16
	rec := &store.Record{Number: n, Fragment: media.Fragment{ProducerTimestamp: at,
		ServerTimestamp: at, Tracks: tracks, Runs: runs}}
	for i := range runs {
		b := make([]byte, runs[i].Size())
		for k := range b {
			b[k] = byte(int(n>>16)*31 + i*101 + k*7)
		}
		rec.Payload = append(rec.Payload, b)
	}
	f.payloads[n] = rec.Payload
	return rec
}

// add stores a fragment with the next number.
func (f *fakeStore) add(t testing.TB, at int64, runs []media.Run,
	tracks ...media.Track) store.Number {
	t.Helper()
	rec := f.record(at, runs, tracks...)
	if _, err := f.Append(t.Context(), f.stream.ID, rec); err != nil {
		t.Fatal(err)
	}
	return rec.Number
}

// second makes a run of 25 pictures that begins at a time in milliseconds.
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

// fill stores n fragments of a second each, the first one base milliseconds after 1970.
func (f *fakeStore) fill(t testing.TB, n int) {
	t.Helper()
	for i := range int64(n) {
		at := base + i*1000
		f.add(t, at, []media.Run{second(at), sound(at)}, videoTrack(), audioTrack())
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

// all is the request for everything.
var all = Request{Selector: store.ProducerTimestamp, Start: base - 1000, End: base + 20*3600_000}

func open(t testing.TB, s *Service, r Request) *Clip {
	t.Helper()
	stream, err := s.store.(*fakeStore).Stream(t.Context(), "cam")
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
