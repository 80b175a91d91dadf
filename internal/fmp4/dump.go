package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth bounds how deep boxes nest; real files go to 8.
const maxDepth = 16

var errShort = errors.New("box ends early")

// Dump prints the boxes in data, a line each, indented by depth: type, size, and the fields that
// matter. The payload of the last mdat may be missing, as in the output of AppendMediaHeader. It
// prints only type and size of boxes that it does not know. It stops with an error at the first box
// that is larger than what holds it; everything before has been printed. Any input is safe.
func Dump(w io.Writer, data []byte) error {
	d := &dumper{w: w}
	return d.boxes(data, 0)
}

type dumper struct {
	w   io.Writer
	err error // of the writer
}

func (d *dumper) line(depth int, format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, strings.Repeat("  ", depth)+format+"\n", args...)
	}
}

// containers has the boxes that hold only boxes.
var containers = map[string]bool{
	"moov": true, "trak": true, "mdia": true, "minf": true, "dinf": true, "stbl": true,
	"mvex": true, "moof": true, "traf": true, "edts": true, "udta": true,
}

func (d *dumper) boxes(data []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("boxes nest deeper than %d", maxDepth)
	}
	for len(data) > 0 && d.err == nil {
		if len(data) < 8 {
			return fmt.Errorf("%d bytes where a box should begin", len(data))
		}
		size, head := uint64(binary.BigEndian.Uint32(data)), 8
		typ := string(data[4:8])
		switch size {
		case 0: // to the end of the file
			size = uint64(len(data))
		case 1:
			if len(data) < 16 {
				return fmt.Errorf("box %q: %w", typ, errShort)
			}
			size, head = binary.BigEndian.Uint64(data[8:]), 16
		}
		if size < uint64(head) {
			return fmt.Errorf("box %q: size %d is less than its header", typ, size)
		}
		if size > uint64(len(data)) {
			if typ == "mdat" && depth == 0 {
				d.line(depth, "[mdat] size=%d header=%d (%d bytes of it here)", size, head,
					len(data))
				return d.err
			}
			return fmt.Errorf("box %q: size %d, %d bytes left", typ, size, len(data))
		}
		if err := d.box(typ, size, head, data[head:size], depth); err != nil {
			return fmt.Errorf("box %q: %w", typ, err)
		}
		data = data[size:]
	}
	return d.err
}

// box prints one box and, inside it, its children.
func (d *dumper) box(typ string, size uint64, head int, body []byte, depth int) error {
	r := &fields{b: body}
	if containers[typ] {
		d.line(depth, "[%s] size=%d", typ, size)
		return d.boxes(body, depth+1)
	}
	text, children, lines := describe(typ, head, r)
	if r.short {
		return errShort
	}
	d.line(depth, "[%s] size=%d%s", printable([]byte(typ)), size, text)
	for _, l := range lines {
		d.line(depth+1, "%s", l)
	}
	if children {
		return d.boxes(r.b, depth+1)
	}
	return nil
}

// describe reads the fields of a box. It returns the text for its line, whether children follow the
// fields, and the lines of its table. head is the length of the box's header.
func describe(typ string, head int, r *fields) (text string, children bool, lines []string) {
	switch typ {
	case "ftyp", "styp":
		text = fmt.Sprintf(" major=%s minor=%d compatible=%s", printable(r.take(4)), r.u32(),
			brands(r))
	case "mvhd":
		version, _ := r.fullBox()
		r.times(version)
		text = fmt.Sprintf(" timescale=%d duration=%d", r.u32(), r.time(version))
	case "tkhd":
		version, flags := r.fullBox()
		r.times(version)
		id := r.u32()
		r.take(4)
		r.time(version) // duration
		r.take(52)
		text = fmt.Sprintf(" flags=%06x track=%d width=%s height=%s", flags, id, fixed(r.u32()),
			fixed(r.u32()))
	case "mdhd":
		version, _ := r.fullBox()
		r.times(version)
		scale, duration, l := r.u32(), r.time(version), r.u16()
		text = fmt.Sprintf(" timescale=%d duration=%d language=%s", scale, duration,
			printable([]byte{byte(l>>10&31) + 0x60, byte(l>>5&31) + 0x60, byte(l&31) + 0x60}))
	case "hdlr":
		r.fullBox()
		r.take(4)
		kind := r.take(4)
		r.take(12)
		text = fmt.Sprintf(" type=%s name=%q", printable(kind),
			strings.TrimRight(string(r.b), "\x00"))
	case "dref", "stsd":
		r.fullBox()
		text, children = fmt.Sprintf(" entries=%d", r.u32()), true
	case "url ":
		_, flags := r.fullBox()
		text = fmt.Sprintf(" flags=%06x", flags)
	case "avc1", "avc3", "hvc1", "hev1":
		r.take(24)
		text, children = fmt.Sprintf(" width=%d height=%d", r.u16(), r.u16()), true
		r.take(50)
	case "mp4a", "alaw", "ulaw":
		r.take(16)
		channels := r.u16()
		r.take(6)
		text, children = fmt.Sprintf(" channels=%d rate=%s", channels, fixed(r.u32())), true
	case "avcC", "hvcC":
		text = fmt.Sprintf(" %x", r.b)
	case "esds":
		r.fullBox()
		text = fmt.Sprintf(" %x", r.b)
	case "pasp":
		text = fmt.Sprintf(" %d:%d", r.u32(), r.u32())
	case "mdat":
		text = fmt.Sprintf(" header=%d", head)
	default:
		text, lines = describeSamples(typ, r)
	}
	return text, children, lines
}

// describeSamples does the same for the boxes that say where samples are and how long each is.
func describeSamples(typ string, r *fields) (text string, lines []string) {
	switch typ {
	case "stts", "ctts":
		text, lines = rows(r, func() string { return fmt.Sprintf("%d of %d", r.u32(), r.u32()) })
	case "stsc":
		text, lines = rows(r, func() string {
			return fmt.Sprintf("chunk=%d samples=%d description=%d", r.u32(), r.u32(), r.u32())
		})
	case "stco", "stss":
		text, lines = rows(r, func() string { return fmt.Sprint(r.u32()) })
	case "co64":
		text, lines = rows(r, func() string { return fmt.Sprint(r.u64()) })
	case "elst":
		text, lines = elst(r)
	case "stsz":
		r.fullBox()
		text = fmt.Sprintf(" size=%d samples=%d", r.u32(), r.u32())
	case "trex":
		r.fullBox()
		text = fmt.Sprintf(" track=%d description=%d duration=%d size=%d flags=%08x", r.u32(),
			r.u32(), r.u32(), r.u32(), r.u32())
	case "mfhd":
		r.fullBox()
		text = fmt.Sprintf(" sequence=%d", r.u32())
	case "tfhd":
		text = tfhd(r)
	case "tfdt":
		version, _ := r.fullBox()
		text = fmt.Sprintf(" version=%d decodeTime=%d", version, r.time(version))
	case "trun":
		text, lines = trun(r)
	}
	return text, lines
}

// rows returns one line for each entry that the box really holds.
func rows(r *fields, row func() string) (text string, lines []string) {
	r.fullBox()
	n := r.u32()
	for i := uint32(0); i < n && !r.short; i++ {
		lines = append(lines, row())
	}
	return fmt.Sprintf(" entries=%d", n), lines
}

func elst(r *fields) (text string, lines []string) {
	version, _ := r.fullBox()
	n := r.u32()
	for i := uint32(0); i < n && !r.short; i++ {
		length, from := r.time(version), int64(0)
		if version == 0 {
			from = int64(int32(r.u32()))
		} else {
			from = int64(r.u64())
		}
		lines = append(lines, fmt.Sprintf("length=%d from=%d rate=%s", length, from,
			fixed(r.u32())))
	}
	return fmt.Sprintf(" version=%d entries=%d", version, n), lines
}

func tfhd(r *fields) string {
	_, flags := r.fullBox()
	s := fmt.Sprintf(" flags=%06x track=%d", flags, r.u32())
	if flags&1 != 0 {
		s += fmt.Sprintf(" baseDataOffset=%d", r.u64())
	}
	if flags&2 != 0 {
		s += fmt.Sprintf(" description=%d", r.u32())
	}
	if flags&tfhdDuration != 0 {
		s += fmt.Sprintf(" duration=%d", r.u32())
	}
	if flags&tfhdSize != 0 {
		s += fmt.Sprintf(" size=%d", r.u32())
	}
	if flags&tfhdFlags != 0 {
		s += fmt.Sprintf(" sampleFlags=%08x", r.u32())
	}
	return s
}

// trun returns one line for each sample that the box really holds.
func trun(r *fields) (text string, lines []string) {
	version, flags := r.fullBox()
	samples := r.u32()
	text = fmt.Sprintf(" version=%d flags=%06x samples=%d", version, flags, samples)
	if flags&trunDataOffset != 0 {
		text += fmt.Sprintf(" dataOffset=%d", int32(r.u32()))
	}
	if flags&trunFirstFlags != 0 {
		text += fmt.Sprintf(" firstFlags=%08x", r.u32())
	}
	if flags&(trunDuration|trunSize|trunFlags|trunOffset) == 0 {
		return text, nil
	}
	for i := uint32(0); i < samples && !r.short; i++ {
		s := fmt.Sprintf("%d:", i)
		if flags&trunDuration != 0 {
			s += fmt.Sprintf(" duration=%d", r.u32())
		}
		if flags&trunSize != 0 {
			s += fmt.Sprintf(" size=%d", r.u32())
		}
		if flags&trunFlags != 0 {
			s += fmt.Sprintf(" flags=%08x", r.u32())
		}
		if flags&trunOffset != 0 {
			if version == 0 {
				s += fmt.Sprintf(" offset=%d", r.u32())
			} else {
				s += fmt.Sprintf(" offset=%d", int32(r.u32()))
			}
		}
		lines = append(lines, s)
	}
	return text, lines
}

// fields reads big-endian fields from the start of b. Past the end it returns zeros and sets short.
type fields struct {
	b     []byte
	short bool
}

func (r *fields) take(n int) []byte {
	if len(r.b) < n {
		r.short, r.b = true, nil
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *fields) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *fields) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *fields) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

// time reads a time or duration: 32 bits in version 0 of a box, 64 bits in version 1.
func (r *fields) time(version byte) uint64 {
	if version == 0 {
		return uint64(r.u32())
	}
	return r.u64()
}

// times skips creation and modification time.
func (r *fields) times(version byte) {
	r.time(version)
	r.time(version)
}

func (r *fields) fullBox() (version byte, flags uint32) {
	v := r.u32()
	return byte(v >> 24), v & 0xffffff
}

func brands(r *fields) string {
	var s []string
	for len(r.b) >= 4 {
		s = append(s, printable(r.take(4)))
	}
	return strings.Join(s, ",")
}

// printable returns a four-character code with dots for bytes outside of ASCII.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		out[i] = c
	}
	return string(out)
}

// fixed returns a 16.16 number as text.
func fixed(v uint32) string {
	if v&0xffff == 0 {
		return fmt.Sprint(v >> 16)
	}
	return fmt.Sprintf("%.4f", float64(v)/65536)
}
