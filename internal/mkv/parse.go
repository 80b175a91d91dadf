package mkv

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"

	"weir/internal/media"
)

const (
	defaultTimestampScale = 1_000_000
	// maxTimestampScale (1,000 seconds a unit) is more than anyone needs. It keeps arithmetic on
	// times from overflowing.
	maxTimestampScale = 1_000_000_000_000
	maxTrackNumber    = math.MaxInt32
	// maxDefaultDuration (104 days) keeps the times of laced frames from overflowing.
	maxDefaultDuration = 1 << 53
)

// cursor goes through the children of an element that is in memory. It skips unknown and global
// elements. An element that is too large, in the wrong place or longer than its parent is an error.
type cursor struct {
	limits *Limits
	data   []byte // what is left
	off    int64  // of data[0] in the whole input
	parent uint32

	id      uint32
	idOff   int64
	body    []byte
	bodyOff int64
	err     error
}

// next moves to the next child that has a row in the table for this parent. It returns false at the
// end and on error.
func (c *cursor) next() bool {
	for c.err == nil && len(c.data) > 0 {
		idLen := bits.LeadingZeros8(c.data[0]) + 1
		if idLen > 4 {
			c.err = fail(c.parent, atTop, c.off, "no element ID begins with the byte 0x%02X",
				c.data[0])
			return false
		}
		c.id, c.idOff = 0, c.off
		sizeLen := 1
		if len(c.data) > idLen {
			sizeLen = bits.LeadingZeros8(c.data[idLen]) + 1
		}
		if len(c.data) < idLen+sizeLen || sizeLen > 8 {
			c.err = fail(c.parent, atTop, c.off, "broken element at its end")
			return false
		}
		id, size, ok := parseHeader(c.data[:idLen+sizeLen], idLen)
		c.id = id
		if !ok {
			c.err = fail(c.parent, atTop, c.off, "reserved element ID 0x%X", id)
			return false
		}
		e := byID[id]
		c.data = c.data[idLen+sizeLen:]
		c.off += int64(idLen + sizeLen)
		switch l := c.limits.limit(e); {
		case size == unknownSize:
			c.err = c.fail("unknown size, which only Segment and Cluster may have")
			return false
		case size > int64(len(c.data)):
			c.err = c.fail("%d bytes, but its %s has only %d left", size, nameOf(c.parent),
				len(c.data))
			return false
		case e != nil && e.parent != anywhere && e.parent != c.parent &&
			!(id == idSimpleTag && c.parent == idSimpleTag):
			c.err = c.fail("not allowed in %s", nameOf(c.parent))
			return false
		case l >= 0 && size > l:
			c.err = tooLarge(id, c.parent, c.idOff, size, l)
			return false
		case e != nil && e.kind == float && size != 0 && size != 4 && size != 8:
			c.err = c.fail("a floating-point number of %d bytes", size)
			return false
		}
		c.body, c.bodyOff = c.data[:size], c.off
		c.data = c.data[size:]
		c.off += size
		if e != nil && e.parent == c.parent && e.kind != skipped {
			return true
		}
	}
	return false
}

// children returns a cursor over the children of the current element.
func (c *cursor) children() cursor {
	return cursor{limits: c.limits, data: c.body, off: c.bodyOff, parent: c.id}
}

// fail makes an Error for the current element.
func (c *cursor) fail(format string, args ...any) error {
	return fail(c.id, c.parent, c.idOff, format, args...)
}

// uint returns the element's value, or def when it is empty (RFC 8794 section 6.1: an empty element
// has its default). A value below low or above high is an error.
func (c *cursor) uint(def, low, high uint64) uint64 {
	v := def
	if len(c.body) > 0 {
		v = uintOf(c.body)
	}
	if v < low || v > high {
		c.err = c.fail("%d is out of range (%d to %d)", v, low, high)
		return def
	}
	return v
}

// text returns the element's string, up to the first NUL.
func (c *cursor) text() string {
	b := c.body
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func uintOf(b []byte) uint64 {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func intOf(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	shift := 64 - 8*len(b)
	return int64(uintOf(b)<<shift) >> shift
}

func floatOf(b []byte) float64 {
	if len(b) == 4 {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

// parseEBML checks that the document is one that we can read.
func (r *Reader) parseEBML(data []byte, at int64) error {
	docType := ""
	c := cursor{limits: &r.limits, data: data, off: at, parent: idEBML}
	for c.next() {
		switch c.id {
		case idEBMLReadVersion:
			c.uint(1, 1, 1)
		case idEBMLMaxIDLength:
			c.uint(4, 1, 4)
		case idEBMLMaxSizeLength:
			c.uint(8, 1, 8)
		case idDocType:
			docType = c.text()
		case idDocTypeReadVersion:
			c.uint(1, 1, 4) // 4 is what RFC 9559 describes
		}
	}
	if c.err != nil {
		return c.err
	}
	if docType != "matroska" && docType != "webm" {
		return fail(idDocType, atTop, at, "%q is neither matroska nor webm", docType)
	}
	return nil
}

// readInfo reads TimestampScale and SegmentUUID.
func (r *Reader) readInfo(h *header) error {
	at := r.in.off
	data, err := r.body(h)
	if err != nil {
		return err
	}
	scale := int64(defaultTimestampScale)
	var uid []byte
	c := cursor{limits: &r.limits, data: data, off: at, parent: idInfo}
	for c.next() {
		switch c.id {
		case idTimestampScale:
			scale = int64(c.uint(defaultTimestampScale, 1, maxTimestampScale))
		case idSegmentUUID:
			uid = bytes.Clone(c.body)
		}
	}
	if c.err != nil {
		return c.err
	}
	if r.seenCluster && scale != r.scale {
		return fail(idInfo, idSegment, h.off,
			"changes TimestampScale from %d to %d after a cluster", r.scale, scale)
	}
	r.scale, r.segmentUID = scale, uid
	return nil
}

// readTracks reads all TrackEntries. They replace the previous set.
func (r *Reader) readTracks(h *header) error {
	at := r.in.off
	data, err := r.body(h)
	if err != nil {
		return err
	}
	r.tracks, r.encodings = nil, nil
	r.giveBack(&r.heldTracks)
	if err := r.hold(&r.heldTracks, h.size); err != nil { // the tracks copy most of it
		return err
	}
	r.trackCount++
	c := cursor{limits: &r.limits, data: data, off: at, parent: idTracks}
	for c.next() { // the only child is TrackEntry
		if len(r.tracks) >= r.limits.Tracks {
			err := fail(idTracks, idSegment, h.off, "more than %d tracks", r.limits.Tracks)
			err.TooLarge = true
			return err
		}
		t, enc, err := readTrackEntry(&c)
		if err != nil {
			return err
		}
		if r.indexOf(t.Number) >= 0 {
			return c.fail("a second track with the number %d", t.Number)
		}
		r.tracks = append(r.tracks, t)
		r.encodings = append(r.encodings, enc)
	}
	return c.err
}

// encoding is how the frames of a track are stored.
type encoding struct {
	stripped []byte // bytes that header stripping removed from each frame
	zlib     bool   // each frame is compressed
}

// readTrackEntry reads the current TrackEntry.
func readTrackEntry(parent *cursor) (t media.Track, enc encoding, err error) {
	video := struct{ width, height int }{}
	audio := struct{ rate, channels int }{rate: 8000, channels: 1}
	inPrivate := false // the encoding applies to CodecPrivate
	c := parent.children()
	for c.next() {
		switch c.id {
		case idTrackNumber:
			t.Number = int(c.uint(0, 1, maxTrackNumber))
		case idTrackType:
			t.Kind = media.Kind(c.uint(0, 1, 254))
		case idName:
			t.Name = c.text()
		case idCodecID:
			t.CodecID = c.text()
		case idCodecPrivate:
			t.CodecPrivate = bytes.Clone(c.body)
		case idDefaultDuration:
			t.DefaultDuration = int64(c.uint(0, 0, maxDefaultDuration))
		case idVideo:
			v := c.children()
			for v.next() {
				switch v.id {
				case idPixelWidth:
					video.width = int(v.uint(0, 0, math.MaxInt32))
				case idPixelHeight:
					video.height = int(v.uint(0, 0, math.MaxInt32))
				}
			}
			c.err = v.err
		case idAudio:
			a := c.children()
			for a.next() {
				switch a.id {
				case idSamplingFrequency:
					audio.rate = a.frequency()
				case idChannels:
					// The AWS SDK writes 0 if channelConfiguration is 0 (a program config element
					// has the channels).
					audio.channels = max(int(a.uint(1, 0, math.MaxInt32)), 1)
				}
			}
			c.err = a.err
		case idContentEncodings:
			enc, inPrivate, c.err = readEncodings(&c)
		}
	}
	switch {
	case c.err != nil:
		return t, enc, c.err
	case t.Number == 0:
		return t, enc, parent.fail("no TrackNumber")
	case t.Kind == 0:
		return t, enc, parent.fail("no TrackType")
	case t.CodecID == "":
		return t, enc, parent.fail("no CodecID")
	}
	if inPrivate && t.CodecPrivate != nil {
		t.CodecPrivate, err = enc.decode(t.CodecPrivate, parent.limits.CodecPrivate)
		if err != nil {
			return t, enc, parent.fail("CodecPrivate: %v", err)
		}
	}
	switch t.Kind {
	case media.Video:
		t.Width, t.Height = video.width, video.height
	case media.Audio:
		t.SampleRate, t.Channels = audio.rate, audio.channels
	}
	t.Timescale = media.Timescale(&t)
	return t, enc, nil
}

// frequency returns the current SamplingFrequency in Hz, rounded; 8000 is the default.
func (c *cursor) frequency() int {
	if len(c.body) == 0 {
		return 8000
	}
	f := math.Round(floatOf(c.body))
	if !(f >= 1 && f <= math.MaxInt32) { // NaN too
		c.err = c.fail("%v Hz is out of range", floatOf(c.body))
		return 8000
	}
	return int(f)
}

// readEncodings reads the current ContentEncodings (RFC 9559 section 5.1.4.1.31). It accepts one
// encoding: header stripping, or zlib if Limits.Zlib is set. inPrivate says that it applies to
// CodecPrivate too.
func readEncodings(parent *cursor) (enc encoding, inPrivate bool, err error) {
	n := 0
	c := parent.children()
	for c.next() { // the only child is ContentEncoding
		if n++; n > 1 {
			return enc, false, c.fail("more than one encoding of a track")
		}
		if enc, inPrivate, err = readContentEncoding(&c); err != nil {
			return enc, false, err
		}
	}
	return enc, inPrivate, c.err
}

// readContentEncoding reads the current ContentEncoding.
func readContentEncoding(c *cursor) (enc encoding, inPrivate bool, err error) {
	const (
		allFrames      = 1
		private        = 2
		zlibCompressed = 0
		headerStripped = 3
	)
	scope, algorithm := uint64(allFrames), uint64(zlibCompressed)
	var settings []byte
	e := c.children()
	for e.next() {
		switch e.id {
		case idContentEncodingType:
			if e.uint(0, 0, math.MaxUint64) != 0 {
				return enc, false, e.fail("encrypted tracks are not supported")
			}
		case idContentEncodingScop:
			scope = e.uint(allFrames, 1, allFrames|private)
		case idContentCompression:
			k := e.children()
			for k.next() {
				switch k.id {
				case idContentCompAlgo:
					algorithm = k.uint(zlibCompressed, 0, math.MaxUint64)
				case idContentCompSettings:
					settings = bytes.Clone(k.body)
				}
			}
			e.err = k.err
		}
	}
	switch {
	case e.err != nil:
		return enc, false, e.err
	case algorithm == headerStripped:
		enc.stripped = settings
	case algorithm == zlibCompressed && c.limits.Zlib:
		enc.zlib = true
	default:
		return enc, false,
			c.fail("compression algorithm %d is not supported, only header stripping (3)",
				algorithm)
	}
	if scope&allFrames == 0 {
		return enc, false, c.fail("encoding of the CodecPrivate alone is not supported")
	}
	return enc, scope&private != 0, nil
}

// readTags reads the SimpleTags of all Tags that are about the whole segment.
func (r *Reader) readTags(h *header) ([]media.Tag, error) {
	at := r.in.off
	data, err := r.body(h)
	if err != nil {
		return nil, err
	}
	var tags []media.Tag
	count := 0
	c := cursor{limits: &r.limits, data: data, off: at, parent: idTags}
	for c.next() { // the only child is Tag
		before, targeted := len(tags), false
		t := c.children()
		for t.next() {
			switch t.id {
			case idTargets:
				u := t.children()
				for u.next() { // all children are UIDs; 0 means every one
					targeted = targeted || uintOf(u.body) != 0
				}
				t.err = u.err
			case idSimpleTag:
				if count++; count > r.limits.TagCount {
					err := fail(idTags, idSegment, h.off, "more than %d tags", r.limits.TagCount)
					err.Kind, err.TooLarge = Metadata, true
					return nil, err
				}
				tag, ok, err := readSimpleTag(&t)
				if err != nil {
					return nil, err
				}
				if ok {
					tags = append(tags, tag)
				}
			}
		}
		if t.err != nil {
			return nil, t.err
		}
		if targeted {
			tags = tags[:before]
		}
	}
	return tags, c.err
}

// readSimpleTag reads the current SimpleTag; ok is false if its value is binary. It skips nested
// SimpleTags, because fragment metadata has no nesting.
func readSimpleTag(parent *cursor) (tag media.Tag, ok bool, err error) {
	named := false
	ok = true
	c := parent.children()
	for c.next() {
		switch c.id {
		case idTagName:
			tag.Name, named = c.text(), true
		case idTagString:
			tag.Value = c.text()
		case idTagBinary:
			ok = false
		}
	}
	if c.err != nil {
		return tag, false, c.err
	}
	if !named {
		return tag, false, parent.fail("no TagName")
	}
	return tag, ok, nil
}
