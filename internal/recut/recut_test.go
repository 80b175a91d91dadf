package recut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
)

// A minimal avcC (High, level 3.0, 320x240) and AudioSpecificConfig (AAC-LC, 48 kHz, mono).
var (
	testAVC = []byte{1, 0x64, 0, 0x1e, 0xff, 0xe1, 0, 0x18, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9,
		0x41, 0x41, 0xfb, 0x01, 0x10, 0x00,
		0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x62, 0xd9, 1, 0, 6, 0x68, 0xeb,
		0xe3, 0xcb, 0x22, 0xc0}
	testAAC = []byte{0x11, 0x88}
)

var (
	videoTrack = media.Track{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
		CodecPrivate: testAVC, Width: 320, Height: 240}
	audioTrack = media.Track{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC,
		CodecPrivate: testAAC, SampleRate: 48000, Channels: 1}
)

// matroska writes a test input. Each word is a block and its payload. The letter is its kind: K a
// key frame, v other video, a audio. The number is its time in ms.
func matroska(t testing.TB, tracks []media.Track, blocks string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := mkv.NewWriter(&buf)
	if err := w.WriteHeader(mkv.Header{Tracks: tracks}); err != nil {
		t.Fatal(err)
	}
	var cluster int64
	for i, text := range strings.Fields(blocks) {
		var at int64
		fmt.Sscanf(text[1:], "%d", &at)
		if i%5 == 0 || distance(at, cluster) > 30_000 { // clusters begin anywhere
			cluster = at
			if err := w.WriteCluster(at); err != nil {
				t.Fatal(err)
			}
		}
		number := 1
		if text[0] == 'a' && len(tracks) > 1 {
			number = 2
		}
		if err := w.WriteFrame(number, at, text[0] != 'v', []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

// recut returns the fragments as text: "[" before each first frame.
func recut(t testing.TB, input []byte) (string, *Recutter, []string, error) {
	t.Helper()
	var notices []string
	c := New(bytes.NewReader(input), func(s string) { notices = append(notices, s) })
	var out []string
	for {
		f, err := c.Next(context.Background())
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return strings.Join(out, " "), c, notices, err
		}
		text := string(f.Data)
		if f.Start {
			text = "[" + text
		}
		out = append(out, text)
	}
}

func TestRecutCutsAtKeyFrames(t *testing.T) {
	av := []media.Track{videoTrack, audioTrack}
	for name, c := range map[string]struct{ in, out string }{
		"video": {"K0 v40 v80 K120 v160 K200", "[K0 v40 v80 [K120 v160 [K200"},
		"B-frames keep their decode order": {
			"K80 v200 v120 v160 K320 v240 v280 v440", "[K80 v200 v120 v160 [K320 v240 v280 v440"},
		"nothing before the first key frame": {"v0 v40 K80 v120", "[K80 v120"},
		"audio goes where its time lies, written late": {
			"K0 a0 v40 v80 K120 v160 a21 a43 a64 a85 a107 a128 a149",
			"[K0 a0 v40 v80 a21 a43 a64 a85 a107 [K120 a128 a149 v160"},
		"audio goes where its time lies, written early": {
			"a0 a21 K0 a43 a64 a85 a107 a128 a149 v40 v80 K120 a171 v160 v200",
			"[K0 a0 a21 v40 a43 a64 v80 a85 a107 [K120 a128 a149 v160 a171 v200"},
		"audio of an encoder's start-up delay is kept": {"a0 K21 a22 v61 a43",
			"[K21 a0 a22 v61 a43"},
		"audio long before the first key frame is not": {"a0 a500 a980 K1000 a1001 v1040",
			"[K1000 a980 v1040 a1001"},
		"audio goes where its time lies, beside a picture a second": {
			"K0 v2000 a0 v1000 a900 v3000 a1900 K4000 a2900 v6000 a3900 v5000 a4900 v7000 a5900",
			"[K0 v2000 a0 v1000 a900 v3000 a1900 a2900 a3900 [K4000 v6000 v5000 a4900 v7000 a5900"},
		"audio far ahead of the pictures is not held back for them": {
			"K0 a0 v40 a2100 a2200 K2120 a2230 v2160",
			"[K0 a0 v40 a2100 a2200 [K2120 a2230 v2160"},
		"audio that has stopped holds nothing up": {
			"K0 a0 v40 K4000 v4040 K8000 v8040", "[K0 a0 v40 [K4000 v4040 [K8000 v8040"},
	} {
		t.Run(name, func(t *testing.T) {
			tracks := av
			if !strings.Contains(c.in, "a") {
				tracks = av[:1]
			}
			got, _, _, err := recut(t, matroska(t, tracks, c.in))
			if err != nil {
				t.Fatal(err)
			}
			// Within a track the whole order matters, between tracks only the fragment.
			if a, b := fragments(got), fragments(c.out); !slices.Equal(a, b) {
				t.Errorf("got  %q\nwant %q", a, b)
			}
		})
	}
}

// The pictures decide where fragments begin. A notice says once that a source has open groups.
func TestRecutLooksIntoPictures(t *testing.T) {
	const idr, open, plain, sets = "\x65\x88", "\x41\x88", "\x41\x9a", "\x67\x64\x00"
	for name, c := range map[string]struct {
		blocks string // each followed by + if Matroska calls it a key frame
		starts []int  // blocks that begin a fragment
		warns  int
	}{
		"closed groups": {idr + "+ " + plain + " " + idr + "+", []int{0, 2}, 0},
		"all flagged": {idr + "+ " + plain + "+ " + idr + "+ " + plain + "+",
			[]int{0, 2}, 0},
		"none flagged": {idr + " " + plain + " " + idr, []int{0, 2}, 0},
		"parameter sets in a block": {sets + "+ " + idr + "+ " + plain + " " + sets + "+ " + idr,
			[]int{0, 3}, 0},
		"open groups": {idr + "+ " + plain + " " + open + "+ " + plain + " " + open + "+",
			[]int{0, 2, 4}, 1},
	} {
		var buf bytes.Buffer
		w := mkv.NewWriter(&buf)
		err := w.WriteHeader(mkv.Header{Tracks: []media.Track{videoTrack}})
		for i, b := range strings.Fields(c.blocks) {
			nal, key := strings.CutSuffix(b, "+")
			data := append([]byte{0, 0, 0, byte(len(nal))}, nal...)
			if err == nil && i == 0 {
				err = w.WriteCluster(0)
			}
			if err == nil {
				err = w.WriteFrame(1, int64(40*i), key, data)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		warnings := 0
		r := New(&buf, func(s string) {
			if strings.Contains(s, "open groups") {
				warnings++
			}
		})
		var starts []int
		for i := 0; ; i++ {
			f, err := r.Next(t.Context())
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if f.Start {
				starts = append(starts, i)
			}
		}
		if !slices.Equal(starts, c.starts) || warnings != c.warns {
			t.Errorf("%s: fragments begin at %v, %d warnings, want %v, %d", name, starts, warnings,
				c.starts, c.warns)
		}
	}
}

// fragments puts each fragment's video before its audio, and keeps the order of each.
func fragments(text string) []string {
	var out []string
	for _, f := range strings.Split(text, "[")[1:] {
		var v, a []string
		for _, frame := range strings.Fields(f) {
			if frame[0] == 'a' {
				a = append(a, frame)
			} else {
				v = append(v, frame)
			}
		}
		out = append(out, strings.Join(append(v, a...), " "))
	}
	return out
}

func TestRecutCutsAudioAloneEveryTwoSeconds(t *testing.T) {
	var in []string
	for i := range 10 {
		in = append(in, fmt.Sprintf("a%d", i*700))
	}
	got, c, _, err := recut(t,
		matroska(t, []media.Track{{Number: 1, Kind: media.Audio, CodecID: media.CodecAAC,
			CodecPrivate: testAAC}}, strings.Join(in, " ")))
	if err != nil {
		t.Fatal(err)
	}
	if want := "[a0 a700 a1400 [a2100 a2800 a3500 [a4200 a4900 a5600 [a6300"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if n := c.Length(); n != 213 { // ten frames of 1,024 samples at 48 kHz
		t.Errorf("length %d ms", n)
	}
}

func TestRecutSaysWhatIsWrong(t *testing.T) {
	bare := videoTrack
	bare.CodecPrivate = nil
	annexB := bare
	annexB.CodecPrivate = []byte{0, 0, 0, 1, 0x67}
	text := media.Track{Number: 3, Kind: 17, CodecID: "S_TEXT/UTF8"}
	for name, c := range map[string]struct {
		tracks   []media.Track
		in, want string
	}{
		"no codec private data": {[]media.Track{bare}, "K0", "H.264 without codec private data"},
		"Annex B":               {[]media.Track{annexB}, "K0", "Annex B"},
		"long GOP": {[]media.Track{videoTrack}, "K0 v10000 v20001",
			"no key frame for more than 20 s"},
		"no key frame":      {[]media.Track{videoTrack}, "v0 v40", "no key frame"},
		"no video or audio": {[]media.Track{text}, "", "neither a video nor an audio track"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := recut(t, matroska(t, c.tracks, c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, expected one with %q", err, c.want)
			}
		})
	}
	if _, _, _, err := recut(t, nil); err == nil ||
		!strings.Contains(err.Error(), "no Matroska tracks") {
		t.Errorf("empty input: %v", err)
	}
	got, _, _, err := recut(t, append(matroska(t, []media.Track{videoTrack}, "K0 v40"), 0xa3, 0x90,
		0x81))
	if !errors.Is(err, io.ErrUnexpectedEOF) || got != "[K0 v40" {
		t.Errorf("an input cut short gave %q, %v", got, err)
	}
	got, _, notices, err := recut(t, matroska(t, []media.Track{videoTrack, audioTrack},
		"K0 a0 v40 K2000 v2040 K24000 a21 a42 v24040"))
	if err != nil || strings.Contains(got, "a21") || !strings.Contains(got, "v24040") ||
		len(notices) != 1 || !strings.Contains(notices[0], "track 2: frames that come more than") {
		t.Errorf("sound at the end: %q, notices %q, %v", got, notices, err)
	}
	_, _, notices, err = recut(t, matroska(t, []media.Track{videoTrack, text}, "v0 K40"))
	if err != nil || len(notices) != 2 ||
		!strings.Contains(notices[0], "track 3 (S_TEXT/UTF8) is left out") ||
		!strings.Contains(notices[1], "1 frames before the first key frame") {
		t.Errorf("notices %q, %v", notices, err)
	}
}

// Every frame that real muxers wrote comes out, bit for bit and in order.
func TestRecutOfRealFilesLosesNothing(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			in := map[int][]string{}
			r := mkv.NewReader(bytes.NewReader(data), mkv.DefaultLimits())
			for {
				ev, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if ev.Kind == mkv.Frame {
					p, err := r.AppendPayload(nil)
					if err != nil {
						t.Fatal(err)
					}
					in[ev.Track] = append(in[ev.Track], fmt.Sprintf("%d %x", ev.Timecode, p))
				}
			}
			out := map[int][]string{}
			c := New(bytes.NewReader(data), func(s string) {
				if !strings.Contains(s, "A_OPUS") { // which no session plays
					t.Error(s)
				}
			})
			for {
				f, err := c.Next(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if f.Start && !f.Key {
					t.Errorf("a fragment starts at %d with what is no key frame", f.Time)
				}
				out[f.Track] = append(out[f.Track], fmt.Sprintf("%d %x", f.Time, f.Data))
			}
			for number := range in {
				if !slices.Equal(in[number], out[number]) {
					t.Errorf("track %d: %d frames in, %d out, or others", number, len(in[number]),
						len(out[number]))
				}
			}
		})
	}
}

func fixtures(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("../../test/media/*.mkv")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	return append(paths, "../../cmd/weir/demo.mkv")
}

func TestLoopHasNoSeam(t *testing.T) {
	data, err := os.ReadFile("../../cmd/weir/demo.mkv")
	if err != nil {
		t.Fatal(err)
	}
	src := Loop(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}, func(s string) { t.Error(s) })
	var keys, video, audio []int64
	for len(keys) < 25 { // three times eight fragments, and one
		f, err := src.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Start {
			keys = append(keys, f.Time)
		}
		if f.Track == 1 {
			video = append(video, f.Time)
		} else {
			audio = append(audio, f.Time)
		}
	}
	for i, k := range keys {
		if k != int64(i)*1000 {
			t.Fatalf("fragment %d starts at %d ms", i, k)
		}
	}
	for i, v := range video {
		if v != int64(i)*40 {
			t.Fatalf("picture %d is at %d ms", i, v)
		}
	}
	for i, a := range audio {
		if exact := float64(i) * 1024 / 48; float64(a) < exact-1 || float64(a) > exact+1 {
			t.Fatalf("audio frame %d is at %d ms, not at %.3f", i, a, exact)
		}
	}
}

// leap is a clock on which waiting takes no time.
type leap struct {
	now   time.Time
	waits []time.Duration
}

func (c *leap) Now() time.Time { return c.now }

func (c *leap) Sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	c.waits = append(c.waits, d)
	return nil
}

// given is a source of these frames.
type given []Frame

func (g *given) Tracks() []media.Track { return nil }

func (g *given) Next(context.Context) (Frame, error) {
	f := (*g)[0]
	*g = (*g)[1:]
	return f, nil
}

func TestPaceAndClock(t *testing.T) {
	clock := &leap{now: time.UnixMilli(1_800_000_000_000)}
	frames := []Frame{{Start: true, Time: 500}, {Time: 540}, {Time: 520}, {Time: 1500}}
	sent := given(frames)
	src := OnClock(Pace(&sent, clock), time.Time{}, clock)
	var times []int64
	for range frames {
		f, err := src.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, f.Time-1_800_000_000_000)
	}
	if !slices.Equal(times, []int64{0, 40, 20, 1000}) {
		t.Errorf("times %v", times)
	}
	if ms := time.Millisecond; !slices.Equal(clock.waits, []time.Duration{40 * ms, 960 * ms}) {
		t.Errorf("waits %v", clock.waits)
	}

	absolute := int64(1_700_000_000_123)
	f, _ := OnClock(&given{{Start: true, Time: absolute}}, time.Time{}, clock).Next(t.Context())
	if f.Time != absolute {
		t.Errorf("times since 1970 became %d", f.Time)
	}
	f, _ = OnClock(&given{{Start: true, Time: absolute}}, time.UnixMilli(42),
		clock).Next(t.Context())
	if f.Time != 42 {
		t.Errorf("a given start became %d", f.Time)
	}
}

// Whatever comes in, fragments start with a frame of the cutting track, relative times fit a block,
// and each track keeps its order.
func FuzzRecut(f *testing.F) {
	for _, path := range fixtures(f) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 4_000)])
	}
	f.Add(matroska(f, []media.Track{videoTrack, audioTrack},
		"a0 K0 a43 v40 a21 v80 K120 a128 v160 a100"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := payloads(data)
		c := New(bytes.NewReader(data), nil)
		next := map[int]int{} // index in the input of the first frame that may come
		var start int64
		begun := false
		for {
			f, err := c.Next(context.Background())
			if err != nil {
				return
			}
			if f.Start {
				if f.Track != c.cutTrack || begun && f.Time <= start {
					t.Fatalf("bad start %d after %d", f.Time, start)
				}
				start, begun = f.Time, true
			}
			if rel := f.Time - start; !begun || rel < -api.MaxFragmentDuration.Milliseconds() ||
				rel > api.MaxFragmentDuration.Milliseconds() {
				t.Fatalf("relative time %d", rel)
			}
			i := slices.Index(in[f.Track][next[f.Track]:], string(f.Data))
			if i < 0 {
				t.Fatalf("track %d: a frame is out of order or made up", f.Track)
			}
			next[f.Track] += i + 1
		}
	})
}

// payloads returns the frames of each track as they come in, each in the form in which it is sent.
func payloads(data []byte) map[int][]string {
	in := map[int][]string{}
	c := New(bytes.NewReader(data), nil)
	for {
		ev, err := c.r.Next()
		if err == nil && ev.Kind == mkv.TracksReady {
			err = c.setTracks(c.r.Tracks())
		}
		i := slices.IndexFunc(c.tracks, func(t media.Track) bool { return t.Number == ev.Track })
		if err == nil && ev.Kind == mkv.Frame && i >= 0 {
			var p []byte
			p, err = c.payload(&c.tracks[i], ev)
			in[ev.Track] = append(in[ev.Track], string(p))
		}
		if err != nil {
			return in
		}
	}
}
