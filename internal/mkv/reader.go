package mkv

import (
	"errors"
	"fmt"
	"io"
	"math"

	"weir/internal/media"
)

const (
	// keepScratch is the size of the largest scratch buffer that is kept for the next element.
	keepScratch = 1 << 20
	// headerSkipped is the size of the largest skipped element (SeekHead, Void, …) that Header
	// keeps.
	headerSkipped = 64 << 10
	// maxTime bounds every time and duration, in nanoseconds, so that callers may multiply by
	// TimestampScale without a check.
	maxTime = math.MaxInt64 / 2
)

// Reader reads a stream of Matroska as events. It is not safe for concurrent use.
type Reader struct {
	in     input
	limits Limits
	err    error // sticky: what Next returns from now on

	// Where we are. An end of unknownSize means that the element ends where another begins.
	inSegment, inCluster    bool
	segmentEnd, clusterEnd  int64
	clusterOff              int64 // of the Cluster's ID
	stripped                int64 // bytes that header stripping has added to the cluster
	hasTimecode             bool
	timecode                int64
	begun                   bool // an EBML header was met
	between                 bool // the input has ended between two elements
	pending                 bool // next was read, and ended the cluster before it
	next                    header
	lastEBML                int  // bytes of header that are the EBML header
	collecting, seenCluster bool // before the first cluster of the document; after its start

	header     []byte
	segmentUID []byte
	scale      int64
	tracks     []media.Track
	encodings  []encoding // of tracks
	trackCount int        // Tracks elements seen in this document

	// The current frame and the rest of its block. blockIn is &in for a SimpleBlock, &group for a
	// Block in a BlockGroup.
	blockIn   *input
	group     input
	frame     Event
	prefix    []byte // still to be returned, before left bytes of blockIn
	left      int64
	laceSizes [256]int64
	lace      int // index of the current frame
	laces     int // frames in the block, 0 when there is no block
	duration  int64
	scratch   []byte

	budget                           Budget // nil: none
	heldHeader, heldTracks, heldBody int64  // bytes taken for header, tracks, and scratch

	trace func(depth int, h *header) // called for each streamed element, for Dump
}

// NewReader returns a Reader of r. An event never waits for bytes of r that come after it.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{in: input{src: r, buf: make([]byte, bufferSize)}, limits: l,
		scale: defaultTimestampScale}
}

// Header returns the bytes of the current document from its EBML header to its first cluster as
// they came, with the Segment's ID and size. CRC-32 elements of the Segment and large skipped
// elements (Void, Cues, …) are left out. It is nil before the first EBML header, and complete from
// the document's first ClusterStart on. It does not have a Tracks that comes after a cluster. The
// caller must not change it, and the Reader does not.
func (r *Reader) Header() []byte { return r.header[:len(r.header):len(r.header)] }

// SegmentUID returns the SegmentUUID of the current document, nil when it has none.
func (r *Reader) SegmentUID() []byte { return r.segmentUID }

// Tracks returns the tracks of the current document in the order of their declaration, nil before
// TracksReady. Numbers are distinct; names and codec IDs are as sent and need not be UTF-8. The
// caller must not change them.
func (r *Reader) Tracks() []media.Track { return r.tracks }

// TimestampScale returns the nanoseconds per unit of all Timecodes, 1,000,000 by default. It is
// settled at the first ClusterStart of the document (Info may stand after Tracks). Timecode times
// TimestampScale never overflows an int64.
func (r *Reader) TimestampScale() int64 { return r.scale }

// Offset returns how many bytes of the input were consumed.
func (r *Reader) Offset() int64 { return r.in.off }

// EndedBetween reports, once Next has returned an error, whether the input ended or failed between
// two elements, outside of every Segment and Cluster of known size. Then it has cut at most a
// cluster of unknown size.
func (r *Reader) EndedBetween() bool { return r.between }

// Next skips the rest of the current frame and returns the next event.
//
// It returns io.EOF when the input ends between two elements. If the input ends or fails there in a
// cluster of unknown size, a ClusterEnd with Complete false comes first. It returns
// io.ErrUnexpectedEOF when the input ends inside an element, an *Error for what is not acceptable
// Matroska, and any other error of the input wrapped. After an error it returns the same error
// again.
func (r *Reader) Next() (Event, error) {
	if r.err != nil {
		return Event{}, r.err
	}
	ev, err := r.advance()
	if err != nil {
		if bad := (*Error)(nil); !r.begun && errors.As(err, &bad) {
			bad.Kind = NoDocument
		}
		r.err = err
		return Event{}, err
	}
	return ev, nil
}

// AppendPayload appends the bytes of the current frame, Event.Size of them, to dst and returns it.
// dst grows as the bytes arrive, so a frame that declares more than it has costs nothing. A second
// call for the same frame appends nothing. On error, which is io.ErrUnexpectedEOF or an error of
// the input, dst is returned as it was.
func (r *Reader) AppendPayload(dst []byte) ([]byte, error) {
	if r.err != nil {
		return dst, r.err
	}
	n := len(dst)
	got, err := r.AppendSome(dst, math.MaxInt)
	if err != nil {
		return dst[:n], err
	}
	return got, nil
}

// AppendSome appends up to limit bytes of the rest of the current frame to dst. On error dst is
// returned with what arrived.
func (r *Reader) AppendSome(dst []byte, limit int) ([]byte, error) {
	if r.err != nil {
		return dst, r.err
	}
	if n := min(len(r.prefix), limit); n > 0 {
		dst = append(dst, r.prefix[:n]...)
		r.prefix = r.prefix[n:]
		limit -= n
	}
	n := min(r.left, int64(limit))
	if n == 0 {
		return dst, nil
	}
	dst, err := r.blockIn.appendTo(dst, n)
	if err != nil {
		r.err = cut(err)
		return dst, r.err
	}
	r.left -= n
	return dst, nil
}

// cut returns the error for an input that ended with err inside an element.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read matroska: %w", err)
}

// fail makes an Error for the element id; parent is where it was found.
func fail(id, parent uint32, off int64, format string, args ...any) *Error {
	return &Error{Offset: off, Element: pathOf(id, parent), Reason: fmt.Sprintf(format, args...)}
}

// tooLarge makes an Error for an element of size bytes, more than its limit.
func tooLarge(id, parent uint32, off, size, limit int64) *Error {
	err := fail(id, parent, off, "%d bytes, more than the limit of %d", size, limit)
	err.TooLarge = true
	err.Kind = errorKind(id)
	return err
}

// place returns the ID of the innermost streamed element that we are in, or atTop.
func (r *Reader) place() uint32 {
	switch {
	case r.inCluster:
		return idCluster
	case r.inSegment:
		return idSegment
	}
	return atTop
}

// end returns the offset that no element may pass, or unknownSize.
func (r *Reader) end() int64 {
	switch {
	case r.inCluster && r.clusterEnd != unknownSize:
		return r.clusterEnd
	case r.inSegment:
		return r.segmentEnd
	}
	return unknownSize
}

func (r *Reader) advance() (Event, error) {
	if r.laces > 0 {
		if err := r.skipFrame(); err != nil {
			return Event{}, err
		}
		if r.lace++; r.lace < r.laces {
			return r.lacedFrame(), nil
		}
		r.laces = 0
		if cap(r.scratch) > keepScratch {
			r.group = input{} // a large BlockGroup
			r.dropScratch()
		}
	}
	for {
		// Here the cluster or segment ends; do not wait for another byte.
		if end := r.end(); end != unknownSize && r.in.off == end && !r.pending {
			if r.inCluster {
				return r.closeCluster(r.in.off)
			}
			r.inSegment = false
			continue
		}
		if !r.pending {
			if err := r.readHeader(); err != nil {
				if errors.Is(err, errBoundary) {
					return r.inputEnded()
				}
				return Event{}, err
			}
		}
		h := &r.next
		e := byID[h.id]
		if ended, err := r.endsHere(h, e); err != nil {
			return Event{}, err
		} else if ended {
			if r.inCluster {
				r.pending = true
				return r.closeCluster(h.off)
			}
			r.inSegment = false
		}
		r.pending = false
		if err := r.checkSize(h, e); err != nil {
			return Event{}, err
		}
		if r.trace != nil {
			depth := 0
			if r.inSegment {
				depth++
			}
			if r.inCluster {
				depth++
			}
			r.trace(depth, h)
		}
		ev, err := r.element(h, e)
		if err != nil {
			return Event{}, err
		}
		if ev.Kind != 0 {
			return ev, nil
		}
	}
}

// endsHere reports whether the element h ends the current cluster or segment. An element in the
// wrong place is an error.
func (r *Reader) endsHere(h *header, e *element) (bool, error) {
	place := r.place()
	r.begun = r.begun || h.id == idEBML
	if !r.begun && h.id != idTags {
		// Not even Void: the middle of a frame may look like one, and would be skipped silently.
		return false, fail(h.id, place, h.off, "no EBML header before it")
	}
	if e == nil && place != atTop || e != nil && (e.parent == anywhere || e.parent == place) {
		return false, nil
	}
	switch {
	case e == nil:
		return false, fail(h.id, place, h.off, "not an element of a Matroska document")
	case place == atTop && h.id == idTags:
		// The AWS SDK opens a body with a left-over END_OF_FRAGMENT tag and no document around it.
		return false, nil
	case place == idCluster && r.clusterEnd == unknownSize &&
		(e.parent == idSegment || e.parent == atTop),
		place == idSegment && r.segmentEnd == unknownSize && e.parent == atTop:
		return true, nil
	case place == atTop:
		return false, fail(h.id, place, h.off, "not allowed outside of a %s", nameOf(e.parent))
	}
	return false, fail(h.id, place, h.off, "not allowed in a %s", nameOf(place))
}

// checkSize checks the element against its limit and its parents.
func (r *Reader) checkSize(h *header, e *element) error {
	place := r.place()
	if e != nil && e.kind == refused {
		return fail(h.id, place, h.off, "encrypted frames are not supported")
	}
	end := r.end()
	if h.size == unknownSize {
		if e == nil || e.kind != streamed {
			return fail(h.id, place, h.off, "unknown size, which only Segment and Cluster may have")
		}
		if end != unknownSize && r.in.off > end {
			return fail(h.id, place, h.off, "goes past the end of its %s", nameOf(place))
		}
		return nil
	}
	stop := r.in.off + h.size // below 2^57
	if end != unknownSize && stop > end {
		return fail(h.id, place, h.off, "ends at byte %d, past the end of its %s at %d", stop,
			nameOf(place), end)
	}
	if l := r.limits.limit(e); l >= 0 && h.size > l {
		return tooLarge(h.id, place, h.off, h.size, l)
	}
	if r.inCluster {
		return r.checkCluster(stop)
	}
	return nil
}

// checkCluster checks the cluster against Limits.Fragment when it reaches to the offset stop.
func (r *Reader) checkCluster(stop int64) error {
	if n := stop - r.clusterOff + r.stripped; n > r.limits.Fragment {
		return tooLarge(idCluster, idSegment, r.clusterOff, n, r.limits.Fragment)
	}
	return nil
}

// inputEnded handles the end of the input between two elements.
func (r *Reader) inputEnded() (Event, error) {
	err := r.in.err
	// a cluster whose ClusterEnd is due
	open := r.inCluster && r.clusterEnd == unknownSize && r.hasTimecode
	inside := r.inCluster && !open || r.inSegment && r.segmentEnd != unknownSize
	r.between = !inside
	if err != io.EOF || inside {
		err = cut(err)
	}
	if !open {
		return Event{}, err
	}
	r.inCluster = false
	r.err = err
	return Event{Kind: ClusterEnd, Offset: r.in.off}, nil
}

// closeCluster ends the cluster at the offset off.
func (r *Reader) closeCluster(off int64) (Event, error) {
	r.inCluster = false
	if !r.hasTimecode {
		return Event{}, fail(idCluster, idSegment, r.clusterOff, "no Timestamp in the cluster")
	}
	return Event{Kind: ClusterEnd, Offset: off, Complete: true}, nil
}

// element handles the element h. The event has no Kind if there is nothing to report.
func (r *Reader) element(h *header, e *element) (Event, error) {
	if e == nil || e.kind == skipped {
		return Event{}, r.skip(h)
	}
	switch h.id {
	case idEBML:
		return Event{}, r.readEBML(h)
	case idSegment:
		return r.openSegment(h)
	case idInfo:
		return Event{}, r.readInfo(h)
	case idTracks:
		if err := r.readTracks(h); err != nil {
			return Event{}, err
		}
		return Event{Kind: TracksReady, Offset: h.off}, nil
	case idTags:
		tags, err := r.readTags(h)
		if err != nil {
			return Event{}, err
		}
		return Event{Kind: TagsEvent, Offset: h.off, Tags: tags}, nil
	case idCluster:
		r.openCluster(h)
		return Event{}, nil
	case idTimestamp:
		return r.readTimestamp(h)
	case idSimpleBlock:
		if err := r.checkBlock(h.id, h.off); err != nil {
			return Event{}, err
		}
		r.frame = Event{Kind: Frame, Offset: h.off}
		r.duration = -1
		return r.openBlock(&r.in, h.id, r.in.off+h.size)
	case idBlockGroup:
		return r.readBlockGroup(h)
	}
	// not reached: the table has no other children of streamed elements
	return Event{}, fail(h.id, r.place(), h.off, "not allowed here")
}

// readEBML begins a document.
func (r *Reader) readEBML(h *header) error {
	r.header, r.collecting = nil, true
	r.segmentUID, r.tracks, r.encodings = nil, nil, nil
	r.giveBack(&r.heldHeader)
	r.giveBack(&r.heldTracks)
	at := r.in.off
	data, err := r.body(h)
	if err != nil {
		return err
	}
	r.lastEBML = len(r.header)
	return r.parseEBML(data, at)
}

// openSegment begins a Segment, and a document if it is not the first after its EBML header.
func (r *Reader) openSegment(h *header) (Event, error) {
	if r.lastEBML == 0 {
		return Event{}, fail(h.id, atTop, h.off, "no EBML header before it")
	}
	r.header = append(r.header[:r.lastEBML:r.lastEBML], h.raw[:h.n]...)
	r.giveBack(&r.heldHeader)
	r.giveBack(&r.heldTracks)
	r.collecting, r.seenCluster, r.trackCount = true, false, 0
	r.segmentUID, r.tracks, r.encodings, r.scale = nil, nil, nil, defaultTimestampScale
	r.inSegment, r.segmentEnd = true, unknownSize
	if h.size != unknownSize {
		r.segmentEnd = r.in.off + h.size
	}
	return Event{Kind: DocumentStart, Offset: h.off}, nil
}

// openCluster begins a cluster; its Timestamp is still to come.
func (r *Reader) openCluster(h *header) {
	r.collecting, r.seenCluster = false, true
	r.inCluster, r.hasTimecode = true, false
	r.clusterOff, r.clusterEnd, r.stripped = h.off, unknownSize, 0
	if h.size != unknownSize {
		r.clusterEnd = r.in.off + h.size
	}
}

func (r *Reader) readTimestamp(h *header) (Event, error) {
	if r.hasTimecode {
		return Event{}, fail(h.id, idCluster, h.off, "a second one in the cluster")
	}
	if err := r.in.need(int(h.size)); err != nil {
		return Event{}, cut(err)
	}
	v := uintOf(r.in.take(int(h.size)))
	if v > uint64(maxTime/r.scale) {
		return Event{}, fail(h.id, idCluster, h.off, "%d is out of range", v)
	}
	r.timecode, r.hasTimecode = int64(v), true
	return Event{Kind: ClusterStart, Offset: r.clusterOff, Timecode: r.timecode}, nil
}
