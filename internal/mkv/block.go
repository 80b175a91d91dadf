package mkv

import "math/bits"

// Flags of a block (RFC 9559 section 10.2 and 10.3).
const (
	flagKey    = 0x80
	flagLacing = 0x06
	laceXiph   = 0x02
	laceFixed  = 0x04
)

// checkBlock refuses a block that comes too early.
func (r *Reader) checkBlock(id uint32, off int64) error {
	if !r.hasTimecode {
		return fail(id, idCluster, off, "before the Timestamp of its cluster")
	}
	if r.trackCount == 0 {
		return fail(id, idCluster, off, "no Tracks element before it")
	}
	return nil
}

// readBlockGroup reads a whole BlockGroup, because the elements that give the duration and mark a
// key frame follow the Block.
func (r *Reader) readBlockGroup(h *header) (Event, error) {
	if err := r.checkBlock(h.id, h.off); err != nil {
		return Event{}, err
	}
	at := r.in.off
	data, err := r.body(h)
	if err != nil {
		return Event{}, err
	}
	r.frame = Event{Kind: Frame, Offset: h.off, Key: true, KeyUnknown: true}
	r.duration = -1
	found := false
	c := cursor{limits: &r.limits, data: data, off: at, parent: idBlockGroup}
	for c.next() {
		switch c.id {
		case idBlock:
			if found {
				return Event{}, c.fail("a second one in the BlockGroup")
			}
			found = true
			r.group = memory(c.body, c.bodyOff)
		case idBlockDuration:
			v := uintOf(c.body)
			if v > uint64(maxTime/r.scale) {
				return Event{}, c.fail("%d is out of range", v)
			}
			r.duration = int64(v)
		case idReferenceBlock:
			r.frame.Key, r.frame.KeyUnknown = false, false
		case idDiscardPadding:
			r.frame.DiscardPadding = intOf(c.body)
		}
	}
	if c.err != nil {
		return Event{}, c.err
	}
	if !found {
		return Event{}, fail(h.id, idCluster, h.off, "no Block in it")
	}
	return r.openBlock(&r.group, idBlock, r.group.off+int64(r.group.end))
}

// openBlock reads the header of a block and returns its first frame. The block ends at the offset
// end of in.
func (r *Reader) openBlock(in *input, id uint32, end int64) (Event, error) {
	b := blockHeader{in: in, id: id, off: in.off, end: end}
	number := b.vint()
	rel := int16(b.byte())<<8 | int16(b.byte())
	flags := b.byte()
	if b.err == nil && (number < 1 || number > maxTrackNumber) {
		b.fail("bad track number")
	}
	r.laces = 1
	if b.err == nil && flags&flagLacing != 0 {
		r.laces = int(b.byte()) + 1
		b.lacing(flags&flagLacing, r.laceSizes[:r.laces])
	} else {
		r.laceSizes[0] = end - in.off
	}
	if b.err != nil {
		r.laces = 0
		return Event{}, b.err
	}
	r.blockIn = in
	r.lace = 0
	r.frame.Track = int(number)
	if id == idSimpleBlock {
		r.frame.Key = flags&flagKey != 0
	}
	r.frame.Timecode = r.timecode + int64(rel)
	if p := r.encoding(r.frame.Track).stripped; len(p) > 0 {
		r.stripped += int64(len(p) * r.laces)
		if err := r.checkCluster(max(end, r.in.off)); err != nil {
			return Event{}, err
		}
	}
	return r.lacedFrame(), nil
}

// lacedFrame returns the frame of index lace in the current block.
func (r *Reader) lacedFrame() Event {
	ev := r.frame
	r.left = r.laceSizes[r.lace]
	enc := r.encoding(ev.Track)
	r.prefix, ev.Compressed = enc.stripped, enc.zlib
	ev.Size = len(r.prefix) + int(r.left)
	ev.Duration = r.duration
	i, n := int64(r.lace), int64(r.laces)
	if n == 1 {
		return ev
	}
	if r.duration >= 0 {
		ev.Duration = share(r.duration, i+1, n) - share(r.duration, i, n)
	}
	if i > 0 {
		ev.Laced = true
		if d := r.defaultDuration(ev.Track); d > 0 {
			ev.Timecode += i * d / r.scale
		} else if r.duration >= 0 {
			ev.Timecode += share(r.duration, i, n)
		} else {
			ev.Timecode = -1
		}
	}
	return ev
}

// share returns d*i/n rounded down, without overflow for 0 <= i <= n.
func share(d, i, n int64) int64 {
	hi, lo := bits.Mul64(uint64(d), uint64(i))
	q, _ := bits.Div64(hi, lo, uint64(n))
	return int64(q)
}

// skipFrame skips the rest of the current frame.
func (r *Reader) skipFrame() error {
	r.prefix = nil
	if r.left > 0 {
		if err := r.blockIn.skip(r.left); err != nil {
			return cut(err)
		}
		r.left = 0
	}
	return nil
}

// encoding returns how the frames of a track are stored.
func (r *Reader) encoding(track int) encoding {
	if i := r.indexOf(track); i >= 0 {
		return r.encodings[i]
	}
	return encoding{}
}

// defaultDuration returns the DefaultDuration of a track in nanoseconds, 0 when it has none.
func (r *Reader) defaultDuration(track int) int64 {
	if i := r.indexOf(track); i >= 0 {
		return r.tracks[i].DefaultDuration
	}
	return 0
}

// indexOf returns the index of the track with this number, or -1.
func (r *Reader) indexOf(track int) int {
	for i := range r.tracks {
		if r.tracks[i].Number == track {
			return i
		}
	}
	return -1
}

// blockHeader reads the start of a block byte by byte, never past its end. After an error it
// returns zeros.
type blockHeader struct {
	in       *input
	id       uint32
	off, end int64
	err      error
}

func (b *blockHeader) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fail(b.id, atTop, b.off, format, args...)
	}
}

func (b *blockHeader) byte() byte {
	if b.err != nil {
		return 0
	}
	if b.in.off >= b.end {
		b.fail("too short for its header")
		return 0
	}
	if err := b.in.need(1); err != nil {
		b.err = cut(err)
		return 0
	}
	return b.in.take(1)[0]
}

// vint reads a variable-size integer. It returns -1 if that is too long or reserved.
func (b *blockHeader) vint() int64 {
	v, _ := b.vintLen()
	return v
}

func (b *blockHeader) vintLen() (v int64, length int) {
	first := b.byte()
	length = bits.LeadingZeros8(first) + 1
	if length > 8 {
		if b.err == nil {
			b.fail("integer of more than 8 bytes")
		}
		return -1, 1
	}
	var raw [8]byte
	raw[0] = first
	for i := 1; i < length; i++ {
		raw[i] = b.byte()
	}
	return vint(raw[:length]), length
}

// lacing reads the sizes of the frames (RFC 9559 section 10.3.2 to 10.3.4).
func (b *blockHeader) lacing(how byte, sizes []int64) {
	last := len(sizes) - 1
	var sum, size int64
	switch how {
	case laceFixed:
		all := b.end - b.in.off
		if all%int64(len(sizes)) != 0 {
			b.fail("%d bytes cannot be shared by %d frames of the same size", all, len(sizes))
			return
		}
		for i := range sizes {
			sizes[i] = all / int64(len(sizes))
		}
		return
	case laceXiph:
		for i := range last {
			size = 0
			for {
				c := b.byte()
				size += int64(c)
				if c != 255 {
					break
				}
			}
			sizes[i] = size
			sum += size
		}
	default:
		for i := range last {
			v, n := b.vintLen()
			if v == unknownSize {
				// All ones is reserved as a size, but valid as a difference: the largest.
				v = 1<<(7*n) - 1
			}
			if i == 0 {
				size = v
			} else {
				size += v - (1<<(7*n-1) - 1)
			}
			if b.err == nil && (size < 0 || size > b.end-b.in.off) {
				b.fail("laced frame of %d bytes in a block that has %d left", size, b.end-b.in.off)
			}
			if b.err != nil {
				return
			}
			sizes[i] = size
			sum += size
		}
	}
	if sizes[last] = b.end - b.in.off - sum; b.err == nil && sizes[last] < 0 {
		b.fail("its laced frames are larger than the block")
	}
}
