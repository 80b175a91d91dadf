package media

import (
	"bytes"
	"testing"
)

func TestFromAnnexB(t *testing.T) {
	for _, c := range []struct {
		name       string
		lengthSize int
		in, want   []byte // no want: it is left as it is
	}{
		{"long and short start codes", 4, []byte{0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 2},
			[]byte{0, 0, 0, 2, 9, 16, 0, 0, 0, 3, 0x65, 1, 2}},
		{"zeros between and after", 4, []byte{0, 0, 1, 0x65, 1, 0, 0, 0, 0, 1, 6, 5, 0, 0},
			[]byte{0, 0, 0, 2, 0x65, 1, 0, 0, 0, 2, 6, 5}},
		{"lengths of two bytes", 2, []byte{0, 0, 1, 0x65, 1}, []byte{0, 2, 0x65, 1}},
		{"a NAL unit too large for them", 1, append([]byte{0, 0, 1, 0x65}, bytes.Repeat([]byte{1},
			300)...), nil},
		{"lengths that look like a start code", 4, []byte{0, 0, 0, 1, 9, 0, 0, 0, 2, 0x65, 1}, nil},
		{"a length of 257 to 511", 4, append([]byte{0, 0, 1, 1}, make([]byte, 257)...), nil},
		{"lengths", 4, []byte{0, 0, 0, 2, 0x65, 1}, nil},
		{"something else", 4, []byte{1, 2, 3, 4, 5}, nil},
		{"nothing", 4, nil, nil},
	} {
		got, ok := NALScanner{lengthSize: c.lengthSize}.FromAnnexB(c.in)
		if !bytes.Equal(got, c.want) || ok != (c.want != nil) {
			t.Errorf("%s: % x, %v, want % x", c.name, got, ok, c.want)
		}
	}
	if _, ok := (NALScanner{}).FromAnnexB([]byte{0, 0, 1, 0x65}); ok {
		t.Error("a track of another codec was converted")
	}
}

func TestCutADTS(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, want []byte
	}{
		{"without a checksum", []byte{0xff, 0xf1, 0x4c, 0x40, 1, 0x3f, 0xfc, 0x21, 0x10},
			[]byte{0x21, 0x10}},
		{"with one", []byte{0xff, 0xf8, 0x4c, 0x40, 1, 0x7f, 0xfc, 7, 7, 0x21, 0x10},
			[]byte{0x21, 0x10}},
		{"other length", []byte{0xff, 0xf1, 0x4c, 0x40, 1, 0x5f, 0xfc, 0x21, 0x10}, nil},
		{"two frames in one", []byte{0xff, 0xf1, 0x4c, 0x40, 1, 0x3f, 0xfd, 0x21, 0x10}, nil},
		{"raw", []byte{0x21, 0x10, 0x4c, 0x40, 1, 0x3f, 0xfc, 0x21, 0x10}, nil},
		{"short", []byte{0xff, 0xf1}, nil},
	} {
		got, ok := CutADTS(c.in)
		if !bytes.Equal(got, c.want) || ok != (c.want != nil) {
			t.Errorf("%s: % x, %v", c.name, got, ok)
		}
	}
}

func FuzzFromAnnexB(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		s := NALScanner{lengthSize: 4}
		if got, ok := s.FromAnnexB(in); ok && (!s.fills(got) || len(got) > 2*len(in)) {
			t.Errorf("% x became % x", in, got)
		}
		if raw, ok := CutADTS(in); ok && len(raw) >= len(in) {
			t.Errorf("% x became % x", in, raw)
		}
	})
}
