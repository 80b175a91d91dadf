package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"weir/internal/store"
	"weir/internal/varint"
)

// FooterTrailer is the size of a footer's end: the footer's length and a magic, by which it is
// found from the end of the volume.
const FooterTrailer = 16

const (
	footerMagic  = "WEIRFOOT"
	tableVersion = 1
	tableRow     = 13 // the least that a row takes
)

// Table is the packed table of a sealed volume's fragments, in the order of their bytes and
// sequences. It never changes; its methods may be called concurrently.
type Table struct {
	Sets     [][]byte       // the distinct sets of tracks, in the form of AppendTracks
	Replaced []store.Number // what the fragments replaced on arrival, in any volume, ascending
	Count    int            // fragments
	rows     []byte

	Numbers, Sequences, ServerTimes, ProducerTimes Range // of the fragments
}

// EncodeFooter returns the footer record of a volume: header, packed table, trailer. fragments are
// in the order of their bytes; their TrackSet is an index into sets. replaced is ascending.
// docs/store-format.md has the format.
func EncodeFooter(
	sets [][]byte, replaced []store.Number, fragments []store.FragmentInfo,
) ([]byte, error) {
	b := make([]byte, HeaderSize, HeaderSize+40*len(fragments)+512)
	b = append(b, tableVersion)
	b = binary.AppendUvarint(b, uint64(len(sets)))
	for _, s := range sets {
		b = varint.AppendString(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(replaced)))
	var last store.Number
	for _, n := range replaced {
		b = binary.AppendUvarint(b, uint64(n-last))
		last = n
	}
	b = binary.AppendUvarint(b, uint64(len(fragments)))
	var p tablePrevious
	var scratch []byte
	spans := make([]store.Span, 0, 4)
	for i := range fragments {
		f := &fragments[i]
		if f.TrackSet < 0 || f.TrackSet >= int64(len(sets)) {
			return nil, fmt.Errorf("fragment %d is of set %d, the table has %d",
				f.Number, f.TrackSet, len(sets))
		}
		if f.Location.Length-f.Location.MetaLength != f.Size() {
			return nil, fmt.Errorf("fragment %d has spans of %d bytes in %+v",
				f.Number, f.Size(), f.Location)
		}
		flags := uint64(f.TrackSet) << 1
		if f.Partial {
			flags |= 1
		}
		tick := int64(f.Number >> store.NumberSlotBits)
		slot := uint64(f.Number & (1<<store.NumberSlotBits - 1))
		b = binary.AppendVarint(b, tick-p.tick)
		b = binary.AppendUvarint(b, slot)
		b = binary.AppendVarint(b, f.Sequence-p.sequence)
		b = binary.AppendVarint(b, f.ServerTimestamp-p.server)
		b = binary.AppendVarint(b, f.ProducerTimestamp-f.ServerTimestamp-p.lag)
		b = binary.AppendVarint(b, f.Location.Offset-p.end)
		b = binary.AppendUvarint(b, uint64(f.Location.MetaLength))
		b = binary.AppendUvarint(b, flags)
		b = binary.LittleEndian.AppendUint32(b, f.PayloadCRC)
		spans = append(spans[:0], f.Spans...)
		for j := range spans {
			spans[j].BaseDecodeTime -= p.base(j)
		}
		scratch = AppendSpans(scratch[:0], spans)
		b = varint.AppendString(b, scratch)
		p.set(f)
	}
	return finishFooter(b)
}

// finishFooter adds the trailer to the table, which follows room for a header, and fills in the
// header.
func finishFooter(b []byte) ([]byte, error) { return Header{Type: TypeFooter}.Footer(b) }

// FooterLength reads a footer's trailer, the last FooterTrailer bytes of a volume, and returns the
// length of the footer; 0 when it is not a trailer.
func FooterLength(trailer []byte) int64 {
	if len(trailer) != FooterTrailer || string(trailer[8:]) != footerMagic {
		return 0
	}
	n := binary.LittleEndian.Uint64(trailer)
	if n < HeaderSize+FooterTrailer || n > MaxMetaLength+FooterTrailer {
		return 0
	}
	return int64(n)
}

// DecodeFooter reads and verifies a whole footer record. The table keeps b. Any error is
// ErrCorrupt, except ErrEncrypted.
func DecodeFooter(b []byte) (*Table, error) {
	h, err := DecodeHeader(b)
	if err != nil {
		return nil, err
	}
	if h.Type != TypeFooter || h.Length != int64(len(b)) || h.MetaLength != h.Length-FooterTrailer {
		return nil, fmt.Errorf("%w: record is not a footer", store.ErrCorrupt)
	}
	if h.Encrypted {
		return nil, ErrEncrypted
	}
	if _, err := CheckHead(b[:h.MetaLength]); err != nil {
		return nil, err
	}
	trailer := b[h.MetaLength:]
	if crc32.Checksum(trailer, Castagnoli) != h.PayloadCRC || FooterLength(trailer) != h.Length {
		return nil, fmt.Errorf("%w: trailer of the footer", store.ErrCorrupt)
	}
	d := varint.NewDecoder(b[HeaderSize:h.MetaLength], store.ErrCorrupt)
	if v := d.Byte(); v != tableVersion {
		return nil, fmt.Errorf("%w: table version %d", store.ErrCorrupt, v)
	}
	t := &Table{}
	for n := d.Count(1); n > 0 && d.Err == nil; n-- {
		t.Sets = append(t.Sets, d.Bytes())
	}
	var last uint64
	for n := d.Count(1); n > 0 && d.Err == nil; n-- {
		if last += d.Uvarint(); last > math.MaxInt64 {
			d.Fail("number out of range")
		}
		t.Replaced = append(t.Replaced, store.Number(last))
	}
	t.Count = d.Count(tableRow)
	t.rows = d.Rest
	if d.Err != nil {
		return nil, d.Err
	}
	// Every row is read once here, so that later readers of the table need not expect damage.
	first := true
	return t, t.each(func(f *store.FragmentInfo) error {
		if first {
			first = false
			t.Numbers = Range{int64(f.Number), int64(f.Number)}
			t.Sequences = Range{f.Sequence, f.Sequence}
			t.ServerTimes = Range{f.ServerTimestamp, f.ServerTimestamp}
			t.ProducerTimes = Range{f.ProducerTimestamp, f.ProducerTimestamp}
		}
		t.Numbers.add(int64(f.Number))
		t.Sequences.add(f.Sequence)
		t.ServerTimes.add(f.ServerTimestamp)
		t.ProducerTimes.add(f.ProducerTimestamp)
		return nil
	})
}

// Range is from the least to the greatest of some values, both included.
type Range struct{ Min, Max int64 }

func (r *Range) add(v int64) { r.Min, r.Max = min(r.Min, v), max(r.Max, v) }

// Bytes is about how much memory the table takes.
func (t *Table) Bytes() int64 {
	n := int64(len(t.rows)+8*len(t.Replaced)) + 256
	for _, s := range t.Sets {
		n += int64(len(s)) + 24
	}
	return n
}

// each calls fn for every fragment. The next call overwrites what fn gets a pointer to. Its
// TrackSet is an index into t.Sets.
func (t *Table) each(fn func(*store.FragmentInfo) error) error {
	d := varint.NewDecoder(t.rows, store.ErrCorrupt)
	var p tablePrevious
	var f store.FragmentInfo
	for range t.Count {
		tick := p.tick + d.Varint()
		slot := d.Uvarint()
		if tick < 0 || tick > math.MaxInt64>>store.NumberSlotBits ||
			slot >= 1<<store.NumberSlotBits {
			d.Fail("number out of range")
		}
		f.Number = store.Number(tick<<store.NumberSlotBits | int64(slot))
		f.Sequence = p.sequence + d.Varint()
		f.ServerTimestamp = p.server + d.Varint()
		f.ProducerTimestamp = f.ServerTimestamp + p.lag + d.Varint()
		f.Location.Offset = p.end + d.Varint()
		meta := d.Uvarint()
		flags := d.Uvarint()
		f.TrackSet, f.Partial = int64(flags>>1), flags&1 != 0
		f.PayloadCRC = d.Uint32()
		spans := d.Bytes()
		if meta < HeaderSize || meta > MaxMetaLength || f.Location.Offset < 0 ||
			f.TrackSet >= int64(len(t.Sets)) || f.Number <= 0 {
			d.Fail("row out of range")
		}
		if d.Err != nil {
			return d.Err
		}
		var err error
		if f.Spans, err = decodeSpans(f.Spans[:0], spans); err != nil {
			return err
		}
		size := int64(meta)
		for j := range f.Spans {
			s := &f.Spans[j]
			s.BaseDecodeTime += p.base(j)
			if s.Size < 0 || s.Size > MaxLength || size > MaxLength {
				return fmt.Errorf("%w: span of %d bytes", store.ErrCorrupt, s.Size)
			}
			size += s.Size
		}
		f.Location.MetaLength, f.Location.Length = int64(meta), size
		if err := fn(&f); err != nil {
			return err
		}
		p.set(&f)
	}
	return d.End()
}

// Fragments returns all rows. It takes the IDs of the track sets from sets, and places the
// fragments in a volume of the given name.
func (t *Table) Fragments(volume string, sets []int64) ([]store.FragmentInfo, error) {
	return t.Choose(nil, volume, sets, func(*store.FragmentInfo) bool { return true })
}

// choose appends the rows that keep keeps.
func (t *Table) Choose(
	dst []store.FragmentInfo, volume string, sets []int64, keep func(*store.FragmentInfo) bool,
) ([]store.FragmentInfo, error) {
	if len(sets) != len(t.Sets) {
		return dst, fmt.Errorf("%w: table of %s has %d track sets, its row %d",
			store.ErrCorrupt, volume, len(t.Sets), len(sets))
	}
	if dst == nil {
		dst = make([]store.FragmentInfo, 0, min(t.Count, 1024))
	}
	var room []store.Span // room for the spans of many fragments at once
	err := t.each(func(f *store.FragmentInfo) error {
		if !keep(f) {
			return nil
		}
		if cap(room)-len(room) < len(f.Spans) {
			room = make([]store.Span, 0, max(len(f.Spans), min(256, t.Count*len(f.Spans))))
		}
		at := len(room)
		room = append(room, f.Spans...)
		dst = append(dst, *f)
		g := &dst[len(dst)-1]
		g.Spans = room[at:len(room):len(room)]
		if len(g.Spans) == 0 {
			g.Spans = nil
		}
		g.TrackSet = sets[f.TrackSet]
		g.Location.Volume = volume
		return nil
	})
	return dst, err
}

// tablePrevious is the row before, to which a row of a table is relative.
type tablePrevious struct {
	tick, sequence, server int64
	lag                    int64   // producer timestamp minus server timestamp
	end                    int64   // where the record ended
	bases                  []int64 // where the spans ended, by their place
}

func (p *tablePrevious) base(span int) int64 {
	if span < len(p.bases) {
		return p.bases[span]
	}
	return 0
}

func (p *tablePrevious) set(f *store.FragmentInfo) {
	p.tick = int64(f.Number >> store.NumberSlotBits)
	p.sequence, p.server = f.Sequence, f.ServerTimestamp
	p.lag = f.ProducerTimestamp - f.ServerTimestamp
	p.end = f.Location.Offset + f.Location.Length
	p.bases = p.bases[:0]
	for i := range f.Spans {
		p.bases = append(p.bases, f.Spans[i].BaseDecodeTime+f.Spans[i].Duration)
	}
}
