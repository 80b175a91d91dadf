package playback

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/memory"
	"weir/internal/timeline"
)

// testStore is the reference store with a clock that tests set, and counters.
type testStore struct {
	*memory.Store

	mu       sync.Mutex
	now      time.Time
	opens    int // how often a session was opened
	opened   int // media handles that are open
	saves    int // checkpoints
	failSave bool
	session  func(*store.Session) // changes what Session returns; may be nil
}

// newTestStore returns a store with a stream whose number tag is always the same.
func newTestStore(now time.Time, retentionHours int) (*testStore, store.Stream) {
	stream := store.Stream{ID: "00112233445566778899aabbccddeeff", Name: "camera",
		RetentionHours: retentionHours, CreatedMillis: now.UnixMilli(),
		NumberTag: 0x1234567890abcdef}
	s := &testStore{now: now}
	s.Store = memory.New(s.clock, stream)
	return s, stream
}

func (s *testStore) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *testStore) sleep(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *testStore) create(name string, retentionHours int) store.Stream {
	stream, err := s.CreateStream(context.Background(),
		store.Stream{Name: name, RetentionHours: retentionHours})
	if err != nil {
		panic(err)
	}
	return stream
}

// retain changes a stream's retention.
func (s *testStore) retain(id store.StreamID, hours int) {
	_, err := s.UpdateStream(context.Background(), id, "", func(stream *store.Stream) error {
		stream.RetentionHours = hours
		return nil
	})
	if err != nil {
		panic(err)
	}
}

// remove deletes a stream.
func (s *testStore) remove(id store.StreamID) {
	if err := s.DeleteStream(context.Background(), id, ""); err != nil {
		panic(err)
	}
}

// commit stores a fragment; old, when not 0, goes. The caller may change what it returns.
func (s *testStore) commit(
	id store.StreamID, rec *store.Record, old store.Number,
) store.FragmentInfo {
	var info store.FragmentInfo
	var err error
	if old == 0 {
		info, err = s.Append(context.Background(), id, rec)
	} else {
		info, err = s.Replace(context.Background(), id, old, rec)
	}
	if err != nil {
		panic(err)
	}
	info.Spans = slices.Clone(info.Spans)
	return info
}

func (s *testStore) Open(
	ctx context.Context, id store.StreamID, info store.FragmentInfo,
) (store.Media, error) {
	m, err := s.Store.Open(ctx, id, info)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	return &testMedia{m, s}, nil
}

type testMedia struct {
	store.Media
	store *testStore
}

func (m *testMedia) Close() error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.opened--
	return m.Media.Close()
}

func (s *testStore) OpenSession(
	ctx context.Context, session store.Session, limit int,
) (closed []string, err error) {
	s.mu.Lock()
	s.opens++
	s.mu.Unlock()
	return s.Store.OpenSession(ctx, session, limit)
}

func (s *testStore) Session(ctx context.Context, id string) (store.Session, error) {
	session, err := s.Store.Session(ctx, id)
	if err == nil && s.session != nil {
		session.Parameters = bytes.Clone(session.Parameters)
		session.Checkpoint = bytes.Clone(session.Checkpoint)
		s.session(&session)
	}
	return session, err
}

func (s *testStore) Checkpoint(ctx context.Context, id string, data []byte) error {
	s.mu.Lock()
	failed := s.failSave
	if !failed {
		s.saves++
	}
	s.mu.Unlock()
	if failed {
		return errors.New("disk on fire")
	}
	return s.Store.Checkpoint(ctx, id, data)
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
	store  *testStore
	stream store.Stream
	tracks []media.Track
	clock  int64 // producer's milliseconds: where the next fragment starts
	number store.Number
	length int64 // milliseconds of a fragment

	without int // number of a track that sendMedia has no frames of
}

func newCamera(s *testStore, stream store.Stream, tracks ...media.Track) *camera {
	return &camera{store: s, stream: stream, tracks: tracks, clock: s.now.UnixMilli(), length: 2000}
}

func (c *camera) nextNumber() store.Number {
	c.number = max(c.number+1<<12,
		store.Number((c.store.clock().UnixMilli()-1577836800000)*1000<<12))
	return c.number
}

// info describes the fragment that starts at c.clock and lasts c.length: what commit stores.
func (c *camera) info(number store.Number) store.FragmentInfo {
	i := store.FragmentInfo{Number: number, ProducerTimestamp: c.clock,
		ServerTimestamp: c.store.clock().UnixMilli()}
	for _, t := range c.tracks {
		scale := int64(t.Timescale)
		base := timeline.Rescale(c.clock, 1000, scale)
		i.Spans = append(i.Spans,
			store.Span{Track: t.Number, BaseDecodeTime: base,
				Duration: timeline.Rescale(c.clock+c.length, 1000, scale) - base,
				Frames:   int(c.length / 40), KeyStart: true})
	}
	return i
}

// recordOf makes a fragment of the given tracks as info describes it. Its frames have ten bytes
// each and share the spans' durations evenly; at most the first one of a track is a key frame.
func recordOf(info *store.FragmentInfo, tracks []media.Track) *store.Record {
	rec := &store.Record{Number: info.Number, Fragment: media.Fragment{
		ProducerTimestamp: info.ProducerTimestamp, ServerTimestamp: info.ServerTimestamp,
		Tracks: tracks, Partial: info.Partial}}
	for i := range info.Spans {
		span := &info.Spans[i]
		run := media.Run{Track: span.Track, BaseDecodeTime: span.BaseDecodeTime}
		count := int64(span.Frames)
		for n := range count {
			run.Frames = append(run.Frames, media.Frame{Key: n == 0 && span.KeyStart, Size: 10,
				Duration: uint32((n+1)*span.Duration/count - n*span.Duration/count)})
		}
		addRun(rec, run)
	}
	return rec
}

// addRun gives a record a run with its payload: frames of one NAL unit of ten bytes, which say
// what they are.
func addRun(rec *store.Record, run media.Run) {
	var payload []byte
	for n := range run.Frames {
		payload = append(payload, 0, 0, 0, 6, 0x65)
		payload = fmt.Appendf(payload, "%d%04d", run.Track, n)
	}
	rec.Runs, rec.Payload = append(rec.Runs, run), append(rec.Payload, payload)
}

// commit stores a fragment as info describes it; old, when not 0, goes.
func (c *camera) commit(info store.FragmentInfo, old store.Number) store.FragmentInfo {
	return c.store.commit(c.stream.ID, recordOf(&info, c.tracks), old)
}

// send commits the next fragment in order, and time passes for as long as it lasts.
func (c *camera) send() store.FragmentInfo {
	i := c.commit(c.info(c.nextNumber()), 0)
	c.pass(c.length)
	return i
}

// pass lets milliseconds go by on both clocks.
func (c *camera) pass(millis int64) {
	c.clock += millis
	c.store.sleep(time.Duration(millis) * time.Millisecond)
}

// sendMedia is send with frames as encoders make them: 40 ms of video, or 1024 samples of audio,
// each. change may change the fragment before it is stored.
func (c *camera) sendMedia(change ...func(*store.Record)) store.FragmentInfo {
	rec := c.media()
	for _, change := range change {
		change(rec)
	}
	i := c.store.commit(c.stream.ID, rec, 0)
	c.pass(c.length)
	return i
}

// media is the fragment that sendMedia stores.
func (c *camera) media() *store.Record {
	i := c.info(c.nextNumber())
	spans := i.Spans
	i.Spans = nil
	rec := recordOf(&i, c.tracks)
	for j := range spans {
		if spans[j].Track == c.without {
			continue
		}
		frame, count := media.Frame{Duration: 3600, Size: 10, Key: true}, c.length/40
		if c.tracks[j].Kind == media.Audio { // as many as there is time for, and a last one
			frame.Duration = 1024
			count = max(1,
				(timeline.Rescale(c.length, 1000, int64(c.tracks[j].Timescale))+512)/1024)
		}
		addRun(rec, media.Run{Track: spans[j].Track, BaseDecodeTime: spans[j].BaseDecodeTime,
			Frames: slices.Repeat([]media.Frame{frame}, int(count))})
	}
	return rec
}
