package playback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// fakeStore keeps everything in memory with the contract of store.Store: gap-free commit sequence,
// retention by server timestamp, replacement of partial fragments, sessions with a limit.
type fakeStore struct {
	mu       sync.Mutex
	now      time.Time
	streams  map[store.StreamID]*fakeStream
	sessions map[string]*fakeSession
	opens    int // how often a session was opened
	opened   int // media handles that are open
	failSave bool
	corrupt  map[store.Number]error // what Payload says of them
	saves    int
}

type fakeStream struct {
	store.Stream
	fragments []store.FragmentInfo // by sequence
	records   map[store.Number]*store.Record
	sequence  int64
	sets      [][]media.Track
	changed   chan struct{} // closed by a commit; nil: nobody waits
}

type fakeSession struct {
	store.Session
	order int
}

func newFakeStore(now time.Time) *fakeStore {
	return &fakeStore{now: now, streams: map[store.StreamID]*fakeStream{},
		sessions: map[string]*fakeSession{}}
}

func (f *fakeStore) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fakeStore) sleep(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fakeStore) create(name string, retentionHours int) store.Stream {
	sum := sha256.Sum256([]byte(name))
	s := store.Stream{ID: store.StreamID(hex.EncodeToString(sum[:16])), Name: name,
		RetentionHours: retentionHours,
		CreatedMillis:  f.now.UnixMilli(), NumberTag: 0x1234567890abcdef}
	f.streams[s.ID] = &fakeStream{Stream: s, records: map[store.Number]*store.Record{}}
	return s
}

func (f *fakeStore) set(id store.StreamID, tracks []media.Track) int64 {
	s := f.streams[id]
	for i := range s.sets {
		if slices.EqualFunc(s.sets[i], tracks, func(a, b media.Track) bool {
			return a.Number == b.Number && a.CodecID == b.CodecID &&
				bytes.Equal(a.CodecPrivate, b.CodecPrivate)
		}) {
			return int64(i + 1)
		}
	}
	s.sets = append(s.sets, tracks)
	return int64(len(s.sets))
}

// commit stores a fragment; old, when not 0, goes.
func (f *fakeStore) commit(id store.StreamID, info store.FragmentInfo,
	old store.Number) store.FragmentInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.streams[id]
	s.sequence++
	info.Sequence = s.sequence
	if old != 0 {
		s.fragments = slices.DeleteFunc(s.fragments, func(i store.FragmentInfo) bool {
			return i.Number == old
		})
	}
	s.fragments = append(s.fragments, info)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return info
}

func (f *fakeStore) stream(id store.StreamID) (*fakeStream, int64, error) {
	s := f.streams[id]
	if s == nil {
		return nil, 0, store.ErrNotFound
	}
	return s, f.now.Add(-time.Duration(s.RetentionHours) * time.Hour).UnixMilli(), nil
}

func (f *fakeStore) StreamByID(_ context.Context, id store.StreamID) (store.Stream, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, _, err := f.stream(id)
	if err != nil {
		return store.Stream{}, err
	}
	return s.Stream, nil
}

func (f *fakeStore) List(_ context.Context, id store.StreamID,
	q store.Query) ([]store.FragmentInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, edge, err := f.stream(id)
	if err != nil {
		return nil, err
	}
	from := 0
	if q.Order == store.BySequence { // fragments stand in this order
		from, _ = slices.BinarySearchFunc(s.fragments, q.AfterSequence+1,
			func(i store.FragmentInfo, t int64) int {
				return int(i.Sequence - t)
			})
	}
	var found []store.FragmentInfo
	for _, i := range s.fragments[from:] {
		switch {
		case i.ServerTimestamp < edge, q.Range != nil && !q.Range.Contains(&i),
			i.Sequence <= q.AfterSequence:
		case q.After != 0 && q.Order == store.ByNumberNewest && i.Number >= q.After:
		case q.After != 0 && q.Order != store.ByNumberNewest && i.Number <= q.After:
		default:
			found = append(found, i)
		}
	}
	switch q.Order {
	case store.ByNumber:
		slices.SortFunc(found, func(a, b store.FragmentInfo) int {
			return int(a.Number - b.Number)
		})
	case store.ByNumberNewest:
		slices.SortFunc(found, func(a, b store.FragmentInfo) int {
			return int(b.Number - a.Number)
		})
	}
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found, nil
}

func (f *fakeStore) Wait(ctx context.Context, id store.StreamID, after int64) (int64, error) {
	for {
		f.mu.Lock()
		s, _, err := f.stream(id)
		if err != nil {
			f.mu.Unlock()
			return 0, err
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		sequence, changed := s.sequence, s.changed
		f.mu.Unlock()
		if sequence > after {
			return sequence, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (f *fakeStore) Fragment(_ context.Context, id store.StreamID,
	n store.Number) (store.FragmentInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, edge, err := f.stream(id)
	if err != nil {
		return store.FragmentInfo{}, err
	}
	for _, i := range s.fragments {
		if i.Number == n && i.ServerTimestamp >= edge {
			return i, nil
		}
	}
	return store.FragmentInfo{}, store.ErrNotFound
}

func (f *fakeStore) TrackSet(_ context.Context, id store.StreamID,
	set int64) ([]media.Track, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, _, err := f.stream(id)
	if err != nil || set < 1 || set > int64(len(s.sets)) {
		return nil, store.ErrNotFound
	}
	return s.sets[set-1], nil
}

func (f *fakeStore) Open(_ context.Context, id store.StreamID,
	info store.FragmentInfo) (store.Media, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rec := f.streams[id].records[info.Number]
	if rec == nil {
		return nil, store.ErrGone
	}
	f.opened++
	return &fakeMedia{store: f, record: rec, corrupt: f.corrupt[info.Number]}, nil
}

type fakeMedia struct {
	store  *fakeStore
	record *store.Record

	corrupt error
}

func (m *fakeMedia) Fragment() *media.Fragment { return &m.record.Fragment }
func (m *fakeMedia) Payload(run int) (store.Range, error) {
	return store.Bytes(m.record.Payload[run]), m.corrupt
}
func (m *fakeMedia) Close() error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.opened--
	return nil
}

func (f *fakeStore) OpenSession(_ context.Context, s store.Session,
	limit int) (closed []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[s.ID] = &fakeSession{Session: s, order: f.opens}
	f.opens++
	var running []*fakeSession
	for _, o := range f.sessions {
		if o.Stream == s.Stream && o.Kind == s.Kind && o.ExpiresMillis > f.now.UnixMilli() {
			running = append(running, o)
		}
	}
	slices.SortFunc(running, func(a, b *fakeSession) int { return a.order - b.order })
	for limit > 0 && len(running) > limit {
		delete(f.sessions, running[0].ID)
		closed = append(closed, running[0].ID)
		running = running[1:]
	}
	return closed, nil
}

func (f *fakeStore) Session(_ context.Context, id string) (store.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[id]
	if s == nil || s.ExpiresMillis <= f.now.UnixMilli() {
		return store.Session{}, store.ErrNotFound
	}
	return s.Session, nil
}

func (f *fakeStore) Checkpoint(_ context.Context, id string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failSave {
		return fmt.Errorf("disk on fire")
	}
	f.saves++
	f.sessions[id].Checkpoint = slices.Clone(data)
	return nil
}

// fakeTokens writes the session ID and the expiry in hex.
type fakeTokens struct{}

func (fakeTokens) Seal(c auth.Claims) string {
	return fmt.Sprintf("T-%x_%x~", c.SessionID, c.Expires.Unix())
}

func (fakeTokens) Open(token string) (auth.Claims, error) {
	id, expires, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(token, "T-"), "~"), "_")
	raw, err := hex.DecodeString(id)
	if !ok || err != nil || len(raw) != 16 {
		return auth.Claims{}, auth.ErrTokenInvalid
	}
	var unix int64
	if _, err := fmt.Sscanf(expires, "%x", &unix); err != nil {
		return auth.Claims{}, auth.ErrTokenInvalid
	}
	return auth.Claims{SessionID: string(raw), Expires: time.Unix(unix, 0)}, nil
}

// Codec private data that the parsers accept: H.264 High, 1280x720, and AAC-LC, 44,100 Hz, stereo.
var (
	testAVCC = mustHex("0164001fffe1001a6764001facd9405005bb011000000300100000030320f18319600100" +
		"0668ebe3cb22c0")
	testASC = mustHex("1210")
)

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func videoTrack() media.Track {
	return media.Track{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
		CodecPrivate: testAVCC, Timescale: media.VideoTimescale, Width: 1280, Height: 720}
}

func audioTrack() media.Track {
	return media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC, CodecPrivate: testASC,
		Timescale: 44100, SampleRate: 44100, Channels: 2}
}

// otherVideo is the camera after a change of its settings.
func otherVideo() media.Track {
	t := videoTrack()
	t.CodecPrivate = slices.Clone(testAVCC)
	t.CodecPrivate[3] = 0x20
	return t
}

// camera makes fragments of a stream.
type camera struct {
	store  *fakeStore
	stream store.Stream
	tracks []media.Track
	clock  int64 // producer's milliseconds: where the next fragment starts
	number store.Number
	length int64 // milliseconds of a fragment

	without int // number of a track that sendMedia has no frames of
}

func newCamera(f *fakeStore, stream store.Stream, tracks ...media.Track) *camera {
	return &camera{store: f, stream: stream, tracks: tracks, clock: f.now.UnixMilli(), length: 2000}
}

func (c *camera) nextNumber() store.Number {
	c.number = max(c.number+1<<12,
		store.Number((c.store.clock().UnixMilli()-1577836800000)*1000<<12))
	return c.number
}

// info describes the fragment that starts at c.clock and lasts c.length.
func (c *camera) info(number store.Number) store.FragmentInfo {
	i := store.FragmentInfo{Number: number, ProducerTimestamp: c.clock,
		ServerTimestamp: c.store.clock().UnixMilli(),
		TrackSet:        c.store.set(c.stream.ID, c.tracks)}
	for _, t := range c.tracks {
		scale := int64(t.Timescale)
		base := timeline.Rescale(c.clock, 1000, scale)
		i.Spans = append(i.Spans,
			store.Span{Track: t.Number, BaseDecodeTime: base,
				Duration: timeline.Rescale(c.clock+c.length, 1000, scale) - base,
				Size:     c.length * 100, Frames: int(c.length / 40), KeyStart: true,
				FirstSize: c.length * 10,
				Traits:    media.EqualDurations | media.FirstKeyOnly | media.PresentedInOrder})
	}
	return i
}

// send commits the next fragment in order, and time passes for as long as it lasts.
func (c *camera) send() store.FragmentInfo {
	i := c.store.commit(c.stream.ID, c.info(c.nextNumber()), 0)
	c.clock += c.length
	c.store.sleep(time.Duration(c.length) * time.Millisecond)
	return i
}

// sendMedia is send with frames that can be fetched: 40 ms of video, or 1024 samples of audio,
// each.
func (c *camera) sendMedia() store.FragmentInfo {
	i := c.info(c.nextNumber())
	rec := &store.Record{Number: i.Number}
	rec.ProducerTimestamp, rec.ServerTimestamp, rec.Tracks = i.ProducerTimestamp, i.ServerTimestamp,
		c.tracks
	for j := range i.Spans {
		span := &i.Spans[j]
		frame, count := media.Frame{Duration: 3600, Size: 10, Key: true}, c.length/40
		if c.tracks[j].Kind == media.Audio { // as many as there is time for, and a last one
			frame.Duration = 1024
			count = max(1,
				(timeline.Rescale(c.length, 1000, int64(c.tracks[j].Timescale))+512)/1024)
		}
		run := media.Run{Track: span.Track, BaseDecodeTime: span.BaseDecodeTime}
		var payload []byte
		for n := range count {
			run.Frames = append(run.Frames, frame)
			payload = append(payload, 0, 0, 0, 6, 0x65) // one NAL unit
			payload = append(payload, fmt.Sprintf("%d%04d", span.Track, n)...)
		}
		if span.Track == c.without {
			continue
		}
		rec.Runs = append(rec.Runs, run)
		rec.Payload = append(rec.Payload, payload)
	}
	i.Spans = store.SpansOf(&rec.Fragment)
	i = c.store.commit(c.stream.ID, i, 0)
	c.store.streams[c.stream.ID].records[i.Number] = rec
	c.clock += c.length
	c.store.sleep(time.Duration(c.length) * time.Millisecond)
	return i
}
