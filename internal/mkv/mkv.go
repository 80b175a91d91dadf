// Package mkv reads and writes the Matroska (RFC 9559, over EBML, RFC 8794) that Kinesis Video
// Streams producers send and consumers read: an endless stream of clusters, not a file.
//
// The Reader is built for hostile input. It pulls events from an io.Reader and returns each event
// as soon as its last byte has arrived. Its memory is bounded by its Limits and by what has
// arrived: it checks a declared size against the table of elements (elements.go) and never
// allocates it in advance.
//
// The Writer writes what the AWS producer SDK writes: Segment and Cluster of unknown size,
// SimpleBlocks, level-1 Tags.
package mkv

import (
	"errors"
	"fmt"
	"math"

	"weir/internal/media"
)

// EventKind says what an Event is about.
type EventKind uint8

// The events of a Matroska stream, in the order in which a well-formed document has them.
const (
	// DocumentStart: an EBML header and the Segment after it begin. A body may hold several
	// documents.
	DocumentStart EventKind = iota + 1
	// TracksReady: a Tracks element was read, and Reader.Tracks returns the new set. A document may
	// have several.
	TracksReady
	// ClusterStart: a Cluster begins and its Timestamp (Event.Timecode) is known.
	ClusterStart
	// Frame: one coded frame; AppendPayload returns its bytes.
	Frame
	// TagsEvent: a level-1 Tags element was read (Event.Tags), before, between or after clusters.
	TagsEvent
	// ClusterEnd: the cluster has ended; see Event.Complete.
	ClusterEnd
)

var eventNames = [...]string{DocumentStart: "document", TracksReady: "tracks",
	ClusterStart: "cluster", Frame: "frame", TagsEvent: "tags", ClusterEnd: "cluster-end"}

// String returns the event's name as Dump prints it.
func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is one step through a Matroska stream. Kind decides which fields are set.
type Event struct {
	Kind EventKind
	// bytes from the start of the input to the element (ClusterEnd: to the end of the cluster)
	Offset int64

	// Timecode is in TimestampScale units. ClusterStart: the raw Timestamp of the cluster. Frame:
	// cluster plus the block's signed relative timestamp, so it may be negative.
	Timecode int64

	// Frame only.
	Track    int   // TrackNumber, 1 or more; it need not be one of Tracks()
	Size     int   // bytes that AppendPayload returns
	Duration int64 // the frame's part of BlockDuration, in TimestampScale units, or -1
	// Key is the key flag of a SimpleBlock; for a BlockGroup, that it has no ReferenceBlock.
	Key bool
	// KeyUnknown: Key is true only because a BlockGroup has no ReferenceBlock. GStreamer's
	// matroskamux version=1 never writes one, so that only the bitstream reports whether such a
	// video frame is a key frame (docs/reference/producers.md, "Other muxers").
	KeyUnknown bool
	// Laced: the second or a later frame of a laced block. It has no time of its own: Timecode is
	// computed from DefaultDuration or BlockDuration, and -1 if there is neither.
	Laced bool
	// Compressed: Inflate must decompress the payload. Only with Limits.Zlib.
	Compressed bool
	// DiscardPadding is the length in nanoseconds to cut from the end (negative: start) of the
	// decoded audio, 0 when absent.
	DiscardPadding int64

	// Tags of a TagsEvent, in order. Left out are tags that target a track, edition, chapter or
	// attachment, binary values, and SimpleTags nested in SimpleTags. Names and values are as sent,
	// up to the first NUL, and need not be UTF-8.
	Tags []media.Tag

	// Complete, for ClusterEnd: the cluster's known size was used up, or another element ended a
	// cluster of unknown size. False when the input stopped between two elements of a cluster of
	// unknown size.
	Complete bool
}

// Limits bound what a Reader accepts. All are in bytes unless said otherwise.
type Limits struct {
	// everything kept from the EBML header to the first cluster, and the Tracks element
	Header       int64
	CodecPrivate int64 // one CodecPrivate
	Fragment     int64 // one Cluster with its header, and so one block
	Tags         int64 // one Tags element
	TagName      int64 // one TagName
	TagString    int64 // one TagString
	TagCount     int   // number of SimpleTags in one Tags element
	Tracks       int   // number of TrackEntries
	Skip         int64 // one skipped element: Void, Cues, Attachments, unknown ones
	// Zlib accepts tracks whose frames are compressed with zlib. A byte may become a thousand, so
	// it is only for trusted files.
	Zlib bool
}

// DefaultLimits are the limits for PutMedia. They only keep a hostile body small. They exceed the
// limits of the API (fragment size 50 MB, 10 tags of 128 + 256 bytes, 3 tracks), which package
// ingest enforces because it knows what to answer.
func DefaultLimits() Limits {
	return Limits{
		Header:       2 << 20,
		CodecPrivate: 1 << 20, // quota: codec private data
		Fragment:     51 << 20,
		Tags:         256 << 10,
		TagName:      1 << 10,
		TagString:    64 << 10,
		TagCount:     256,
		Tracks:       64,
		Skip:         64 << 20,
	}
}

// FileLimits are the limits for a trusted file, whose tags and attachments may be large.
func FileLimits() Limits {
	l := DefaultLimits()
	l.Header, l.Tags, l.TagName, l.TagString = 64<<20, 32<<20, 32<<20, 32<<20
	l.TagCount, l.Skip, l.Zlib = 1<<20, math.MaxInt64, true
	return l
}

// ErrorKind says which error acknowledgement of PutMedia fits an Error.
type ErrorKind uint8

const (
	// Invalid: not Matroska, or Matroska that cannot be taken (INVALID_MKV_DATA, 4006).
	Invalid ErrorKind = iota
	// FragmentSize: a cluster or block is larger than Limits.Fragment (MAX_FRAGMENT_SIZE_REACHED,
	// 4001).
	FragmentSize
	// Metadata: tags are larger or more than the limits (FRAGMENT_METADATA_LIMIT_REACHED, 4009).
	Metadata
	// NoDocument: something other than an EBML header or well-formed Tags came before the first
	// EBML header of the input, as when a producer continues in the middle of a cluster on a new
	// connection (STREAM_READ_ERROR, 4000).
	NoDocument
)

// ErrTooLarge is what errors.Is finds in an Error about a limit that was exceeded.
var ErrTooLarge = errors.New("matroska element too large")

// Error says why a stream of bytes is not accepted as Matroska.
type Error struct {
	Offset   int64     // bytes from the start of the input to the offending element or byte
	Element  string    // path of the element, such as "Segment/Tracks/TrackEntry/TrackNumber"
	Reason   string    // what is wrong with it
	Kind     ErrorKind // which acknowledgement fits
	TooLarge bool      // a limit was exceeded
}

// Error returns element, offset and reason in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("matroska: %s at byte %d: %s", e.Element, e.Offset, e.Reason)
}

// Is reports whether target is ErrTooLarge and a limit was exceeded.
func (e *Error) Is(target error) bool { return target == ErrTooLarge && e.TooLarge }
