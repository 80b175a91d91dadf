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
	"testing"
	"time"

	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/cameratest"
	"weir/internal/timeline"
)

// testStore is the store of cameratest with counters, and with sessions that can fail or change.
type testStore struct {
	*cameratest.Store

	mu       sync.Mutex
	opens    int // how often a session was opened
	saves    int // checkpoints
	failSave bool
	away     bool                 // saves and lists fail
	session  func(*store.Session) // changes what Session returns; may be nil
}

func newTestStore(t testing.TB) *testStore { return &testStore{Store: cameratest.NewStore(t)} }

func (s *testStore) create(name string, retentionHours int) store.Stream {
	stream, err := s.CreateStream(context.Background(),
		store.Stream{Name: name, RetentionHours: retentionHours})
	if err != nil {
		s.T.Fatal(err)
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
		s.T.Fatal(err)
	}
}

// remove deletes a stream.
func (s *testStore) remove(id store.StreamID) {
	if err := s.DeleteStream(context.Background(), id, ""); err != nil {
		s.T.Fatal(err)
	}
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
	failed, away := s.failSave, s.away
	if !failed && !away {
		s.saves++
	}
	s.mu.Unlock()
	if away {
		return store.ErrAway
	}
	if failed {
		return errors.New("disk on fire")
	}
	return s.Store.Checkpoint(ctx, id, data)
}

func (s *testStore) List(
	ctx context.Context, id store.StreamID, q store.Query,
) ([]store.FragmentInfo, error) {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away {
		return nil, store.ErrAway
	}
	return s.Store.List(ctx, id, q)
}

func (s *testStore) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
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

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// The tracks of a camera.
var videoTrack, audioTrack, otherVideo = cameratest.Video, cameratest.Audio, cameratest.OtherVideo

// camera is the camera of cameratest, which can also store what only a row describes.
type camera struct {
	*cameratest.Camera
	without int // number of a track that sendMedia leaves out
}

func newCamera(s *testStore, tracks ...media.Track) *camera {
	return &camera{Camera: cameratest.NewCamera(s.Store, tracks...)}
}

// info describes the fragment that starts at c.Time and lasts c.Length: what commit stores.
func (c *camera) info(number store.Number) store.FragmentInfo {
	i := store.FragmentInfo{Number: number, ProducerTimestamp: c.Time,
		ServerTimestamp: c.Store.Clock().UnixMilli()}
	for _, t := range c.Tracks {
		scale := int64(t.Timescale)
		base := timeline.Rescale(c.Time, 1000, scale)
		i.Spans = append(i.Spans,
			store.Span{Track: t.Number, BaseDecodeTime: base,
				Duration: timeline.Rescale(c.Time+c.Length, 1000, scale) - base,
				Frames:   int(c.Length / 40), KeyStart: true})
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
		var frames []media.Frame
		count := int64(span.Frames)
		for n := range count {
			frames = append(frames, media.Frame{Key: n == 0 && span.KeyStart, Size: 10,
				Duration: uint32((n+1)*span.Duration/count - n*span.Duration/count)})
		}
		cameratest.AddRun(rec, span.Track, span.BaseDecodeTime, frames)
	}
	return rec
}

// commit stores a fragment as info describes it. It replaces old, unless that is 0.
func (c *camera) commit(info store.FragmentInfo, old store.Number) store.FragmentInfo {
	return c.Store.Commit(recordOf(&info, c.Tracks), old)
}

// send commits the next fragment in order, and lets as much time pass as it lasts.
func (c *camera) send() store.FragmentInfo {
	i := c.commit(c.info(c.NextNumber()), 0)
	c.pass(c.Length)
	return i
}

// pass lets milliseconds pass on both clocks.
func (c *camera) pass(millis int64) {
	c.Time += millis
	c.Store.Sleep(time.Duration(millis) * time.Millisecond)
}

// sendMedia is send with frames as encoders make them, without those of the track without. change
// may change the fragment before it is stored.
func (c *camera) sendMedia(change ...func(*store.Record)) store.FragmentInfo {
	return c.Send(append([]func(*store.Record){c.leaveOut}, change...)...)
}

// media makes the fragment that sendMedia stores.
func (c *camera) media() *store.Record {
	rec := c.Record(c.NextNumber())
	c.leaveOut(rec)
	return rec
}

func (c *camera) leaveOut(rec *store.Record) {
	for i := range rec.Runs {
		if rec.Runs[i].Track == c.without {
			rec.Runs = slices.Delete(rec.Runs, i, i+1)
			rec.Payload = slices.Delete(rec.Payload, i, i+1)
			return
		}
	}
}
