package playback

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

var update = flag.Bool("update", false, "write the golden files anew")

// rig is a service over a store with one stream and its camera.
type rig struct {
	*testing.T
	store   *testStore
	stream  store.Stream
	camera  *camera
	service *Service
	log     bytes.Buffer

	switching bool // of services made from now on
}

func newRig(t *testing.T, tracks ...media.Track) *rig {
	r := &rig{T: t}
	r.store, r.stream = newTestStore(time.UnixMilli(1_700_000_000_123), 1)
	r.camera = newCamera(r.store, r.stream, tracks...)
	r.service = r.another()
	return r
}

// another is a second process over the same store.
func (r *rig) another() *Service {
	return New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: patient(),
		Clock: r.store.clock, SwitchCodecs: r.switching,
		Logger: slog.New(slog.NewTextHandler(&r.log, nil))})
}

// patient are the default limits without those on requests of a session.
func patient() Limits {
	limits := DefaultLimits()
	limits.PlaylistsPerSecond, limits.FragmentsPerSecond = 0, 0
	return limits
}

func (r *rig) input() *api.GetHLSStreamingSessionURLInput {
	in := &api.GetHLSStreamingSessionURLInput{}
	in.StreamName = r.stream.Name
	return in
}

func (r *rig) recording(selector api.FragmentSelectorType, start,
	end int64) *api.GetHLSStreamingSessionURLInput {
	in := r.input()
	from, to := api.Timestamp(start), api.Timestamp(end)
	in.PlaybackMode = api.PlaybackModeOnDemand
	in.HLSFragmentSelector = &api.FragmentSelector{FragmentSelectorType: selector,
		TimestampRange: &api.TimestampRange{StartTimestamp: &from, EndTimestamp: &to}}
	return in
}

// replay asks for LIVE_REPLAY from start (milliseconds) to end, or without an end when it is 0.
func (r *rig) replay(selector api.FragmentSelectorType, start,
	end int64) *api.GetHLSStreamingSessionURLInput {
	in := r.recording(selector, start, end)
	in.PlaybackMode = api.PlaybackModeLiveReplay
	if end == 0 {
		in.HLSFragmentSelector.TimestampRange.EndTimestamp = nil
	}
	return in
}

func (r *rig) open(in *api.GetHLSStreamingSessionURLInput) string {
	r.Helper()
	token, err := r.service.OpenHLS(r.Context(), r.stream, in)
	if err != nil {
		r.Fatal(err)
	}
	return token
}

func (r *rig) playlist(s *Service, token string, track int) string {
	r.Helper()
	text, err := s.MediaPlaylist(r.Context(), token, track)
	if err != nil {
		r.Fatal(err)
	}
	return string(text.Text)
}

// checkpoint returns how many bytes are saved of a session.
func (r *rig) checkpoint(token string) int {
	r.Helper()
	claims, err := fakeTokens{}.Open(token)
	if err != nil {
		r.Fatal(err)
	}
	session, err := r.store.Session(r.Context(), claims.SessionID)
	if err != nil || len(session.Checkpoint) == 0 {
		r.Fatalf("checkpoint of %d bytes, %v", len(session.Checkpoint), err)
	}
	return len(session.Checkpoint)
}

// wantError wants an *api.Error of the code whose message has the text.
func wantError(t *testing.T, err error, code api.ErrorCode, text string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// numbers lists the fragments of a playlist as indexes into sent.
func (r *rig) numbers(text string, sent []store.FragmentInfo) (found []int) {
	for _, line := range strings.Split(text, "\n") {
		for i := range sent {
			if strings.Contains(line, "FragmentNumber="+r.stream.FormatNumber(sent[i].Number)+"&") {
				found = append(found, i)
			}
		}
	}
	return found
}

func (r *rig) wantNumbers(text string, sent []store.FragmentInfo, want ...int) {
	r.Helper()
	if got := r.numbers(text, sent); len(got) != len(want) || !equal(got, want) {
		r.Errorf("lists fragments %v, want %v\n%s", got, want, text)
	}
}

func equal(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// anonymous replaces the token, which is random.
func anonymous(text, token string) string { return strings.ReplaceAll(text, token, "TOKEN") }

func TestPlaylistsOfASession(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	for range 7 {
		r.camera.send()
	}
	in := r.input()
	in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
	token := r.open(in)
	master, err := r.service.MasterPlaylist(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	r.camera.send()
	all := string(master) + "\n" + r.playlist(r.service, token, 1) + "\n" +
		r.playlist(r.service, token, 2)
	golden(t, "live.txt", anonymous(all, token))

	token = r.open(r.recording(api.SelectorProducerTimestamp,
		r.store.now.Add(-10*time.Second).UnixMilli(), r.store.now.UnixMilli()))
	golden(t, "recording.txt", anonymous(r.playlist(r.service, token, 1), token))

	r = newRig(t, audioTrack())
	r.camera.send()
	token = r.open(r.input())
	if master, err = r.service.MasterPlaylist(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	golden(t, "audio.txt", anonymous(string(master)+"\n"+r.playlist(r.service, token, 2), token))
}

func TestOpenHLSErrors(t *testing.T) {
	broken := func(change func(*media.Track)) media.Track {
		v := videoTrack()
		change(&v)
		return v
	}
	g711 := media.Track{Number: 2, Kind: media.Audio, CodecID: "A_MS/ACM", Timescale: 8000}
	bareAAC := audioTrack()
	bareAAC.CodecPrivate = nil
	now := time.UnixMilli(1_700_000_000_123)
	ms := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }

	cases := []struct {
		name   string
		tracks []media.Track
		before func(r *rig)
		input  func(r *rig) *api.GetHLSStreamingSessionURLInput
		code   api.ErrorCode
		text   string
	}{
		{name: "retention 0", before: func(r *rig) {
			r.stream.RetentionHours = 0
		}, code: api.NoDataRetentionException},
		{name: "live with a range", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			in := r.recording("", ms(-time.Minute), ms(0))
			in.PlaybackMode = api.PlaybackModeLive
			return in
		}, code: api.InvalidArgumentException, text: "TimestampRange"},
		{name: "recording without a range",
			input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
				in := r.input()
				in.PlaybackMode = api.PlaybackModeOnDemand
				return in
			}, code: api.InvalidArgumentException, text: "TimestampRange"},
		{name: "recording without an end", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			in := r.recording("", ms(-time.Minute), 0)
			in.HLSFragmentSelector.TimestampRange.EndTimestamp = nil
			return in
		}, code: api.InvalidArgumentException, text: "EndTimestamp"},
		{name: "end before start", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			return r.recording(api.SelectorProducerTimestamp, ms(0), ms(-time.Second))
		}, code: api.InvalidArgumentException, text: "later than"},
		{name: "more than a day", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			return r.recording(api.SelectorProducerTimestamp, ms(-25*time.Hour), ms(0))
		}, code: api.InvalidArgumentException, text: "24 hours"},
		{name: "end in the future", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			return r.recording("", ms(-time.Minute), ms(time.Hour))
		}, code: api.InvalidArgumentException, text: "End timestamp 1700003600123 must not be in " +
			"the future."},
		{name: "start before retention", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			return r.recording("", ms(-61*time.Minute), ms(-time.Minute))
		}, code: api.InvalidArgumentException, text: "Start timestamp 1699996340123 is outside " +
			"of the stream retention period."},
		{name: "nothing in the range", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			return r.recording(api.SelectorProducerTimestamp, ms(-time.Hour), ms(-time.Minute))
		}, code: api.ResourceNotFoundException, text: "No fragments found in the stream for the " +
			"streaming request."},
		{name: "live replay without a range",
			input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
				in := r.input()
				in.PlaybackMode = api.PlaybackModeLiveReplay
				return in
			}, code: api.InvalidArgumentException, text: "StartTimestamp is required"},
		{name: "live replay that ends in the future",
			input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
				return r.replay("", ms(-time.Minute), ms(time.Millisecond))
			}, code: api.InvalidArgumentException, text: "must not be in the future"},
		{name: "live replay that ends before it starts",
			input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
				return r.replay(api.SelectorProducerTimestamp, ms(0), ms(0))
			}, code: api.InvalidArgumentException, text: "later than"},
		{name: "live replay of more than a day",
			input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
				return r.replay(api.SelectorProducerTimestamp, ms(0),
					ms(24*time.Hour+time.Millisecond))
			}, code: api.InvalidArgumentException, text: "24 hours"},
		{name: "live replay before retention",
			input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
				return r.replay("", ms(-time.Hour-time.Millisecond), 0)
			}, code: api.InvalidArgumentException, text: "outside of the stream retention period"},
		{name: "live replay of nothing yet",
			input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
				return r.replay("", ms(time.Minute), 0)
			}, code: api.ResourceNotFoundException, text: "No fragments found in the stream for " +
				"the streaming request."},
		{name: "AAC that has no ADTS", tracks: []media.Track{videoTrack(), func() media.Track {
			a := audioTrack()
			a.CodecPrivate = []byte{0x12, 0x14} // 960 samples a frame
			return a
		}()}, input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			in := r.input()
			in.ContainerFormat = api.ContainerMPEGTS
			return in
		}, code: api.UnsupportedStreamMediaTypeException, text: "track 2 (A_AAC)"},
		{name: "unknown mode", input: func(r *rig) *api.GetHLSStreamingSessionURLInput {
			in := r.input()
			in.PlaybackMode = "REWIND"
			return in
		}, code: api.InvalidArgumentException, text: "REWIND"},
		{name: "never a fragment", before: func(r *rig) {
			r.stream = r.store.create("silent", 1)
		},
			code: api.ResourceNotFoundException,
			text: "No fragments found in the stream for the streaming request."},
		{name: "silent for 30 seconds", before: func(r *rig) {
			r.store.sleep(30*time.Second + time.Millisecond)
		},
			code: api.ResourceNotFoundException,
			text: "No fragments found in the stream for the streaming request."},
		{name: "only a partial fragment", before: func(r *rig) {
			whole := r.camera.number
			part := r.camera.info(r.camera.nextNumber())
			part.Partial = true
			r.camera.commit(part, whole)
		},
			code: api.ResourceNotFoundException, text: "No fragments found"},
		{name: "stream deleted meanwhile", before: func(r *rig) {
			r.store.remove(r.stream.ID)
		},
			code: api.ResourceNotFoundException, text: api.MessageStreamNotFound},
		{name: "G.711", tracks: []media.Track{videoTrack(), g711},
			code: api.UnsupportedStreamMediaTypeException, text: "A_MS/ACM of track 2"},
		{name: "VP8", tracks: []media.Track{broken(func(v *media.Track) { v.CodecID = "V_VP8" })},
			code: api.UnsupportedStreamMediaTypeException, text: "V_VP8"},
		{name: "subtitles only",
			tracks: []media.Track{{Number: 1, Kind: 17, CodecID: "S_TEXT/UTF8", Timescale: 1000}},
			code:   api.UnsupportedStreamMediaTypeException, text: "neither"},
		{name: "no codec private data", tracks: []media.Track{videoTrack(), bareAAC},
			code: api.MissingCodecPrivateDataException,
			text: "Missing codec private data in fragment for track 2."},
		{name: "Annex B", tracks: []media.Track{broken(func(v *media.Track) {
			v.CodecPrivate = []byte{0, 0, 0, 1, 0x67, 0x64, 0, 31}
		})},
			code: api.InvalidCodecPrivateDataException, text: "track 1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tracks := c.tracks
			if tracks == nil {
				tracks = []media.Track{videoTrack(), audioTrack()}
			}
			r := newRig(t, tracks...)
			r.camera.send()
			r.store.now = now.Add(2 * time.Second)
			if c.before != nil {
				c.before(r)
			}
			in := r.input()
			if c.input != nil {
				r.store.now = now
				in = c.input(r)
			}
			_, err := r.service.OpenHLS(t.Context(), r.stream, in)
			wantError(t, err, c.code, c.text)
			if r.store.opens != 0 {
				t.Error("a session was registered")
			}
		})
	}
}

// A 20-second fragment is stored 20 seconds after its timestamp, and the next one 20 seconds later:
// the stream is live all along.
func TestLiveWithLongFragments(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.length = 20_000
	r.camera.send()
	r.store.sleep(19 * time.Second)
	r.open(r.input())
}

func TestRangeSelection(t *testing.T) {
	r := newRig(t, videoTrack())
	t0 := r.store.now.UnixMilli()
	var sent []store.FragmentInfo
	for range 6 { // starts at 0, 2, 4, … seconds
		sent = append(sent, r.camera.send())
	}
	for _, selector := range []api.FragmentSelectorType{api.SelectorServerTimestamp,
		api.SelectorProducerTimestamp} {
		r.wantNumbers(r.playlist(r.service, r.open(r.recording(selector, t0+1000, t0+4000)), 1),
			sent, 1, 2)
		r.wantNumbers(r.playlist(r.service, r.open(r.recording(selector, t0+2000, t0+7999)), 1),
			sent, 1, 2, 3)
		in := r.recording(selector, t0, t0+11_000)
		in.MaxMediaPlaylistFragmentResults = 3
		text := r.playlist(r.service, r.open(in), 1)
		r.wantNumbers(text, sent, 0, 1, 2)
		if !strings.HasSuffix(text, "#EXT-X-ENDLIST\n") ||
			!strings.Contains(text, "#EXT-X-PLAYLIST-TYPE:VOD\n") {
			t.Errorf("not a VOD playlist:\n%s", text)
		}
	}

	// The camera comes back, uploads two older fragments, then one of them again.
	r.camera.clock = t0 - 4000
	sent = append(sent, r.camera.send(), r.camera.send())
	r.camera.clock = t0 - 4000
	sent = append(sent, r.camera.send())
	token := r.open(r.recording(api.SelectorProducerTimestamp, t0-5000, t0+5000))
	text := r.playlist(r.service, token, 1)
	// 6 gave way to 8; in the order of the producer's clock
	r.wantNumbers(text, sent, 8, 7, 0, 1, 2)
	if strings.Contains(text, "DISCONTINUITY") {
		t.Errorf("discontinuity in a playlist without one:\n%s", text)
	}

	// It never changes, wherever it is asked for and whatever is added or goes.
	r.camera.clock = t0 + 1000
	r.camera.send()
	if again := r.playlist(r.another(), token, 1); again != text {
		t.Errorf("another process answers\n%s\nafter\n%s", again, text)
	}
	r.store.retain(r.stream.ID, 0) // what is stored goes for good
	r.store.retain(r.stream.ID, 1)
	if again := r.playlist(r.another(), token, 1); again != text {
		t.Errorf("after the fragments went:\n%s\nwant\n%s", again, text)
	}
}

func TestOtherCodecPrivateDataIsLeftOut(t *testing.T) {
	r := newRig(t, videoTrack())
	t0 := r.store.now.UnixMilli()
	sent := []store.FragmentInfo{r.camera.send(), r.camera.send()}
	r.camera.tracks = []media.Track{otherVideo()}
	sent = append(sent, r.camera.send())
	text := r.playlist(r.service, r.open(r.recording("", t0, t0+5000)), 1)
	r.wantNumbers(text, sent, 0, 1) // a recording has the first one's
	live := r.open(r.input())
	r.wantNumbers(r.playlist(r.service, live, 1), sent, 2) // live has the newest one's
	r.camera.tracks = []media.Track{videoTrack()}
	sent = append(sent, r.camera.send())
	// a further track is no change of those that are packaged
	r.camera.tracks = []media.Track{otherVideo(), audioTrack()}
	sent = append(sent, r.camera.send())
	r.wantNumbers(r.playlist(r.service, live, 1), sent, 2, 4)
	_, err := r.service.MediaSegment(t.Context(), live,
		SegmentRef{Track: 1, Number: r.stream.FormatNumber(sent[3].Number)})
	wantError(t, err, api.ResourceNotFoundException, "not found")
}

// actions asks a service for everything that a session may be asked for.
func (r *rig) actions(s *Service) map[string]func(token string) error {
	return map[string]func(token string) error{
		"master": func(token string) error {
			_, err := s.MasterPlaylist(r.Context(), token)
			return err
		},
		"media": func(token string) error {
			_, err := s.MediaPlaylist(r.Context(), token, 1)
			return err
		},
		"init": func(token string) error {
			_, err := s.InitSegment(r.Context(), token, 1, 0)
			return err
		},
		"later init": func(token string) error {
			_, err := s.InitSegment(r.Context(), token, 1, 1)
			return err
		},
		"I-frames": func(token string) error {
			_, err := s.IFramePlaylist(r.Context(), token, 1)
			return err
		},
		"TS segment": func(token string) error {
			_, err := s.TSSegment(r.Context(), token,
				SegmentRef{Track: 1, Number: r.stream.FormatNumber(r.camera.number)})
			return err
		},
		"segment": func(token string) error {
			_, err := s.MediaSegment(r.Context(), token,
				SegmentRef{Track: 1, Number: r.stream.FormatNumber(r.camera.number)})
			return err
		},
	}
}

func TestSessionsEnd(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.sendMedia()
	var tokens []string
	for range 5 {
		tokens = append(tokens, r.open(r.input()))
		r.playlist(r.service, tokens[0], 1)
	}
	tokens = append(tokens, r.open(r.input())) // the sixth closes the first
	never := fakeTokens{}.Seal(
		auth.Claims{SessionID: strings.Repeat("x", 16), Expires: r.store.now.Add(time.Hour)})
	services := []*Service{r.service, r.another()}
	for _, s := range services {
		for name, do := range r.actions(s) {
			t.Run(name, func(t *testing.T) {
				wantError(t, do(tokens[0]), api.NotAuthorizedException, "closed")
				wantError(t, do("forged"), api.NotAuthorizedException, "invalid")
				wantError(t, do(never), api.NotAuthorizedException, "closed")
			})
		}
		r.playlist(s, tokens[1], 1)
	}
	r.store.sleep(5 * time.Minute)
	for _, s := range services {
		for name, do := range r.actions(s) {
			t.Run(name+" later", func(t *testing.T) {
				for _, token := range []string{tokens[5], tokens[0]} {
					wantError(t, do(token), api.NotAuthorizedException,
						"Streaming session token is expired")
				}
			})
		}
	}
	r.camera.sendMedia()
	token := r.open(r.input())
	r.playlist(r.service, token, 1)
	r.store.remove(r.stream.ID)
	_, err := r.service.MediaPlaylist(t.Context(), token, 1)
	wantError(t, err, api.NotAuthorizedException, "closed")
}

func TestSessionURLRate(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	for range 25 {
		r.open(r.input())
	}
	_, err := r.service.OpenHLS(t.Context(), r.stream, r.input())
	wantError(t, err, api.ClientLimitExceededException, "25")
	r.store.sleep(40 * time.Millisecond)
	r.open(r.input())
}

func TestSegments(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	old := r.camera.sendMedia()
	var sent []store.FragmentInfo
	var records []*store.Record
	for range 3 {
		sent = append(sent, r.camera.sendMedia(func(rec *store.Record) {
			records = append(records, rec)
		}))
	}
	in := r.input()
	in.MaxMediaPlaylistFragmentResults = 3
	token := r.open(in)
	origin := sent[0].ProducerTimestamp
	if sent[0].Spans[1].BaseDecodeTime*1000/44100 < origin {
		origin-- // audio begins a part of a sample earlier
	}

	for _, track := range []media.Track{videoTrack(), audioTrack()} {
		init, err := r.service.InitSegment(t.Context(), token, track.Number, 0)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := fmp4.InitSegment(&track); !bytes.Equal(init, want) {
			t.Errorf("init segment of track %d is another one", track.Number)
		}
		for i := range sent {
			number := r.stream.FormatNumber(sent[i].Number)
			s, err := r.service.MediaSegment(t.Context(), token,
				SegmentRef{Track: track.Number, Number: number})
			if err != nil {
				t.Fatal(err)
			}
			header := int64(len(s.Header))
			var body bytes.Buffer
			if err := s.WriteRange(&body, header, s.Length-header); err != nil {
				t.Fatal(err)
			}
			rec := records[i]
			run := &rec.Runs[track.Number-1]
			scale := int64(track.Timescale)
			wantHeader, err := fmp4.AppendMediaHeader(nil, &track, run, uint32(sent[i].Sequence),
				run.BaseDecodeTime-origin*scale/1000)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(s.Header, wantHeader) {
				t.Errorf("header of fragment %d, track %d:\n%x\nwant\n%x", i, track.Number,
					s.Header, wantHeader)
			}
			if !bytes.Equal(body.Bytes(), rec.Payload[track.Number-1]) {
				t.Errorf("fragment %d, track %d: other frames", i, track.Number)
			}
			again, err := r.another().MediaSegment(t.Context(), token,
				SegmentRef{Track: track.Number, Number: number})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.Header, s.Header) {
				t.Error("another process gives other bytes")
			}
			s.Close()
			again.Close()
		}
	}
	if r.store.opened != 0 {
		t.Errorf("%d fragments left open", r.store.opened)
	}

	foreign := r.stream
	foreign.NumberTag++
	late := r.camera.info(r.camera.nextNumber())
	late.Partial = true
	r.camera.commit(late, 0)
	for name, c := range map[string]struct {
		track  int
		number string
	}{
		"before the session":   {1, r.stream.FormatNumber(old.Number)},
		"of another stream":    {1, foreign.FormatNumber(sent[0].Number)},
		"not a number":         {1, "fragment"},
		"never stored":         {1, r.stream.FormatNumber(sent[2].Number + 1)},
		"partial":              {1, r.stream.FormatNumber(late.Number)},
		"of no packaged track": {3, r.stream.FormatNumber(sent[0].Number)},
	} {
		_, err := r.service.MediaSegment(t.Context(), token,
			SegmentRef{Track: c.track, Number: c.number})
		wantError(t, err, api.ResourceNotFoundException, "")
		if err == nil {
			t.Errorf("fragment %s was served", name)
		}
	}
	_, err := r.service.InitSegment(t.Context(), token, 1, 1)
	wantError(t, err, api.ResourceNotFoundException, "")
	_, err = r.service.InitSegment(t.Context(), token, 3, 0)
	wantError(t, err, api.ResourceNotFoundException, "")
	_, err = r.service.MediaPlaylist(t.Context(), token, 3)
	wantError(t, err, api.ResourceNotFoundException, "track 3")

	recording := r.open(r.recording("", sent[1].ServerTimestamp, sent[1].ServerTimestamp+1))
	for i, want := range []bool{false, true, false} {
		s, err := r.service.MediaSegment(t.Context(), recording,
			SegmentRef{Track: 1, Number: r.stream.FormatNumber(sent[i].Number)})
		if want && err != nil {
			t.Error(err)
		} else if !want {
			wantError(t, err, api.ResourceNotFoundException, "")
		} else {
			s.Close()
		}
	}
	long := r.input()
	long.Expires = 43_200
	token = r.open(long)
	r.store.sleep(time.Hour)
	_, err = r.service.MediaSegment(t.Context(), token,
		SegmentRef{Track: 1, Number: r.stream.FormatNumber(sent[1].Number)})
	wantError(t, err, api.ResourceNotFoundException, "")
}

// decodeTimeOf finds the tfdt in a segment header.
func decodeTimeOf(t *testing.T, header []byte) uint64 {
	t.Helper()
	i := bytes.Index(header, []byte("tfdt"))
	if i < 0 {
		t.Fatal("no tfdt")
	}
	return binary.BigEndian.Uint64(header[i+8:])
}

// A camera whose clock is set back, or forward by days, gets small decode times and a discontinuity
// also under NEVER.
func TestClockThatIsSet(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.sendMedia()
	in := r.input()
	in.DiscontinuityMode = api.DiscontinuityNever
	token := r.open(in)
	start := r.camera.clock
	for _, clock := range []int64{start - 86_400_000*400, start + 86_400_000*400} {
		r.camera.clock = clock
		i := r.camera.sendMedia()
		s, err := r.service.MediaSegment(t.Context(), token,
			SegmentRef{Track: 1, Number: r.stream.FormatNumber(i.Number)})
		if err != nil {
			t.Fatal(err)
		}
		if at := decodeTimeOf(t, s.Header); at > 48*3600*90_000 {
			t.Errorf("decode time %d", at)
		}
		s.Close()
	}
	r.camera.sendMedia()
	if n := strings.Count(r.playlist(r.service, token, 1), "#EXT-X-DISCONTINUITY\n"); n != 2 {
		t.Errorf("%d discontinuities, want 2", n)
	}
}

// The same with a replay, whose schedule goes on where it was.
func TestLostCommitsOfAReplay(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	for range 5 {
		r.camera.send()
	}
	in := r.replay("", r.store.now.UnixMilli()-10_000, 0)
	in.Expires = 43_200
	token := r.open(in)
	check := newRFC(t)
	check.reload(r.playlist(r.service, token, 1))
	for range 3000 { // 100 minutes
		r.camera.send()
	}
	first := r.another()
	for n := range 30 {
		text := r.playlist(first, token, 1)
		check.reload(text)
		if n == 0 && !strings.Contains(text, "#EXT-X-MEDIA-SEQUENCE:3000\n") {
			t.Errorf("the newest are not the last of 3005:\n%s", text)
		}
		for _, s := range []*Service{r.service, r.another()} {
			if got := r.playlist(s, token, 1); got != text {
				t.Fatal(difference(got, text))
			}
		}
		r.camera.send()
	}
}

// Nobody polls a session for longer than its stream keeps fragments: what came and went is counted,
// the numbers only grow, and every process gives the same playlist.
func TestLostCommits(t *testing.T) {
	for _, mode := range []api.DiscontinuityMode{api.DiscontinuityAlways, api.DiscontinuityNever} {
		r := newRig(t, videoTrack(), audioTrack())
		for range 5 {
			r.camera.send()
		}
		in := r.input()
		in.Expires, in.DiscontinuityMode = 43_200, mode
		token := r.open(in)
		check := newRFC(t)
		r.camera.send()
		check.reload(r.playlist(r.service, token, 1))
		for range 3000 { // 100 minutes
			r.camera.send()
		}
		first := r.another()
		text := r.playlist(first, token, 1)
		check.reload(text)
		if want := "#EXT-X-MEDIA-SEQUENCE:3001\n"; !strings.Contains(text, want) {
			t.Errorf("want %s in\n%s", want, text)
		}
		for range 10 {
			for _, s := range []*Service{r.service, r.another(), first} {
				if got := r.playlist(s, token, 1); got != text {
					t.Fatalf("got\n%s\nwant\n%s", got, text)
				}
			}
			r.camera.send()
			text = r.playlist(r.service, token, 1)
			check.reload(text)
		}
		r.store.sleep(61 * time.Minute)
		_, err := r.service.MediaPlaylist(t.Context(), token, 1)
		wantError(t, err, api.ResourceNotFoundException, api.MessageNoFragments)
		r.camera.send()
		check.reload(r.playlist(r.service, token, 1))
	}
}

// A session that another version of the program opened is closed, not a fault of the server: the
// player asks for a new one.
func TestSessionOfAnotherVersion(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	token := r.open(r.input())
	r.playlist(r.another(), token, 1)
	for _, change := range []func(*store.Session){
		func(s *store.Session) { s.Parameters[0]++ },
		func(s *store.Session) { s.Checkpoint[0] += 16 },
	} {
		r.store.session = change
		_, err := r.another().MediaPlaylist(t.Context(), token, 1)
		wantError(t, err, api.NotAuthorizedException, "another version")
	}
}

func TestSilentCameraKeepsItsPlaylist(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	in := r.input()
	in.Expires = 3600
	token := r.open(in)
	want := r.playlist(r.service, token, 1)
	r.store.sleep(10 * time.Minute)
	if got := r.playlist(r.service, token, 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCheckpointsAreFew(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.send()
	in := r.input()
	in.Expires = 43_200
	token := r.open(in)
	for range 640 {
		r.camera.send()
		r.playlist(r.service, token, 1)
	}
	if r.store.saves < 9 || r.store.saves > 11 {
		t.Errorf("%d checkpoints for 640 fragments", r.store.saves)
	}
	if n := r.checkpoint(token); n > 2000 {
		t.Errorf("a checkpoint of %d bytes for the last %d fragments", n, timeline.History)
	}
	r.store.failSave = true
	began := r.store.now
	for range 200 {
		r.camera.send()
		r.playlist(r.service, token, 1)
	}
	if n, most := strings.Count(r.log.String(), "disk on fire"),
		int(r.store.now.Sub(began)/checkpointRetry)+1; n < 2 || n > most {
		t.Errorf("a checkpoint that cannot be written was tried %d times, want 2 to %d", n, most)
	}
}

func TestConcurrentReaders(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	r.camera.send()
	token := r.open(r.input())
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				if _, err := r.service.MediaPlaylist(t.Context(), token, 1+i%2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		r.camera.send()
	}
	group.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	r := newRig(t, videoTrack())
	limits := patient()
	limits.HLSSessionsPerStream, limits.SessionURLsPerSecond, limits.CacheBytes = 0, 0, 100_000
	r.service = New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: limits,
		Clock: r.store.clock})
	for range 10 {
		r.camera.send()
	}
	for range 200 {
		r.playlist(r.service, r.open(r.input()), 1)
	}
	c := r.service.views
	if c.total > limits.CacheBytes || len(c.byID) != c.order.Len() || len(c.byID) == 0 ||
		len(c.byID) > 25 {
		t.Errorf("%d sessions of %d bytes in the cache", len(c.byID), c.total)
	}
}
