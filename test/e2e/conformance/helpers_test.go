package conformance

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// The good playlists and segments that the tests break. They are built here, byte by byte, not by
// the server's writers.

const goodVOD = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init.mp4?k=0"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z
#EXTINF:2.0,
a.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02Z
#EXTINF:1.5,
b.mp4
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:10:00.500Z
#EXTINF:2.4,
c.mp4
#EXT-X-ENDLIST
`

// Two readings of one live playlist: the second has lost segment 4 and got segment 8.
const goodLive = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z
#EXTINF:1.0,
s4.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:01Z
#EXTINF:1.0,
s5.mp4
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:09Z
#EXTINF:1.0,
s6.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:10Z
#EXTINF:1.0,
s7.mp4
`

const goodReload = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:5
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:01Z
#EXTINF:1.0,
s5.mp4
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:09Z
#EXTINF:1.0,
s6.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:10Z
#EXTINF:1.0,
s7.mp4
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:11Z
#EXTINF:1.0,
s8.mp4
`

const goodIFrames = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-I-FRAMES-ONLY
#EXT-X-MAP:URI="init.mp4?k=0"
#EXTINF:2.0,
#EXT-X-BYTERANGE:900@0
a.mp4
#EXTINF:1.5,
#EXT-X-BYTERANGE:800@0
b.mp4
#EXT-X-DISCONTINUITY
#EXTINF:2.4,
#EXT-X-BYTERANGE:850@0
c.mp4
#EXT-X-ENDLIST
`

const goodMaster = `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:AUTOSELECT=YES,TYPE=AUDIO,URI="audio.m3u8",GROUP-ID="audio",DEFAULT=NO,NAME="audio"
#EXT-X-STREAM-INF:CODECS="avc1.42c00d,mp4a.40.2",RESOLUTION=320x240,FRAME-RATE=25.0,BANDWIDTH=500000,AVERAGE-BANDWIDTH=400000,AUDIO="audio"
video.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,CODECS="avc1.42c00d",RESOLUTION=320x240,URI="iframes.m3u8"
`

func u16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func u32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func makeBox(kind string, parts ...[]byte) []byte {
	body := cat(parts...)
	return cat(u32(len(body)+8), []byte(kind), body)
}

var (
	avcConfig = []byte{1, 0x42, 0xC0, 0x0D, 0xFF, 0xE1, 0, 4, 0x67, 0x42, 0xC0, 0x0D, 1, 0, 2, 0x68,
		0xCE}
	idr   = []byte{0x65, 0x88, 0x84, 0x21}
	slice = []byte{0x41, 0x9A, 0x21, 0x6C}
)

// goodInit is an initialization section of an H.264 track with timescale 1000.
func goodInit() []byte {
	entry := makeBox("avc1", make([]byte, 6), u16(1), make([]byte, 16), u16(320), u16(240),
		make([]byte, 50), makeBox("avcC", avcConfig))
	stbl := makeBox("stbl", makeBox("stsd", u32(0), u32(1), entry), makeBox("stts", u32(0), u32(0)),
		makeBox("stsc", u32(0), u32(0)),
		makeBox("stsz", u32(0), u32(0), u32(0)), makeBox("stco", u32(0), u32(0)))
	mdia := makeBox("mdia", makeBox("mdhd", u32(0), u32(0), u32(0), u32(1000), u32(0), u32(0)),
		makeBox("hdlr", u32(0), u32(0), []byte("vide"), make([]byte, 13)),
		makeBox("minf", makeBox("vmhd", u32(1), u32(0), u32(0)),
			makeBox("dinf", makeBox("dref", u32(0), u32(1), makeBox("url ", u32(1)))), stbl))
	return cat(makeBox("ftyp", []byte("iso6"), u32(0), []byte("iso6cmf2")),
		makeBox("moov",
			makeBox("mvhd", u32(0), u32(0), u32(0), u32(1000), u32(0), make([]byte, 80)),
			makeBox("trak", makeBox("tkhd", u32(7), u32(0), u32(0), u32(1), make([]byte, 68)),
				mdia),
			makeBox("mvex", makeBox("trex", u32(0), u32(1), u32(1), u32(0), u32(0), u32(0)))))
}

// fragment is a media segment that the tests can bend.
type fragment struct {
	sequence, start int
	flags           []int // of the samples
	durations       []int
	offsets         []int // composition
	samples         [][]byte
	tfhd            int
	dataOffset      int // added to the right one
	noTfdt          bool
	count           int // added to the right one
	track           int
}

func goodFragment(sequence, start int) *fragment {
	return &fragment{sequence: sequence, start: start, track: 1, tfhd: 0x020000,
		flags: []int{0x02000000, 0x01010000}, durations: []int{40, 40}, offsets: []int{0, 0},
		samples: [][]byte{cat(u32(4), idr), cat(u32(4), slice)}}
}

func (g *fragment) bytes() []byte {
	build := func(offset int) []byte {
		trun := []([]byte){{1, 0, 0x0F, 1}, u32(len(g.samples) + g.count), u32(offset)}
		for i := range g.samples {
			trun = append(trun, u32(g.durations[i]), u32(len(g.samples[i])), u32(g.flags[i]),
				u32(g.offsets[i]))
		}
		traf := [][]byte{makeBox("tfhd", u32(g.tfhd), u32(g.track))}
		if !g.noTfdt {
			traf = append(traf, makeBox("tfdt", u32(0), u32(g.start)))
		}
		return makeBox("moof", makeBox("mfhd", u32(0), u32(g.sequence)),
			makeBox("traf", cat(traf...), makeBox("trun", trun...)))
	}
	return cat(build(len(build(0))+8+g.dataOffset), makeBox("mdat", g.samples...))
}

// transport builds TS segments packet by packet.
type transport struct {
	out      bytes.Buffer
	counters map[int]byte
}

func newTransport() *transport { return &transport{counters: map[int]byte{}} }

// packets writes a payload, with a PCR in its first packet when pcr is not negative (27 MHz / 300,
// as a DTS).
func (w *transport) packets(pid int, payload []byte, pcr int) {
	for first := true; first || len(payload) > 0; first = false {
		var adaptation []byte
		if first && pcr >= 0 {
			adaptation = cat([]byte{0x10}, u32(pcr>>1), []byte{byte(pcr<<7) | 0x7E, 0})
		}
		room := packetSize - 4
		if adaptation != nil {
			room -= 1 + len(adaptation)
		}
		if len(payload) < room {
			if adaptation == nil {
				room--
			}
			if stuffing := room - len(payload); adaptation != nil || stuffing > 0 {
				if adaptation == nil {
					adaptation = []byte{0}
					stuffing--
				}
				adaptation = append(adaptation, bytes.Repeat([]byte{0xFF}, stuffing)...)
			} else {
				adaptation = []byte{}
			}
		}
		start, control := byte(0), byte(1)
		if first {
			start = 0x40
		}
		if adaptation != nil {
			control = 3
		}
		w.out.Write([]byte{0x47, start | byte(pid>>8), byte(pid),
			control<<4 | w.counters[pid]&0x0F})
		if w.counters[pid]++; adaptation != nil {
			w.out.WriteByte(byte(len(adaptation)))
			w.out.Write(adaptation)
		}
		n := packetSize - w.out.Len()%packetSize
		n = min(n%packetSize, len(payload))
		w.out.Write(payload[:n])
		payload = payload[n:]
	}
}

// tables writes PAT and PMT: video on 256, audio on 257.
func (w *transport) tables(programs ...int) {
	var list [][]byte
	for _, p := range programs {
		list = append(list, u16(p), u16(0xE000|0x1000))
	}
	w.packets(0, psi(0, cat(list...)), -1)
	w.packets(0x1000,
		psi(2, cat(u16(0xE000|256), u16(0xF000), []byte{0x1B}, u16(0xE000|256), u16(0xF000),
			[]byte{0x0F}, u16(0xE000|257), u16(0xF000))), -1)
}

func psi(table byte, body []byte) []byte {
	s := cat([]byte{table}, u16(0xB000|(len(body)+9)), u16(1), []byte{0xC1, 0, 0}, body)
	return cat([]byte{0}, s, u32(int(crc32MPEG(s))))
}

func pts(prefix byte, t int) []byte {
	return []byte{prefix<<4 | byte(t>>29)&0x0E | 1, byte(t >> 22), byte(t>>14) | 1, byte(t >> 7),
		byte(t<<1) | 1}
}

func pes(id byte, dts int, data []byte) []byte {
	return cat([]byte{0, 0, 1, id}, u16(len(data)+8), []byte{0x80, 0x80, 5}, pts(2, dts), data)
}

func startCodes(nals ...[]byte) []byte {
	return append([]byte{0, 0, 0, 1}, bytes.Join(nals, []byte{0, 0, 1})...)
}

var (
	delimiter = []byte{0x09, 0xF0}
	sps       = []byte{0x67, 0x42, 0xC0, 0x0D, 0xDA}
	pps       = []byte{0x68, 0xCE, 0x0F}
)

// adts is one frame of 1024 samples at 48 kHz with n payload bytes.
func adts(n int) []byte {
	size := n + 7
	return cat([]byte{0xFF, 0xF1, 0x4C, 0x80 | byte(size>>11), byte(size >> 3),
		byte(size<<5) | 0x1F, 0xFC}, bytes.Repeat([]byte{0x21}, n))
}

// goodTS is 80 ms of video and about as much audio from a time on (90 kHz); w carries the counters
// on.
func goodTS(w *transport, start int) []byte {
	w.out.Reset()
	w.tables(1)
	w.packets(256, pes(0xE0, start,
		startCodes(delimiter, sps, pps, cat(idr, bytes.Repeat([]byte{7}, 300)))), start-900)
	w.packets(257, pes(0xC0, start, adts(100)), -1)
	w.packets(256, pes(0xE0, start+3600, startCodes(delimiter, slice)), start+2700)
	return bytes.Clone(w.out.Bytes())
}

func replace(text, old, new string) string {
	if !strings.Contains(text, old) {
		panic("no " + old)
	}
	return strings.Replace(text, old, new, 1)
}
