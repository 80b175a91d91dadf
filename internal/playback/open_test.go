package playback_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// openGroup stores a second of an open group: the picture that begins it, two leading ones, two
// others, with parameter sets in a block of their own and a filler after the last. With closed the
// group is closed. The pictures' names are in decode order.
func (s *server) openGroup(t *testing.T, stream store.StreamID, at time.Time, closed bool,
	first int) {
	t.Helper()
	number, err := s.NextNumber(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	rec := &store.Record{Number: number}
	rec.ProducerTimestamp, rec.ServerTimestamp = at.UnixMilli(), at.UnixMilli()
	rec.Tracks = []media.Track{
		{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
			CodecPrivate: cameratest.Video().CodecPrivate, Timescale: media.VideoTimescale}}
	run := media.Run{Track: 1, BaseDecodeTime: at.UnixMilli() * 90}
	var payload []byte
	block := func(f media.Frame, nal string) {
		f.Size = uint32(4 + len(nal))
		run.Frames = append(run.Frames, f)
		payload = append(append(payload, 0, 0, 0, byte(len(nal))), nal...)
	}
	picture := func(f media.Frame, nal string) {
		f.Duration = 18000
		block(f, fmt.Sprintf("%s<%06d>", nal, first))
		first++
	}
	entry := media.Frame{CompositionOffset: 36000, Marks: media.Open}
	mark := media.Leading
	if closed {
		entry, mark = media.Frame{CompositionOffset: 36000, Key: true}, 0
	}
	entry.Duration = 18000
	block(entry, "\x68\xce\x3c\x80")
	block(media.Frame{Marks: media.Joined},
		fmt.Sprintf("%s<%06d>", map[bool]string{false: "\x41\x88", true: "\x65\x88"}[closed],
			first))
	first++
	picture(media.Frame{CompositionOffset: -18000, Marks: mark}, "\x01\x9e")
	picture(media.Frame{CompositionOffset: -18000, Marks: mark}, "\x01\x9e")
	picture(media.Frame{}, "\x41\x9a")
	picture(media.Frame{}, "\x41\x9a")
	block(media.Frame{Marks: media.Joined}, "\x0c\xff\x80")
	rec.Runs, rec.Payload = []media.Run{run}, [][]byte{payload}
	if _, err := s.Append(t.Context(), stream, rec); err != nil {
		t.Fatal(err)
	}
}

// Where a player begins with an open group, its leading pictures are left out. Where the media
// continues, they are not, whatever the playlist says. No such segment is independent, or an
// I-frame.
func TestOpenGroups(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := start(t, t.TempDir(), func() time.Time { return now })
	stream, err := s.CreateStream(t.Context(), store.Stream{Name: "open", RetentionHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	begin := now.Add(-20 * time.Second).Truncate(time.Second)
	add := func(i int, at time.Duration) { s.openGroup(t, stream.ID, begin.Add(at), i == 0, i*5) }
	for i, at := range []time.Duration{0, 1, 2, 8, 9} { // a gap of five seconds after the third
		add(i, at*time.Second)
	}
	const whole, without = 5, 3
	for _, container := range []api.ContainerFormat{api.ContainerFragmentedMP4,
		api.ContainerMPEGTS} {
		for _, mode := range []api.DiscontinuityMode{api.DiscontinuityAlways,
			api.DiscontinuityOnDiscontinuity, api.DiscontinuityNever} {
			in := &api.GetHLSStreamingSessionURLInput{PlaybackMode: api.PlaybackModeOnDemand,
				ContainerFormat: container, DiscontinuityMode: mode}
			start, end := api.Timestamp(begin.UnixMilli()), api.Timestamp(now.UnixMilli())
			in.HLSFragmentSelector = &api.FragmentSelector{
				FragmentSelectorType: api.SelectorProducerTimestamp,
				TimestampRange: &api.TimestampRange{StartTimestamp: &start,
					EndTimestamp: &end}}
			in.StreamName = stream.Name
			token := s.opens(t, stream, in)
			list := s.pictures(t, token, container)
			if want := []int{whole, whole, whole, without, whole}; !slices.Equal(list.counts,
				want) || list.independent || list.iframes != 1 {
				t.Errorf("recording, %s %s: %+v, want %v pictures", container, mode, list, want)
			}
			start = api.Timestamp(begin.UnixMilli() + 1)
			token = s.opens(t, stream, in)
			if list := s.pictures(t, token, container); !slices.Equal(list.counts,
				[]int{without, whole, without, whole}) || list.iframes != 0 {
				t.Errorf("recording from an open group, %s %s: %+v", container, mode, list)
			}
		}
		in := &api.GetHLSStreamingSessionURLInput{ContainerFormat: container}
		in.StreamName = stream.Name
		token := s.opens(t, stream, in)
		if list := s.pictures(t, token, container); !slices.Equal(list.counts,
			[]int{whole, without, without, without, without}) || list.independent {
			t.Errorf("live, %s: %+v", container, list)
		}
	}
}

func (s *server) opens(t *testing.T, stream store.Stream,
	in *api.GetHLSStreamingSessionURLInput) string {
	t.Helper()
	opened, err := s.playback.OpenHLS(t.Context(), stream, "", in)
	if err != nil {
		t.Fatal(err)
	}
	return opened.Token
}

// seen is what a playlist lists.
type seen struct {
	counts      []int // pictures, by segment
	independent bool  // the playlist says so
	iframes     int
}

var openPicture = regexp.MustCompile(`<\d{6}>`)

var openSegment = regexp.MustCompile(`FragmentNumber=(\d+)&[^\n]*TrackNumber=1(&SkipLeading=1)?\n`)

func (s *server) pictures(t *testing.T, token string, container api.ContainerFormat) (found seen) {
	t.Helper()
	list, err := s.playback.MediaPlaylist(t.Context(), token, 1)
	if err != nil {
		t.Fatal(err)
	}
	found.independent = strings.Contains(string(list.Text), "INDEPENDENT")
	if iframes, err := s.playback.IFramePlaylist(t.Context(), token, 1); err == nil {
		found.iframes = strings.Count(string(iframes.Text), "#EXTINF")
	}
	for _, m := range openSegment.FindAllStringSubmatch(string(list.Text), -1) {
		open := s.playback.MediaSegment
		if container == api.ContainerMPEGTS {
			open = s.playback.TSSegment
		}
		segment, err := open(t.Context(), token,
			sessionurl.Segment{Track: 1, Number: m[1], SkipLeading: m[2] != ""})
		if err != nil {
			t.Fatal(err)
		}
		var all bytes.Buffer
		err = segment.WriteRange(&all, 0, segment.Length)
		segment.Close()
		if err != nil || int64(all.Len()) != segment.Length {
			t.Fatalf("%d bytes of %d: %v", all.Len(), segment.Length, err)
		}
		body := all.Bytes()[len(segment.Header):]
		if container == api.ContainerMPEGTS {
			body = elementary(body)[1]
		}
		found.counts = append(found.counts, len(openPicture.FindAll(body, -1)))
	}
	return found
}
