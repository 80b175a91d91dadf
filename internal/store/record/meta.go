package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"weir/internal/media"
	"weir/internal/store"
)

// hasMarks says whether some frame has marks: the record is of version 2 then.
func hasMarks(f *media.Fragment) bool {
	return slices.ContainsFunc(f.Runs, func(r media.Run) bool {
		return slices.ContainsFunc(r.Frames, func(fr media.Frame) bool { return fr.Marks != 0 })
	})
}

func appendFragmentMeta(b []byte, f *media.Fragment, marked bool) []byte {
	b = binary.AppendVarint(b, f.Timecode)
	b = AppendTracks(b, f.Tracks)
	b = binary.AppendUvarint(b, uint64(len(f.Runs)))
	for i := range f.Runs {
		run := &f.Runs[i]
		b = binary.AppendVarint(b, int64(run.Track))
		b = binary.AppendVarint(b, run.BaseDecodeTime)
		b = binary.AppendUvarint(b, uint64(len(run.Frames)))
		var usual int64 // most frames last as long as the one before: one byte then
		for _, fr := range run.Frames {
			b = appendSize(b, fr, marked)
			b = binary.AppendVarint(b, int64(fr.Duration)-usual)
			b = binary.AppendVarint(b, int64(fr.CompositionOffset))
			usual = int64(fr.Duration)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(f.Tags)))
	for _, t := range f.Tags {
		b = appendString(b, t.Name)
		b = appendString(b, t.Value)
	}
	return appendString(b, string(f.Header))
}

// appendSize appends what a row of the frame table begins with: size and key flag, and in version 2
// whether marks follow.
func appendSize(b []byte, fr media.Frame, marked bool) []byte {
	size := uint64(fr.Size)
	if marked {
		size = size<<1 | bit(fr.Marks != 0)
	}
	b = binary.AppendUvarint(b, size<<1|bit(fr.Key))
	if marked && fr.Marks != 0 {
		b = append(b, byte(fr.Marks))
	}
	return b
}

func bit(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func decodeFragmentMeta(b []byte, marked bool) (*media.Fragment, error) {
	d := decoder{b: b}
	f := &media.Fragment{Timecode: d.varint()}
	f.Tracks = d.tracks()
	// Each count is checked against the fewest bytes that so many things take.
	if n := d.count(3); n > 0 {
		f.Runs = make([]media.Run, n)
	}
	for i := range f.Runs {
		run := &f.Runs[i]
		run.Track = int(d.varint())
		run.BaseDecodeTime = d.varint()
		n := d.count(3)
		if n == 0 || d.err != nil {
			d.fail("run without frames")
			break
		}
		run.Frames = make([]media.Frame, n)
		var usual int64
		for j := range run.Frames {
			size := d.uvarint()
			key := size&1 != 0
			size >>= 1
			var marks media.Marks
			if marked {
				if size&1 != 0 {
					marks = media.Marks(d.byte())
				}
				size >>= 1
			}
			usual += d.varint()
			cto := d.varint()
			if size > math.MaxUint32 || !marks.Valid() || usual < 0 || usual > math.MaxUint32 ||
				cto < math.MinInt32 || cto > math.MaxInt32 {
				d.fail("frame out of range")
			}
			if d.err != nil {
				break
			}
			run.Frames[j] = media.Frame{
				Duration: uint32(usual), CompositionOffset: int32(cto),
				Size: uint32(size), Key: key, Marks: marks,
			}
		}
		if d.err == nil && f.Track(run.Track) == nil {
			d.fail("run of an undeclared track")
		}
	}
	if n := d.count(2); n > 0 {
		f.Tags = make([]media.Tag, n)
	}
	for i := range f.Tags {
		f.Tags[i] = media.Tag{Name: string(d.bytes()), Value: string(d.bytes())}
	}
	f.Header = clone(d.bytes())
	return f, d.end()
}

// AppendTracks appends the encoding of a set of tracks, which is the same for equal sets.
func AppendTracks(b []byte, tracks []media.Track) []byte {
	b = binary.AppendUvarint(b, uint64(len(tracks)))
	for i := range tracks {
		t := &tracks[i]
		b = binary.AppendVarint(b, int64(t.Number))
		b = append(b, byte(t.Kind))
		b = appendString(b, t.CodecID)
		b = appendString(b, string(t.CodecPrivate))
		b = appendString(b, t.Name)
		b = binary.AppendUvarint(b, uint64(t.Timescale))
		b = binary.AppendVarint(b, int64(t.Width))
		b = binary.AppendVarint(b, int64(t.Height))
		b = binary.AppendVarint(b, int64(t.SampleRate))
		b = binary.AppendVarint(b, int64(t.Channels))
		b = binary.AppendVarint(b, t.DefaultDuration)
	}
	return b
}

// DecodeTracks reverses AppendTracks. Any error is ErrCorrupt.
func DecodeTracks(b []byte) ([]media.Track, error) {
	d := decoder{b: b}
	tracks := d.tracks()
	return tracks, d.end()
}

// AppendSpans appends the compact encoding of a fragment's spans, for a row of an Index.
func AppendSpans(b []byte, spans []store.Span) []byte {
	b = binary.AppendUvarint(b, uint64(len(spans)))
	for i := range spans {
		s := &spans[i]
		b = binary.AppendVarint(b, int64(s.Track))
		b = binary.AppendVarint(b, s.BaseDecodeTime)
		b = binary.AppendVarint(b, s.Duration)
		b = binary.AppendVarint(b, s.Size)
		b = binary.AppendUvarint(b, uint64(s.Frames)<<1|bit(s.KeyStart))
		b = binary.AppendVarint(b, s.FirstSize)
		b = binary.AppendVarint(b, s.Reorder)
		b = append(b, byte(s.Traits))
	}
	return b
}

// DecodeSpans reverses AppendSpans. Any error is ErrCorrupt.
func DecodeSpans(b []byte) ([]store.Span, error) { return decodeSpans(nil, b) }

// decodeSpans is DecodeSpans into the room after dst.
func decodeSpans(dst []store.Span, b []byte) ([]store.Span, error) {
	d := decoder{b: b}
	n := d.count(8)
	from := len(dst)
	dst = slices.Grow(dst, n)[:from+n]
	for i := range dst[from:] {
		s := &dst[from+i]
		s.Track = int(d.varint())
		s.BaseDecodeTime = d.varint()
		s.Duration = d.varint()
		s.Size = d.varint()
		frames := d.uvarint()
		s.Frames, s.KeyStart = int(frames>>1), frames&1 != 0
		s.FirstSize = d.varint()
		s.Reorder = d.varint()
		s.Traits = media.Traits(d.byte())
	}
	return dst, d.end()
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// decoder reads varints and strings with a sticky error; after the first error everything is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(why string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", store.ErrCorrupt, why)
	}
	d.b = nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("number cut short")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("number cut short")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things follow, each of at least size bytes.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail("count beyond the data")
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.count(1)
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("byte missing")
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) fixed32() uint32 {
	if len(d.b) < 4 {
		d.fail("bytes missing")
		return 0
	}
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *decoder) tracks() []media.Track {
	n := d.count(11)
	if n == 0 {
		return nil
	}
	tracks := make([]media.Track, n)
	for i := range tracks {
		t := &tracks[i]
		t.Number = int(d.varint())
		t.Kind = media.Kind(d.byte())
		t.CodecID = string(d.bytes())
		t.CodecPrivate = clone(d.bytes())
		t.Name = string(d.bytes())
		scale := d.uvarint()
		if scale > math.MaxUint32 {
			d.fail("timescale out of range")
		}
		t.Timescale = uint32(scale)
		t.Width = int(d.varint())
		t.Height = int(d.varint())
		t.SampleRate = int(d.varint())
		t.Channels = int(d.varint())
		t.DefaultDuration = d.varint()
	}
	return tracks
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes left over")
	}
	return d.err
}
