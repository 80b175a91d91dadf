package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/media"
	"weir/internal/playback"
	"weir/internal/quota"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/store/local"
)

// benchAVCC is for H.264 High, 1280x720.
var benchAVCC = []byte{1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 26, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9,
	0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0, 0, 3, 0,
	0x10, 0, 0, 3, 3, 0x20, 0xf1, 0x83, 0x19, 0x60, 1, 0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}

// bench is a store with a camera's fragments, for players to ask for.
type bench struct {
	b      *testing.B
	now    time.Time
	store  *local.Store
	access *access.Registry
	signer auth.Signer // of root
	tokens *auth.TokenKeys
	stream store.Stream
}

func newBench(b *testing.B) *bench {
	dir := b.TempDir()
	x := &bench{b: b, now: time.UnixMilli(1_700_000_000_000)}
	var err error
	x.store, err = local.Open(b.Context(), dir,
		local.Options{Clock: x.clock, FragmentBytes: 1_000_000})
	fatal(b, err)
	b.Cleanup(func() { fatal(b, x.store.Close()) })
	var keys *auth.KeyFile
	x.access, keys = openAccess(b, x.store, dir)
	x.signer = auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2",
		Clock: x.clock}
	x.tokens, err = auth.LoadOrCreateTokenKeys(filepath.Join(dir, "token-keys"))
	fatal(b, err)
	x.tokens.Clock = x.clock
	x.stream, err = x.store.CreateStream(b.Context(),
		store.Stream{Name: "camera", RetentionHours: 24})
	fatal(b, err)
	return x
}

func (x *bench) clock() time.Time { return x.now }

// process is a server that has just started, without limits on requests, since a crowd comes.
func (x *bench) process() *Server {
	limits := playback.LimitsOf(quota.Defaults())
	limits.PlaylistsPerSecond, limits.FragmentsPerSecond = 0, 0
	srv, err := New(Options{Store: x.store, Access: x.access, Region: "us-west-2",
		Account: "000000000000", Clock: x.clock,
		Playback: playback.New(
			playback.Options{Store: x.store, Tokens: x.tokens, Limits: limits, Clock: x.clock})})
	fatal(x.b, err)
	return srv
}

// send stores a fragment of two seconds.
func (x *bench) send() {
	number, err := x.store.NextNumber(x.b.Context(), x.stream.ID)
	fatal(x.b, err)
	rec := &store.Record{Number: number}
	rec.ProducerTimestamp, rec.ServerTimestamp = x.now.UnixMilli(), x.now.UnixMilli()
	rec.Tracks = []media.Track{
		{Number: 1, Kind: media.Video, CodecID: media.CodecAVC, CodecPrivate: benchAVCC,
			Timescale: media.VideoTimescale}}
	run := media.Run{Track: 1, BaseDecodeTime: x.now.UnixMilli() * 90}
	for i := range 50 {
		run.Frames = append(run.Frames, media.Frame{Duration: 3600, Size: 10, Key: i == 0})
	}
	rec.Runs, rec.Payload = []media.Run{run}, [][]byte{bytes.Repeat([]byte{1}, 500)}
	_, err = x.store.Append(x.b.Context(), x.stream.ID, rec)
	fatal(x.b, err)
	x.now = x.now.Add(2 * time.Second)
}

// everything selects what was sent since a time.
func (x *bench) everything(began time.Time) *api.FragmentSelector {
	from, to := api.Timestamp(began.UnixMilli()), api.Timestamp(x.now.UnixMilli()-1)
	return &api.FragmentSelector{
		TimestampRange: &api.TimestampRange{StartTimestamp: &from, EndTimestamp: &to}}
}

// BenchmarkMediaPlaylist measures whole requests for playlists of 1,800 fragments, from the handler
// down to SQLite, in CPU time of the process (cpu-ms/op): the first one of a process (first), one
// when nothing is new (same), and for live sessions one when a fragment was stored since the last
// (new; the storing is not counted). A request must take at most 1 ms, the first 10 ms.
func BenchmarkMediaPlaylist(b *testing.B) {
	x := newBench(b)
	began := x.now
	const fragments = 1800
	for range fragments {
		x.send()
	}
	var body bytes.Buffer
	for _, in := range []*api.GetHLSStreamingSessionURLInput{
		{PlaybackMode: api.PlaybackModeLive},
		{PlaybackMode: api.PlaybackModeOnDemand, HLSFragmentSelector: x.everything(began)},
	} {
		in.StreamName, in.MaxMediaPlaylistFragmentResults, in.Expires = x.stream.Name, fragments,
			43_200
		in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
		srv := x.process()
		opened, err := srv.playback.OpenHLS(b.Context(), x.stream, "", in)
		fatal(b, err)
		for _, encoding := range []string{"identity", "gzip"} {
			get := func(srv *Server) {
				r := httptest.NewRequest(http.MethodGet,
					"/hls/v1/getHLSMediaPlaylist.m3u8?TrackNumber=1&SessionToken="+opened.Token,
					nil)
				r.Header.Set("Accept-Encoding", encoding)
				w := httptest.NewRecorder()
				body.Reset()
				w.Body = &body // a connection does not grow
				srv.ServeHTTP(w, r)
				if w.Code != http.StatusOK ||
					(w.Header().Get("Content-Encoding") == "gzip") != (encoding == "gzip") {
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
			measure("first", func() {}, x.process)
			get(srv)
			measure("same", func() {}, func() *Server { return srv })
			if in.PlaybackMode == api.PlaybackModeLive {
				measure("new", x.send, func() *Server { return srv })
			}
		}
	}
}

// BenchmarkOpenSession measures opening a live session of a stream that has five open ones, the
// earliest of which it closes, and had so many before: what it takes, and how much of that is
// processor time (cpu-ms/op). The days that a stream has had must not count.
func BenchmarkOpenSession(b *testing.B) {
	for _, past := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("past=%d", past), func(b *testing.B) {
			x := newBench(b)
			for range 100 {
				x.send()
			}
			limits := playback.LimitsOf(quota.Defaults())
			limits.SessionURLsPerSecond = 0
			service := playback.New(
				playback.Options{Store: x.store, Tokens: x.tokens, Limits: limits, Clock: x.clock})
			open := func() {
				in := &api.GetHLSStreamingSessionURLInput{}
				in.StreamName = x.stream.Name
				_, err := service.OpenHLS(b.Context(), x.stream, "", in)
				fatal(b, err)
			}
			for range past + limits.HLSSessionsPerStream {
				open()
			}
			start := cpuTime(b)
			for b.Loop() {
				open()
			}
			b.ReportMetric((cpuTime(b)-start).Seconds()*1000/float64(b.N), "cpu-ms/op")
		})
	}
}

// silentWriter is a connection that accepts everything, a limited file without reading it.
type silentWriter struct {
	header http.Header
	status int
	bytes  int64
}

func (w *silentWriter) Header() http.Header         { return w.header }
func (w *silentWriter) WriteHeader(status int)      { w.status = status }
func (w *silentWriter) Write(p []byte) (int, error) { w.bytes += int64(len(p)); return len(p), nil }
func (w *silentWriter) Flush()                      {}
func (w *silentWriter) SetWriteDeadline(time.Time) error {
	return nil
}

func (w *silentWriter) ReadFrom(r io.Reader) (int64, error) {
	n := r.(*io.LimitedReader).N
	w.bytes += n
	return n, nil
}

// BenchmarkMediaSegment measures the handler of a media segment, without net/http and the sending:
// of a segment that was fetched before (again), of one that was not (first), and of one that was
// not and is in a sealed volume (sealed).
func BenchmarkMediaSegment(b *testing.B) {
	x := newBench(b)
	began := x.now
	for range 2000 {
		x.send()
	}
	in := &api.GetHLSStreamingSessionURLInput{PlaybackMode: api.PlaybackModeOnDemand,
		HLSFragmentSelector: x.everything(began)}
	in.StreamName, in.MaxMediaPlaylistFragmentResults, in.Expires = x.stream.Name, 2000, 43_200
	srv := x.process()
	opened, err := srv.playback.OpenHLS(b.Context(), x.stream, "", in)
	fatal(b, err)
	list, err := srv.playback.ReloadPlaylist(b.Context(), opened.Token,
		sessionurl.MediaPlaylist{Track: 1})
	fatal(b, err)
	var requests []*http.Request
	for line := range strings.Lines(string(list.Text)) {
		if !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
			requests = append(requests,
				httptest.NewRequest(http.MethodGet, sessionurl.HLSPath+strings.TrimSpace(line),
					nil))
		}
	}
	get := func(b *testing.B, srv *Server, r *http.Request) {
		w := &silentWriter{header: make(http.Header)}
		srv.ServeHTTP(w, r)
		if w.status != http.StatusOK || w.bytes < 500 {
			b.Fatalf("%d, %d bytes", w.status, w.bytes)
		}
	}
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			get(b, srv, requests[0])
		}
	})
	// More segments than are kept in memory, one after the other.
	first := func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			get(b, srv, requests[i%len(requests)])
		}
	}
	b.Run("first", first)
	x.now = x.now.Add(3 * time.Hour) // nothing came for so long
	fatal(b, x.store.Sweep(b.Context()))
	b.Run("sealed", first)
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
