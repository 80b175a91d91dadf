package conformance

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

// Codecs as the segments name them.
const (
	avc  = "avc"
	hevc = "hevc"
	aac  = "aac"
)

// avcCodec is the codec of ISO/IEC 14496-15 annex E.2 from profile, constraint flags and level.
func avcCodec(profile, constraints, level byte) string {
	return fmt.Sprintf("avc1.%02x%02x%02x", profile, constraints, level)
}

// hevcCodec is the codec of ISO/IEC 14496-15 annex E.3 from the twelve bytes of a general
// profile_tier_level.
func hevcCodec(ptl []byte) string {
	if len(ptl) < 12 {
		return ""
	}
	var s strings.Builder
	s.WriteString("hvc1.")
	if space := ptl[0] >> 6; space > 0 {
		s.WriteByte('A' + space - 1)
	}
	tier := "L"
	if ptl[0]&0x20 != 0 {
		tier = "H"
	}
	fmt.Fprintf(&s, "%d.%X.%s%d", ptl[0]&0x1F, bits.Reverse32(binary.BigEndian.Uint32(ptl[1:])),
		tier, ptl[11])
	constraints := ptl[5:11]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for _, c := range constraints {
		fmt.Fprintf(&s, ".%X", c)
	}
	return s.String()
}

// aacCodec is the codec of RFC 6381 section 3.3 from an AudioSpecificConfig. HE-AAC signalled
// explicitly has its own object type (5, 29).
func aacCodec(config []byte) string {
	if len(config) == 0 {
		return ""
	}
	object := int(config[0] >> 3)
	if object == 31 && len(config) > 1 {
		object = 32 + int(config[0]&7)<<3 + int(config[1]>>5)
	}
	return fmt.Sprintf("mp4a.40.%d", object)
}

// unescape removes the emulation prevention bytes of a NAL unit.
func unescape(nal []byte) []byte {
	out := make([]byte, 0, len(nal))
	zeros := 0
	for _, b := range nal {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if zeros++; b != 0 {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}

// spsCodec is the codec that a sequence parameter set tells.
func spsCodec(codec string, nal []byte) string {
	sps := unescape(nal)
	switch {
	case codec == avc && len(sps) >= 4:
		return avcCodec(sps[1], sps[2], sps[3])
	case codec == hevc && len(sps) >= 15:
		return hevcCodec(sps[3:15])
	}
	return ""
}

// unit is what matters here of the NAL units of one access unit.
type unit struct {
	delimiter  bool // the first unit is an access unit delimiter
	parameters bool // SPS and PPS (and VPS) stand before the first slice
	key        bool // the first slice is IDR (H.264), IRAP (H.265)
	slices     int
	sps        []byte
}

// readUnit looks at the NAL units of an access unit (Rec. ITU-T H.264 table 7-1, H.265 table 7-1).
func readUnit(codec string, nals [][]byte) (u unit) {
	var sps, pps, vps bool
	for i, n := range nals {
		if len(n) == 0 {
			continue
		}
		t := n[0] & 0x1F
		if codec == hevc {
			t = n[0] >> 1 & 0x3F
		}
		slice, key := t >= 1 && t <= 5, t == 5
		isSPS, isPPS, isAUD := t == 7, t == 8, t == 9
		if codec == hevc {
			slice, key = t < 32, t >= 16 && t <= 23
			isSPS, isPPS, isAUD = t == 33, t == 34, t == 35
			vps = vps || t == 32 && u.slices == 0
		}
		switch {
		case slice:
			if u.slices == 0 {
				u.key, u.parameters = key, sps && pps && (vps || codec == avc)
			}
			u.slices++
		case isSPS:
			sps, u.sps = true, n
		case isPPS:
			pps = true
		case isAUD:
			u.delimiter = u.delimiter || i == 0
		}
	}
	return u
}

// lengthPrefixed splits a sample of NAL units with lengths of size bytes; ok is false when lengths
// and sample disagree.
func lengthPrefixed(sample []byte, size int) (nals [][]byte, ok bool) {
	for len(sample) > 0 {
		if len(sample) < size {
			return nals, false
		}
		n := 0
		for _, b := range sample[:size] {
			n = n<<8 | int(b)
		}
		sample = sample[size:]
		if n > len(sample) {
			return nals, false
		}
		nals, sample = append(nals, sample[:n]), sample[n:]
	}
	return nals, len(nals) > 0
}

// annexB splits a byte stream at its start codes (Rec. ITU-T H.264 annex B); ok is false when it
// does not begin with one.
func annexB(data []byte) (nals [][]byte, ok bool) {
	begin := -1
	for i := 0; i+2 < len(data); i++ {
		if data[i] != 0 || data[i+1] != 0 || data[i+2] != 1 {
			continue
		}
		if begin >= 0 {
			nals = append(nals, trimZeros(data[begin:i]))
		} else if len(trimZeros(data[:i])) > 0 {
			return nil, false
		}
		begin = i + 3
		i += 2
	}
	if begin < 0 {
		return nil, false
	}
	return append(nals, trimZeros(data[begin:])), true
}

func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}
