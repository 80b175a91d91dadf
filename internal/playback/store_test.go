package playback_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/playback"
	"weir/internal/quota"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/store/cameratest"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
)

// server is a store in a directory, with playback over it.
type server struct {
	*local.Store
	playback *playback.Service
}

func start(t testing.TB, dir string, clock func() time.Time) *server {
	t.Helper()
	idx, err := index.OpenSQLite(t.Context(), filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := volume.Open(filepath.Join(dir, "volumes"), volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := local.New(t.Context(), local.Options{Index: idx, Volumes: volumes, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := auth.LoadOrCreateTokenKeys(filepath.Join(dir, "tokens"))
	if err != nil {
		t.Fatal(err)
	}
	keys.Clock = clock
	limits := playback.LimitsOf(quota.Defaults())
	limits.PlaylistsPerSecond, limits.FragmentsPerSecond = 0, 0
	return &server{st,
		playback.New(playback.Options{Store: st, Tokens: keys, Limits: limits, Clock: clock})}
}

// appendFragment stores two seconds of video in frames of 40 ms that begin at the given time.
func (s *server) appendFragment(t testing.TB, stream store.StreamID, at time.Time,
	codecPrivate []byte) (store.FragmentInfo, []byte) {
	t.Helper()
	number, err := s.NextNumber(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	rec := &store.Record{Number: number}
	rec.ProducerTimestamp, rec.ServerTimestamp = at.UnixMilli(), at.UnixMilli()
	rec.Tracks = []media.Track{
		{Number: 1, Kind: media.Video, CodecID: media.CodecAVC, CodecPrivate: codecPrivate,
			Timescale: media.VideoTimescale}}
	run := media.Run{Track: 1, BaseDecodeTime: at.UnixMilli() * 90}
	payload := bytes.Repeat([]byte{byte(number >> 12)}, 50*100)
	for i := range 50 {
		run.Frames = append(run.Frames, media.Frame{Duration: 3600, Size: 100, Key: i == 0})
	}
	rec.Runs, rec.Payload = []media.Run{run}, [][]byte{payload}
	info, err := s.Append(t.Context(), stream, rec)
	if err != nil {
		t.Fatal(err)
	}
	return info, payload
}

// cameraOverStore is a stream in a directory, with its playback.
type cameraOverStore struct {
	*testing.T
	*server
	stream  store.Stream
	now     time.Time
	last    store.FragmentInfo
	payload []byte // of last
}

func (c *cameraOverStore) clock() time.Time { return c.now }

// send stores fragments of two seconds.
func (c *cameraOverStore) send(n int) {
	for range n {
		c.last, c.payload = c.appendFragment(c, c.stream.ID, c.now, cameratest.Video().CodecPrivate)
		c.now = c.now.Add(2 * time.Second)
	}
}

func (c *cameraOverStore) open(in *api.GetHLSStreamingSessionURLInput) string {
	c.Helper()
	in.StreamName = c.stream.Name
	opened, err := c.playback.OpenHLS(c.Context(), c.stream, "", in)
	if err != nil {
		c.Fatal(err)
	}
	return opened.Token
}

func (c *cameraOverStore) playlist(token string) string {
	c.Helper()
	text, err := c.playback.MediaPlaylist(c.Context(), token, 1)
	if err != nil {
		c.Fatal(err)
	}
	return string(text.Text)
}

func (c *cameraOverStore) close() {
	c.Helper()
	if err := c.Close(); err != nil {
		c.Fatal(err)
	}
}

// TestOverTheStore plays from SQLite and volumes: a live session across a restart, a recording, the
// frames of a segment straight from the file, and the limit of sessions.
func TestOverTheStore(t *testing.T) {
	dir := t.TempDir()
	began := time.UnixMilli(1_700_000_000_000)
	c := &cameraOverStore{T: t, now: began}
	c.server = start(t, dir, c.clock)
	var err error
	c.stream, err = c.CreateStream(t.Context(), store.Stream{Name: "camera", RetentionHours: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.send(8)
	live := c.open(&api.GetHLSStreamingSessionURLInput{})
	c.now = c.now.Add(time.Millisecond) // the order of creation is by milliseconds
	recording := c.open(recordingOf(began, began.Add(5*time.Second)))
	c.send(3)
	master, err := c.playback.MasterPlaylist(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	want := `CODECS="avc1.64001f",RESOLUTION=1280x720,FRAME-RATE=25.0,`
	if !strings.Contains(string(master), want) {
		t.Errorf("want %s in\n%s", want, master)
	}
	wantLive, wantRecording := c.playlist(live), c.playlist(recording)
	if !strings.Contains(wantLive, "#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n") ||
		strings.Count(wantLive, "#EXTINF:2.0,\n") != 5 {
		t.Errorf("live:\n%s", wantLive)
	}
	if strings.Count(wantRecording, "#EXTINF:2.0,\n") != 3 {
		t.Errorf("recording:\n%s", wantRecording)
	}

	c.close()
	c.server = start(t, dir, c.clock)
	if got := c.playlist(live); got != wantLive {
		t.Errorf("live after a restart:\n%s\nwant\n%s", got, wantLive)
	}
	if got := c.playlist(recording); got != wantRecording {
		t.Errorf("recording after a restart:\n%s\nwant\n%s", got, wantRecording)
	}
	c.wantLastFrames(live)
	c.wantSessionsEnd(live, recording)
	c.close()
}

// recordingOf asks for what came between two times.
func recordingOf(from, to time.Time) *api.GetHLSStreamingSessionURLInput {
	start, end := api.Timestamp(from.UnixMilli()), api.Timestamp(to.UnixMilli())
	return &api.GetHLSStreamingSessionURLInput{PlaybackMode: api.PlaybackModeOnDemand,
		HLSFragmentSelector: &api.FragmentSelector{
			TimestampRange: &api.TimestampRange{StartTimestamp: &start, EndTimestamp: &end}}}
}

// wantLastFrames checks that the last segment has the frames of the last fragment.
func (c *cameraOverStore) wantLastFrames(token string) {
	c.Helper()
	segment, err := c.playback.MediaSegment(c.Context(), token,
		sessionurl.Segment{Track: 1, Number: c.stream.FormatNumber(c.last.Number)})
	if err != nil {
		c.Fatal(err)
	}
	defer segment.Close()
	header := int64(len(segment.Header))
	var body bytes.Buffer
	err = segment.WriteRange(&body, header, segment.Length-header)
	if err != nil || !bytes.Equal(body.Bytes(), c.payload) {
		c.Errorf("%d bytes of frames, %v", body.Len(), err)
	}
}

// wantSessionsEnd opens just enough sessions for the oldest of them to be closed, and then deletes
// the stream.
func (c *cameraOverStore) wantSessionsEnd(oldest, second string) {
	c.Helper()
	for range 4 {
		c.open(&api.GetHLSStreamingSessionURLInput{})
	}
	refused := &api.Error{Code: api.NotAuthorizedException}
	if _, err := c.playback.MediaPlaylist(c.Context(), oldest, 1); !errors.Is(err, refused) {
		c.Errorf("the oldest of six sessions answers %v", err)
	}
	c.playlist(second)
	changed := second[:20] + "A" + second[21:]
	_, err := c.playback.MediaPlaylist(c.Context(), changed, 1)
	if changed != second && !errors.Is(err, refused) {
		c.Errorf("a changed token answers %v", err)
	}
	if err := c.DeleteStream(context.WithoutCancel(c.Context()), c.stream.ID, ""); err != nil {
		c.Fatal(err)
	}
	if _, err := c.playback.MediaPlaylist(c.Context(), second, 1); err == nil {
		c.Error("a deleted stream is played")
	}
}

// BenchmarkOverTheStore measures requests of sessions whose playlist lists 1,800 fragments,
// including the registry and the index.
func BenchmarkOverTheStore(b *testing.B) {
	dir := b.TempDir()
	now := time.UnixMilli(1_700_000_000_000)
	clock := func() time.Time { return now }
	s := start(b, dir, clock)
	stream, err := s.CreateStream(b.Context(), store.Stream{Name: "camera", RetentionHours: 24})
	if err != nil {
		b.Fatal(err)
	}
	began := now
	var last store.FragmentInfo
	for range 1800 {
		last, _ = s.appendFragment(b, stream.ID, now, cameratest.Video().CodecPrivate)
		now = now.Add(2 * time.Second)
	}
	for name, in := range map[string]*api.GetHLSStreamingSessionURLInput{"live": {},
		"recording": recordingOf(began, now.Add(-time.Millisecond))} {
		in.StreamName, in.MaxMediaPlaylistFragmentResults = stream.Name, 1800
		opened, err := s.playback.OpenHLS(b.Context(), stream, "", in)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/playlist", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.playback.MediaPlaylist(b.Context(), opened.Token, 1); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/segment", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				segment, err := s.playback.MediaSegment(b.Context(), opened.Token,
					sessionurl.Segment{Track: 1, Number: stream.FormatNumber(last.Number)})
				if err != nil {
					b.Fatal(err)
				}
				segment.Close()
			}
		})
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
