package media

import (
	"bytes"
	"encoding/binary"
	"errors"
)

var (
	errAnnexB = errors.New(
		"an Annex B byte stream (start codes) instead of a decoder configuration record")
	errTruncated = errors.New("record ends early")
)

// annexB reports whether data begins with an Annex B start code, as when a producer sends its
// encoder's output without conversion. A configuration record never does: it begins with version 1
// (from a few writers 0, then a profile).
func annexB(data []byte) bool {
	return len(data) >= 4 && data[0] == 0 && data[1] == 0 &&
		(data[2] == 1 || data[2] == 0 && data[3] == 1)
}

// rbsp removes the emulation prevention bytes of a NAL unit (H.264 clause 7.3.1, H.265 clause
// 7.3.1.1).
func rbsp(nal []byte) []byte {
	out := make([]byte, 0, len(nal))
	zeros := 0
	for _, b := range nal {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// sampleAspect reads aspect_ratio_info of a VUI: H.264 table E-1 and H.265 table E.1, which agree.
// 0:0 means unspecified.
func sampleAspect(r *bitReader) (w, h int) {
	if !r.flag() {
		return 0, 0
	}
	idc := r.u(8)
	if idc == 255 { // Extended_SAR
		return int(r.u(16)), int(r.u(16))
	}
	if int(idc) < len(aspectTable) {
		return aspectTable[idc][0], aspectTable[idc][1]
	}
	return 0, 0
}

var aspectTable = [...][2]int{
	{0, 0}, {1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11}, {32, 11},
	{80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3}, {3, 2}, {2, 1},
}

// nalLengthSize returns how many bytes (1, 2 or 4) precede each NAL unit in the frames of an H.264
// or H.265 track, and 0 for a track of another codec. The errors are those of ParseAVCConfig and
// ParseHEVCConfig.
func nalLengthSize(t *Track) (int, error) {
	switch t.CodecID {
	case CodecAVC:
		c, err := avcConfig(t)
		if err != nil {
			return 0, err
		}
		return c.LengthSize, nil
	case CodecHEVC:
		c, err := hevcConfig(t)
		if err != nil {
			return 0, err
		}
		return c.LengthSize, nil
	}
	return 0, nil
}

// AnnexB reports whether a block has start codes (H.264 and H.265 annex B) instead of the lengths
// that its track's codec private data announces. A length may look like a start code, so a block
// that NAL units with lengths fill has none.
func (s NALScanner) AnnexB(block []byte) bool {
	return !s.Zero() && annexB(block) && !s.fills(block)
}

// FromAnnexB replaces the start codes of such a block with lengths. ok is false for other blocks,
// and if a NAL unit is too long for its length field.
func (s NALScanner) FromAnnexB(block []byte) (converted []byte, ok bool) {
	if !s.AnnexB(block) {
		return nil, false
	}
	most := uint64(1)<<(8*s.lengthSize) - 1
	converted = make([]byte, 0, len(block)+16)
	for nal := range bytes.SplitSeq(block, startCode) {
		// cut off the fourth byte of the next start code, or trailing zeros
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) == 0 {
			continue
		}
		if uint64(len(nal)) > most {
			return nil, false
		}
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(nal)))
		converted = append(append(converted, length[8-s.lengthSize:]...), nal...)
	}
	return converted, true
}

var startCode = []byte{0, 0, 1}

// fills reports whether NAL units with lengths fill the block.
func (s NALScanner) fills(block []byte) bool {
	ok := true
	for ok && len(block) > 0 {
		_, block, ok = s.cut(block)
	}
	return ok
}

// cut splits the first NAL unit off a block. ok is false if its length is cut short or too great.
func (s NALScanner) cut(block []byte) (nal, rest []byte, ok bool) {
	if len(block) < s.lengthSize {
		return nil, nil, false
	}
	var b [8]byte
	copy(b[8-s.lengthSize:], block[:s.lengthSize])
	n := binary.BigEndian.Uint64(b[:])
	if block = block[s.lengthSize:]; n > uint64(len(block)) {
		return nil, nil, false
	}
	return block[:n], block[n:], true
}
