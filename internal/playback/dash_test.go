package playback

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
)

func (r *rig) dash() *api.GetDASHStreamingSessionURLInput {
	in := &api.GetDASHStreamingSessionURLInput{}
	in.StreamName = r.stream.Name
	return in
}

// dashRange asks for a recording or a replay on the producer's clock, without an end if it is 0.
func (r *rig) dashRange(mode api.PlaybackMode, start, end int64,
) *api.GetDASHStreamingSessionURLInput {
	in := r.dash()
	in.PlaybackMode = mode
	replay := r.replay(api.SelectorProducerTimestamp, start, end)
	in.DASHFragmentSelector = replay.HLSFragmentSelector
	return in
}

func (r *rig) openDASH(in *api.GetDASHStreamingSessionURLInput) string {
	r.Helper()
	token, err := tokenOf(r.service.OpenDASH(r.Context(), r.stream, "", in))
	if err != nil {
		r.Fatal(err)
	}
	return token
}

func (r *rig) manifest(s *Service, token string) string {
	r.Helper()
	text, err := s.DASHManifest(r.Context(), token)
	if err != nil {
		r.Fatal(err)
	}
	return string(text.Text)
}
func TestDASHRecording(t *testing.T) {
	t.Parallel()
	r := newRig(t, videoTrack(), audioTrack())
	var sent []store.FragmentInfo
	for i := range 6 {
		if i == 3 {
			r.camera.Time += 10_000 // the camera was off
		}
		sent = append(sent, r.camera.sendMedia())
	}
	in := r.dashRange(api.PlaybackModeOnDemand, sent[0].ProducerTimestamp, r.camera.Time)
	in.DisplayFragmentNumber = api.DisplayNumberAlways
	in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
	token := r.openDASH(in)
	w := watchDASH(t)
	m := w.read(r.manifest(r.service, token))
	w.fetch(r.service, token, m)
	if len(m.Period) != 1 || len(m.Period[0].AdaptationSet) != 2 || m.Type != "static" {
		t.Fatalf("not one static period of two tracks:\n%s", w.text)
	}
	// The sound begins a fraction of a sample before the pictures, and so in the millisecond
	// before.
	if at := m.AvailabilityStartTime.UnixMilli(); at != sent[0].ProducerTimestamp-1 {
		t.Errorf("availabilityStartTime %d, want %d", at, sent[0].ProducerTimestamp-1)
	}
	if longest := seconds(t, m.MaxSegmentDuration); longest < 12 || longest > 12.1 {
		t.Errorf("maxSegmentDuration %v, want that of the segment after the gap", longest)
	}
	for i, e := range m.Period[0].AdaptationSet[0].SegmentTemplate.S {
		want := time.UnixMilli(sent[i].ProducerTimestamp).UTC().Format("2006-01-02T15:04:05.000Z")
		if e.FN != r.stream.FormatNumber(sent[i].Number) || e.TS != want {
			t.Errorf("S %d is %+v, want %s of %d", i, e, want, sent[i].Number)
		}
		// Times are those of the producer, also across the gap, which belongs to the segment after
		// it.
		begin := e.T + e.D - sent[i].Spans[0].Duration
		got := w.start.UnixMilli() + timeline.Rescale(begin, 90_000, 1000)
		if got != sent[i].ProducerTimestamp {
			t.Errorf("segment %d is at %d, want %d", i, got, sent[i].ProducerTimestamp)
		}
	}
	if r.manifest(r.another(), token) != w.text {
		t.Error("another process has another manifest")
	}

	in = r.dashRange(api.PlaybackModeOnDemand, sent[0].ProducerTimestamp, r.camera.Time)
	in.MaxManifestFragmentResults = 2
	token = r.openDASH(in)
	text := r.manifest(r.service, token)
	m = watchDASH(t).read(text)
	if n := len(m.Period[0].AdaptationSet[0].SegmentTemplate.S); n != 2 ||
		strings.Contains(text, "kvs:") {
		t.Errorf("%d segments, want 2 without numbers and times\n%s", n, text)
	}
	for _, ref := range []sessionurl.DASHSegment{{Track: 1}, {Track: 1, Number: 3}, {Track: 3,
		Number: 1}} {
		_, err := r.service.DASHSegment(t.Context(), token, ref)
		wantError(t, err, api.ResourceNotFoundException, "")
	}
}

// While a camera is silent, listed segments stay in the time-shift buffer, which reaches back from
// now: a player at its end is not moved.
func TestDASHSilentCamera(t *testing.T) {
	t.Parallel()
	r := newRig(t, videoTrack(), audioTrack())
	for range 7 {
		r.camera.send()
	}
	token := r.openDASH(r.dash())
	w := watchDASH(t)
	texts := map[string]bool{}
	look := func() (before time.Duration) {
		m := w.read(r.manifest(r.service, token))
		if other := r.manifest(r.another(), token); other != w.text {
			t.Fatalf("another process has\n%s\nbeside\n%s", other, w.text)
		}
		texts[w.text] = true
		s := m.Period[0].AdaptationSet[0].SegmentTemplate
		last := s.S[len(s.S)-1]
		end := time.Duration(last.T+last.D-s.Offset) * time.Second / time.Duration(s.Timescale)
		depth := time.Duration(seconds(t, m.TimeShiftBufferDepth) * float64(time.Second))
		return m.AvailabilityStartTime.Add(end).Sub(r.store.Clock().Add(-depth))
	}
	const minutes = 4
	for range minutes * 60 {
		if before := look(); before < 4*time.Second {
			t.Fatalf("what is listed ends %v after the start of the time-shift buffer\n%s",
				before, w.text)
		}
		r.store.Sleep(time.Second)
	}
	if n := len(texts); n > minutes*60/4+2 {
		t.Errorf("%d manifests in %d minutes of silence", n, minutes)
	}
	// It is back. A player that has nothing to show goes to the new media, not into the gap.
	r.camera.Time += minutes * 60_000
	for n := range 7 {
		f := r.camera.send()
		before := look()
		length := time.Duration(r.camera.Length) * time.Millisecond
		if n >= 2 && before > time.Duration(n+1)*length+10*time.Millisecond || before < 2*length {
			t.Errorf("segment %d after the gap is at %d: the buffer begins %v before its end", n,
				f.ProducerTimestamp, before)
		}
	}
	if m := w.read(w.text); math.Abs(seconds(t, m.TimeShiftBufferDepth)-10) > 0.01 {
		t.Errorf("the time-shift buffer of five segments is %s", m.TimeShiftBufferDepth)
	}
}

// A silence may be published after the fragment that ends it has begun. The server timestamp of
// that is earlier, but publishTime must not go back.
func TestDASHPublishTimeAfterASilence(t *testing.T) {
	t.Parallel()
	r := newRig(t, videoTrack())
	for range 7 {
		r.camera.send()
	}
	token, w := r.openDASH(r.dash()), watchDASH(t)
	w.read(r.manifest(r.service, token))
	for before := w.text; w.text == before; {
		r.camera.pass(100)
		w.read(r.manifest(r.service, token))
	}
	late := r.camera.info(r.camera.NextNumber())
	late.ServerTimestamp -= 500
	r.camera.commit(late, 0)
	silent := w.text
	if w.read(r.manifest(r.service, token)); w.text == silent {
		t.Error("the fragment is not listed")
	}
}

// The last segment of a replay is listed for two updates before the final manifest, because dash.js
// fetches nothing that a static manifest adds. Those updates already have the duration of the
// presentation.
func TestDASHReplayEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, videoTrack())
	start := r.store.Clock().UnixMilli()
	for range 6 {
		r.camera.sendMedia()
	}
	end := r.store.Clock().UnixMilli()
	r.store.Sleep(10 * time.Minute)
	token := r.openDASH(r.dashRange(api.PlaybackModeLiveReplay, start, end))
	w := watchDASH(t)
	open := 0 // updates that list everything before the last one
	for range 30 {
		m := w.read(r.manifest(r.service, token))
		s := m.Period[0].AdaptationSet[0].SegmentTemplate
		all := s.StartNumber+len(s.S)-1 == 6
		if (m.MediaPresentationDuration != "") != all {
			t.Errorf("its end is known, or not, before all is listed:\n%s", w.text)
		}
		switch {
		case m.Type == "static":
			if !all || open != 2 {
				t.Errorf("after %d updates that list everything:\n%s", open, w.text)
			}
			return
		case all:
			open++
		}
		r.store.Sleep(time.Duration(seconds(t, m.MinimumUpdatePeriod) * float64(time.Second)))
	}
	t.Errorf("the replay does not end:\n%s", w.text)
}

// G.711 is only for DASH, as at the service. For a codec that no session can have, the error says
// so.
func TestDASHSound(t *testing.T) {
	t.Parallel()
	law := media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecACM, Timescale: 8000,
		CodecPrivate: mustHex("07000100401f0000401f0000010008000000")}
	r := newRig(t, videoTrack(), law)
	r.camera.sendMedia()
	token := r.openDASH(r.dash())
	w := watchDASH(t)
	m := w.read(r.manifest(r.service, token))
	w.fetch(r.service, token, m)
	for _, want := range []string{`codecs="ulaw"`, `audioSamplingRate="8000"`,
		`audio_channel_configuration:2011" value="1"`} {
		if !strings.Contains(w.text, want) {
			t.Errorf("no %s in\n%s", want, w.text)
		}
	}
	data, err := r.service.DASHInitSegment(t.Context(), token, sessionurl.InitSegment{Track: 2,
		Sequence: 0})
	if err != nil || !bytes.Contains(data, []byte("ulaw")) {
		t.Errorf("init segment: %v, %q", err, data)
	}
	// Pictures without sound have silence, from the end of the sound before them on.
	r.camera.without = 2
	r.camera.sendMedia()
	at, length := timesOfSegment(t, segmentHeader(t, r, token, 2, 2))
	if want := int64(16 * 1024); at != want || at+length != 2*2*8000 {
		t.Errorf("silence at %d for %d ticks, want %d until 32000", at, length, want)
	}

	_, err = r.service.OpenHLS(t.Context(), r.stream, "", r.input())
	wantError(t, err, api.UnsupportedStreamMediaTypeException, "not supported for HLS playback")
	law.CodecID = "A_OPUS"
	r = newRig(t, videoTrack(), law)
	r.camera.send()
	_, err = r.service.OpenDASH(t.Context(), r.stream, "", r.dash())
	wantError(t, err, api.UnsupportedStreamMediaTypeException, "not supported for DASH playback")
}

func segmentHeader(t *testing.T, r *rig, token string, track, number int) []byte {
	t.Helper()
	r.manifest(r.service, token)
	segment, err := r.service.DASHSegment(t.Context(), token, sessionurl.DASHSegment{Track: track,
		Number: number})
	if err != nil {
		t.Fatal(err)
	}
	defer segment.Close()
	return segment.Header
}

// Each kind of session has its own limit, and does not close sessions of the other.
func TestSessionLimitsOfEachKind(t *testing.T) {
	t.Parallel()
	r := newRig(t, videoTrack())
	r.camera.send()
	limits := patient()
	limits.HLSSessionsPerStream, limits.DASHSessionsPerStream = 1, 2
	s := New(Options{Store: r.store, Tokens: fakeTokens{}, Limits: limits, Clock: r.store.Clock})
	var hls, dash []string
	for range 3 {
		h, err := tokenOf(s.OpenHLS(t.Context(), r.stream, "", r.input()))
		if err != nil {
			t.Fatal(err)
		}
		d, err := tokenOf(s.OpenDASH(t.Context(), r.stream, "", r.dash()))
		if err != nil {
			t.Fatal(err)
		}
		hls, dash = append(hls, h), append(dash, d)
	}
	for i := range 3 {
		if _, err := s.MasterPlaylist(t.Context(), hls[i]); (err == nil) != (i >= 2) {
			t.Errorf("HLS session %d of 3, where one may be open: %v", i+1, err)
		}
		if _, err := s.DASHManifest(t.Context(), dash[i]); (err == nil) != (i >= 1) {
			t.Errorf("DASH session %d of 3, where two may be open: %v", i+1, err)
		}
	}
}

// A token opens one format.
func TestDASHTokensAreTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, videoTrack())
	f := r.camera.sendMedia()
	dash, hls := r.openDASH(r.dash()), r.open(r.input())
	s := r.service
	for name, err := range map[string]error{
		"manifest": second(s.DASHManifest(t.Context(), hls)),
		"init": second(s.DASHInitSegment(t.Context(), hls, sessionurl.InitSegment{Track: 1,
			Sequence: 0})),
		"segment": second(s.DASHSegment(t.Context(), hls, sessionurl.DASHSegment{Track: 1,
			Number: 1})),
		"master":   second(s.MasterPlaylist(t.Context(), dash)),
		"playlist": second(s.MediaPlaylist(t.Context(), dash, 1)),
		"I-frames": second(s.IFramePlaylist(t.Context(), dash, 1)),
		"HLS init": second(s.InitSegment(t.Context(), dash, 1, 0)),
		"HLS segment": second(s.MediaSegment(t.Context(), dash,
			sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(f.Number)})),
		"TS": second(s.TSSegment(t.Context(), dash,
			sessionurl.Segment{Track: 1, Number: r.stream.FormatNumber(f.Number)})),
	} {
		if err == nil {
			t.Errorf("%s: the token of the other format is taken", name)
			continue
		}
		wantError(t, err, api.ResourceNotFoundException, "another container format")
	}
}

func second[T any](_ T, err error) error { return err }

// A segment can be fetched as long after it has left the manifest as it was in it.
func TestADASHSegmentThatHasLeftTheManifest(t *testing.T) {
	r := newRig(t, videoTrack())
	in := r.dash()
	in.MaxManifestFragmentResults = 100
	for range 100 {
		r.camera.send()
	}
	token := r.openDASH(in)
	for i := range 99 {
		r.camera.send()
		r.manifest(r.service, token)
		r.bytesOf(r.service.DASHSegment(t.Context(), token, sessionurl.DASHSegment{Track: 1,
			Number: i + 1}))
	}
	_, err := r.service.DASHSegment(t.Context(), token, sessionurl.DASHSegment{Track: 1,
		Number: 200})
	wantError(t, err, api.ResourceNotFoundException, "")
}
