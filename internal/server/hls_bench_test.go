package server

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/playback"
	"weir/internal/store"
	"weir/internal/store/blob"
	"weir/internal/store/index"
)

// benchAVCC is of H.264 High, 1280x720.
var benchAVCC = []byte{1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 26, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0, 0, 3, 0,
	0x10, 0, 0, 3, 3, 0x20, 0xf1, 0x83, 0x19, 0x60, 1, 0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}

// BenchmarkMediaPlaylist measures whole requests for playlists of 1,800 fragments, from the handler down to SQLite, in CPU time of the
// process (cpu-ms/op): the first one of a process (first), one when nothing is new (same), and for live sessions one when a
// fragment was stored since the last (new; the storing is not counted). A request must take at most 1 ms, the first 10 ms.
func BenchmarkMediaPlaylist(b *testing.B) {
	dir := b.TempDir()
	now := time.UnixMilli(1_700_000_000_000)
	clock := func() time.Time { return now }
	rows, err := index.OpenSQLite(b.Context(), filepath.Join(dir, "index.db"))
	fatal(b, err)
	volumes, err := blob.OpenVolumes(filepath.Join(dir, "volumes"), blob.Options{})
	fatal(b, err)
	st, err := store.New(b.Context(), store.Options{Index: rows, Blobs: volumes, Clock: clock})
	fatal(b, err)
	defer func() { fatal(b, st.Close()) }()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(dir, "credentials"))
	fatal(b, err)
	tokens, err := auth.LoadOrCreateTokenKeys(filepath.Join(dir, "token-keys"))
	fatal(b, err)
	tokens.Clock = clock
	limits := playback.DefaultLimits()
	limits.PlaylistsPerSecond = 0 // this is a crowd
	process := func() *Server {
		srv, err := New(Options{Store: st, Keys: keys, Region: "us-west-2", Account: "000000000000", Clock: clock,
			Playback: playback.New(playback.Options{Store: st, Tokens: tokens, Limits: limits, Clock: clock})})
		fatal(b, err)
		return srv
	}
	stream, err := st.CreateStream(b.Context(), store.Stream{Name: "camera", RetentionHours: 24})
	fatal(b, err)
	send := func() {
		number, err := st.NextNumber(b.Context(), stream.ID)
		fatal(b, err)
		rec := &store.Record{Number: number}
		rec.ProducerTimestamp, rec.ServerTimestamp = now.UnixMilli(), now.UnixMilli()
		rec.Tracks = []media.Track{{Number: 1, Kind: media.Video, CodecID: media.CodecAVC, CodecPrivate: benchAVCC, Timescale: media.VideoTimescale}}
		run := media.Run{Track: 1, BaseDecodeTime: now.UnixMilli() * 90}
		for i := range 50 {
			run.Frames = append(run.Frames, media.Frame{Duration: 3600, Size: 10, Key: i == 0})
		}
		rec.Runs, rec.Payload = []media.Run{run}, [][]byte{bytes.Repeat([]byte{1}, 500)}
		_, err = st.Append(b.Context(), stream.ID, rec)
		fatal(b, err)
		now = now.Add(2 * time.Second)
	}
	began := now
	const fragments = 1800
	for range fragments {
		send()
	}
	from, to := api.Timestamp(began.UnixMilli()), api.Timestamp(now.UnixMilli()-1)
	selector := func() *api.HLSFragmentSelector {
		return &api.HLSFragmentSelector{TimestampRange: &api.TimestampRange{StartTimestamp: &from, EndTimestamp: &to}}
	}
	var body bytes.Buffer
	for _, in := range []*api.GetHLSStreamingSessionURLInput{
		{PlaybackMode: api.PlaybackModeLive},
		{PlaybackMode: api.PlaybackModeOnDemand, HLSFragmentSelector: selector()},
	} {
		in.StreamName, in.MaxMediaPlaylistFragmentResults, in.Expires = stream.Name, fragments, 43_200
		in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
		srv := process()
		token, err := srv.playback.OpenHLS(b.Context(), stream, in)
		fatal(b, err)
		for _, encoding := range []string{"identity", "gzip"} {
			get := func(srv *Server) {
				r := httptest.NewRequest(http.MethodGet, "/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken="+token, nil)
				r.Header.Set("Accept-Encoding", encoding)
				w := httptest.NewRecorder()
				body.Reset()
				w.Body = &body // a connection does not grow
				srv.ServeHTTP(w, r)
				if w.Code != http.StatusOK || (w.Header().Get("Content-Encoding") == "gzip") != (encoding == "gzip") {
					b.Fatalf("%d %v", w.Code, w.Header())
				}
				b.SetBytes(int64(w.Body.Len()))
			}
			measure := func(name string, before func(), srv func() *Server) {
				b.Run(fmt.Sprintf("%s/%s/%s", in.PlaybackMode, encoding, name), func(b *testing.B) {
					var spent time.Duration
					for b.Loop() {
						b.StopTimer()
						before()
						s := srv()
						b.StartTimer()
						start := cpuTime(b)
						get(s)
						spent += cpuTime(b) - start
					}
					b.ReportMetric(spent.Seconds()*1000/float64(b.N), "cpu-ms/op")
				})
			}
			measure("first", func() {}, process)
			get(srv)
			measure("same", func() {}, func() *Server { return srv })
			if in.PlaybackMode == api.PlaybackModeLive {
				measure("new", send, func() *Server { return srv })
			}
		}
	}
}

func fatal(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// cpuTime is what the process has used so far, in user and system mode.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	fatal(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
