// Package cameratest is a stream and its camera for tests: the reference store with a clock that
// tests set and reads that fail on request, and fragments whose frames say what they are.
package cameratest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/memory"
)

// Fault replaces what is read of a payload.
type Fault func(store.Range) (store.Range, error)

// Fails is a Fault that makes every read fail.
func Fails(err error) Fault {
	return func(store.Range) (store.Range, error) { return nil, err }
}

// Store is the reference store with one stream, whose number tag is always the same.
type Store struct {
	*memory.Store
	T      testing.TB
	Stream store.Stream

	mu     sync.Mutex
	now    time.Time
	opened int // that are open now
	opens  int // in all
	gone   store.Number
	faults map[store.Number]Fault
}

// NewStore makes a Store whose clock stands at a moment of 2023 until SetClock or Sleep is called,
// with a stream that keeps an hour.
func NewStore(t testing.TB) *Store {
	now := time.UnixMilli(1_700_000_000_123)
	stream := store.Stream{ID: "00112233445566778899aabbccddeeff", Name: "camera",
		RetentionHours: 1, CreatedMillis: now.UnixMilli(), NumberTag: 0x1234567890abcdef}
	s := &Store{T: t, Stream: stream, now: now, faults: map[store.Number]Fault{}}
	s.Store = memory.New(s.Clock, stream)
	return s
}

// Clock is the store's time.
func (s *Store) Clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// SetClock sets the store's clock.
func (s *Store) SetClock(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// Sleep lets time pass.
func (s *Store) Sleep(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// Fail makes the payloads of a fragment fail from now on; nil heals it.
func (s *Store) Fail(n store.Number, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[n] = f
}

// Lose makes a fragment that is still listed, but ErrGone when it is opened.
func (s *Store) Lose(n store.Number) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = n
}

// Opens is how often a fragment was opened.
func (s *Store) Opens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// OpenNow is how many fragments are open now.
func (s *Store) OpenNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Open implements store.Fragments.
func (s *Store) Open(ctx context.Context, id store.StreamID, info store.FragmentInfo) (
	store.Media, error) {
	m, err := s.Store.Open(ctx, id, info)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if info.Number == s.gone {
		return nil, store.ErrGone
	}
	s.opens++
	s.opened++
	return &faulty{m, s, s.faults[info.Number]}, nil
}

type faulty struct {
	store.Media
	store *Store
	fault Fault
}

func (m *faulty) Payload(run int) (store.Range, error) {
	r, err := m.Media.Payload(run)
	if err == nil && m.fault != nil {
		return m.fault(r)
	}
	return r, err
}

func (m *faulty) Close() error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.opened--
	return m.Media.Close()
}

// Commit stores a fragment. It replaces old, if that is not 0.
func (s *Store) Commit(rec *store.Record, old store.Number) store.FragmentInfo {
	s.T.Helper()
	var info store.FragmentInfo
	var err error
	if old == 0 {
		info, err = s.Append(context.Background(), s.Stream.ID, rec)
	} else {
		info, err = s.Replace(context.Background(), s.Stream.ID, old, rec)
	}
	if err != nil {
		s.T.Fatal(err)
	}
	info.Spans = slices.Clone(info.Spans) // the caller may change them
	return info
}

// Video is a track of H.264 High, 1280x720, which the parsers accept.
func Video() media.Track {
	return media.Track{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
		CodecPrivate: []byte("\x01\x64\x00\x1f\xff\xe1\x00\x1a" +
			"\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00" +
			"\x00\x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60" +
			"\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0"),
		Timescale: media.VideoTimescale, Width: 1280, Height: 720}
}

// OtherVideo is Video after a change of the camera's settings: its codec private data are
// different.
func OtherVideo() media.Track {
	t := Video()
	t.CodecPrivate[3] = 0x20
	return t
}

// Audio is a track of AAC-LC, 44,100 Hz, stereo.
func Audio() media.Track {
	return media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC,
		CodecPrivate: []byte{0x12, 0x10}, Timescale: 44100, SampleRate: 44100, Channels: 2}
}

// Camera makes fragments of the stream.
type Camera struct {
	Store  *Store
	Tracks []media.Track
	Time   int64        // producer's milliseconds: where the next fragment starts
	Length int64        // milliseconds of a fragment
	Number store.Number // of the newest fragment
}

// NewCamera makes a Camera whose next fragment starts now. Its fragments last two seconds.
func NewCamera(s *Store, tracks ...media.Track) *Camera {
	return &Camera{Store: s, Tracks: tracks, Time: s.Clock().UnixMilli(), Length: 2000}
}

// NextNumber returns the number for a fragment that begins now.
func (c *Camera) NextNumber() store.Number {
	c.Number = max(c.Number+1<<12,
		store.Number((c.Store.Clock().UnixMilli()-1577836800000)*1000<<12))
	return c.Number
}

// Record makes the fragment that starts at c.Time. It holds as many frames as fit into c.Length,
// timed as an encoder times them: each of 40 ms of video or of 1024 samples of audio.
func (c *Camera) Record(n store.Number) *store.Record {
	rec := &store.Record{Number: n, Fragment: media.Fragment{ProducerTimestamp: c.Time,
		ServerTimestamp: c.Store.Clock().UnixMilli(), Tracks: c.Tracks}}
	for _, t := range c.Tracks {
		scale := int64(t.Timescale)
		run := media.Run{Track: t.Number,
			BaseDecodeTime: c.Time/1000*scale + c.Time%1000*scale/1000}
		frame, count := media.Frame{Duration: uint32(scale / 25), Size: 10, Key: true}, c.Length/40
		if t.Kind == media.Audio {
			frame.Duration, count = 1024, max(1, (c.Length*scale/1000+512)/1024)
		}
		AddRun(rec, run.Track, run.BaseDecodeTime, slices.Repeat([]media.Frame{frame}, int(count)))
	}
	return rec
}

// AddRun adds a run and its payload to a record: frames of one NAL unit of ten bytes, which say
// what they are.
func AddRun(rec *store.Record, track int, base int64, frames []media.Frame) {
	var payload []byte
	for n := range frames {
		payload = append(payload, 0, 0, 0, 6, 0x65)
		payload = fmt.Appendf(payload, "%d%04d", track, n)
	}
	rec.Runs = append(rec.Runs, media.Run{Track: track, BaseDecodeTime: base, Frames: frames})
	rec.Payload = append(rec.Payload, payload)
}

// Send stores the next fragment, after change has changed it, and moves both clocks on by its
// length.
func (c *Camera) Send(change ...func(*store.Record)) store.FragmentInfo {
	c.Store.T.Helper()
	rec := c.Record(c.NextNumber())
	for _, change := range change {
		change(rec)
	}
	info := c.Store.Commit(rec, 0)
	c.Time += c.Length
	c.Store.Sleep(time.Duration(c.Length) * time.Millisecond)
	return info
}
