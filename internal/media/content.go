package media

// Content says what a block of an H.264 or H.265 track holds, as far as access units and random
// access depend on it. The zero value says nothing: the block counts as an access unit of its own,
// and the container's key flag as true.
type Content uint16

// The bits of a Content.
const (
	scanned Content = 1 << iota // the block was scanned; alone: it is empty
	slice                       // coded slice of a picture
	starts                      // a picture begins here
	// what an access unit begins with, before any slice: delimiter, parameter sets, SEI
	prefix
	// NAL units that follow the slices of their picture: filler, end of sequence, suffix SEI
	other
	idr      // slices of an IDR or BLA picture: nothing after it needs what is before it
	cra      // slices of a CRA picture
	recovery // recovery point SEI message
	intra    // H.264: the first slice is intra-coded
	bipred   // H.264: some slice is a B slice
	// H.265: slices of a RASL picture, not decodable when decoding begins at its CRA picture
	rasl
	hevcBlock // the track is H.265
)

// Empty reports whether the block was scanned and holds no NAL unit.
func (c Content) Empty() bool { return c&^hevcBlock == scanned }

// Known reports whether the block was scanned, so that a container's flags do not matter.
func (c Content) Known() bool { return c&scanned != 0 }

// Sync reports whether decoding may begin here and nothing that follows needs what is before: an
// H.264 IDR picture, an H.265 IDR or BLA picture.
func (c Content) Sync() bool { return c&idr != 0 }

// Open reports whether decoding may begin here although pictures that follow may need what is
// before: an H.265 CRA picture, a recovery point (H.264 clause D.2.8, H.265 clause D.3.8), or an
// H.264 I picture that the container's flag, key, calls a key frame.
func (c Content) Open(key bool) bool {
	return !c.Sync() && c&slice != 0 && (c&(cra|recovery) != 0 || key && c&intra != 0)
}

// Picture reports whether the block has slices of a picture, or may have.
func (c Content) Picture() bool { return c == 0 || c&slice != 0 }

// NALScanner scans the blocks of a track. The zero value, for every other codec, finds nothing.
type NALScanner struct {
	lengthSize int
	hevc       bool
}

// NewNALScanner makes the scanner of a track. The errors are those of ParseAVCConfig and
// ParseHEVCConfig.
func NewNALScanner(t *Track) (NALScanner, error) {
	n, err := nalLengthSize(t)
	return NALScanner{lengthSize: n, hevc: t.CodecID == CodecHEVC}, err
}

// Zero reports whether the scanner is for another codec and finds nothing.
func (s NALScanner) Zero() bool { return s.lengthSize == 0 }

// Scan reads the headers of a block's NAL units. It returns 0 if their lengths do not fill the
// block and no slice was found before that shows. It takes a step for each NAL unit and reads no
// slice data.
func (s NALScanner) Scan(block []byte) Content {
	if s.lengthSize == 0 {
		return 0
	}
	c := scanned
	if s.hevc {
		c |= hevcBlock
	}
	for len(block) > 0 {
		nal, rest, ok := s.cut(block)
		if !ok {
			if c&slice == 0 {
				return 0
			}
			return c
		}
		block = rest
		switch {
		case len(nal) == 0:
		case s.hevc:
			c = scanHEVC(c, nal)
		default:
			c = scanAVC(c, nal)
		}
	}
	return c
}

// scanAVC adds to c what an H.264 NAL unit says (H.264 table 7-1; clause 7.4.1.2.3: where access
// units begin).
func scanAVC(c Content, nal []byte) Content {
	switch typ := nal[0] & 0x1f; typ {
	case 1, 2, 5:
		first, kind := avcSliceHead(nal[1:])
		if first || c&(slice|prefix) == prefix {
			c |= starts
		}
		if c&slice == 0 && kind == 2 {
			c |= intra
		}
		if kind == 1 {
			c |= bipred
		}
		if typ == 5 {
			c |= idr
		}
		return c | slice
	// data partitions B and C, slices of other views and layers: they continue a picture
	case 3, 4, 20, 21:
		return c | slice
	case 6:
		if c&slice == 0 && recoveryPoint(nal[1:]) {
			c |= recovery
		}
		fallthrough
	case 7, 8, 9, 13, 14, 15, 16, 17, 18:
		if c&slice == 0 {
			c |= prefix
		}
		return c
	}
	return c | other
}

// avcSliceHead reads the first two fields of a slice header (H.264 clause 7.3.3): whether
// first_mb_in_slice is 0, and slice_type modulo 5 (1: B, 2: I).
func avcSliceHead(b []byte) (first bool, kind uint32) {
	var room [12]byte
	n, zeros := 0, 0
	for _, v := range b[:min(len(b), len(room))] {
		if zeros >= 2 && v == 3 {
			zeros = 0
			continue
		}
		if room[n] = v; v == 0 {
			zeros++
		} else {
			zeros = 0
		}
		n++
	}
	r := bitReader{data: room[:n]}
	first = r.ue() == 0 // also where the header is cut short
	if kind = r.ue() % 5; r.err != nil {
		kind = 0
	}
	return first, kind
}

// scanHEVC adds to c what an H.265 NAL unit says (H.265 table 7-1; clause 7.4.2.4.4: where access
// units begin).
func scanHEVC(c Content, nal []byte) Content {
	if len(nal) < 2 {
		return c | other
	}
	typ, layer := nal[0]>>1&0x3f, nal[0]&1<<5|nal[1]>>3
	switch {
	case typ < 24 && layer > 0: // of another layer of a picture
		return c | slice
	case typ < 24:
		// first_slice_segment_in_pic_flag
		if len(nal) == 2 || nal[2]&0x80 != 0 || c&(slice|prefix) == prefix {
			c |= starts
		}
		switch typ {
		case 8, 9:
			c |= rasl
		case 16, 17, 18, 19, 20:
			c |= idr
		case 21:
			c |= cra
		}
		return c | slice
	case typ >= 32 && typ <= 35, typ == 39, typ >= 41 && typ <= 44, typ >= 48 && typ <= 55:
		if c&slice == 0 {
			c |= prefix
			if typ == 39 && recoveryPoint(nal[2:]) {
				c |= recovery
			}
		}
		return c
	}
	return c | other
}

// seiBytes bounds how much of an SEI NAL unit is read.
const seiBytes = 4096

// recoveryPoint reports whether an SEI RBSP, which still has its emulation prevention bytes, holds
// a recovery point message (payloadType 6 in both codecs; H.264 clause 7.3.2.3.1, H.265 clause
// 7.3.5).
func recoveryPoint(b []byte) bool {
	b = b[:min(len(b), seiBytes)]
	zeros := 0
	next := func() (byte, bool) {
		for len(b) > 0 {
			v := b[0]
			b = b[1:]
			if zeros >= 2 && v == 3 {
				zeros = 0
				continue
			}
			if v == 0 {
				zeros++
			} else {
				zeros = 0
			}
			return v, true
		}
		return 0, false
	}
	number := func() (sum int, ok bool) {
		for {
			v, ok := next()
			if sum += int(v); !ok || v != 0xff {
				return sum, ok
			}
		}
	}
	for len(b) > 1 { // a byte is left for the trailing bits
		typ, _ := number()
		size, ok := number()
		if !ok {
			return false
		}
		if typ == 6 {
			return true
		}
		for ; size > 0; size-- {
			if _, ok := next(); !ok {
				return false
			}
		}
	}
	return false
}
