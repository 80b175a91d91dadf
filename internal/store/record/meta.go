package record

import (
	"encoding/binary"
	"math"
	"slices"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/varint"
)

// hasMarks reports whether some frame has marks: then the record is of version 2.
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
		var usual int64 // most frames last as long as the one before: one byte
		for _, fr := range run.Frames {
			b = appendSize(b, fr, marked)
			b = binary.AppendVarint(b, int64(fr.Duration)-usual)
			b = binary.AppendVarint(b, int64(fr.CompositionOffset))
			usual = int64(fr.Duration)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(f.Tags)))
	for _, t := range f.Tags {
		b = varint.AppendString(b, t.Name)
		b = varint.AppendString(b, t.Value)
	}
	return varint.AppendString(b, f.Header)
}

// appendSize appends the beginning of a row of the frame table: size, key flag, and in version 2
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
	d := varint.NewDecoder(b, store.ErrCorrupt)
	f := &media.Fragment{Timecode: d.Varint()}
	f.Tracks = decodeTracks(&d)
	// Each count is checked against the least number of bytes that so many items take.
	if n := d.Count(3); n > 0 {
		f.Runs = make([]media.Run, n)
	}
	for i := range f.Runs {
		run := &f.Runs[i]
		run.Track = int(d.Varint())
		run.BaseDecodeTime = d.Varint()
		n := d.Count(3)
		if n == 0 || d.Err != nil {
			d.Fail("run without frames")
			break
		}
		run.Frames = make([]media.Frame, n)
		var usual int64
		for j := range run.Frames {
			size := d.Uvarint()
			key := size&1 != 0
			size >>= 1
			var marks media.Marks
			if marked {
				if size&1 != 0 {
					marks = media.Marks(d.Byte())
				}
				size >>= 1
			}
			usual += d.Varint()
			cto := d.Varint()
			if size > math.MaxUint32 || !marks.Valid() || usual < 0 || usual > math.MaxUint32 ||
				cto < math.MinInt32 || cto > math.MaxInt32 {
				d.Fail("frame out of range")
			}
			if d.Err != nil {
				break
			}
			run.Frames[j] = media.Frame{
				Duration: uint32(usual), CompositionOffset: int32(cto),
				Size: uint32(size), Key: key, Marks: marks,
			}
		}
		if d.Err == nil && f.Track(run.Track) == nil {
			d.Fail("run of an undeclared track")
		}
	}
	if n := d.Count(2); n > 0 {
		f.Tags = make([]media.Tag, n)
	}
	for i := range f.Tags {
		f.Tags[i] = media.Tag{Name: string(d.Bytes()), Value: string(d.Bytes())}
	}
	f.Header = clone(d.Bytes())
	return f, d.End()
}

// AppendTracks appends the encoding of a set of tracks. Equal sets have equal encodings.
func AppendTracks(b []byte, tracks []media.Track) []byte {
	b = binary.AppendUvarint(b, uint64(len(tracks)))
	for i := range tracks {
		t := &tracks[i]
		b = binary.AppendVarint(b, int64(t.Number))
		b = append(b, byte(t.Kind))
		b = varint.AppendString(b, t.CodecID)
		b = varint.AppendString(b, t.CodecPrivate)
		b = varint.AppendString(b, t.Name)
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
	d := varint.NewDecoder(b, store.ErrCorrupt)
	tracks := decodeTracks(&d)
	return tracks, d.End()
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
	d := varint.NewDecoder(b, store.ErrCorrupt)
	n := d.Count(8)
	from := len(dst)
	dst = slices.Grow(dst, n)[:from+n]
	for i := range dst[from:] {
		s := &dst[from+i]
		s.Track = int(d.Varint())
		s.BaseDecodeTime = d.Varint()
		s.Duration = d.Varint()
		s.Size = d.Varint()
		frames := d.Uvarint()
		s.Frames, s.KeyStart = int(frames>>1), frames&1 != 0
		s.FirstSize = d.Varint()
		s.Reorder = d.Varint()
		s.Traits = media.Traits(d.Byte())
	}
	return dst, d.End()
}

func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

func decodeTracks(d *varint.Decoder) []media.Track {
	n := d.Count(11)
	if n == 0 {
		return nil
	}
	tracks := make([]media.Track, n)
	for i := range tracks {
		t := &tracks[i]
		t.Number = int(d.Varint())
		t.Kind = media.Kind(d.Byte())
		t.CodecID = string(d.Bytes())
		t.CodecPrivate = clone(d.Bytes())
		t.Name = string(d.Bytes())
		scale := d.Uvarint()
		if scale > math.MaxUint32 {
			d.Fail("timescale out of range")
		}
		t.Timescale = uint32(scale)
		t.Width = int(d.Varint())
		t.Height = int(d.Varint())
		t.SampleRate = int(d.Varint())
		t.Channels = int(d.Varint())
		t.DefaultDuration = d.Varint()
	}
	return tracks
}
