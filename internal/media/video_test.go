package media

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestVideoConfigs(t *testing.T) {
	for _, c := range []struct {
		name, codec, private string
		want                 string
	}{
		{"baseline", CodecAVC, avcBase,
			"avc1.42c01e 640x360 sar 1:1 25.00 fps 4:2:0 8 bit, reorder 0"},
		{"high, cropped from 1088 lines", CodecAVC, avcHigh,
			"avc1.640028 1920x1080 sar 1:1 29.97 fps 4:2:0 8 bit, reorder 0"},
		{"interlaced, extended SAR", CodecAVC, avcFields,
			"avc1.64001e 720x576 sar 64:45 25.00 fps 4:2:0 8 bit, reorder 2"},
		{"cropped on both axes", CodecAVC, avcCropped,
			"avc1.64000c 360x242 sar 1:1 15.00 fps 4:2:0 8 bit, reorder 2"},
		{"4:2:2 10 bit", CodecAVC, avc422,
			"avc1.7a0015 426x242 sar 1:1 25.00 fps 4:2:2 10 bit, reorder 2"},
		{"4:4:4, odd size", CodecAVC, avc444,
			"avc1.f4001f 721x577 sar 16:15 25.00 fps 4:4:4 8 bit, reorder 2"},
		{"hevc main", CodecHEVC, hevcMain,
			"hvc1.1.6.L63.90 640x360 sar 1:1 25.00 fps 4:2:0 8 bit, reorder 2"},
		{"hevc main 10, conformance window", CodecHEVC, hevcMain10,
			"hvc1.2.4.L120.90 1918x1078 sar 4:3 29.97 fps 4:2:0 10 bit, reorder 2"},
	} {
		tr := &Track{Number: 1, Kind: Video, CodecID: c.codec, CodecPrivate: unhex(c.private),
			Width: 1, Height: 1}
		s, err := SPSOf(tr)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		name, err := CodecString(tr)
		w, h, derr := Dimensions(tr)
		got := fmt.Sprintf("%s %dx%d sar %d:%d %.2f fps %s %d bit, reorder %d", name, w, h,
			s.SARWidth, s.SARHeight, s.FrameRate(),
			[]string{"4:0:0", "4:2:0", "4:2:2", "4:4:4"}[s.ChromaFormat], s.BitDepth,
			s.ReorderFrames)
		if err != nil || derr != nil || got != c.want {
			t.Errorf("%s: got  %s (%v, %v)\nwant %s", c.name, got, err, derr, c.want)
		}
		if n, err := nalLengthSize(tr); n != 4 || err != nil {
			t.Errorf("%s: NAL length size %d, %v", c.name, n, err)
		}
	}
}

func TestAVCConfigReservedBits(t *testing.T) {
	plain := unhex(avcBase)
	for _, lengths := range []byte{0xff, 0x03, 0xfd, 0x00} {
		for _, sets := range []byte{0xe1, 0x01} {
			plain[4], plain[5] = lengths, sets
			c, err := ParseAVCConfig(plain)
			if err != nil || c.LengthSize != int(lengths&3)+1 || len(c.SPS) != 1 ||
				len(c.PPS) != 1 {
				t.Errorf("%02x %02x: %+v, %v", lengths, sets, c, err)
			}
		}
	}
}

func TestConfigErrors(t *testing.T) {
	good, hevc := unhex(avcBase), unhex(hevcMain)
	with := func(b []byte, at int, v byte) []byte {
		c := append([]byte{}, b...)
		c[at] = v
		return c
	}
	for _, c := range []struct {
		name, codec string
		private     []byte
		want        error
		text        string
	}{
		{"annex B, long start code", CodecAVC, []byte{0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e},
			ErrInvalidCodecPrivate, "Annex B"},
		{"annex B, short start code", CodecAVC, []byte{0, 0, 1, 0x67, 0x42, 0xc0, 0x1e},
			ErrInvalidCodecPrivate, "Annex B"},
		{"annex B", CodecHEVC, []byte{0, 0, 0, 1, 0x40, 1}, ErrInvalidCodecPrivate, "Annex B"},
		{"missing", CodecAVC, nil, ErrMissingCodecPrivate, "track 7 (V_MPEG4/ISO/AVC)"},
		{"missing", CodecHEVC, nil, ErrMissingCodecPrivate, "track 7 (V_MPEGH/ISO/HEVC)"},
		{"cut", CodecAVC, good[:20], ErrInvalidCodecPrivate, "ends early"},
		{"cut before PPS count", CodecAVC, good[:33], ErrInvalidCodecPrivate, "ends early"},
		{"no SPS", CodecAVC, with(good, 5, 0xe0), ErrInvalidCodecPrivate,
			"no sequence parameter set"},
		{"version", CodecAVC, with(good, 0, 2), ErrInvalidCodecPrivate, "version 2"},
		{"3-byte lengths", CodecAVC, with(good, 4, 0xfe), ErrInvalidCodecPrivate, "3 bytes"},
		{"no arrays", CodecHEVC, with(hevc, 22, 0), ErrInvalidCodecPrivate,
			"no sequence parameter set"},
		{"cut", CodecHEVC, hevc[:60], ErrInvalidCodecPrivate, "ends early"},
		{"other codec", "V_VP9", good, ErrUnsupportedCodec, "track 7 (V_VP9)"},
	} {
		tr := &Track{Number: 7, Kind: Video, CodecID: c.codec, CodecPrivate: c.private}
		_, err := CodecString(tr)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s %s: CodecString: %v", c.codec, c.name, err)
		}
		if _, _, err = Dimensions(tr); !errors.Is(err, c.want) {
			t.Errorf("%s %s: Dimensions: %v", c.codec, c.name, err)
		}
	}
	if _, err := CodecString(&Track{Kind: Audio, CodecID: CodecAVC,
		CodecPrivate: good}); !errors.Is(err, ErrUnsupportedCodec) {
		t.Errorf("video codec in an audio track: %v", err)
	}
}

// An SPS with everything before the size that can shift it: scaling lists (one that ends early, one
// absent, one full), picture order count type 1, fields with cropping.
func TestAVCSPSWithEverything(t *testing.T) {
	w := new(bitWriter).u(8, 100).u(8, 0).u(8, 40).ue(0)
	w.ue(1, 0, 0).u(1, 0)         // 4:2:0, 8 bit, no bypass
	w.u(1, 1)                     // scaling matrix:
	w.u(1, 1).se(2).se(-1).se(-9) // list 0: 10, 9, then 0 ends it
	w.u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0)
	w.u(1, 1)
	for range 64 {
		w.se(1)
	}
	w.u(1, 0)
	// POC type 1 with a cycle of 2
	w.ue(0, 1).u(1, 0).se(-3).se(5).ue(2).se(1).se(-1)
	w.ue(4).u(1, 0).ue(119, 33).u(1, 0).u(1, 1).u(1, 1) // 1920 x 1088 in fields
	// crop: 2 columns right, 8 lines at the bottom
	w.u(1, 1).ue(0, 1, 0, 2)
	// VUI: SAR 4:3, overscan, signal type
	w.u(1, 1).u(1, 1).u(8, 14).u(1, 1).u(1, 0).u(1, 1).u(3, 5).u(1, 0)
	w.u(1, 1).u(24, 0x010101).u(1, 1).ue(0, 0).u(1, 1).u(32, 1).u(32, 50)
	s, err := ParseAVCSPS(w.nal(0x67))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.Width, s.Height, s.SARWidth, s.SARHeight, s.FrameRate())
	if got != "1918 1080 4 3 25" {
		t.Errorf("got %s", got)
	}
	cut := w.nal(0x67)
	if s, err = ParseAVCSPS(cut[:len(cut)-6]); err != nil || s.Width != 1918 || s.SARWidth != 0 ||
		s.FrameRate() != 0 {
		t.Errorf("VUI cut short: %+v, %v", s, err)
	}
}

// An SPS of H.265 with everything that can be between the size and the VUI: sub-layers, scaling
// lists, PCM, predicted reference sets, long-term pictures.
func TestHEVCSPSWithEverything(t *testing.T) {
	w := new(bitWriter).u(4, 0).u(3, 1).u(1, 1)
	w.u(8, 0x01).u(32, 0x60000000).u(32, 0x90000000).u(16, 0).u(8, 93)
	w.u(2, 3).u(14, 0).u(32, 0).u(32, 0).u(24, 0).u(8, 60) // one sub-layer with profile and level
	w.ue(0, 3).u(1, 0).ue(1920, 1080)
	w.u(1, 1).ue(1, 2, 3, 4) // 4:4:4: units of one
	w.ue(2, 2, 4).u(1, 1).ue(4, 2, 0, 4, 2, 0)
	w.ue(0, 3, 0, 3, 1, 1)
	w.u(1, 1).u(1, 1) // scaling lists
	for size := range 4 {
		for m := range []int{6, 6, 6, 2}[size] {
			if m == 0 {
				w.u(1, 0).ue(0)
				continue
			}
			w.u(1, 1)
			if size > 1 {
				w.se(3)
			}
			for range []int{16, 64, 64, 64}[size] {
				w.se(-1)
			}
		}
	}
	w.u(2, 3).u(1, 1).u(8, 0x77).ue(0, 1).u(1, 1) // AMP, SAO, PCM
	w.ue(3)                                       // reference sets:
	w.ue(2, 1).ue(0).u(1, 1).ue(1).u(1, 1).ue(0).u(1, 1)
	// predicted from 3 pictures: keeps 3
	w.u(1, 1).u(1, 0).ue(0).u(1, 1).u(1, 0).u(1, 0).u(1, 0).u(1, 1).u(1, 1)
	w.u(1, 1).u(1, 1).ue(1).u(4, 0xf) // predicted from 3
	w.u(1, 1).ue(1).u(8, 9).u(1, 1)   // one long-term picture
	w.u(2, 3)
	w.u(1, 1).u(1, 1).u(8, 255).u(16, 9).u(16, 8).u(1, 0).u(1, 0).u(1, 0).u(3, 0)
	w.u(1, 1).ue(0, 0, 0, 0).u(1, 1).u(32, 1001).u(32, 60000)
	s, err := parseHEVCSPS(w.nal(0x42, 1))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%d %d %d:%d %.2f level %d", s.Width, s.Height, s.SARWidth, s.SARHeight,
		s.FrameRate(), s.Level)
	if got != "1917 1073 9:8 59.94 level 93" {
		t.Errorf("got %s", got)
	}
}

func TestHEVCCodecString(t *testing.T) {
	for _, c := range []struct {
		config HEVCConfig
		want   string
	}{
		{HEVCConfig{Profile: 1, Compatibility: 0x60000000, Level: 93, Constraints: [6]byte{0xb0}},
			"hvc1.1.6.L93.B0"},
		{HEVCConfig{Profile: 2, Compatibility: 0x20000000, Tier: 1, Level: 153,
			Constraints: [6]byte{0xb0, 0, 0x23}}, "hvc1.2.4.H153.B0.0.23"},
		{HEVCConfig{ProfileSpace: 2, Profile: 4, Compatibility: 0x08000000, Level: 30},
			"hvc1.B4.10.L30"},
	} {
		if got := c.config.CodecString(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func FuzzParseAVCConfig(f *testing.F) {
	for _, s := range []string{avcBase, avcHigh, avcFields, avcCropped, avc422, avc444} {
		f.Add(unhex(s))
	}
	f.Add([]byte{0, 0, 0, 1, 0x67})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseAVCConfig(b)
		if err != nil {
			if !errors.Is(err, ErrInvalidCodecPrivate) {
				t.Fatal(err)
			}
			return
		}
		checkSizes(t, b, c.SPS, c.PPS)
		for _, s := range c.SPS {
			ParseAVCSPS(s)
		}
	})
}

func FuzzParseHEVCConfig(f *testing.F) {
	f.Add(unhex(hevcMain))
	f.Add(unhex(hevcMain10))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseHEVCConfig(b)
		if err != nil {
			if !errors.Is(err, ErrInvalidCodecPrivate) {
				t.Fatal(err)
			}
			return
		}
		checkSizes(t, b, c.VPS, c.SPS, c.PPS)
		if s := c.CodecString(); len(s) > 64 {
			t.Fatalf("codec string %q", s)
		}
		for _, s := range c.SPS {
			parseHEVCSPS(s)
		}
	})
}

func checkSizes(t *testing.T, b []byte, lists ...[][]byte) {
	t.Helper()
	n := 0
	for _, l := range lists {
		for _, s := range l {
			n += len(s)
		}
	}
	if n > len(b) {
		t.Fatalf("%d bytes of parameter sets in a record of %d", n, len(b))
	}
}

func FuzzParseSPS(f *testing.F) {
	for _, s := range []string{avcBase, avcHigh, avcFields, avcCropped, avc422, avc444} {
		c, _ := ParseAVCConfig(unhex(s))
		f.Add(c.SPS[0])
	}
	for _, s := range []string{hevcMain, hevcMain10} {
		c, _ := ParseHEVCConfig(unhex(s))
		f.Add(c.SPS[0])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (*SPS, error){ParseAVCSPS, parseHEVCSPS} {
			s, err := parse(b)
			if err != nil {
				if !errors.Is(err, ErrInvalidCodecPrivate) {
					t.Fatal(err)
				}
				continue
			}
			if s.Width < 1 || s.Width > maxDimension || s.Height < 1 || s.Height > maxDimension {
				t.Fatalf("%+v", s)
			}
		}
	})
}
