package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/memory"
	"weir/internal/store/storetest"
)

// testStore is a store whose calls a test can see and make fail. Its numbers are 1, 2, 3 and so on.
type testStore struct {
	*memory.Store
	onAppend func(rec *store.Record) error // called before a record is taken, without the lock
	onNumber func(n store.Number) error    // the same for NextNumber

	mu        sync.Mutex // guards what follows
	last      store.Number
	replaced  []store.Number
	lookedFor int // calls of List by producer timestamp
}

func newStore() *testStore { return newStoreOf(testStream()) }

func newStoreOf(stream *store.Stream) *testStore {
	return &testStore{Store: memory.New(func() time.Time { return testNow }, *stream)}
}

// otherProcess is a testStore as another process uses it: its calls do not count, and its numbers
// are different.
type otherProcess struct{ *memory.Store }

// appending returns a store that calls f before each append.
func appending(f func(*store.Record) error) *testStore {
	s := newStore()
	s.onAppend = f
	return s
}

func (s *testStore) NextNumber(context.Context, store.StreamID) (store.Number, error) {
	s.mu.Lock()
	s.last++
	n := s.last
	s.mu.Unlock()
	if s.onNumber != nil {
		if err := s.onNumber(n); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (s *testStore) Append(ctx context.Context, id store.StreamID,
	rec *store.Record) (store.FragmentInfo, error) {
	if s.onAppend != nil {
		if err := s.onAppend(rec); err != nil {
			return store.FragmentInfo{}, fmt.Errorf("append: %w", err)
		}
	}
	return s.Store.Append(ctx, id, rec)
}

func (s *testStore) Replace(ctx context.Context, id store.StreamID, old store.Number,
	rec *store.Record) (store.FragmentInfo, error) {
	s.mu.Lock()
	s.replaced = append(s.replaced, old)
	s.mu.Unlock()
	return s.Store.Replace(ctx, id, old, rec)
}

func (s *testStore) List(ctx context.Context, id store.StreamID,
	q store.Query) ([]store.FragmentInfo, error) {
	if q.Range != nil && q.Range.Clock == store.ProducerTimestamp {
		s.mu.Lock()
		s.lookedFor++
		s.mu.Unlock()
	}
	return s.Store.List(ctx, id, q)
}

// all returns what is stored in the test's stream, in commit order.
func (s *testStore) all() (list []*store.Record) {
	ctx, id := context.Background(), testStream().ID
	found, err := s.Store.List(ctx, id, store.Query{Order: store.BySequence})
	if err != nil {
		panic(err)
	}
	for _, f := range found {
		m, err := s.Open(ctx, id, f)
		if err != nil {
			panic(err)
		}
		rec := &store.Record{Fragment: *m.Fragment(), Number: f.Number}
		if rec.Payload, err = storetest.ReadPayload(ctx, s, id, f); err != nil {
			panic(err)
		}
		list = append(list, rec)
	}
	return list
}

// ackLog keeps acknowledgements, one string each: kind, timecode, number, error id.
type ackLog struct {
	mu   sync.Mutex
	list []string
	got  chan string // when not nil, each is also sent here
}

func (l *ackLog) WriteAck(b []byte) error {
	var a struct {
		EventType        string
		FragmentTimecode *int64
		FragmentNumber   string
		ErrorId          int
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	text := a.EventType
	if a.FragmentTimecode != nil {
		n, err := testStream().ParseNumber(a.FragmentNumber)
		if err != nil {
			return err
		}
		text += fmt.Sprintf(" %d #%d", *a.FragmentTimecode, n)
	}
	if a.ErrorId != 0 {
		text += fmt.Sprintf(" %d", a.ErrorId)
	}
	l.mu.Lock()
	l.list = append(l.list, text)
	l.mu.Unlock()
	if l.got != nil {
		l.got <- text
	}
	return nil
}

func (l *ackLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// only returns the acknowledgements of a kind.
func (l *ackLog) only(kind string) []string {
	return slices.DeleteFunc(l.all(), func(s string) bool { return !strings.HasPrefix(s, kind) })
}

func testStream() *store.Stream {
	return &store.Stream{ID: "0123456789abcdef0123456789abcdef", Name: "demo", RetentionHours: 2,
		NumberTag: 99}
}

var testNow = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)

// epoch is a producer timestamp that is not in the future.
var epoch = testNow.UnixMilli() - 60_000

func options(s Store, kind api.TimecodeType) Options {
	return Options{Stream: *testStream(), Store: s, TimecodeType: kind, Clock: func() time.Time {
		return testNow
	}}
}

func absolute(s Store) Options { return options(s, api.TimecodeAbsolute) }

func relative(s Store, start int64) Options {
	o := options(s, api.TimecodeRelative)
	o.ProducerStart = start
	return o
}

// run runs a connection to its end.
func run(t testing.TB, o Options, body io.Reader) ([]string, error) {
	t.Helper()
	var log ackLog
	o.Memory = cmpOr(o.Memory, NewMemory(0))
	o.Numbers = cmpOr(o.Numbers, NewNumbers())
	err := New(o).Run(context.Background(), body, &log)
	if used := o.Memory.Used(); used != 0 {
		t.Errorf("%d bytes of memory are still taken after the connection", used)
	}
	if len(o.Numbers.streams) > 0 {
		t.Error("a number is still in flight after the connection")
	}
	return log.all(), err
}

func cmpOr[T comparable](a, b T) T {
	var zero T
	if a == zero {
		return b
	}
	return a
}

// lost is a body that breaks off, with the error of net/http.
func lost(b []byte) io.Reader { return failed(b, io.ErrUnexpectedEOF) }

// failed is a body that ends with an error.
func failed(b []byte, err error) io.Reader {
	return io.MultiReader(bytes.NewReader(b), failing{err})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// document builds a body.
type builder struct {
	bytes.Buffer
	t testing.TB
	w *mkv.Writer
}

var (
	videoTrack = media.Track{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
		Name: "kinesis_video"}
	audioTrack = media.Track{
		Number: 2, Kind: media.Audio, CodecID: media.CodecAAC, CodecPrivate: []byte{0x12, 0x10},
		SampleRate: 44100, Channels: 2, Name: "audio",
	}
)

const sdk = "Kinesis Video SDK 1.1.0"

func build(t testing.TB) *builder {
	b := &builder{t: t}
	b.w = mkv.NewWriter(&b.Buffer)
	return b
}

func (b *builder) check(err error) *builder {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	return b
}

// header begins a document of the given application.
func (b *builder) header(app string, tracks ...media.Track) *builder {
	b.t.Helper()
	if len(tracks) == 0 {
		tracks = []media.Track{videoTrack}
	}
	return b.check(b.w.WriteHeader(
		mkv.Header{Tracks: tracks, SegmentUID: []byte("0123456789abcdef"), MuxingApp: app,
			WritingApp: app}))
}

func (b *builder) cluster(timecode int64) *builder {
	b.t.Helper()
	return b.check(b.w.WriteCluster(timecode))
}

func (b *builder) frame(track int, timecode int64, data string) *builder {
	b.t.Helper()
	return b.check(b.w.WriteFrame(track, timecode, true, []byte(data)))
}

func (b *builder) tag(name, value string) *builder {
	b.t.Helper()
	return b.check(b.w.WriteTags([]media.Tag{{Name: name, Value: value}}))
}

func (b *builder) end() *builder { return b.tag(endOfFragment, "") }

// gop writes a cluster of frames of 40 ms.
func (b *builder) gop(timecode int64, frames int) *builder {
	b.cluster(timecode)
	for i := range frames {
		b.frame(1, timecode+int64(40*i), payload(timecode, i))
	}
	return b
}

func payload(timecode int64, frame int) string {
	return fmt.Sprintf("frame %d of %d", frame, timecode)
}

func (b *builder) reader() io.Reader { return bytes.NewReader(b.Bytes()) }

// element makes an EBML element of known size.
func element(id uint32, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	var out []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if c := byte(id >> shift); c != 0 || len(out) > 0 {
			out = append(out, c)
		}
	}
	out = binary.BigEndian.AppendUint32(out, 0x10000000|uint32(len(body)))
	return append(out, body...)
}

func simpleBlock(track byte, rel int16, key bool, data string) []byte {
	b := []byte{0x80 | track, byte(uint16(rel) >> 8), byte(rel), 0}
	if key {
		b[3] = 0x80
	}
	return element(0xA3, b, []byte(data))
}

func knownCluster(timecode int64, parts ...[]byte) []byte {
	return element(0x1F43B675,
		append([][]byte{element(0xE7, binary.BigEndian.AppendUint64(nil, uint64(timecode)))},
			parts...)...)
}

// wantAcks compares acknowledgements, in order of each kind and of each fragment; kinds of
// different fragments may interleave.
func wantAcks(t testing.TB, got []string, want ...string) {
	t.Helper()
	for _, split := range []func(string) string{
		func(s string) string { return strings.Fields(s)[0] },
		func(s string) string {
			if f := strings.Fields(s); len(f) > 2 {
				return f[1]
			}
			return "-"
		},
	} {
		group := func(list []string) string {
			m := map[string][]string{}
			for _, s := range list {
				m[split(s)] = append(m[split(s)], s)
			}
			return fmt.Sprint(m)
		}
		if group(got) != group(want) {
			t.Fatalf("acknowledgements\n  got  %q\n  want %q", got, want)
		}
	}
}

// wantRecords compares stored fragments in the form "timecode*: track 1 frames|track 2 frames", *
// when partial.
func wantRecords(t testing.TB, s *testStore, want ...string) {
	t.Helper()
	var got []string
	for _, r := range s.all() {
		got = append(got, describe(r))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("stored\n  got  %q\n  want %q", got, want)
	}
}

func describe(r *store.Record) string {
	text := fmt.Sprint(r.Timecode)
	if r.Partial {
		text += "*"
	}
	for i := range r.Runs {
		text += fmt.Sprintf(" %d:", r.Runs[i].Track)
		at := 0
		for k, f := range r.Runs[i].Frames {
			if k > 0 {
				text += ","
			}
			text += string(r.Payload[i][at : at+int(f.Size)])
			at += int(f.Size)
		}
	}
	return text
}

// fakeConn is a connection over an io.Pipe: a read deadline in the past breaks the pipe, as it
// breaks a read of a socket. Deadlines are on the connection's clock, so one that is not after past
// counts as past.
type fakeConn struct {
	r         *io.PipeReader
	past      time.Time
	mu        sync.Mutex
	deadlines []time.Time
	onWrite   func()
}

func (c *fakeConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadlines = append(c.deadlines, t)
	if !t.After(c.past) {
		c.r.CloseWithError(os.ErrDeadlineExceeded)
	}
	return nil
}

func (c *fakeConn) SetWriteDeadline(t time.Time) error {
	if c.onWrite != nil && !t.IsZero() {
		c.onWrite()
	}
	return nil
}
