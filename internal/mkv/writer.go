package mkv

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"weir/internal/media"
)

// Header describes what a Writer writes before its clusters.
type Header struct {
	Tracks         []media.Track // at least one
	SegmentUID     []byte        // 16 bytes, or empty for none
	TimestampScale int64         // nanoseconds per unit of the timecodes, 0 for 1,000,000
	Title          string        // may be empty
	MuxingApp      string        // "weir" when empty
	WritingApp     string        // "weir" when empty
}

// Writer writes live Matroska as the AWS producer SDK does: Segment and Clusters of unknown size
// (one byte, 0xFF), 8-byte timestamps, SimpleBlocks, Tags at level 1. It keeps no media: each call
// writes what it was given, a frame's bytes straight from the caller's slice. The caller may write
// a header without clusters, clusters without a header, or only Tags.
type Writer struct {
	w          io.Writer
	buf        []byte
	inCluster  bool
	clusterPTS int64
}

// NewWriter returns a Writer to w. It calls w.Write twice for a frame and once for anything else;
// buffer w if that matters.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// WriteHeader writes the EBML header, the Segment's ID and unknown size, Info and Tracks.
func (w *Writer) WriteHeader(h Header) error {
	if len(h.Tracks) == 0 {
		return errors.New("write matroska header: no tracks")
	}
	if len(h.SegmentUID) != 0 && len(h.SegmentUID) != 16 {
		return fmt.Errorf("write matroska header: segment UID of %d bytes, not 16",
			len(h.SegmentUID))
	}
	if h.TimestampScale < 0 || h.TimestampScale > maxTimestampScale {
		return fmt.Errorf("write matroska header: timestamp scale %d is out of range",
			h.TimestampScale)
	}
	if h.TimestampScale == 0 {
		h.TimestampScale = defaultTimestampScale
	}
	b := w.buf[:0]
	b, m := openMaster(b, idEBML)
	b = appendUint(b, idEBMLVersion, 1)
	b = appendUint(b, idEBMLReadVersion, 1)
	b = appendUint(b, idEBMLMaxIDLength, 4)
	b = appendUint(b, idEBMLMaxSizeLength, 8)
	b = appendBytes(b, idDocType, "matroska")
	b = appendUint(b, idDocTypeVersion, 2)
	b = appendUint(b, idDocTypeReadVersion, 2)
	closeMaster(b, m)
	b = append(appendID(b, idSegment), 0xFF)

	b, m = openMaster(b, idInfo)
	if len(h.SegmentUID) > 0 {
		b = appendBytes(b, idSegmentUUID, h.SegmentUID)
	}
	b = appendUint(b, idTimestampScale, uint64(h.TimestampScale))
	if h.Title != "" {
		b = appendBytes(b, idTitle, h.Title)
	}
	b = appendBytes(b, idMuxingApp, cmp.Or(h.MuxingApp, "weir"))
	b = appendBytes(b, idWritingApp, cmp.Or(h.WritingApp, "weir"))
	closeMaster(b, m)

	b, m = openMaster(b, idTracks)
	for i := range h.Tracks {
		var err error
		if b, err = appendTrack(b, &h.Tracks[i]); err != nil {
			return fmt.Errorf("write matroska header: %w", err)
		}
	}
	closeMaster(b, m)
	w.inCluster = false
	return w.flush(b)
}

// WriteCluster begins a cluster of unknown size; timecode (0 or more) is in TimestampScale units.
func (w *Writer) WriteCluster(timecode int64) error {
	if timecode < 0 {
		return fmt.Errorf("write matroska cluster: negative timecode %d", timecode)
	}
	w.inCluster, w.clusterPTS = true, timecode
	return w.flush(AppendCluster(w.buf[:0], timecode))
}

// AppendCluster appends the head of a cluster of unknown size, which lasts while only blocks follow
// it. timecode (0 or more) is in TimestampScale units.
func AppendCluster(b []byte, timecode int64) []byte {
	b = append(appendID(b, idCluster), 0xFF)
	b = append(appendID(b, idTimestamp), 0x88)
	return binary.BigEndian.AppendUint64(b, uint64(timecode))
}

// WriteFrame writes a SimpleBlock of one frame. timecode is absolute, in TimestampScale units, and
// at most 32767 away from the cluster's.
func (w *Writer) WriteFrame(track int, timecode int64, key bool, data []byte) error {
	if !w.inCluster {
		return errors.New("write matroska frame: no cluster begun")
	}
	if track < 1 || track > maxTrackNumber {
		return fmt.Errorf("write matroska frame: bad track number %d", track)
	}
	rel := timecode - w.clusterPTS
	if rel < math.MinInt16 || rel > math.MaxInt16 {
		return fmt.Errorf("write matroska frame: timecode %d is too far from the cluster's %d",
			timecode, w.clusterPTS)
	}
	b := AppendBlock(w.buf[:0], track, int16(rel), key, len(data))
	if err := w.flush(b); err != nil {
		return err
	}
	return w.write(data)
}

// MaxBlockHead is the most bytes that AppendBlock appends.
const MaxBlockHead = 1 + 8 + 8 + 3

// AppendBlock appends the head of a SimpleBlock of one frame, whose size bytes follow. rel is its
// time relative to its cluster's, in TimestampScale units.
func AppendBlock(b []byte, track int, rel int16, key bool, size int) []byte {
	n := sizeLen(int64(track))
	b = appendSize(appendID(b, idSimpleBlock), int64(n+3+size), 8)
	b = appendSize(b, int64(track), n)
	flags := byte(0)
	if key {
		flags = flagKey
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(rel)), flags)
}

// WriteTags writes a Tags element with one Tag that holds all the tags, which ends the current
// cluster. All sizes take 4 bytes, as in the tags that GetMedia puts around the producer's
// clusters.
func (w *Writer) WriteTags(tags []media.Tag) error {
	w.inCluster = false
	return w.flush(AppendTags(w.buf[:0], tags))
}

// AppendTags appends what WriteTags writes.
func AppendTags(b []byte, tags []media.Tag) []byte {
	b, all := openMaster(b, idTags)
	b, one := openMaster(b, idTag)
	for _, t := range tags {
		var m int
		b, m = openMaster(b, idSimpleTag)
		b = append(appendSize(appendID(b, idTagName), int64(len(t.Name)), 4), t.Name...)
		b = append(appendSize(appendID(b, idTagString), int64(len(t.Value)), 4), t.Value...)
		closeMaster(b, m)
	}
	closeMaster(b, one)
	closeMaster(b, all)
	return b
}

// flush writes b and keeps its memory for the next call.
func (w *Writer) flush(b []byte) error {
	w.buf = b[:0]
	return w.write(b)
}

func (w *Writer) write(b []byte) error {
	if _, err := w.w.Write(b); err != nil {
		return fmt.Errorf("write matroska: %w", err)
	}
	return nil
}

// appendTrack appends a TrackEntry in the order of children that the AWS SDK uses.
func appendTrack(b []byte, t *media.Track) ([]byte, error) {
	if t.Number < 1 || t.Number > maxTrackNumber {
		return nil, fmt.Errorf("bad track number %d", t.Number)
	}
	if t.Kind == 0 || t.CodecID == "" {
		return nil, fmt.Errorf("track %d has no kind or no codec ID", t.Number)
	}
	b, entry := openMaster(b, idTrackEntry)
	b = appendUint(b, idTrackNumber, uint64(t.Number))
	b = appendUint(b, idTrackUID, uint64(t.Number))
	b = appendUint(b, idTrackType, uint64(t.Kind))
	if t.Name != "" {
		b = appendBytes(b, idName, t.Name)
	}
	b = appendBytes(b, idCodecID, t.CodecID)
	if t.DefaultDuration > 0 {
		b = appendUint(b, idDefaultDuration, uint64(t.DefaultDuration))
	}
	switch {
	case t.Kind == media.Video && t.Width > 0 && t.Height > 0:
		var m int
		b, m = openMaster(b, idVideo)
		b = appendUint(b, idPixelWidth, uint64(t.Width))
		b = appendUint(b, idPixelHeight, uint64(t.Height))
		closeMaster(b, m)
	case t.Kind == media.Audio && t.SampleRate > 0:
		var m int
		b, m = openMaster(b, idAudio)
		b = append(appendID(b, idSamplingFrequency), 0x88)
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(float64(t.SampleRate)))
		b = appendUint(b, idChannels, uint64(max(t.Channels, 1)))
		closeMaster(b, m)
	}
	if len(t.CodecPrivate) > 0 {
		b = appendBytes(b, idCodecPrivate, t.CodecPrivate)
	}
	closeMaster(b, entry)
	return b, nil
}

func appendID(b []byte, id uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if id>>shift != 0 {
			b = append(b, byte(id>>shift))
		}
	}
	return b
}

// sizeLen returns the bytes that a size needs; all ones is reserved.
func sizeLen(n int64) int {
	l := 1
	for n >= 1<<(7*l)-1 {
		l++
	}
	return l
}

// appendSize appends a size of n in length bytes.
func appendSize(b []byte, n int64, length int) []byte {
	v := uint64(n) | 1<<(7*length)
	for i := length - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

// openMaster appends the ID and 4 bytes for the size, which closeMaster fills in; at is where the
// children begin.
func openMaster(b []byte, id uint32) (_ []byte, at int) {
	b = append(appendID(b, id), 0, 0, 0, 0)
	return b, len(b)
}

func closeMaster(b []byte, at int) {
	binary.BigEndian.PutUint32(b[at-4:], uint32(len(b)-at)|1<<28)
}

func appendBytes[T string | []byte](b []byte, id uint32, v T) []byte {
	return append(appendSize(appendID(b, id), int64(len(v)), sizeLen(int64(len(v)))), v...)
}

// appendUint appends an unsigned integer in as few bytes as it needs, at least one.
func appendUint(b []byte, id uint32, v uint64) []byte {
	n := 1
	for n < 8 && v>>(8*n) != 0 {
		n++
	}
	b = append(appendID(b, id), 0x80|byte(n))
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}
