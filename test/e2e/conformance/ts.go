package conformance

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	packetSize = 188
	patPID     = 0
	nullPID    = 0x1FFF
	tsScale    = 90000
	pcrScale   = 27000000
)

// TS is a transport stream segment.
type TS struct {
	PCRPID  int
	Streams []*Stream

	pmtPID int
	last   map[int]byte // continuity counter of the last packet with payload, per PID
	first  map[int]byte // of the first
	reset  map[int]bool // the first packet of the PID has the discontinuity indicator
}

// Stream is an elementary stream of a TS segment.
type Stream struct {
	PID    int
	Type   byte   // stream_type of the PMT
	Codec  string // RFC 6381
	Timing        // Scale 90000; the duration of the last picture is estimated

	family string
	dts    []int64
}

// Video reports whether the stream is a picture.
func (s *Stream) Video() bool { return s.family == avc || s.family == hevc }

// Video returns the video stream, or nil.
func (ts *TS) Video() *Stream {
	if i := slices.IndexFunc(ts.Streams, (*Stream).Video); i >= 0 {
		return ts.Streams[i]
	}
	return nil
}

// Codecs returns the codecs of the streams that have frames: the PMT may announce sound that starts
// later.
func (ts *TS) Codecs() (list []string) {
	for _, s := range ts.Streams {
		if s.Frames > 0 {
			list = append(list, s.Codec)
		}
	}
	return list
}

// streamTypes are those of Rec. ITU-T H.222.0 table 2-34 that HLS takes here.
func streamTypes() map[byte]string { return map[byte]string{0x1B: avc, 0x24: hevc, 0x0F: aac} }

type tsParser struct {
	f     *Findings
	where string
	ts    *TS

	pes  map[int][]byte // the packet being collected, per PID
	due  map[int]int64  // the clock when it began, 27 MHz; -1 before the first PCR
	pcr  int64          // last, 27 MHz; -1
	pcrs int
}

// ParseTS reads a transport stream segment and holds it to RFC 8216 section 3.2 and Rec. ITU-T
// H.222.0 (ISO/IEC 13818-1).
func ParseTS(where string, data []byte) (*TS, Findings) {
	var f Findings
	p := &tsParser{f: &f, where: where, pcr: -1, pes: map[int][]byte{}, due: map[int]int64{},
		ts: &TS{PCRPID: -1, pmtPID: -1, last: map[int]byte{}, first: map[int]byte{},
			reset: map[int]bool{}}}
	if len(data) == 0 || len(data)%packetSize != 0 {
		f.add(TSPackets, where, "%d bytes are no whole number of packets", len(data))
	}
	for i := 0; i+packetSize <= len(data); i += packetSize {
		packet := data[i : i+packetSize]
		if packet[0] != 0x47 || packet[1]&0x80 != 0 {
			f.add(TSPackets, where, "packet %d: % x", i/packetSize, packet[:4])
			return p.ts, f
		}
		p.packet(i/packetSize, packet)
	}
	for _, s := range p.ts.Streams {
		p.flush(s)
		p.finish(s, int64(len(data)))
	}
	if p.ts.pmtPID < 0 || len(p.ts.Streams) == 0 {
		f.add(TSTables, where, "no PAT and PMT with streams of known types")
	}
	if p.pcrs == 0 {
		f.add(PCR, where, "no PCR on PID %d", p.ts.PCRPID)
	}
	return p.ts, f
}

func (p *tsParser) packet(n int, packet []byte) {
	f, ts := p.f, p.ts
	pid := int(binary.BigEndian.Uint16(packet[1:]) & 0x1FFF)
	unitStart, control, counter := packet[1]&0x40 != 0, packet[3]>>4&3, packet[3]&0x0F
	payload := packet[4:]
	discontinuity := false
	if control&2 != 0 {
		length := int(payload[0])
		if length > 183 || control == 3 && length > 182 {
			f.add(TSPackets, p.where, "packet %d: adaptation field of %d bytes", n, length)
			return
		}
		if adaptation := payload[1 : 1+length]; length > 0 {
			discontinuity = adaptation[0]&0x80 != 0
			if adaptation[0]&0x10 != 0 && length >= 7 {
				p.clock(n, pid, adaptation[1:7], discontinuity)
			}
		}
		payload = payload[1+length:]
	}
	switch {
	case n == 0 && pid != patPID:
		f.add(TSTables, p.where, "the first packet is of PID %d, not the PAT", pid)
	case n == 1 && pid != ts.pmtPID:
		f.add(TSTables, p.where, "the second packet is of PID %d, the PMT is on %d", pid, ts.pmtPID)
	}
	if pid == nullPID {
		return
	}
	if control == 0 {
		f.add(TSPackets, p.where, "packet %d: adaptation_field_control 0", n)
	}
	if control&1 != 0 {
		last, seen := ts.last[pid]
		if !seen {
			ts.first[pid], ts.reset[pid] = counter, discontinuity
		} else if counter != (last+1)&0x0F && !discontinuity {
			f.add(TSContinuity, p.where, "packet %d: PID %d counts %d after %d", n, pid, counter,
				last)
		}
		ts.last[pid] = counter
	} else {
		payload = nil
	}
	switch {
	case pid == patPID && unitStart:
		p.pat(payload)
	case pid == ts.pmtPID && unitStart:
		p.pmt(payload)
	default:
		p.elementary(n, pid, unitStart, payload)
	}
}

func (p *tsParser) clock(n, pid int, b []byte, discontinuity bool) {
	pcr := (int64(binary.BigEndian.Uint32(b))<<1|int64(b[4]>>7))*300 + int64(b[4]&1)<<8 +
		int64(b[5])
	if pid != p.ts.PCRPID {
		return
	}
	// Section 2.7.2: at most 100 ms apart.
	if step := (pcr - p.pcr + (300 << 33)) % (300 << 33); p.pcr >= 0 && !discontinuity &&
		step > pcrScale/10 {
		p.f.add(PCR, p.where, "packet %d: PCR %d ms after the last", n, step*1000/pcrScale)
	}
	p.pcr = pcr
	p.pcrs++
}

// section checks a PSI section's length and CRC and gives what is between the five-byte header's
// table id extension and the CRC.
func (p *tsParser) section(payload []byte, table byte) []byte {
	if len(payload) == 0 || int(payload[0])+9 > len(payload) {
		p.f.add(TSTables, p.where, "a section of %d bytes", len(payload))
		return nil
	}
	s := payload[1+int(payload[0]):]
	length := int(binary.BigEndian.Uint16(s[1:]) & 0x0FFF)
	if s[0] != table || length < 9 || 3+length > len(s) || crc32MPEG(s[:3+length]) != 0 {
		p.f.add(TSTables, p.where, "table %d (want %d) of %d bytes, or its CRC is wrong", s[0],
			table, length)
		return nil
	}
	return s[8 : 3+length-4]
}

func (p *tsParser) pat(payload []byte) {
	body := p.section(payload, 0)
	programs := 0
	for ; len(body) >= 4; body = body[4:] {
		if binary.BigEndian.Uint16(body) != 0 {
			programs++
			p.ts.pmtPID = int(binary.BigEndian.Uint16(body[2:]) & 0x1FFF)
		}
	}
	if programs > 1 {
		p.f.add(TSProgram, p.where, "%d programs", programs)
	}
}

func (p *tsParser) pmt(payload []byte) {
	body := p.section(payload, 2)
	if len(body) < 4 {
		return
	}
	p.ts.PCRPID = int(binary.BigEndian.Uint16(body) & 0x1FFF)
	info := int(binary.BigEndian.Uint16(body[2:]) & 0x0FFF)
	if 4+info > len(body) {
		p.f.add(TSTables, p.where, "PMT with %d bytes of program info", info)
		return
	}
	for body = body[4+info:]; len(body) >= 5; {
		pid, skip := int(binary.BigEndian.Uint16(body[1:])&0x1FFF),
			int(binary.BigEndian.Uint16(body[3:])&0x0FFF)
		family := streamTypes()[body[0]]
		if family == "" {
			p.f.add(TSTables, p.where, "stream type %#02x", body[0])
		} else if p.stream(pid) == nil {
			p.ts.Streams = append(p.ts.Streams,
				&Stream{PID: pid, Type: body[0], family: family, Timing: Timing{Scale: tsScale}})
		}
		if 5+skip > len(body) {
			return
		}
		body = body[5+skip:]
	}
}

func (p *tsParser) stream(pid int) *Stream {
	if i := slices.IndexFunc(p.ts.Streams, func(s *Stream) bool { return s.PID == pid }); i >= 0 {
		return p.ts.Streams[i]
	}
	return nil
}

func (p *tsParser) elementary(n, pid int, unitStart bool, payload []byte) {
	s := p.stream(pid)
	if s == nil {
		p.f.add(TSTables, p.where, "packet %d: PID %d is in no PMT", n, pid)
		return
	}
	if unitStart {
		p.flush(s)
		p.pes[pid], p.due[pid] = append([]byte{}, payload...), p.pcr
	} else if p.pes[pid] == nil {
		p.f.add(PES, p.where, "packet %d: PID %d begins in the middle of a PES packet", n, pid)
	} else {
		p.pes[pid] = append(p.pes[pid], payload...)
	}
}

// flush reads the PES packet that was collected (section 2.4.3.6).
func (p *tsParser) flush(s *Stream) {
	b := p.pes[s.PID]
	delete(p.pes, s.PID)
	if b == nil {
		return
	}
	bad := func(format string, args ...any) {
		p.f.add(PES, p.where, "PID %d: "+format, append([]any{s.PID}, args...)...)
	}
	if len(b) < 14 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[6]>>6 != 2 || b[7]&0x80 == 0 {
		bad("no PES header with PTS: % x", b[:min(len(b), 14)])
		return
	}
	if length := int(binary.BigEndian.Uint16(b[4:])); length != 0 && length != len(b)-6 ||
		length == 0 && !s.Video() {
		bad("PES_packet_length %d, %d bytes follow", length, len(b)-6)
	}
	header := 9 + int(b[8])
	if header > len(b) {
		bad("header of %d bytes", header)
		return
	}
	pts := timestamp(b[9:])
	dts := pts
	if b[7]&0x40 != 0 && len(b) >= 19 {
		dts = timestamp(b[14:])
	}
	if lag := wrapped(pts - dts); lag < 0 {
		bad("PTS %d before DTS %d", pts, dts)
	}
	if n := len(s.dts); n > 0 && wrapped(dts-s.dts[n-1]) <= 0 {
		p.f.add(TSTime, p.where, "PID %d: DTS %d after %d", s.PID, dts, s.dts[n-1])
	}
	// A frame's bytes begin to come before it is due: the clock must not have passed its decode
	// time.
	if due := p.due[s.PID]; due >= 0 && wrapped(dts-due/300) < 0 {
		p.f.add(PCR, p.where, "PID %d: DTS %d, when the PCR was %d", s.PID, dts, due/300)
	}
	if len(s.dts) == 0 {
		s.Start, s.Present = dts, pts
	} else if wrapped(pts-s.Present) < 0 {
		s.Present = pts
	}
	first := len(s.dts) == 0
	s.dts = append(s.dts, dts)
	if s.Video() {
		p.picture(s, b[header:], first)
	} else {
		p.audio(s, b[header:], dts)
	}
}

func (p *tsParser) picture(s *Stream, data []byte, first bool) {
	nals, ok := annexB(data)
	u := readUnit(s.family, nals)
	switch {
	case !ok || u.slices == 0:
		p.f.add(NALUnits, p.where, "PID %d: picture %d has no start code or no slice", s.PID,
			s.Frames)
	case !u.delimiter:
		p.f.add(Delimiter, p.where, "PID %d: picture %d has no access unit delimiter", s.PID,
			s.Frames)
	case first && u.key && !u.parameters:
		p.f.add(ParameterSets, p.where, "PID %d: no parameter sets before the first picture", s.PID)
	}
	if first {
		s.Key = u.key
	}
	if u.sps != nil && s.Codec == "" {
		s.Codec = spsCodec(s.family, u.sps)
	}
	s.Frames++
}

// adtsRates is ISO/IEC 14496-3 table 1.18.
func adtsRates() []int64 {
	return []int64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025,
		8000, 7350}
}

// audio reads the ADTS frames of a PES packet (ISO/IEC 13818-7 section 6.2).
func (p *tsParser) audio(s *Stream, data []byte, dts int64) {
	for len(data) > 0 {
		if len(data) < 7 || data[0] != 0xFF || data[1]&0xF6 != 0xF0 ||
			int(data[2]>>2&0xF) >= len(adtsRates()) {
			p.f.add(ADTS, p.where, "PID %d: % x", s.PID, data[:min(7, len(data))])
			return
		}
		size := int(data[3]&3)<<11 | int(data[4])<<3 | int(data[5]>>5)
		if size < 7 || size > len(data) {
			p.f.add(ADTS, p.where, "PID %d: a frame of %d bytes in %d", s.PID, size, len(data))
			return
		}
		if s.Frames == 0 {
			s.Key = true
			s.Codec = fmt.Sprintf("mp4a.40.%d", data[2]>>6+1)
		}
		s.Frames++
		s.Duration = int64(s.Frames) * 1024 * tsScale / adtsRates()[data[2]>>2&0xF]
		data = data[size:]
	}
	// Frames last what they last: a PES packet starts where the samples before it end.
	if expected := s.Duration; len(s.dts) > 1 {
		if off := wrapped(dts-s.Start) - expected; off > 0 && off > tsScale/10 {
			p.f.add(TSTime, p.where, "PID %d: audio at %d is %d ticks late", s.PID, dts, off)
		}
	}
}

// finish gives a stream of pictures its duration: the last picture lasts as long as the median one.
func (p *tsParser) finish(s *Stream, size int64) {
	s.Bytes = size
	if s.Frames == 0 || !s.Video() {
		return
	}
	var steps []int64
	for i := 1; i < len(s.dts); i++ {
		steps = append(steps, wrapped(s.dts[i]-s.dts[i-1]))
	}
	slices.Sort(steps)
	s.Duration = wrapped(s.dts[len(s.dts)-1] - s.dts[0])
	if len(steps) > 0 {
		s.Duration += steps[len(steps)/2]
	}
}

// CheckTSContinuity holds a segment to the one before it where no discontinuity lies between: same
// streams, and continuity counters that go on, or say by the discontinuity indicator that they do
// not.
func CheckTSContinuity(where string, before, after *TS) (f Findings) {
	if len(before.Streams) != len(after.Streams) {
		f.add(TSStreams, where, "%d streams after %d", len(after.Streams), len(before.Streams))
	}
	for _, s := range after.Streams {
		if !slices.ContainsFunc(before.Streams,
			func(o *Stream) bool {
				return o.PID == s.PID && o.Type == s.Type &&
					o.Codec == s.Codec
			}) {
			f.add(TSStreams, where, "PID %d (type %#02x, %s) was not in the segment before", s.PID,
				s.Type, s.Codec)
		}
	}
	for pid, counter := range after.first {
		if last, seen := before.last[pid]; seen && counter != (last+1)&0x0F && !after.reset[pid] {
			f.add(TSContinuityAcross, where, "PID %d counts %d after %d", pid, counter, last)
		}
	}
	return f
}

func timestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(
		b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// wrapped is a difference of 33-bit times as a signed number.
func wrapped(d int64) int64 {
	const turn = 1 << 33
	d = ((d % turn) + turn) % turn
	if d >= turn/2 {
		d -= turn
	}
	return d
}

// crc32MPEG is annex A's CRC: polynomial 0x04C11DB7, not reflected; 0 over a section with its CRC.
func crc32MPEG(data []byte) uint32 {
	crc := uint32(0xFFFFFFFF)
	for _, b := range data {
		crc ^= uint32(b) << 24
		for range 8 {
			if crc&0x80000000 != 0 {
				crc = crc<<1 ^ 0x04C11DB7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// Reference returns the timing of the stream that EXTINF is about: the picture's, or that of the
// only stream; nil without any.
func (ts *TS) Reference() *Timing {
	if v := ts.Video(); v != nil {
		return &v.Timing
	}
	if len(ts.Streams) > 0 {
		return &ts.Streams[0].Timing
	}
	return nil
}

// CheckTSIFrame holds the bytes of an I-frame's range in a transport stream segment to RFC 8216
// section 4.3.3.6: the tables, and one whole picture that is a random access point.
func CheckTSIFrame(where string, data []byte) Findings {
	ts, f := ParseTS(where, data)
	if video := ts.Video(); video == nil || video.Frames != 1 || !video.Key {
		f.add(IFrameBytes, where, "%d bytes are not one I-frame", len(data))
	}
	return f
}
