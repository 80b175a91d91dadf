package media

import (
	"fmt"
	"slices"
	"testing"
)

// nals puts NAL units after lengths of 4 bytes.
func nals(units ...[]byte) []byte {
	var b []byte
	for _, u := range units {
		b = append(append(b, 0, 0, 0, byte(len(u))), u...)
	}
	return b
}

// H.264 NAL units; of the slices the head: first_mb_in_slice 0 or not, slice_type 7 (I), 5 (P) or 6
// (B).
var (
	avcIDR     = []byte{0x65, 0x88, 0x80} // 1 0001000
	avcIDRMore = []byte{0x65, 0x42, 0x00} // 010 0001000: first_mb_in_slice 1
	avcI       = []byte{0x41, 0x88, 0x80}
	avcP       = []byte{0x41, 0x9a, 0x20} // 1 00110
	avcPMore   = []byte{0x41, 0x46, 0x80} // 010 00110
	avcB       = []byte{0x01, 0x9e, 0x20} // 1 00111
	avcSPS     = []byte{0x67, 0x42, 0xc0}
	avcPPS     = []byte{0x68, 0xce}
	avcSEI     = []byte{0x06, 0x05, 0x02, 0xaa, 0xbb, 0x80}
	// after a message with an emulation prevention byte
	avcRecovery = []byte{0x06, 0x05, 0x03, 0x00, 0x00, 0x03, 0x01, 0x06, 0x01, 0xc0, 0x80}
	avcAUD      = []byte{0x09, 0xf0}
	avcFiller   = []byte{0x0c, 0xff, 0x80}
	avcEnd      = []byte{0x0a}
)

// H.265 NAL units; of the slices the head: first_slice_segment_in_pic_flag.
var (
	hevcIDR      = []byte{19 << 1, 1, 0x80}
	hevcIDRMore  = []byte{19 << 1, 1, 0x00}
	hevcBLA      = []byte{16 << 1, 1, 0x80}
	hevcCRA      = []byte{21 << 1, 1, 0x80}
	hevcRASL     = []byte{8 << 1, 1, 0x80}
	hevcRADL     = []byte{6 << 1, 1, 0x80}
	hevcTrail    = []byte{1 << 1, 1, 0x80}
	hevcOther    = []byte{1 << 1, 1 | 1<<3, 0x80} // nuh_layer_id 1
	hevcAUD      = []byte{35 << 1, 1, 0x50}
	hevcSets     = []byte{33 << 1, 1, 0x01}
	hevcSEI      = []byte{39 << 1, 1, 0x05, 0x01, 0xaa, 0x80}
	hevcRecovery = []byte{39 << 1, 1, 0x06, 0x01, 0xaa, 0x80}
	hevcSuffix   = []byte{40 << 1, 1, 0x84, 0x01, 0xaa, 0x80}
	hevcFiller   = []byte{38 << 1, 1, 0xff, 0x80}
)

func scanner(codec string) NALScanner { return NALScanner{lengthSize: 4, hevc: codec == CodecHEVC} }

// Which blocks are one access unit, and what it is. Each block has a letter: i IDR or BLA, o open
// group, p another picture, l a leading one, - continues the one before, . without a picture.
// Frames are 40 ms apart.
func TestAccessUnits(t *testing.T) {
	for _, c := range []struct {
		name, codec string
		blocks      [][]byte
		want        string
	}{
		{"a block per picture", CodecAVC, [][]byte{nals(avcAUD, avcSPS, avcPPS, avcIDR), nals(avcP),
			nals(avcP)}, "ipp"},
		{"SEI alone", CodecAVC, [][]byte{nals(avcIDR), nals(avcSEI), nals(avcP)}, "ip-"},
		{"parameter sets alone", CodecAVC, [][]byte{nals(avcSPS, avcPPS, avcSEI), nals(avcIDR),
			nals(avcP)}, "i-p"},
		{"each NAL unit alone", CodecAVC, [][]byte{nals(avcAUD), nals(avcSPS), nals(avcPPS),
			nals(avcIDR), nals(avcIDRMore), nals(avcAUD), nals(avcP), nals(avcPMore)}, "i----p--"},
		{"filler and end of sequence", CodecAVC, [][]byte{nals(avcIDR), nals(avcFiller), nals(avcP),
			nals(avcEnd), nals(avcSEI), nals(avcFiller), nals(avcP)}, "i-p-p--"},
		{"empty", CodecAVC, [][]byte{nals(avcIDR), nil, nals(avcP), nals(nil, nil), nals(avcP)},
			"i-p-p"},
		{"empty first", CodecAVC, [][]byte{nil, nals(avcP)}, "p-"},
		{"the next picture's SEI at the end", CodecAVC,
			[][]byte{nals(avcIDR), nals(avcP), nals(avcSPS), nals(avcSEI)}, "ip.-"},
		{"no picture at all", CodecAVC, [][]byte{nals(avcSPS), nals(avcSEI), nil}, ".--"},
		{"slices of a picture that began before", CodecAVC, [][]byte{nals(avcPMore), nals(avcPMore),
			nals(avcP)}, "p-p"},
		{"first slice lost after a delimiter", CodecAVC,
			[][]byte{nals(avcIDR), nals(avcAUD, avcPMore)}, "ip"},
		{"data partitions", CodecAVC, [][]byte{nals(avcIDR), nals([]byte{2, 0x9a, 0x20}),
			nals([]byte{3, 0x80}), nals([]byte{4, 0x80})}, "ip--"},
		{"lengths that lie: the flag is all there is", CodecAVC,
			[][]byte{nals(avcIDR), {0, 0, 0, 9, 0x41}, nals(avcP)}, "iip"},
		{"open group", CodecAVC, [][]byte{nals(avcRecovery, avcI), nals(avcP), nals(avcIDR)},
			"opi"},
		{"I picture without a message", CodecAVC, [][]byte{nals(avcI), nals(avcP)}, "op"},
		{"every picture flagged", CodecAVC, [][]byte{nals(avcP), nals(avcIDR)}, "pi"},
		{"a block per picture, H.265", CodecHEVC, [][]byte{nals(hevcAUD, hevcSets, hevcIDR),
			nals(hevcTrail), nals(hevcBLA)}, "ipi"},
		{"each NAL unit alone, H.265", CodecHEVC, [][]byte{nals(hevcAUD), nals(hevcSets),
			nals(hevcSEI), nals(hevcIDR), nals(hevcIDRMore), nals(hevcSuffix), nals(hevcSEI),
			nals(hevcTrail), nals(hevcOther), nals(hevcFiller)}, "i-----p---"},
		{"CRA without leading pictures, H.265", CodecHEVC, [][]byte{nals(hevcCRA), nals(hevcTrail),
			nals(hevcCRA)}, "ipi"},
		{"open group, H.265", CodecHEVC, [][]byte{nals(hevcCRA), nals(hevcRASL)}, "op"},
		{"recovery point, H.265", CodecHEVC, [][]byte{nals(hevcRecovery), nals(hevcTrail),
			nals(hevcTrail)}, "o-p"},
		{"no picture at all, H.265", CodecHEVC, [][]byte{nals(hevcSets)}, "."},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := NewClock(&Track{Number: 1, Kind: Video, CodecID: c.codec})
			samples := make([]Sample, len(c.blocks))
			size := 0
			for i, b := range c.blocks {
				samples[i] = Sample{Time: epoch + int64(i)*40*ms, Size: uint32(len(b)), Key: true,
					Content: scanner(c.codec).Scan(b)}
				size += len(b)
			}
			run, err := clock.Run(samples, NoTime)
			if err != nil {
				t.Fatal(err)
			}
			if got := letters(run.Frames); got != c.want || run.Size() != int64(size) {
				t.Errorf("blocks %s of %d bytes, want %s of %d", got, run.Size(), c.want, size)
			}
			units := run.Units()
			want := len(c.want) - count(c.want, '-') - count(c.want, '.')
			if len(units.Frames) != want || units.Duration() != run.Duration() {
				t.Errorf("%d access units of %d ticks, want %d of %d", len(units.Frames),
					units.Duration(), want, run.Duration())
			}
			for _, f := range units.Frames {
				if f.Size == 0 || f.Duration == 0 {
					t.Errorf("access unit %+v", f)
				}
			}
		})
	}
}

func count(s string, c rune) (n int) {
	for _, r := range s {
		if r == c {
			n++
		}
	}
	return n
}

func letters(frames []Frame) string {
	var b []byte
	for _, f := range frames {
		switch {
		case f.Marks&Joined != 0:
			b = append(b, '-')
		case f.Marks&Bare != 0:
			b = append(b, '.')
		case f.Key:
			b = append(b, 'i')
		case f.Marks&Open != 0:
			b = append(b, 'o')
		case f.Marks&Leading != 0:
			b = append(b, 'l')
		default:
			b = append(b, 'p')
		}
	}
	return string(b)
}

// Pictures that are shown before the one that begins an open group are marked; in H.265 only those
// that cannot be decoded from there.
func TestLeadingPictures(t *testing.T) {
	for _, c := range []struct {
		codec  string
		blocks [][]byte
		want   string
	}{
		{CodecAVC, [][]byte{nals(avcRecovery, avcI), nals(avcB), nals(avcB), nals(avcP),
			nals(avcB)}, "ollpp"},
		{CodecAVC, [][]byte{nals(avcIDR), nals(avcB), nals(avcB), nals(avcP), nals(avcB)}, "ipppp"},
		{CodecHEVC, [][]byte{nals(hevcCRA), nals(hevcRASL), nals(hevcRADL), nals(hevcTrail),
			nals(hevcTrail)}, "olppp"},
	} {
		var samples []Sample
		for i, at := range []int64{80, 0, 40, 160, 120} {
			samples = append(samples, Sample{Time: epoch + at*ms, Size: 1,
				Content: scanner(c.codec).Scan(c.blocks[i])})
		}
		run, err := NewClock(&Track{Number: 1, Kind: Video, CodecID: c.codec}).Run(samples, NoTime)
		if err != nil {
			t.Fatal(err)
		}
		if got := letters(run.Frames); got != c.want {
			t.Errorf("%s: %s, want %s", c.codec, got, c.want)
		}
	}
}

// Blocks without a picture have no duration: they neither lengthen nor shorten a frame.
func TestTimesOfNoPicture(t *testing.T) {
	var samples []Sample
	for i := range int64(10) {
		at := epoch + i*100*ms
		samples = append(samples,
			Sample{Time: at, Size: 9, Content: scanner(CodecAVC).Scan(nals(avcP))},
			Sample{Time: at + 50*ms, Size: 9, Content: scanner(CodecAVC).Scan(nals(avcSEI))})
	}
	run, err := video().Run(samples, epoch+1000*ms)
	if err != nil {
		t.Fatal(err)
	}
	units := run.Units()
	if len(units.Frames) != 10 || run.Frames[19].Marks != Bare {
		t.Fatalf("%d access units, %+v", len(units.Frames), run.Frames[19])
	}
	for _, f := range units.Frames {
		if f.Duration != 9000 {
			t.Errorf("frame of %d ticks", f.Duration)
		}
	}
}

// FuzzScan scans whole tracks. Whatever the blocks are, each becomes a frame, and the units add up
// to them.
func FuzzScan(f *testing.F) {
	f.Add(slices.Concat(nals(avcSPS, avcPPS, avcIDR), nals(avcSEI), nals(avcP)), byte(11), false)
	f.Add(slices.Concat(nals(hevcSets), nals(hevcCRA), nals(hevcRASL)), byte(7), true)
	f.Add(nals(avcRecovery, avcI), byte(255), false)
	f.Fuzz(func(t *testing.T, data []byte, cut byte, hevc bool) {
		s := NALScanner{lengthSize: 1 << (cut % 3), hevc: hevc}
		var samples []Sample
		var bytes int64
		for i := int64(0); len(data) > 0 && i < 1000; i++ {
			n := min(len(data), int(cut))
			samples = append(samples, Sample{Time: i * 40 * ms, Size: uint32(n), Key: i%3 == 0,
				Content: s.Scan(data[:n])})
			data = data[n:]
			bytes += int64(n)
			if n == 0 {
				break
			}
		}
		if len(samples) == 0 {
			return
		}
		run, err := video().Run(samples, NoTime)
		if err != nil {
			t.Fatal(err)
		}
		if len(run.Frames) != len(samples) || run.Size() != bytes {
			t.Fatalf("%d frames of %d bytes from %d blocks of %d", len(run.Frames), run.Size(),
				len(samples), bytes)
		}
		units := run.Units()
		if units.Duration() != run.Duration() || units.Size() > bytes {
			t.Fatalf("%+v became %+v", run, units)
		}
		for i, u := range units.Frames {
			if u.Duration == 0 || u.Marks&(Joined|Bare) != 0 {
				t.Fatalf("access unit %d: %s", i, fmt.Sprint(u))
			}
		}
	})
}

func TestBlocksOfUnits(t *testing.T) {
	frames := []Frame{{Marks: Joined}, {}, {Marks: Joined}, {Marks: Joined}, {}}
	for units, want := range []int{0, 1, 4, 5} {
		if got := (&Run{Frames: frames}).Blocks(units); got != want {
			t.Errorf("%d units are %d blocks, want %d", units, got, want)
		}
	}
}
