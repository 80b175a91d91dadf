package images

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/memory"
)

// testStore is the reference store with a clock that tests set. It counts what is open.
type testStore struct {
	*memory.Store
	now    time.Time
	opened int
	opens  int // since the test began to count
}

func (s *testStore) clock() time.Time { return s.now }

func (s *testStore) Open(ctx context.Context, id store.StreamID, info store.FragmentInfo) (
	store.Media, error) {
	m, err := s.Store.Open(ctx, id, info)
	if err != nil {
		return nil, err
	}
	s.opened++
	s.opens++
	return &testMedia{m, s}, nil
}

type testMedia struct {
	store.Media
	store *testStore
}

func (m *testMedia) Close() error {
	m.store.opened--
	return m.Media.Close()
}

func videoTrack() media.Track {
	private, err := hex.DecodeString("0164001fffe1001a6764001facd9405005bb01100000030010000003032" +
		"0f183196001000668ebe3cb22c0") // H.264 High, 1280x720
	if err != nil {
		panic(err)
	}
	return media.Track{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
		CodecPrivate: private, Timescale: media.VideoTimescale, Width: 1280, Height: 720}
}

func audioTrack() media.Track {
	return media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC,
		CodecPrivate: []byte{0x12, 0x10}, Timescale: 44100, SampleRate: 44100, Channels: 2}
}

// otherVideo is the camera after a change of its settings.
func otherVideo() media.Track {
	t := videoTrack()
	t.CodecPrivate = bytes.Clone(t.CodecPrivate)
	t.CodecPrivate[3] = 0x20
	return t
}

// wantError wants an *api.Error of the code whose message has the text.
func wantError(t *testing.T, err error, code api.ErrorCode, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}
