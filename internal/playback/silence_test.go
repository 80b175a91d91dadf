package playback

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/mpegts"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
)

var segmentURI = regexp.MustCompile(
	`FragmentNumber=(\d+)\S*?&TrackNumber=(\d)(?:&SilenceStart=(-?\d+)&SilenceEnd=(\d+))?\n`)

// refs reads the segments that a playlist lists.
func refs(t *testing.T, text string) (list []sessionurl.Segment) {
	t.Helper()
	for _, m := range segmentURI.FindAllStringSubmatch(text, -1) {
		ref := sessionurl.Segment{Number: m[1]}
		ref.Track, _ = strconv.Atoi(m[2])
		ref.SilenceStart, _ = strconv.ParseInt("0"+m[3], 10, 64)
		ref.SilenceEnd, _ = strconv.ParseInt("0"+m[4], 10, 64)
		list = append(list, ref)
	}
	return list
}

var segmentLengths = regexp.MustCompile(`#EXTINF:([\d.]+),`)

// If a fragment has no sound, its segments are silent. Both playlists list every fragment, the
// sound without a gap, in each mode and container. The program map of transport streams does not
// change.
func TestMissingSoundIsSilent(t *testing.T) {
	for _, mode := range []api.PlaybackMode{api.PlaybackModeLive, api.PlaybackModeOnDemand} {
		for _, discontinuity := range []api.DiscontinuityMode{api.DiscontinuityAlways,
			api.DiscontinuityNever, api.DiscontinuityOnDiscontinuity} {
			t.Run(fmt.Sprint(mode, " ", discontinuity), func(t *testing.T) {
				missingSoundIsSilent(t, mode, discontinuity)
			})
		}
	}
}

func missingSoundIsSilent(t *testing.T, mode api.PlaybackMode,
	discontinuity api.DiscontinuityMode) {
	r := newRig(t, videoTrack(), audioTrack())
	began := r.store.Clock().UnixMilli()
	var sent []store.FragmentInfo
	send := func(without ...int) {
		for _, track := range without {
			r.camera.without = track
			sent = append(sent, r.camera.sendMedia())
		}
	}
	in := r.input()
	in.MaxMediaPlaylistFragmentResults, in.DiscontinuityMode = 10, discontinuity
	send(2) // the microphone starts late
	if mode == api.PlaybackModeOnDemand {
		send(0, 2, 2, 0)
		in.PlaybackMode, in.HLSFragmentSelector = mode,
			r.recording("", began, r.store.Clock().UnixMilli()).HLSFragmentSelector
	}
	ts := *in
	ts.ContainerFormat = api.ContainerMPEGTS
	token, stream := r.open(in), r.open(&ts)
	if mode == api.PlaybackModeLive {
		send(0, 2, 2, 0)
	}
	most := 0
	if discontinuity == api.DiscontinuityAlways {
		most = 5
	}
	for track := 1; track <= 2; track++ {
		text := r.playlist(r.another(), token, track)
		r.wantNumbers(text, sent, 0, 1, 2, 3, 4)
		if n := strings.Count(text, "#EXT-X-DISCONTINUITY\n"); n > most {
			t.Errorf("%d discontinuities in\n%s", n, text)
		}
	}
	r.wantSilence(r.playlist(r.service, token, 2), token, 0, 2, 3)
	for _, ref := range refs(t, r.playlist(r.service, stream, 1)) {
		var dump strings.Builder
		if err := mpegts.Dump(&dump,
			r.bytesOf(r.service.TSSegment(t.Context(), stream, ref))); err != nil ||
			!strings.Contains(dump.String(),
				"PMT crc=good clock=0x0100 0x1b:0x0100 0x0f:0x0101\n") ||
			!regexp.MustCompile(`pid=0x0101 .*PES`).MatchString(dump.String()) {
			t.Errorf("%v\n%s", err, dump.String()[:min(dump.Len(), 2000)])
		}
	}
}

// wantSilence checks that the segments of an audio playlist follow each other without a gap, and
// that exactly those at the given places are silent.
func (r *rig) wantSilence(playlist, token string, places ...int) {
	r.Helper()
	track := audioTrack()
	silent := media.SilenceOf(&track).Frame
	lengths := segmentLengths.FindAllStringSubmatch(playlist, -1)
	var end int64
	for i, ref := range refs(r.T, playlist) {
		segment := r.bytesOf(r.service.MediaSegment(r.Context(), token, ref))
		if err := fmp4.Dump(&bytes.Buffer{}, segment); err != nil {
			r.Fatal(err)
		}
		got, want := bytes.Contains(segment, bytes.Repeat(silent, 80)), slices.Contains(places, i)
		if got != want {
			r.Errorf("sound %d is silent: %t, want %t", i, got, want)
		}
		at := int64(decodeTimeOf(r.T, segment))
		// up to a frame, as in continuous sound
		if gap := at - end; i > 0 && (gap > 1100 || gap < -1100) {
			r.Errorf("sound %d begins %d ticks after the one before", i, gap)
		}
		seconds, _ := strconv.ParseFloat(lengths[i][1], 64)
		end = at + int64(seconds*44100+0.5)
	}
}

// Sound that stops in mid-fragment is silent from there on, and sound that begins in mid-fragment
// is silent until then. Sound that only comes a little late, as muxers send it, is left alone.
func TestSoundThatStopsInMidFragment(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	began := r.store.Clock().UnixMilli()
	frames := func(i *store.FragmentInfo, from, until int64) { // milliseconds of the fragment
		base := timeline.Rescale(r.camera.Time+from, 1000, 44100)
		span := i.Span(2)
		span.BaseDecodeTime, span.Frames = base, int((until-from)*441/10/1024)
		span.Duration = int64(span.Frames) * 1024
	}
	for _, sound := range [][2]int64{{0, 1700}, {-300, 1700}, {-300, 900}, {1200, 2000},
		{0, 2000}, {-9000, -8000}} {
		i := r.camera.info(r.camera.NextNumber())
		frames(&i, sound[0], sound[1])
		r.camera.commit(i, 0)
		r.camera.Time += 2000
		r.store.Sleep(2e9)
	}
	in := r.recording("", began, r.store.Clock().UnixMilli())
	in.DiscontinuityMode = api.DiscontinuityOnDiscontinuity
	text := r.playlist(r.service, r.open(in), 2)
	var got []string
	for _, m := range segmentURI.FindAllStringSubmatch(text, -1) {
		got = append(got, m[3]+"…"+m[4])
	}
	// The first two are as they came. The third begins with its sound, 0.3 s before its pictures,
	// and lasts until their end. The fourth begins there and ends with its sound. The sixth, whose
	// sound is from another time, does not last from there to its end.
	if want := `^… … 44…101\d\d\d -1…87\d\d\d … …$`; !regexp.MustCompile(
		want).MatchString(strings.Join(got, " ")) {
		t.Errorf("silence is %q, want %s in\n%s", got, want, text)
	}
	if n := strings.Count(text, "#EXT-X-DISCONTINUITY\n"); n != 1 {
		t.Errorf("%d discontinuities in\n%s", n, text)
	}
	for _, m := range segmentLengths.FindAllStringSubmatch(text, -1) {
		if seconds, err := strconv.ParseFloat(m[1], 64); err != nil || seconds > 2.4 {
			t.Errorf("a segment of %s s (%v) in\n%s", m[1], err, text)
		}
	}
}

// BANDWIDTH includes the silence: it is not below the bit rate of the segments.
func TestSilenceIsMeasured(t *testing.T) {
	for _, container := range []api.ContainerFormat{api.ContainerFragmentedMP4,
		api.ContainerMPEGTS} {
		r := newRig(t, videoTrack(), audioTrack())
		r.camera.without = 2
		for range 3 {
			r.camera.sendMedia()
		}
		in := r.everything()
		in.ContainerFormat = container
		token := r.open(in)
		bits := 0
		for _, track := range []int{1, 2} {
			text, err := r.service.MediaPlaylist(t.Context(), token, track)
			if err != nil {
				break // a transport stream has one
			}
			get := r.service.MediaSegment
			if container == api.ContainerMPEGTS {
				get = r.service.TSSegment
			}
			bits += 8 * len(r.bytesOf(get(t.Context(), token, refs(t, string(text.Text))[1])))
		}
		m := regexp.MustCompile(`[,:]BANDWIDTH=(\d+)`).FindStringSubmatch(r.master(token))
		if bandwidth, _ := strconv.Atoi(m[1]); bandwidth < bits/2 {
			t.Errorf("%s: BANDWIDTH %d, a segment of two seconds has %d bits", container, bandwidth,
				bits)
		}
	}
}

// There is no silence for a codec without silent frames, without pictures, or for a URI that no
// playlist has.
func TestWhatIsNotSilent(t *testing.T) {
	odd := audioTrack()
	// channels of a program config element
	odd.CodecPrivate = []byte{0x12, 0x00, 0x04, 0xc8, 0x44, 0x00}
	r := newRig(t, videoTrack(), odd)
	r.camera.without = 2
	r.camera.sendMedia()
	token := r.open(r.input())
	if master, err := r.service.MasterPlaylist(t.Context(), token); err != nil ||
		strings.Contains(string(master), "mp4a") {
		t.Errorf("%v\n%s", err, master)
	}

	r = newRig(t, videoTrack(), audioTrack())
	r.camera.without = 1
	sent := []store.FragmentInfo{r.camera.sendMedia()}
	token = r.open(r.input())
	if master, err := r.service.MasterPlaylist(t.Context(), token); err != nil ||
		strings.Contains(string(master), "avc1") {
		t.Errorf("%v\n%s", err, master)
	}
	r.camera.without = 2
	sent = append(sent, r.camera.sendMedia())
	r.camera.without = 0
	sent = append(sent, r.camera.sendMedia())
	r.wantNumbers(r.playlist(r.service, token, 2), sent, 0, 2)
	token = r.open(r.input())
	for _, ref := range []sessionurl.Segment{{SilenceEnd: 1 << 30}, {SilenceStart: -1 << 30,
		SilenceEnd: 1},
		{SilenceStart: 2, SilenceEnd: 1}} {
		ref.Track, ref.Number = 2, r.stream.FormatNumber(sent[1].Number)
		_, err := r.service.MediaSegment(t.Context(), token, ref)
		wantError(t, err, api.ResourceNotFoundException, "not found")
	}
	if r.store.OpenNow() != 0 {
		t.Errorf("%d fragments are still open", r.store.OpenNow())
	}
}

// With the server's timestamps, dates rise like the media even where fragments came faster than
// they last. Where they came later, dates are their timestamps. Every process has the same dates,
// and a reload keeps them. A producer's dates are its own.
func TestDatesRise(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	r.camera.sendMedia()
	open := func(selector api.FragmentSelectorType) string {
		in := r.input()
		in.MaxMediaPlaylistFragmentResults, in.DisplayFragmentTimestamp = 20,
			api.DisplayTimestampAlways
		in.HLSFragmentSelector = &api.FragmentSelector{FragmentSelectorType: selector}
		return r.open(in)
	}
	token, producer := open(api.SelectorServerTimestamp), open(api.SelectorProducerTimestamp)
	for i := range 8 {
		// the camera sends everything that it held back
		r.camera.commit(r.camera.info(r.camera.NextNumber()), 0)
		r.camera.Time += 2000
		r.store.Sleep(5e6)
		if i == 3 {
			r.playlist(r.service, token, 1)
		}
	}
	r.store.Sleep(30e9)
	r.camera.commit(r.camera.info(r.camera.NextNumber()), 0)
	dates := regexp.MustCompile(`DATE-TIME:\S+:(\d+\.?\d*)Z`)
	for _, s := range []*Service{r.service, r.another()} {
		var got []string
		for _, m := range dates.FindAllStringSubmatch(r.playlist(s, token, 1), -1) {
			got = append(got, m[1])
		}
		want := "20.123 22.123 24.123 26.123 28.123 30.123 32.123 34.123 36.123 52.163"
		if got := strings.Join(got, " "); got != want {
			t.Errorf("seconds of the dates are %s, want %s", got, want)
		}
	}
	text := r.playlist(r.service, producer, 1)
	if got := dates.FindAllStringSubmatch(text, -1); len(got) != 10 || got[9][1] != "38.123" {
		t.Errorf("the producer's dates are\n%s", text)
	}
}
