package playback

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/quota"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline/timelinetest"
)

// With --codec-changes=switch, playback continues after a change of resolution or sample rate, with
// a discontinuity and an init segment of its own. Changing back uses the earlier one. Fragments
// with another codec are left out.
func TestCodecSwitch(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	r.switching = true
	r.service = r.another()
	fast := audioTrack()
	fast.CodecPrivate, fast.Timescale, fast.SampleRate = []byte{0x11, 0x90}, 48_000, 48_000
	hevc := videoTrack()
	hevc.CodecID = media.CodecHEVC
	broken := videoTrack()
	broken.CodecPrivate = []byte{0, 0, 0, 1}
	var sent []store.FragmentInfo
	send := func(tracks ...media.Track) {
		r.camera.Tracks = tracks
		sent = append(sent, r.camera.sendMedia())
	}
	began := r.store.Clock().UnixMilli()
	send(videoTrack(), audioTrack())
	in := r.input()
	in.MaxMediaPlaylistFragmentResults, in.DiscontinuityMode, in.Expires = 10,
		api.DiscontinuityNever, 43_200
	token := r.open(in)
	send(otherVideo(), audioTrack())
	send(otherVideo(), audioTrack())
	send(hevc, audioTrack())
	send(broken, audioTrack())
	send(videoTrack())
	send(videoTrack(), fast)
	send(videoTrack(), audioTrack())
	text := r.playlist(r.service, token, 2)
	r.wantNumbers(text, sent, 0, 1, 2, 6, 7)
	golden(t, "switch.txt", anonymous(text, token))
	recording := r.open(r.recording("", began, r.store.Clock().UnixMilli()-1))
	r.wantNumbers(r.playlist(r.another(), recording, 1), sent, 0, 1, 2, 6, 7)

	for _, token := range []string{token, recording} {
		for i, want := range [][]media.Track{{videoTrack(), audioTrack()},
			{otherVideo(), audioTrack()}, {videoTrack(), fast}} {
			for _, track := range want {
				data, err := r.another().InitSegment(t.Context(), token, track.Number, i)
				if wanted, _ := fmp4.InitSegment(&track); err != nil || !bytes.Equal(data, wanted) {
					t.Errorf("init segment %d of track %d: %v", i, track.Number, err)
				}
			}
		}
		_, err := r.service.InitSegment(t.Context(), token, 1, 3)
		wantError(t, err, api.ResourceNotFoundException, "no initialization fragment 3")
		// The segment's time is on its own timescale.
		s, err := r.service.MediaSegment(t.Context(), token,
			sessionurl.Segment{Track: 2, Number: r.stream.FormatNumber(sent[6].Number)})
		if err != nil {
			t.Fatal(err)
		}
		if at := decodeTimeOf(t, s.Header); at < 12*48_000-48 || at > 12*48_000+48 {
			t.Errorf("decode time %d, want 12 seconds of 48 kHz", at)
		}
		s.Close()
		_, err = r.service.MediaSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(sent[3].Number)})
		wantError(t, err, api.ResourceNotFoundException, "not found")
	}

	// A process with another flag does not change the session.
	r.switching = false
	if got := r.playlist(r.another(), token, 2); got != text {
		t.Error(timelinetest.Difference(got, text))
	}
	recorded := r.recording("", began, r.store.Clock().UnixMilli()-1)
	r.wantNumbers(r.playlist(r.service, r.open(recorded), 1), sent, 0, 1, 2, 6, 7)
	r.service = r.another()
	r.wantNumbers(r.playlist(r.service, r.open(recorded), 1), sent, 0, 7)
}

// 500 changes are shown. Fragments with one change more are left out; others continue.
func TestCodecChangesAreCounted(t *testing.T) {
	r := newRig(t, videoTrack())
	r.switching = true
	r.service = r.another()
	began := r.store.Clock().UnixMilli()
	r.camera.Length = 1000
	r.camera.send()
	in := r.input()
	in.Expires, in.MaxMediaPlaylistFragmentResults = 43_200, 1000
	token := r.open(in)
	for i := range 510 {
		r.camera.Tracks = []media.Track{videoTrack()}
		if i%2 == 0 {
			r.camera.Tracks = []media.Track{otherVideo()}
		}
		r.camera.send()
	}
	recording := r.recording("", began, r.store.Clock().UnixMilli()-1)
	for name, text := range map[string]string{"live": r.playlist(r.service, token, 1),
		"recording": r.playlist(r.service, r.open(recording), 1)} {
		segments, maps := strings.Count(text, "#EXTINF:"), strings.Count(text, "#EXT-X-MAP:")
		// The 500th change goes back to the first codec private data. Five more fragments have
		// that.
		if segments != 506 || maps != 501 || strings.Count(text, "SequenceNumber=1\"") != 250 {
			t.Errorf("%s: %d segments, %d maps", name, segments, maps)
		}
	}
}

// 50 ms between the end of a fragment and the start of the next, in either direction, are no gap. A
// tick more is.
func TestGapTolerance(t *testing.T) {
	for _, track := range []media.Track{videoTrack(), audioTrack()} {
		tolerance := int64(track.Timescale) * api.DiscontinuityTolerance.Milliseconds() / 1000
		for gap, want := range map[int64]int{0: 0, tolerance: 0, -tolerance: 0, tolerance + 1: 1,
			-tolerance - 1: 1} {
			r := newRig(t, track)
			i := r.camera.send()
			in := r.input()
			in.DiscontinuityMode = api.DiscontinuityOnDiscontinuity
			token := r.open(in)
			next := r.camera.info(r.camera.NextNumber())
			next.Spans[0].BaseDecodeTime = i.Spans[0].BaseDecodeTime + i.Spans[0].Duration + gap
			r.camera.commit(next, 0)
			if got := strings.Count(r.playlist(r.service, token, track.Number),
				"#EXT-X-DISCONTINUITY\n"); got != want {
				t.Errorf("%d ticks of 1/%d s: %d discontinuities, want %d", gap, track.Timescale,
					got, want)
			}
		}
	}
}

// A recording may end now. A client on the same machine asks within the same millisecond, and
// rounds its finer clock to the nearest one.
func TestARangeMayEndNow(t *testing.T) {
	r := newRig(t, videoTrack())
	sent := r.camera.send()
	ms := r.store.Clock()
	for _, c := range []struct {
		now   time.Duration // after a whole millisecond
		end   int64         // milliseconds after the same
		fails bool
	}{{0, 0, false}, {0, 1, true}, {400 * time.Microsecond, 1, true},
		{600 * time.Microsecond, 1, false}, {600 * time.Microsecond, 2, true}} {
		r.store.SetClock(ms.Add(c.now))
		for _, in := range []*api.GetHLSStreamingSessionURLInput{
			r.recording("", sent.ServerTimestamp, ms.UnixMilli()+c.end),
			r.replay("", sent.ServerTimestamp, ms.UnixMilli()+c.end),
		} {
			token, err := tokenOf(r.service.OpenHLS(t.Context(), r.stream, "", in))
			if c.fails {
				wantError(t, err, api.InvalidArgumentException, "must not be in the future")
			} else if err != nil {
				t.Errorf("%s, %v after the millisecond, ends %d ms after it: %v", in.PlaybackMode,
					c.now, c.end, err)
			} else {
				r.wantNumbers(r.playlist(r.service, token, 1), []store.FragmentInfo{sent}, 0)
			}
		}
	}
}

// Members of a request at their bounds, and the parameters that result.
func TestSessionInputs(t *testing.T) {
	begin := func() (r *rig, first store.FragmentInfo) {
		r = newRig(t, videoTrack())
		first = r.camera.send()
		for range 19 {
			r.camera.send()
		}
		return r, first
	}
	for _, c := range []struct{ expires, max, listed int }{{0, 0, 5}, {300, 1, 1},
		{43_200, 5000, 20}} {
		r, _ := begin()
		in := r.input()
		in.Expires, in.MaxMediaPlaylistFragmentResults = c.expires, c.max
		token := r.open(in)
		if n := strings.Count(r.playlist(r.service, token, 1), "#EXTINF:"); n != c.listed {
			t.Errorf("%d results list %d", c.max, n)
		}
		life := time.Duration(max(c.expires, 300)) * time.Second
		r.store.Sleep(life - time.Second)
		if _, err := r.service.MasterPlaylist(t.Context(), token); err != nil {
			t.Errorf("expires %d: %v before its time", c.expires, err)
		}
		r.store.Sleep(time.Second)
		_, err := r.service.MasterPlaylist(t.Context(), token)
		wantError(t, err, api.NotAuthorizedException, api.MessageTokenExpired)
	}
	r, first := begin()
	for _, c := range [][2]int{{299, 5}, {43_201, 5}, {300, 5001}, {300, -1}} {
		in := r.input()
		in.Expires, in.MaxMediaPlaylistFragmentResults = c[0], c[1]
		_, err := r.service.OpenHLS(t.Context(), r.stream, "", in)
		wantError(t, err, api.InvalidArgumentException, "Member must have value")
	}
	for selector, at := range map[api.FragmentSelectorType]int64{
		api.SelectorServerTimestamp:   first.ServerTimestamp,
		api.SelectorProducerTimestamp: first.ProducerTimestamp} {
		in := r.recording(selector, at, at+1)
		in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
		want := "#EXT-X-PROGRAM-DATE-TIME:" +
			time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z") + "\n#EXTINF"
		if text := r.playlist(r.service, r.open(in), 1); !strings.Contains(text, want) {
			t.Errorf("%s: want %s in\n%s", selector, want, text)
		}
	}
}

// A camera falls silent for longer than the service would wait, and comes back. Listed segments
// stay, and playback goes on.
func TestSilenceInMidSession(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	var sent []store.FragmentInfo
	for range 3 {
		sent = append(sent, r.camera.sendMedia())
	}
	in := r.input()
	in.Expires = 3600
	token := r.open(in)
	check := newRFC(t)
	before := r.playlist(r.service, token, 1)
	check.reload(before)
	for range 10 {
		r.store.Sleep(2 * time.Minute)
		r.camera.Time += 120_000
		if got := r.playlist(r.another(), token, 1); got != before {
			t.Fatalf("while the camera is silent:\n%s\nwant\n%s", got, before)
		}
	}
	for range 3 {
		sent = append(sent, r.camera.sendMedia())
		text := r.playlist(r.service, token, 1)
		check.reload(text)
		listed := r.numbers(text, sent)
		if listed[len(listed)-1] != len(sent)-1 {
			t.Fatalf("lists %v of %d", listed, len(sent))
		}
		s, err := r.service.MediaSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(sent[len(sent)-1].Number)})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

// TestRequestRates checks that the service's own limits are enforced, and that no single player
// reaches the defaults.
func TestRequestRates(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	var sent []store.FragmentInfo
	for range 300 {
		sent = append(sent, r.camera.sendMedia())
	}
	strict := patient()
	strict.PlaylistsPerSecond, strict.FragmentsPerSecond = 5, 20
	service := func(l Limits) *Service {
		return New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: l, Clock: r.store.Clock})
	}
	number := r.stream.FormatNumber(sent[299].Number)
	actions := func(s *Service, token string) map[string]func() error {
		return map[string]func() error{
			"GetHLSMasterPlaylist": func() error {
				_, err := s.MasterPlaylist(t.Context(), token)
				return err
			},
			"GetHLSMediaPlaylist": func() error {
				_, err := s.MediaPlaylist(t.Context(), token, 1)
				return err
			},
			"GetMP4InitFragment": func() error {
				_, err := s.InitSegment(t.Context(), token, 1, 0)
				return err
			},
			"GetMP4MediaFragment": func() error {
				segment, err := s.MediaSegment(t.Context(), token,
					sessionurl.Segment{Track: 1, Number: number})
				if err == nil {
					segment.Close()
				}
				return err
			},
		}
	}
	whole := api.FragmentReadsBurst * 5 * 2
	depth := map[string]int{"GetHLSMasterPlaylist": 25, "GetHLSMediaPlaylist": 25,
		"GetMP4InitFragment": 25 + whole, "GetMP4MediaFragment": 20 + whole}
	token, other := r.open(r.input()), r.open(r.input())
	s := service(strict)
	for name, do := range actions(s, token) {
		for i := range depth[name] {
			if err := do(); err != nil {
				t.Fatalf("%s %d: %v", name, i, err)
			}
		}
		wantError(t, do(), api.ClientLimitExceededException, name+" per second")
		if err := actions(s, other)[name](); err != nil {
			t.Errorf("another session's %s: %v", name, err)
		}
		now := r.store.Clock()
		r.store.Sleep(200 * time.Millisecond) // one of five a second, four of twenty
		if err := do(); err != nil {
			t.Errorf("%s after a while: %v", name, err)
		}
		r.store.SetClock(now)
	}

	// A download of a recording at full speed, twice, and seeking through it, in no time at all.
	s = service(LimitsOf(quota.Defaults()))
	began := sent[0].ServerTimestamp
	token = r.open(r.recording("", began, began+10*60_000-1))
	for range 3 {
		for track := 1; track <= 2; track++ {
			do := actions(s, token)
			for _, name := range []string{"GetHLSMasterPlaylist", "GetHLSMediaPlaylist",
				"GetMP4InitFragment"} {
				if err := do[name](); err != nil {
					t.Fatal(err)
				}
			}
			for i := range sent {
				segment, err := s.MediaSegment(t.Context(), token,
					sessionurl.Segment{Track: track, Number: r.stream.FormatNumber(sent[i].Number)})
				if err != nil {
					t.Fatalf("track %d, fragment %d: %v", track, i, err)
				}
				segment.Close()
			}
		}
	}
	// Fifty live players with one URL reach the limit.
	token = r.open(r.input())
	var refused error
	for range 20 {
		for range 50 {
			for track := 1; track <= 2; track++ {
				if _, err := s.MediaPlaylist(t.Context(), token, track); err != nil {
					refused = err
				}
			}
		}
		r.store.Sleep(2 * time.Second)
	}
	wantError(t, refused, api.ClientLimitExceededException, "must not be shared")
}

func TestGzipIsTheText(t *testing.T) {
	r := newRig(t, videoTrack())
	for range 50 {
		r.camera.send()
	}
	in := r.input()
	in.MaxMediaPlaylistFragmentResults = 50
	token := r.open(in)
	playlist, err := r.service.MediaPlaylist(t.Context(), token, 1)
	if err != nil {
		t.Fatal(err)
	}
	wantZipped(t, playlist)
	again, err := r.service.MediaPlaylist(t.Context(), token, 1)
	if err != nil || fmt.Sprintf("%p", again.Gzip()) != fmt.Sprintf("%p", playlist.Gzip()) {
		t.Error("compressed again although nothing changed")
	}
}

// Players renew their sessions while they watch. The views of ended sessions are dropped.
func TestEndedSessionsAreForgotten(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	for range 3 {
		for range 4 {
			r.playlist(r.service, r.open(r.input()), 1)
		}
		r.camera.Time += 600_000
		r.store.Sleep(10 * time.Minute) // the sessions last five
		r.camera.send()
	}
	r.playlist(r.service, r.open(r.input()), 1)
	if n := r.service.views.order.Len(); n != 1 {
		t.Errorf("%d sessions are kept in memory, want the open one", n)
	}
}
