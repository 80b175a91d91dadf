package media

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The silent frame of each configuration has the elements of ISO/IEC 14496-3 clause 4.4.2.1: single
// channels, pairs and one for low frequencies, numbered by kind, each with only a global gain. With
// ADTS headers, FFmpeg 5.1 decodes those of 1, 2, 6 and 8 channels to zeros.
func TestSilence(t *testing.T) {
	for _, c := range []struct {
		name, asc, frame string
		scale            uint32
		duration         int64
	}{
		{"mono", "1208", "00c80007", 44100, 1024},
		{"stereo", "1210", "21000320641c", 44100, 1024},
		{"5.1", "11b0", "00c80001080019032023000320640c190000e0", 48000, 1024},
		{"7.1", "11b8", "00c800010800190320230003206404a000640c818320001c", 48000, 1024},
		{"960 samples a frame", "1214", "21000320641c", 44100, 960},
		{"HE-AAC, on the clock of its core", "2b098800", "00c80007", 24000, 1024},
		{"HE-AAC, on the clock of its output", "2b098800", "00c80007", 48000, 2048},
		{"channels that a program config element tells", "120004c84400", "", 44100, 0},
		{"a timescale on which a frame is no whole number of ticks", "1210", "", 90000, 0},
		{"no config", "", "", 44100, 0},
	} {
		s := SilenceOf(&Track{Kind: Audio, CodecID: CodecAAC, CodecPrivate: unhex(c.asc),
			Timescale: c.scale})
		if s == nil {
			s = &Silence{}
		}
		if got := hex.EncodeToString(s.Frame); got != c.frame || s.Duration != c.duration {
			t.Errorf("%s: %s, %d ticks; want %s, %d", c.name, got, s.Duration, c.frame, c.duration)
		}
	}
	for private, want := range map[string]byte{
		"06000200401f0000803e0000020008000000": 0xd5, "07000200401f0000803e0000020008000000": 0xff,
	} {
		law := &Track{Kind: Audio, CodecID: CodecACM, CodecPrivate: unhex(private), Timescale: 8000}
		if s := SilenceOf(law); s == nil || s.Duration != 160 ||
			!bytes.Equal(s.Frame, bytes.Repeat([]byte{want}, 320)) {
			t.Errorf("G.711: %+v, want 160 samples of two channels of %x", s, want)
		}
		law.Timescale = 8001
		if s := SilenceOf(law); s != nil {
			t.Errorf("G.711 on a clock of no whole ticks: %+v", s)
		}
	}
	if SilenceOf(&Track{Kind: Audio, CodecID: "A_OPUS", Timescale: 48000}) != nil {
		t.Error("silence of Opus")
	}
}
