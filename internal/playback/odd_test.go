package playback_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/playback"
	"weir/internal/sessionurl"
	"weir/internal/store"
)

// fetch opens a recording of everything and checks its playlists. It returns the elementary bytes
// of each track in order, with the EXTINF.
func fetch(t *testing.T, s *server, stream store.Stream, from time.Time,
	container api.ContainerFormat) (streams map[int][]byte, segments map[int][][]byte,
	lengths map[int]float64) {
	t.Helper()
	start, end := api.Timestamp(from.UnixMilli()), api.Timestamp(from.Add(6*time.Hour).UnixMilli())
	in := &api.GetHLSStreamingSessionURLInput{PlaybackMode: api.PlaybackModeOnDemand,
		ContainerFormat: container, MaxMediaPlaylistFragmentResults: 5000,
		HLSFragmentSelector: &api.FragmentSelector{
			FragmentSelectorType: api.SelectorProducerTimestamp,
			TimestampRange:       &api.TimestampRange{StartTimestamp: &start, EndTimestamp: &end}}}
	in.StreamName = stream.Name
	opened, err := s.playback.OpenHLS(t.Context(), stream, "", in)
	if err != nil {
		t.Fatal(err)
	}
	return listed(t, s, opened.Token, container)
}

// listed fetches the segments in the playlists of a session.
func listed(t *testing.T, s *server, token string,
	container api.ContainerFormat) (streams map[int][]byte, segments map[int][][]byte,
	lengths map[int]float64) {
	t.Helper()
	streams, segments, lengths = map[int][]byte{}, map[int][][]byte{}, map[int]float64{}
	for track := 1; track <= 2; track++ {
		list, err := s.playback.MediaPlaylist(t.Context(), token, track)
		if err != nil && track == 2 {
			break // a transport stream
		} else if err != nil {
			t.Fatal(err)
		}
		for _, m := range segmentLines.FindAllStringSubmatch(string(list.Text), -1) {
			var seconds float64
			fmt.Sscan(m[1], &seconds)
			lengths[track] += seconds
			open := s.playback.MediaSegment
			if container == api.ContainerMPEGTS {
				open = s.playback.TSSegment
			}
			ref := sessionurl.Segment{Track: track, Number: m[2]}
			fmt.Sscan(m[3], &ref.StartOffset)
			fmt.Sscan(m[4], &ref.EndOffset)
			fmt.Sscan(m[5], &ref.SilenceStart)
			fmt.Sscan(m[6], &ref.SilenceEnd)
			data := read(t, open, token, ref)
			segments[track] = append(segments[track], data)
			if container != api.ContainerMPEGTS {
				streams[track] = append(streams[track], data...)
				continue
			}
			for track, stream := range elementary(data) {
				streams[track] = append(streams[track], stream...)
			}
		}
	}
	return streams, segments, lengths
}

// elementary returns the elementary streams of a transport stream, by track.
func elementary(data []byte) map[int][]byte {
	streams := map[int][]byte{}
	for ; len(data) > 0; data = data[188:] {
		payload := data[4:188]
		if data[3]&0x20 != 0 {
			payload = payload[1+int(payload[0]):]
		}
		if pid := int(binary.BigEndian.Uint16(data[1:]) & 0x1fff); pid == 0x100 || pid == 0x101 {
			if data[1]&0x40 != 0 {
				payload = payload[9+int(payload[8]):]
			}
			streams[pid-0xff] = append(streams[pid-0xff], payload...)
		}
	}
	return streams
}

func read(t *testing.T,
	open func(context.Context, string, sessionurl.Segment) (*playback.Segment, error),
	token string, ref sessionurl.Segment) []byte {
	t.Helper()
	segment, err := open(t.Context(), token, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer segment.Close()
	var b bytes.Buffer
	if err := segment.WriteRange(&b, 0, segment.Length); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// segmentLines are EXTINF, the fragment's number, the slice of it and its silence.
var segmentLines = regexp.MustCompile(
	`#EXTINF:([\d.]+),\n\S+FragmentNumber=(\d+)\S+TrackNumber=\d+(?:&StartOffset=(\d+))?(?:&EndOffset=(\d+))?(?:&SilenceStart=(-?\d+)&SilenceEnd=(\d+))?\n`)

var frameName = regexp.MustCompile(`<[12]:\d{6}>`)

// Whatever a producer does with its clusters and clocks, each frame comes out once and in order, in
// both containers.
func TestOddMedia(t *testing.T) {
	t.Parallel()
	for name, produce := range map[string]func(o *odd, at int64, send func()){
		"variable frame rate": func(o *odd, at int64, send func()) {
			for i := range int64(4) {
				o.cluster(at + 2000*i)
				for k, d := range []int64{0, 7, 40, 41, 200, 950, 1000, 1900, 1999} {
					o.frame(1, at+2000*i+d, k == 0)
				}
				o.sound(at+2000*i, 2000)
			}
		},
		"single frames": func(o *odd, at int64, send func()) {
			for i := range int64(8) {
				o.cluster(at + 1000*i)
				o.frame(1, at+1000*i, true)
			}
		},
		"from half a second to twenty": func(o *odd, at int64, send func()) {
			for _, length := range []int64{500, 20000, 1000, 500, 7000} {
				o.cluster(at)
				o.picture(at, length, 40)
				o.sound(at, length)
				at += length
			}
		},
		"audio late and short": func(o *odd, at int64, send func()) {
			for i := range int64(6) {
				o.cluster(at + 2000*i)
				o.picture(at+2000*i, 2000, 40)
				switch i {
				case 1:
					o.sound(at+2000*i+1300, 700)
				case 2, 3:
					o.sound(at+2000*i, 2000)
				case 4:
					o.sound(at+2000*i, 500)
				}
			}
		},
		"picture late and short": func(o *odd, at int64, send func()) {
			for i := range int64(5) {
				o.cluster(at + 2000*i)
				o.sound(at+2000*i, 2000)
				if i == 1 || i == 2 {
					o.picture(at+2000*i, 2000, 40)
				}
			}
		},
		"clock set back, then on": func(o *odd, at int64, send func()) {
			for _, step := range []int64{2 * 3600_000, 0, 3600_000} {
				for i := range int64(3) {
					o.cluster(at + step + 2000*i)
					o.picture(at+step+2000*i, 2000, 40)
					o.sound(at+step+2000*i, 2000)
				}
				send()
			}
		},
		"two connections at once": func(o *odd, at int64, send func()) {
			// The token expires: the producer opens another connection and begins with the fragment
			// that the old one ended with.
			var last oddCluster
			for i := range int64(3) {
				o.cluster(at + 2000*i)
				o.picture(at+2000*i, 2000, 40)
				o.sound(at+2000*i, 2000)
				last = o.clusters[i]
			}
			send()
			o.clusters = append(o.clusters, last)
			for i := int64(3); i < 6; i++ {
				o.cluster(at + 2000*i)
				o.picture(at+2000*i, 2000, 40)
				o.sound(at+2000*i, 2000)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now
			s := start(t, t.TempDir(), now)
			stream, err := s.CreateStream(t.Context(),
				store.Stream{Name: "odd", RetentionHours: 24})
			if err != nil {
				t.Fatal(err)
			}
			o := &odd{}
			at := time.Now().Add(-4 * time.Hour)
			// by track: the frames' names, in order of presentation
			want := map[int][]string{}
			shown := map[int]map[string]int64{1: {}, 2: {}} // when
			send := func() {
				for _, c := range o.clusters {
					for _, f := range c.frames {
						shown[f.track][f.name] = f.at
					}
				}
				if len(o.clusters) > 0 {
					o.send(t, s, stream, now)
				}
			}
			produce(o, at.UnixMilli(), send)
			send()
			for track, frames := range shown {
				for name := range frames {
					want[track] = append(want[track], name)
				}
				slices.SortFunc(want[track], func(a, b string) int {
					return int(frames[a] - frames[b])
				})
			}
			for _, container := range []api.ContainerFormat{api.ContainerFragmentedMP4,
				api.ContainerMPEGTS} {
				streams, _, _ := fetch(t, s, stream, at.Add(-time.Hour), container)
				for track := range want {
					if got := frameName.FindAllString(string(streams[track]),
						-1); !slices.Equal(got, want[track]) {
						t.Errorf("%s, track %d: %d frames came out, %d went in\n%s\n%s", container,
							track, len(got), len(want[track]),
							strings.Join(got, ""), strings.Join(want[track], ""))
					}
				}
			}
		})
	}
}

// A fragment that is longer than a live session's target duration is listed in slices, in both
// containers. Each frame comes once and in order, no segment is longer than the target duration,
// and that does not change.
func TestLongFragmentsInLiveSessions(t *testing.T) {
	t.Parallel()
	for name, long := range map[string]func(o *odd, at int64){
		"one key frame": func(o *odd, at int64) {
			o.picture(at, 20000, 40)
			o.sound(at, 20000)
		},
		"many key frames": func(o *odd, at int64) {
			for i := range int64(13) {
				o.picture(at+1500*i, 1500, 50)
			}
			o.sound(at, 19500)
		},
		"the camera stood still": func(o *odd, at int64) {
			o.picture(at, 700, 40)
			o.frame(1, at+9000, false)
			o.frame(1, at+9040, false)
			o.sound(at, 9100)
		},
		"sound only at the end": func(o *odd, at int64) {
			o.picture(at, 8000, 500)
			o.sound(at+7000, 1000)
		},
		"late pictures": func(o *odd, at int64) {
			o.sound(at, 9000)
			o.picture(at+6000, 3000, 40)
		},
	} {
		for _, container := range []api.ContainerFormat{api.ContainerFragmentedMP4,
			api.ContainerMPEGTS} {
			t.Run(name+" "+string(container), func(t *testing.T) {
				s := start(t, t.TempDir(), time.Now)
				stream, err := s.CreateStream(t.Context(),
					store.Stream{Name: "odd", RetentionHours: 24})
				if err != nil {
					t.Fatal(err)
				}
				o := &odd{}
				at := time.Now().UnixMilli() - 40_000
				for i := range int64(3) {
					o.cluster(at + 2000*i)
					o.picture(at+2000*i, 2000, 40)
					o.sound(at+2000*i, 2000)
				}
				o.send(t, s, stream, time.Now)
				in := &api.GetHLSStreamingSessionURLInput{ContainerFormat: container,
					DiscontinuityMode: api.DiscontinuityOnDiscontinuity}
				in.StreamName = stream.Name
				opened, err := s.playback.OpenHLS(t.Context(), stream, "", in)
				if err != nil {
					t.Fatal(err)
				}
				o.cluster(at + 6000)
				long(o, at+6000)
				want := map[int]int{1: o.names[1], 2: o.names[2]}
				o.send(t, s, stream, time.Now)
				list, err := s.playback.MediaPlaylist(t.Context(), opened.Token, 1)
				if err != nil || !strings.Contains(string(list.Text), "#EXT-X-TARGETDURATION:2\n") {
					t.Fatalf("%v: %s", err, list.Text)
				}
				for _, m := range segmentLines.FindAllStringSubmatch(string(list.Text), -1) {
					var seconds float64
					if fmt.Sscan(m[1], &seconds); math.Round(seconds) > 2 {
						t.Errorf("a segment of %s s", m[1])
					}
				}
				streams, _, lengths := listed(t, s, opened.Token, container)
				for track := range want {
					got := frameName.FindAllString(string(streams[track]), -1)
					for i, name := range got {
						if name != fmt.Sprintf("<%d:%06d>", track, i) {
							t.Fatalf("track %d: frame %d is %s", track, i, name)
						}
					}
					if len(got) != want[track] {
						t.Errorf("track %d: %d frames came out, %d went in", track, len(got),
							want[track])
					}
				}
				if lengths[1] < 8 || lengths[1] > 27 {
					t.Errorf("the playlist lasts %.3f s", lengths[1])
				}
			})
		}
	}
}

// In an hour of 29.97 pictures a second and sound at 44.1 kHz, with times in milliseconds, each
// segment begins within a frame of where its first frame belongs, and the playlists are as long as
// the media.
func TestNoDrift(t *testing.T) {
	t.Parallel()
	now := time.Now
	s := start(t, t.TempDir(), now)
	stream, err := s.CreateStream(t.Context(), store.Stream{Name: "hour", RetentionHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	const fragment, fragments = 450, 240 // 450 pictures are 15.015 s
	at := time.Now().Add(-3 * time.Hour)
	base := at.UnixMilli()
	picture := func(k int) float64 { return float64(k) * 1.001 / 30 }
	sound := func(k int) float64 { return float64(k) * 1024 / 44100 }
	millis := func(seconds float64) int64 { return base + int64(math.Round(seconds*1000)) }
	o := &odd{}
	first := map[int][]int{} // by track: the first frame of each fragment
	sounds := 0
	for i := range fragments {
		o.cluster(millis(picture(i * fragment)))
		first[1] = append(first[1], i*fragment)
		first[2] = append(first[2], sounds)
		for k := i * fragment; k < (i+1)*fragment; k++ {
			o.frame(1, millis(picture(k)), k == i*fragment)
		}
		for ; sound(sounds) < picture((i+1)*fragment); sounds++ {
			o.frame(2, millis(sound(sounds)), true)
		}
	}
	o.send(t, s, stream, now)

	_, segments, lengths := fetch(t, s, stream, at.Add(-time.Hour), api.ContainerFragmentedMP4)
	for track, frame := range map[int]float64{1: picture(1), 2: sound(1)} {
		scale, where := 90000.0, picture
		if track == 2 {
			scale, where = 44100, sound
		}
		if len(segments[track]) != fragments {
			t.Fatalf("track %d: %d segments", track, len(segments[track]))
		}
		for i, data := range segments[track] {
			box := bytes.Index(data, []byte("tfdt"))
			got := float64(binary.BigEndian.Uint64(data[box+8:])) / scale
			if diff := math.Abs(got - where(first[track][i])); diff > frame {
				t.Fatalf("track %d: segment %d begins %.6f s off", track, i, diff)
			}
		}
		if whole := where(o.names[track]); math.Abs(lengths[track]-whole) > frame {
			t.Errorf("track %d: the playlist lasts %.3f s, the media %.3f s", track, lengths[track],
				whole)
		}
	}
	_, ts, _ := fetch(t, s, stream, at.Add(-time.Hour), api.ContainerMPEGTS)
	data := ts[1][fragments-1]
	seen := map[uint16]bool{}
	for ; len(data) > 0; data = data[188:] {
		pid := binary.BigEndian.Uint16(data[1:]) & 0x1fff
		if data[1]&0x40 == 0 || pid < 0x100 || pid > 0x101 || seen[pid] {
			continue
		}
		seen[pid] = true
		p := data[4:]
		if data[3]&0x20 != 0 {
			p = p[1+int(p[0]):]
		}
		pts := int64(p[9]>>1&7)<<30 | int64(
			p[10])<<22 | int64(p[11]>>1)<<15 | int64(p[12])<<7 | int64(p[13]>>1)
		got, want := float64(pts)/90000-10, picture(first[1][fragments-1])
		frame := picture(1)
		if pid == 0x101 {
			want, frame = sound(first[2][fragments-1]), sound(1)
		}
		if math.Abs(got-want) > frame {
			t.Errorf("pid %d: the last segment begins %.6f s off", pid, got-want)
		}
	}
	if len(seen) != 2 {
		t.Errorf("the last segment has %v", seen)
	}
}
