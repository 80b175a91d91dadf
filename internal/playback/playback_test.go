package playback

import (
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

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
		r.store.Clock().Add(-10*time.Second).UnixMilli(), r.store.Clock().UnixMilli()))
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
			r.store.Sleep(30*time.Second + time.Millisecond)
		},
			code: api.ResourceNotFoundException,
			text: "No fragments found in the stream for the streaming request."},
		{name: "only a partial fragment", before: func(r *rig) {
			whole := r.camera.Number
			part := r.camera.info(r.camera.NextNumber())
			part.Partial = true
			r.camera.commit(part, whole)
		},
			code: api.ResourceNotFoundException, text: "No fragments found"},
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
			r.store.SetClock(now.Add(2 * time.Second))
			if c.before != nil {
				c.before(r)
			}
			in := r.input()
			if c.input != nil {
				r.store.SetClock(now)
				in = c.input(r)
			}
			_, err := r.service.OpenHLS(t.Context(), r.stream, "", in)
			wantError(t, err, c.code, c.text)
			if r.store.opens != 0 {
				t.Error("a session was registered")
			}
		})
	}
}

// A 20-second fragment is stored 20 seconds after its timestamp, and the next one 20 seconds later:
// all the while the stream is live.
func TestLiveWithLongFragments(t *testing.T) {
	r := newRig(t, videoTrack())
	r.camera.Length = 20_000
	r.camera.send()
	r.store.Sleep(19 * time.Second)
	r.open(r.input())
}

func TestRangeSelection(t *testing.T) {
	r := newRig(t, videoTrack())
	t0 := r.store.Clock().UnixMilli()
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
	r.camera.Time = t0 - 4000
	sent = append(sent, r.camera.send(), r.camera.send())
	r.camera.Time = t0 - 4000
	sent = append(sent, r.camera.send())
	token := r.open(r.recording(api.SelectorProducerTimestamp, t0-5000, t0+5000))
	text := r.playlist(r.service, token, 1)
	// 8 has replaced 6; in the order of the producer's clock
	r.wantNumbers(text, sent, 8, 7, 0, 1, 2)
	if strings.Contains(text, "DISCONTINUITY") {
		t.Errorf("discontinuity in a playlist without one:\n%s", text)
	}

	// It never changes, in any process, whatever is added or deleted.
	r.camera.Time = t0 + 1000
	r.camera.send()
	if again := r.playlist(r.another(), token, 1); again != text {
		t.Errorf("another process answers\n%s\nafter\n%s", again, text)
	}
	r.store.retain(r.stream.ID, 0) // everything stored is deleted
	r.store.retain(r.stream.ID, 1)
	if again := r.playlist(r.another(), token, 1); again != text {
		t.Errorf("after the fragments went:\n%s\nwant\n%s", again, text)
	}
}

func TestOtherCodecPrivateDataIsLeftOut(t *testing.T) {
	r := newRig(t, videoTrack())
	t0 := r.store.Clock().UnixMilli()
	sent := []store.FragmentInfo{r.camera.send(), r.camera.send()}
	r.camera.Tracks = []media.Track{otherVideo()}
	sent = append(sent, r.camera.send())
	text := r.playlist(r.service, r.open(r.recording("", t0, t0+5000)), 1)
	r.wantNumbers(text, sent, 0, 1) // a recording has the first one's
	live := r.open(r.input())
	r.wantNumbers(r.playlist(r.service, live, 1), sent, 2) // live has the newest one's
	r.camera.Tracks = []media.Track{videoTrack()}
	sent = append(sent, r.camera.send())
	// another track does not change those that are packaged
	r.camera.Tracks = []media.Track{otherVideo(), audioTrack()}
	sent = append(sent, r.camera.send())
	r.wantNumbers(r.playlist(r.service, live, 1), sent, 2, 4)
	_, err := r.service.MediaSegment(t.Context(), live,
		sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(sent[3].Number)})
	wantError(t, err, api.ResourceNotFoundException, "not found")
}
