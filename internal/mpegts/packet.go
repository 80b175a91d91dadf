package mpegts

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// packetSize is the length of a transport packet; a segment is a whole number of them.
const packetSize = 188

// PIDs of a segment.
const (
	pidPAT   = 0x0000
	pidVideo = 0x0100
	pidAudio = 0x0101
	pidPMT   = 0x1000

	program = 1
)

// Room for payload in a packet: whole, and after an adaptation field with a clock reference.
const (
	roomPlain = packetSize - 4
	roomClock = roomPlain - 8
)

// Bits of the adaptation field's flags (clause 2.4.3.4).
const (
	flagDiscontinuity = 0x80
	flagRandomAccess  = 0x40
	flagPCR           = 0x10
)

const timeMask = 1<<33 - 1

// packetHeader describes what precedes the payload of a packet.
type packetHeader struct {
	pid     uint16
	counter byte
	start   bool  // a PES packet or a section begins
	entry   bool  // random_access_indicator
	clock   bool  // there is a PCR
	pcr     int64 // 90 kHz
}

// appendPacket appends the start of a packet, to which the caller appends n bytes of payload: the
// header, and an adaptation field that fills the rest.
func appendPacket(dst []byte, h *packetHeader, n int) []byte {
	field := roomPlain - n
	b1, b3 := byte(h.pid>>8), h.counter&0x0f
	if h.start {
		b1 |= 0x40
	}
	if n > 0 {
		b3 |= 0x10
	}
	if field > 0 {
		b3 |= 0x20
	}
	dst = append(dst, 0x47, b1, byte(h.pid), b3)
	if field == 0 {
		return dst
	}
	end := len(dst) + field
	dst = append(dst, byte(field-1))
	if field == 1 {
		return dst
	}
	var flags byte
	if h.entry {
		flags |= flagRandomAccess
	}
	if h.clock {
		flags |= flagPCR
	}
	dst = append(dst, flags)
	if h.clock {
		base := h.pcr & timeMask
		dst = append(dst, byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1),
			byte(base<<7)|0x7e, 0)
	}
	for len(dst) < end {
		dst = append(dst, 0xff)
	}
	return dst
}

// tableCounter is the continuity counter of the tables of a segment. repeats says that it does not
// follow that of the segment before.
type tableCounter struct {
	value   byte
	repeats bool
}

// appendSection appends a packet with one section (clause 2.4.4): table id, body, CRC.
func appendSection(dst []byte, pid uint16, counter tableCounter, table byte, extension uint16,
	body []byte) []byte {
	end := len(dst) + packetSize
	dst = append(dst, 0x47, 0x40|byte(pid>>8), byte(pid), 0x10|counter.value&0x0f)
	if counter.repeats { // an adaptation field of the flags alone
		dst[len(dst)-1] |= 0x20
		dst = append(dst, 1, flagDiscontinuity)
	}
	dst = append(dst, 0) // pointer_field
	from := len(dst)
	n := 5 + len(body) + 4
	// version 0, current
	dst = append(dst, table, 0xb0|byte(n>>8), byte(n), byte(extension>>8), byte(extension), 0xc1, 0,
		0)
	dst = append(dst, body...)
	dst = binary.BigEndian.AppendUint32(dst, crcMPEG(dst[from:]))
	for len(dst) < end {
		dst = append(dst, 0xff)
	}
	return dst
}

// crcMPEG returns the CRC of 13818-1 annex A: the IEEE polynomial, most significant bit first, not
// inverted at the end. hash/crc32 takes the least significant bit first, so bits are reversed on
// the way in and out.
func crcMPEG(data []byte) uint32 {
	turned := make([]byte, len(data))
	for i, b := range data {
		turned[i] = bits.Reverse8(b)
	}
	return bits.Reverse32(^crc32.ChecksumIEEE(turned))
}

func appendPAT(dst []byte, counter tableCounter) []byte {
	return appendSection(dst, pidPAT, counter, 0, 1, []byte{0, program, 0xe0 | pidPMT>>8,
		pidPMT & 0xff})
}

// stream is an entry of the program map.
type stream struct {
	pid uint16
	typ byte
}

func appendPMT(dst []byte, counter tableCounter, clock uint16, streams []stream) []byte {
	body := []byte{0xe0 | byte(clock>>8), byte(clock), 0xf0, 0}
	for _, s := range streams {
		body = append(body, s.typ, 0xe0|byte(s.pid>>8), byte(s.pid))
		// a registration descriptor, for readers that do not know the stream type
		if s.typ == 0x24 {
			body = append(body, 0xf0, 6, 5, 4, 'H', 'E', 'V', 'C')
		} else {
			body = append(body, 0xf0, 0)
		}
	}
	return appendSection(dst, pidPMT, counter, 2, program, body)
}

// Lengths of a PES header with a presentation time, and with a decode time too.
const (
	pesHeader = 14
	pesBoth   = 19
)

// appendPES appends the header of a PES packet that carries n bytes (clause 2.4.3.6). If its length
// field cannot hold the length of a video packet, it is 0, which means until the next packet.
func appendPES(dst []byte, id byte, pts, dts int64, n int64) []byte {
	header := int64(pesHeader)
	if pts != dts {
		header = pesBoth
	}
	size := header - 6 + n
	if size > 0xffff {
		size = 0
	}
	dst = append(dst, 0, 0, 1, id, byte(size>>8), byte(size), 0x84) // data_alignment_indicator
	if pts == dts {
		return appendTime(append(dst, 0x80, 5), 2, pts)
	}
	return appendTime(appendTime(append(dst, 0xc0, 10), 3, pts), 1, dts)
}

func appendTime(dst []byte, mark byte, t int64) []byte {
	t &= timeMask
	return append(dst, mark<<4|byte(t>>29)|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}
