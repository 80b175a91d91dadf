package playback

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/mpegts"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

// transportStream asks for everything that the rig has recorded as transport streams.
func (r *rig) transportStream() *api.GetHLSStreamingSessionURLInput {
	in := r.everything()
	in.ContainerFormat = api.ContainerMPEGTS
	return in
}

func (r *rig) everything() *api.GetHLSStreamingSessionURLInput {
	return r.recording(api.SelectorProducerTimestamp, r.store.Clock().Add(-time.Hour).UnixMilli(),
		r.store.Clock().UnixMilli())
}

func (r *rig) master(token string) string {
	r.Helper()
	text, err := r.service.MasterPlaylist(r.Context(), token)
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

func (r *rig) iframes(token string) string {
	r.Helper()
	list, err := r.service.IFramePlaylist(r.Context(), token, 1)
	if err != nil {
		r.Fatal(err)
	}
	wantZipped(r.T, list)
	return string(list.Text)
}

// bytesOf reads a segment that one of the service's methods opened.
func (r *rig) bytesOf(segment *Segment, err error) []byte {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	defer segment.Close()
	var b bytes.Buffer
	if err := segment.WriteRange(&b, 0, segment.Length); err != nil {
		r.Fatal(err)
	}
	if int64(b.Len()) != segment.Length {
		r.Fatalf("%d bytes, %d were promised", b.Len(), segment.Length)
	}
	return b.Bytes()
}

func (r *rig) number(i store.FragmentInfo) string { return r.stream.FormatNumber(i.Number) }

// A session of transport streams has one playlist, whose segments have both tracks and follow one
// another without a gap. Its token opens nothing else.
func TestTransportStreams(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	var sent []store.FragmentInfo
	for range 3 {
		sent = append(sent, r.camera.sendMedia())
	}
	token := r.open(r.transportStream())
	golden(t, "ts.txt",
		anonymous(r.master(token)+"\n"+r.playlist(r.service, token, 1)+"\n"+r.iframes(token),
			token))

	var all []byte
	for i := range sent {
		one := r.bytesOf(r.service.TSSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.number(sent[i])}))
		if again := r.bytesOf(r.another().TSSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.number(sent[i])})); !bytes.Equal(one, again) {
			t.Error("another process gives other bytes")
		}
		all = append(all, one...)
	}
	var dump strings.Builder
	if err := mpegts.Dump(&dump, all); err != nil ||
		strings.Contains(dump.String(), "DISCONTINUITY") {
		t.Errorf("three segments in a row: %v\n%s", err, &dump)
	}

	_, err := r.service.MediaPlaylist(t.Context(), token, 2)
	wantError(t, err, api.ResourceNotFoundException, "no track 2")
	_, err = r.service.TSSegment(t.Context(), token,
		sessionurl.Segment{Track: 2, Number: r.number(sent[0])})
	wantError(t, err, api.ResourceNotFoundException, "no track 2")
	_, err = r.service.MediaSegment(t.Context(), token,
		sessionurl.Segment{Track: 1, Number: r.number(sent[0])})
	wantError(t, err, api.ResourceNotFoundException, "another container format")
	_, err = r.service.InitSegment(t.Context(), token, 1, 0)
	wantError(t, err, api.ResourceNotFoundException, "another container format")
	token = r.open(r.everything())
	_, err = r.service.TSSegment(t.Context(), token,
		sessionurl.Segment{Track: 1, Number: r.number(sent[0])})
	wantError(t, err, api.ResourceNotFoundException, "another container format")
	if r.store.OpenNow() != 0 {
		t.Errorf("%d fragments are still open", r.store.OpenNow())
	}
}

// A fragment without pictures in a session with pictures: its sound is in the transport stream.
func TestTransportStreamWithoutPicture(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	var sent []store.FragmentInfo
	for i := range 4 {
		if i == 1 || i == 2 {
			r.camera.without = 1
		} else {
			r.camera.without = 0
		}
		sent = append(sent, r.camera.sendMedia())
	}
	token := r.open(r.transportStream())
	text := r.playlist(r.service, token, 1)
	r.wantNumbers(text, sent, 0, 1, 2, 3)
	if got := strings.Join(regexp.MustCompile(`#EXTINF:(.*),`).FindAllString(text, -1),
		" "); got != "#EXTINF:2.0, #EXTINF:1.997, #EXTINF:1.997, #EXTINF:2.0," {
		t.Error(got)
	}
	var dump strings.Builder
	if err := mpegts.Dump(&dump,
		r.bytesOf(r.service.TSSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.number(sent[1])}))); err != nil ||
		!strings.Contains(dump.String(), "PMT crc=good clock=0x0100 0x1b:0x0100 0x0f:0x0101\n") {
		t.Errorf("%v\n%s", err, &dump)
	}
	// The first I-frame lasts until the next one.
	if got := r.iframes(token); strings.Count(got, "#EXTINF:") != 2 ||
		!strings.Contains(got, "#EXT-X-TARGETDURATION:6\n") ||
		!strings.Contains(got, "#EXTINF:5.994,\n") {
		t.Error(got)
	}
}

// Broken frames make an error for their fragment only.
func TestTransportStreamOfABrokenFragment(t *testing.T) {
	r := newRig(t, videoTrack())
	good := r.camera.sendMedia()
	bad := r.camera.sendMedia(func(rec *store.Record) {
		copy(rec.Payload[0][20:], []byte{0xff, 0xff})
	})
	token := r.open(r.transportStream())
	r.bytesOf(r.service.TSSegment(t.Context(), token, sessionurl.Segment{Track: 1,
		Number: r.number(good)}))
	_, err := r.service.TSSegment(t.Context(), token, sessionurl.Segment{Track: 1,
		Number: r.number(bad)})
	wantError(t, err, api.InvalidMediaFrameException, "frame 2 of track 1")
	if r.store.OpenNow() != 0 {
		t.Errorf("%d fragments are still open", r.store.OpenNow())
	}
}

// The byte ranges of an I-frame playlist are exactly the head of the segment and its first frame.
func TestIFrames(t *testing.T) {
	r := newRig(t, videoTrack(), audioTrack())
	sent := r.camera.sendMedia()
	r.camera.Length = 40 // a single frame
	single := r.camera.sendMedia()
	token := r.open(r.everything())
	golden(t, "iframes.txt", anonymous(r.master(token)+"\n"+r.iframes(token), token))

	ranges := regexp.MustCompile(`#EXT-X-BYTERANGE:(\d+)@0\n`)
	for i, f := range []store.FragmentInfo{sent, single} {
		n, _ := strconv.Atoi(ranges.FindAllStringSubmatch(r.iframes(token), -1)[i][1])
		segment := r.bytesOf(r.service.MediaSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.number(f)}))
		if !bytes.HasSuffix(segment[:n], []byte("mdat\x00\x00\x00\x06\x65"+"10000")) {
			t.Errorf("range %d ends with %q", i, segment[max(0, n-20):n])
		}
		if err := fmp4.Dump(io.Discard, segment[:n]); err != nil {
			t.Error(err)
		}
	}
	token = r.open(r.transportStream())
	for i, f := range []store.FragmentInfo{sent, single} {
		n, _ := strconv.Atoi(ranges.FindAllStringSubmatch(r.iframes(token), -1)[i][1])
		segment := r.bytesOf(r.service.TSSegment(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: r.number(f)}))
		var head, rest strings.Builder
		if err := mpegts.Dump(&head, segment[:n]); err != nil ||
			strings.Count(head.String(), "PES id=0xe0") != 1 ||
			strings.Contains(head.String(), "id=0xc0") {
			t.Errorf("%v\n%s", err, &head)
		}
		if err := mpegts.Dump(&rest, segment[n:]); err != nil ||
			!strings.Contains(strings.SplitN(rest.String(), "\n", 2)[0], "PES") {
			t.Errorf("the first picture goes on beyond the range: %v\n%s", err, &rest)
		}
	}

	live := r.input()
	_, err := r.service.IFramePlaylist(t.Context(), r.open(live), 1)
	wantError(t, err, api.ResourceNotFoundException, "no I-frame playlist of track 1")
	_, err = r.service.IFramePlaylist(t.Context(), token, 2)
	wantError(t, err, api.ResourceNotFoundException, "no I-frame playlist of track 2")
}

// BANDWIDTH is the peak segment bit rate (RFC 8216 section 4.1: of segments that together last
// between half and one and a half target durations). A fragment that ends after a frame or two does
// not raise it.
func TestBandwidthIsThePeak(t *testing.T) {
	for _, ts := range []bool{false, true} {
		for _, tracks := range [][]media.Track{{videoTrack()}, {videoTrack(), audioTrack()},
			{audioTrack()}} {
			r := newRig(t, tracks...)
			var sent []store.FragmentInfo
			for _, length := range []int64{500, 1200, 1900, 2600, 3300, 40, 80} {
				r.camera.Length = length
				sent = append(sent, r.camera.sendMedia())
			}
			in := r.everything()
			if ts {
				in.ContainerFormat = api.ContainerMPEGTS
			}
			token := r.open(in)
			var bandwidth, average float64
			text := regexp.MustCompile(`[,:-]BANDWIDTH=\d+`).FindAllString(r.master(token), -1)
			if _, err := fmt.Sscanf(strings.Join(text[:2], " "), ",BANDWIDTH=%f -BANDWIDTH=%f",
				&bandwidth, &average); err != nil {
				t.Fatal(err, text)
			}
			var peak, mean float64 // sums over the playlists
			for i := range tracks {
				list := r.playlist(r.service, token, tracks[i].Number)
				target := float64(newRFC(t).number(targetSeconds, list))
				var bits, seconds []float64
				for j, m := range regexp.MustCompile(`#EXTINF:([\d.]+)`).FindAllStringSubmatch(list,
					-1) {
					ref := sessionurl.Segment{Track: tracks[i].Number, Number: r.number(sent[j])}
					open := r.service.MediaSegment
					if ts {
						open = r.service.TSSegment
					}
					data := r.bytesOf(open(t.Context(), token, ref))
					length, err := strconv.ParseFloat(m[1], 64)
					if err != nil {
						t.Fatal(err)
					}
					bits, seconds = append(bits, float64(len(data)*8)), append(seconds, length)
				}
				sum := func(v []float64) (sum float64) {
					for _, x := range v {
						sum += x
					}
					return sum
				}
				var most float64
				for from := range bits {
					for to := from + 1; to <= len(bits); to++ {
						if d := sum(seconds[from:to]); d >= target/2 && d <= target*3/2 {
							most = max(most, sum(bits[from:to])/d)
						}
					}
				}
				peak, mean = peak+most, mean+sum(bits)/sum(seconds)
				if ts {
					break
				}
			}
			most := 1.01
			if ts {
				most = 2.2 // a bound, and far off with frames of ten bytes
			}
			if bandwidth < peak || bandwidth > most*peak || average < 0.999*mean ||
				average > bandwidth {
				t.Errorf("ts=%v, %d tracks: BANDWIDTH %.0f and %.0f, measured %.0f and %.0f", ts,
					len(tracks), bandwidth, average, peak, mean)
			}
		}
	}
}

// RESOLUTION is the size to show: cropped, in square pixels.
func TestResolution(t *testing.T) {
	for _, c := range []struct {
		codec, private string
		width, height  int
	}{
		// 720x576, 64:45
		{media.CodecAVC,
			"0164001effe1001c6764001eacd940b424dff80200016880000003008000" +
				"00190f8a14cb01000668fba3cb22c0fdf8f800", 1024, 576},
		{media.CodecHEVC, "00", 640, 480}, // not to be read: what Matroska says
	} {
		track := &media.Track{Number: 1, Kind: media.Video, CodecID: c.codec,
			CodecPrivate: mustHex(c.private), Width: 640, Height: 480}
		if w, h := track.Resolution(); w != c.width || h != c.height {
			t.Errorf("%s: %dx%d, want %dx%d", c.private, w, h, c.width, c.height)
		}
	}
}
