package mpegts

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Dump prints the packets of a transport stream, a line each; packets that only continue the one
// before share a line. It shows tables, clock references, PES headers with the first bytes after
// them, and wrong continuity counters. It stops with an error at the first bytes that are not a
// packet. Any input is safe.
func Dump(w io.Writer, data []byte) error {
	d := &dumper{w: w, counters: map[uint16]byte{}}
	for i := 0; len(data) > 0; i++ {
		if len(data) < packetSize {
			d.flush()
			return fmt.Errorf("packet %d: %d bytes", i, len(data))
		}
		if data[0] != 0x47 {
			d.flush()
			return fmt.Errorf("packet %d: sync byte 0x%02x", i, data[0])
		}
		d.packet(i, data[:packetSize])
		data = data[packetSize:]
	}
	d.flush()
	return d.err
}

type dumper struct {
	w        io.Writer
	err      error
	counters map[uint16]byte // last seen, by PID

	more      int // packets that only continue
	moreBytes int
}

func (d *dumper) printf(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, args...)
	}
}

func (d *dumper) flush() {
	if d.more > 0 {
		d.printf("      + %d packets, %d bytes\n", d.more, d.moreBytes)
	}
	d.more, d.moreBytes = 0, 0
}

func (d *dumper) packet(i int, p []byte) {
	pid := binary.BigEndian.Uint16(p[1:]) & 0x1fff
	counter := p[3] & 0x0f
	payload := p[4:]
	var notes string
	if p[3]&0x20 != 0 {
		n := int(p[4])
		if n > len(payload)-1 {
			d.flush()
			d.printf("%5d pid=0x%04x adaptation field of %d bytes\n", i, pid, n)
			return
		}
		notes = adaptation(payload[1 : 1+n])
		payload = payload[1+n:]
	}
	has := p[3]&0x10 != 0
	if last, seen := d.counters[pid]; seen {
		want := last
		if has {
			want = (last + 1) & 0x0f
		}
		if counter != want {
			notes += fmt.Sprintf(" DISCONTINUITY(counter %d, expected %d)", counter, want)
		}
	}
	d.counters[pid] = counter
	start := p[1]&0x40 != 0
	if has && !start && notes == "" {
		d.more++
		d.moreBytes += len(payload)
		return
	}
	d.flush()
	if !has {
		payload = nil
	}
	d.printf("%5d pid=0x%04x counter=%d%s", i, pid, counter, notes)
	switch {
	case start && len(payload) > 3 && payload[0] == 0 && payload[1] == 0 && payload[2] == 1:
		d.pes(payload)
	case start && len(payload) > 0:
		d.section(payload)
	default:
		d.printf(" data=%d", len(payload))
	}
	d.printf("\n")
}

func adaptation(b []byte) (notes string) {
	if len(b) == 0 {
		return ""
	}
	if b[0]&0x80 != 0 {
		notes += " discontinuity"
	}
	if b[0]&flagRandomAccess != 0 {
		notes += " random-access"
	}
	if b[0]&flagPCR != 0 && len(b) >= 7 {
		base := int64(b[1])<<25 | int64(b[2])<<17 | int64(b[3])<<9 | int64(b[4])<<1 | int64(b[5])>>7
		notes += fmt.Sprintf(" pcr=%d", base)
	}
	return notes
}

func (d *dumper) section(b []byte) {
	if int(b[0]) > len(b)-9 {
		d.printf(" section out of bounds")
		return
	}
	b = b[1+int(b[0]):]
	n := 3 + int(binary.BigEndian.Uint16(b[1:])&0x0fff)
	if n > len(b) || n < 12 {
		d.printf(" section of %d bytes", n)
		return
	}
	crc := "good"
	if crcMPEG(b[:n]) != 0 {
		crc = "WRONG"
	}
	body := b[8 : n-4]
	switch b[0] {
	case 0:
		d.printf(" PAT crc=%s", crc)
		for ; len(body) >= 4; body = body[4:] {
			d.printf(" program=%d:0x%04x", binary.BigEndian.Uint16(body),
				binary.BigEndian.Uint16(body[2:])&0x1fff)
		}
	case 2:
		if len(body) < 4 {
			d.printf(" PMT too short")
			return
		}
		d.printf(" PMT crc=%s clock=0x%04x", crc, binary.BigEndian.Uint16(body)&0x1fff)
		body = body[min(len(body), 4+int(binary.BigEndian.Uint16(body[2:])&0x0fff)):]
		for len(body) >= 5 {
			d.printf(" 0x%02x:0x%04x", body[0], binary.BigEndian.Uint16(body[1:])&0x1fff)
			body = body[min(len(body), 5+int(binary.BigEndian.Uint16(body[3:])&0x0fff)):]
		}
	default:
		d.printf(" table 0x%02x crc=%s", b[0], crc)
	}
}

func (d *dumper) pes(b []byte) {
	if len(b) < 9 || len(b) < 9+int(b[8]) {
		d.printf(" PES header cut short")
		return
	}
	d.printf(" PES id=0x%02x length=%d", b[3], binary.BigEndian.Uint16(b[4:]))
	head, rest := b[9:9+int(b[8])], b[9+int(b[8]):]
	if b[7]&0x80 != 0 && len(head) >= 5 {
		d.printf(" pts=%d", pesTime(head))
	}
	if b[7]&0x40 != 0 && len(head) >= 10 {
		d.printf(" dts=%d", pesTime(head[5:]))
	}
	d.printf(" data=%d %x", len(rest), rest[:min(len(rest), 12)])
}

func pesTime(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(
		b[4]>>1)
}
