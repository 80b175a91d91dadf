// Package store defines what Weir keeps and what a store promises: streams, fragments, playback
// sessions and documents, their errors, and the contract (contract.go) in four roles. It has no
// engine: local and cluster are engines, memory is the contract in its plainest form, record has
// the bytes that engines share, and storetest the contract as tests.
package store

import (
	"cmp"
	"errors"
	"io"
	"math"
	"time"

	"weir/internal/media"
)

// Errors that callers distinguish with errors.Is. Everything else is an internal fault.
var (
	ErrNotFound = errors.New("not found")                          // stream, fragment, session …
	ErrExists   = errors.New("already exists")                     // a name, number or ID is taken
	ErrVersion  = errors.New("version mismatch")                   // another is there
	ErrRaced    = errors.New("another fragment took its place")    // Record.Arrival says which
	ErrGone     = errors.New("fragment gone")                      // past retention or deleted
	ErrFull     = errors.New("no space left")                      // nothing more becomes durable
	ErrLost     = errors.New("no longer the file that was opened") // deleted, moved or replaced
	ErrLocked   = errors.New("data directory is in use")           // by another process
	ErrCorrupt  = errors.New("stored data is damaged")             // by checksum or rule
	ErrKey      = errors.New("the key of encrypted data is not here")
	ErrAway     = errors.New("the store is out of reach") // and may be back soon
)

// StreamID names a stream for its whole life. A stream that is deleted and created again gets a new
// one. It is 32 lower-case hex digits.
type StreamID string

// Valid reports whether id has the form of a stream ID.
func (id StreamID) Valid() bool {
	if len(id) != 32 {
		return false
	}
	for i := range len(id) {
		if (id[i] < '0' || id[i] > '9') && (id[i] < 'a' || id[i] > 'f') {
			return false
		}
	}
	return true
}

// Stream is a named, versioned resource with a retention period.
type Stream struct {
	ID             StreamID
	Name           string            // unique among the streams that are not deleted
	CreatedMillis  int64             // milliseconds since the Unix epoch; the suffix of its ARN
	Version        string            // 20 random alphanumerics, new after each update
	RetentionHours int               // 0: fragments are only kept in memory
	DeviceName     string            // opaque, may be empty
	MediaType      string            // opaque, may be empty
	KMSKeyID       string            // opaque, may be empty
	StorageTier    string            // TierHot or TierWarm; empty: TierHot
	Tags           map[string]string // never nil when returned by the store
	// the stream's configuration, in the API's own encoding; opaque, may be empty
	Settings  string
	NumberTag uint64 // random; the low 64 bits of the stream's fragment numbers
}

// Update lets change change a stream under the rules of Streams.UpdateStream, and gives it the
// version next. After an error the stream may be changed in part.
func (s *Stream) Update(version, next string, change func(*Stream) error) error {
	if version != "" && version != s.Version {
		return ErrVersion
	}
	was := *s
	if err := change(s); err != nil {
		return err
	}
	if s.RetentionHours < 0 {
		return errors.New("retention is negative")
	}
	s.ID, s.Name, s.CreatedMillis, s.NumberTag = was.ID, was.Name, was.CreatedMillis, was.NumberTag
	s.Version = next
	return nil
}

// Storage tiers of a stream (KVS DefaultStorageTier): where its fragments are once they are sealed,
// on the disk or, if there is one, in an object store.
const (
	TierHot  = "HOT"
	TierWarm = "WARM"
)

// RetentionEdge is the server timestamp, milliseconds since the Unix epoch, before which fragments
// are past retention.
func (s *Stream) RetentionEdge(now time.Time) int64 {
	return now.Add(-time.Duration(s.RetentionHours) * time.Hour).UnixMilli()
}

// StoredEdge is RetentionEdge for fragments that have rows. Without retention all of them are past
// it, whatever the clock says, because such a stream keeps its fragments in memory.
func (s *Stream) StoredEdge(now time.Time) int64 {
	if s.RetentionHours == 0 {
		return math.MaxInt64
	}
	return s.RetentionEdge(now)
}

// TimestampKind says which of a fragment's two timestamps a query uses.
type TimestampKind uint8

// The two timestamps of a fragment (KVS FragmentSelectorType).
const (
	ServerTimestamp TimestampKind = iota
	ProducerTimestamp
)

// Order is the order in which List returns fragments, and which end a Limit keeps.
type Order uint8

// Orders of List.
const (
	ByNumber       Order = iota // ingest order, oldest first
	ByNumberNewest              // ingest order, newest first
	BySequence                  // commit order, oldest first: what a tail reader follows
)

// TimeRange is a range of time on one of the two clocks, in milliseconds since the Unix epoch, both
// ends included. math.MinInt64 and math.MaxInt64 mean no bound.
type TimeRange struct {
	Clock      TimestampKind
	Start, End int64
}

// Contains reports whether a fragment starts in r.
func (r *TimeRange) Contains(f *FragmentInfo) bool {
	ts := f.ServerTimestamp
	if r.Clock == ProducerTimestamp {
		ts = f.ProducerTimestamp
	}
	return r.Start <= ts && ts <= r.End
}

// Query selects fragments of one stream. The zero value selects all that are within retention.
type Query struct {
	Range         *TimeRange // only fragments that start in it; nil: all
	AfterSequence int64      // only fragments with a greater commit sequence
	After         Number     // only greater numbers, for ByNumberNewest smaller ones; 0: all
	Order         Order
	Limit         int // at most so many; 0: no limit
}

// Selects reports whether q selects a fragment, without regard to its Limit.
func (q *Query) Selects(f *FragmentInfo) bool {
	if (q.Range != nil && !q.Range.Contains(f)) || f.Sequence <= q.AfterSequence {
		return false
	}
	if q.After == 0 {
		return true
	}
	if q.Order == ByNumberNewest {
		return f.Number < q.After
	}
	return f.Number > q.After
}

// Compare compares two fragments in q's order: negative when a comes first.
func (q *Query) Compare(a, b *FragmentInfo) int {
	switch q.Order {
	case ByNumberNewest:
		return cmp.Compare(b.Number, a.Number)
	case BySequence:
		return cmp.Compare(a.Sequence, b.Sequence)
	}
	return cmp.Compare(a.Number, b.Number)
}

// Span is one track's share of a fragment, enough to write a playlist entry without reading the
// fragment.
type Span struct {
	Track          int   // track number
	BaseDecodeTime int64 // as in media.Run
	Duration       int64 // ticks of the track's timescale
	Size           int64 // payload bytes, including those that belong to no access unit
	Frames         int   // access units with something to present; parameter sets alone are none
	KeyStart       bool  // media.Frame.Key of the first access unit
	FirstSize      int64 // bytes of the first access unit
	Reorder        int64 // media.Run.Reorder, ticks
	Traits         media.Traits
}

// FragmentInfo is what the index knows about a stored fragment.
type FragmentInfo struct {
	Number            Number // ingest order
	Sequence          int64  // commit order, from 1 and without gaps within the stream
	ProducerTimestamp int64  // milliseconds since the Unix epoch
	ServerTimestamp   int64  // milliseconds since the Unix epoch
	TrackSet          int64  // its set of tracks and codec private data: TrackSet of the store
	Spans             []Span // one for each track that has frames, in the producer's order
	PayloadCRC        uint32 // CRC32C of the payload
	Partial           bool   // as in media.Fragment
	Location          Location
}

// Size is the number of payload bytes of all tracks.
func (f *FragmentInfo) Size() int64 {
	var n int64
	for i := range f.Spans {
		n += f.Spans[i].Size
	}
	return n
}

// Span returns the span of a track, or nil when the fragment has nothing of it to present.
func (f *FragmentInfo) Span(track int) *Span {
	for i := range f.Spans {
		if f.Spans[i].Track == track && f.Spans[i].Frames > 0 {
			return &f.Spans[i]
		}
	}
	return nil
}

// SpansOf returns the spans of a fragment, one for each run.
func SpansOf(f *media.Fragment) []Span {
	if len(f.Runs) == 0 {
		return nil
	}
	spans := make([]Span, len(f.Runs))
	for i := range f.Runs {
		r := &f.Runs[i]
		spans[i] = Span{Track: r.Track, BaseDecodeTime: r.BaseDecodeTime, Size: r.Size()}
		if u := r.Units(); len(u.Frames) > 0 {
			s, first := &spans[i], &u.Frames[0]
			s.Duration, s.Frames = u.Duration(), len(u.Frames)
			s.KeyStart, s.FirstSize = first.Key, int64(first.Size)
			s.Reorder, s.Traits = u.Reorder(), u.Traits()
		}
	}
	return spans
}

// Location says where a record is.
type Location struct {
	Volume     string // name of the volume or object; empty: only in memory
	Offset     int64  // of the record's first byte
	Length     int64  // of the whole record
	MetaLength int64  // of the record's header and metadata, before the payload
}

// Record is one fragment to be appended.
type Record struct {
	media.Fragment
	Number  Number
	Payload [][]byte // Payload[i] holds the frames of Runs[i], back to back
	Arrival *Arrival // how it arrived; nil: it is stored without regard to resends
}

// Arrival says how a record arrived, so that every process can recognise a fragment that its
// producer sends again. The appender has compared the record with the fragments at its place; any
// that came there since would have to be compared too.
//
// The place of a record is its producer timestamp. Where timecodes are relative, that changes with
// each connection, and the place is the document's SegmentUID and the timecode; fragments of the
// same connection then do not count.
type Arrival struct {
	// the stream's commit sequence up to which the appender has seen all that is at the place
	Seen       int64
	Document   string // SegmentUID, raw; "": timecodes are absolute
	Connection string // random; "" when timecodes are absolute
}

// ResendWindow is how long after it was stored a fragment with relative timecodes may be sent
// again. Producers reconnect at once and send what is in their buffer, which holds 120 s
// (docs/reference/producers.md, "Reconnecting"). It must be shorter than the shortest life of a
// token, 15 minutes (sts AssumeRole, DurationSeconds), after which timecodes start again.
const ResendWindow = 10 * time.Minute

// Arrived is a stored fragment that another connection brought to a place.
type Arrived struct {
	Number   Number
	Sequence int64
}

// Media is an opened fragment: its metadata in memory, its payload still where it is stored.
type Media interface {
	// Fragment is the metadata; the caller must not change it.
	Fragment() *media.Fragment
	// Payload returns the bytes of a run (index into Fragment().Runs), with its frames back to
	// back. The first call may read the whole payload to verify it: ErrCorrupt when any run is
	// damaged. Not for concurrent use.
	Payload(run int) (Range, error)
	io.Closer
}

// Session is a registered playback session. The token in a session's URL names it; everything else
// is here.
type Session struct {
	ID            string // 16 random bytes, raw
	Stream        StreamID
	Kind          uint8 // set by playback: sessions of one stream and kind are counted together
	CreatedMillis int64
	ExpiresMillis int64
	Parameters    []byte // the request in playback's own encoding; opaque to the store
	Checkpoint    []byte // how far the timeline has got, in playback's encoding; nil at first
	Principal     string // ARN of the principal who opened it; "": unknown
	Address       string // of the client that the session is bound to; "": none
}

// Size is about how many bytes the session takes on disk.
func (s *Session) Size() int64 {
	return int64(len(s.Parameters)+len(s.Checkpoint)+len(s.Principal)+len(s.Address)) + 256
}

// SessionQuery selects open sessions. The zero value selects all.
type SessionQuery struct {
	Stream    StreamID // "": of all streams
	Principal string   // ARN of the principal who opened them; "": any
	After     string   // sessions with greater IDs, in byte order
	Limit     int      // at most so many; 0: no limit
}

// Matches reports whether the query selects a session, without regard to its Limit.
func (q *SessionQuery) Matches(s *Session) bool {
	return (q.Stream == "" || s.Stream == q.Stream) &&
		(q.Principal == "" || s.Principal == q.Principal) && s.ID > q.After
}
