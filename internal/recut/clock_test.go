package recut

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"weir/internal/media"
	"weir/internal/mkv"
)

// If the clock of a camera is set back or wraps, or another file follows, frames continue where
// each track was, whichever track meets the step first. A single wrong time moves no other frame.
func TestRecutGoesOnWhereTheClockStepsBack(t *testing.T) {
	av := []media.Track{videoTrack, audioTrack}
	for _, c := range []struct{ name, in, video, audio string }{
		{"pictures first", "K90000 a90000 v90040 a90021 v90080 a90042 K0 a90064 v40 a0 a21 v80",
			"[90000 90040 90080 [90120 90160 90200", "90000 90021 90042 90064 90120 90141"},
		{"sound first", "K90000 a90000 v90040 a90021 a90042 a0 K0 v40 a21",
			"[90000 90040 [90063 90103", "90000 90021 90042 90063 90084"},
		{"in a group", "K90000 v90040 a90000 v5000 v5040 K5080",
			"[90000 90040 90080 90120 [90160", "90000"},
		{"twice", "K5000 v5040 K1000 v1040 K0 v40", "[5000 5040 [5080 5120 [5160 5200", ""},
		{"B-frames", "K5000 v5120 v5040 v5080 K0 v120 v40 v80",
			"[5000 5120 5040 5080 [5160 5280 5200 5240", ""},
		{"one wrong time", "K90000 a90000 v90040 a3 a90042 v90080 a90064 K91000",
			"[90000 90040 90080 [91000", "90000 90021 90042 90064"},
	} {
		tracks := av
		if c.audio == "" {
			tracks = av[:1]
		}
		var told []string
		r := New(bytes.NewReader(matroska(t, tracks, c.in)),
			func(s string) { told = append(told, s) })
		var times [3][]string
		for {
			f, err := r.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			text := fmt.Sprint(f.Time)
			if f.Start {
				text = "[" + text
			}
			times[f.Track] = append(times[f.Track], text)
		}
		if got := strings.Join(times[1], " "); got != c.video {
			t.Errorf("%s: pictures at %s, want %s", c.name, got, c.video)
		}
		if got := strings.Join(times[2], " "); got != c.audio {
			t.Errorf("%s: sound at %s, want %s", c.name, got, c.audio)
		}
		if len(told) == 0 || !strings.Contains(told[0], "the time steps back from ") {
			t.Errorf("%s: told %q", c.name, told)
		}
	}
}

// Laced frames without durations are timed by their content.
func TestRecutTimesLaces(t *testing.T) {
	for _, c := range []struct {
		track media.Track
		want  string
	}{{alawTrack, "[0 20 40 100 120 140"}, {opusTrack, "[0 0 0 100 100 100"}} {
		var input bytes.Buffer
		w := mkv.NewWriter(&input)
		if err := w.WriteHeader(mkv.Header{Tracks: []media.Track{c.track}}); err != nil {
			t.Fatal(err)
		}
		lace := append([]byte{0x84, 2}, make([]byte, 3*160)...) // three of equal size
		input.Write(el(0x1F43B675, el(0xE7, []byte{0}),
			el(0xA3, []byte{0x82, 0, 0}, lace), el(0xA3, []byte{0x82, 0, 100}, lace)))
		var times []string
		for r := New(&input, nil); ; {
			f, err := r.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(f.Time)
			if f.Start {
				text = "[" + text
			}
			times = append(times, text)
		}
		if got := strings.Join(times, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.track.CodecID, got, c.want)
		}
	}
}
