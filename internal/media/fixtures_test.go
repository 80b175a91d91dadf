package media

import "encoding/hex"

// Codec private data as encoders wrote it (x264, x265; the SEI arrays of hvcC were taken out).
const (
	avcBase = "0142c01effe100196742c01ed900a02ff97011000003000100000300320f" +
		"162e4801000568cb83cb20"
	avcHigh = "01640028ffe1001867640028acb403c0113f2e022000007d20001d4c01e3" +
		"065401000468ce0fcbfdf8f800"
	avcFields = "0164001effe1001c6764001eacd940b424dff80200016880000003008000" +
		"00190f8a14cb01000668fba3cb22c0fdf8f800"
	avcCropped = "0164000cffe1001b6764000cacd941708796230110000003001000000301" +
		"e0f142996001000768ebe3cb3002c0fdf8f800"
	avc422 = "017a0015ffe1001b677a0015b6cd941b087923f011000003000100000300" +
		"320f162d9601000668ebe3cb22c0fefafa00"
	avc444 = "01f4001fffe1001f67f4001f919b2817025f08421ff80080007880000003" +
		"0080000019078c18cb01000668ebe3c44844fff8f800"
	hevcMain = "0101600000009000000000003ff000fcfdf8f800000f03a0000100184001" +
		"0c01ffff01600000030090000003000003003f959809a10001002a420101" +
		"01600000030090000003000003003fa00502016965959a4932bc05a02000" +
		"000300200000030321a2000100074401c172b46240"
	hevcMain10 = "01022000000090000000000078f000fcfdfafa00000f03a0000100184001" +
		"0c01ffff022000000300900000030000030078959409a10001002c420101" +
		"022000000300900000030000030078a003c080110753365959529385e1cd" +
		"0100000303e90000753008a2000100064401c073c189"
	aacSyncNone = "121056e500" // AAC-LC 44.1 kHz stereo with a sync extension that says: no SBR
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// bitWriter builds parameter sets that common encoders do not write.
type bitWriter struct {
	b    []byte
	free int // bits left in the last byte
}

func (w *bitWriter) u(n int, v uint32) *bitWriter {
	for i := n - 1; i >= 0; i-- {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		w.free--
		w.b[len(w.b)-1] |= byte(v>>i&1) << w.free
	}
	return w
}

func (w *bitWriter) ue(values ...uint32) *bitWriter {
	for _, v := range values {
		n := 0
		for (v+1)>>(n+1) > 0 {
			n++
		}
		w.u(n, 0).u(n+1, v+1)
	}
	return w
}

func (w *bitWriter) se(v int) *bitWriter {
	if v > 0 {
		return w.ue(uint32(2*v - 1))
	}
	return w.ue(uint32(-2 * v))
}

// nal ends the parameter set and adds a NAL header and emulation prevention.
func (w *bitWriter) nal(header ...byte) []byte {
	w.u(1, 1)
	out := append([]byte{}, header...)
	zeros := 0
	for _, b := range w.b {
		if zeros == 2 && b <= 3 {
			out, zeros = append(out, 3), 0
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
