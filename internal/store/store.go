// Package store says what Weir keeps and what a store promises: streams, fragments, playback
// sessions and documents, their errors, and the contract (contract.go) in four roles. It holds no
// engine; local is one, memory the contract in its plainest form, record the bytes that engines
// share, and storetest the contract as tests.
package store

import (
	"cmp"
	"errors"
	"io"
	"time"

	"weir/internal/media"
)

// Errors that callers tell apart with errors.Is. Everything else is an internal fault.
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

// StreamID names a stream for its whole life; a name that is deleted and created again gets
// another. It is 32 lower-case hex digits.
type StreamID string

// Valid tells whether id has the form of a stream ID.
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
	Version        string            // 20 random alphanumerics, another after each update
	RetentionHours int               // 0: fragments are kept in memory only
	DeviceName     string            // opaque, may be empty
	MediaType      string            // opaque, may be empty
	KMSKeyID       string            // opaque, may be empty
	StorageTier    string            // TierHot or TierWarm; empty: TierHot
	Tags           map[string]string // never nil when returned by the store
	// what is configured of it, in the API's own encoding; opaque, may be empty
	Settings  string
	NumberTag uint64 // random; the low 64 bits of the stream's fragment numbers
}

// Storage tiers of a stream (KVS DefaultStorageTier): where its fragments lie once they are sealed,
// on the disk or, when there is one, in an object store.
const (
	TierHot  = "HOT"
	TierWarm = "WARM"
)

// RetentionEdge is the server timestamp, milliseconds since the Unix epoch, before which fragments
// are past retention.
func (s *Stream) RetentionEdge(now time.Time) int64 {
	return now.Add(-time.Duration(s.RetentionHours) * time.Hour).UnixMilli()
}

// TimestampKind says which of a fragment's two timestamps a query looks at.
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

// TimeRange is a range of time on one of the two clocks, milliseconds since the Unix epoch, both
// ends included. math.MinInt64 and math.MaxInt64 bound nothing.
type TimeRange struct {
	Clock      TimestampKind
	Start, End int64
}

// Contains tells whether a fragment starts in r.
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
	Limit         int // at most so many; 0 means no limit
}

// Selects tells whether q selects a fragment, Limit aside.
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

// Compare orders fragments as q does: negative when a comes first.
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
	Size           int64 // payload bytes, of what belongs to no access unit too
	Frames         int   // access units with something to present; parameter sets alone are none
	KeyStart       bool  // media.Frame.Key of the first access unit
	FirstSize      int64 // bytes of the first access unit
	Reorder        int64 // media.Run.Reorder, ticks
	Traits         media.Traits
}

// FragmentInfo is what the index knows of a stored fragment.
type FragmentInfo struct {
	Number            Number // ingest order
	Sequence          int64  // commit order, gap-free from 1 within the stream
	ProducerTimestamp int64  // milliseconds since the Unix epoch
	ServerTimestamp   int64  // milliseconds since the Unix epoch
	TrackSet          int64  // which set of tracks and codec private data it has: Store.TrackSet
	Spans             []Span // one per track that has frames, in the order of the producer's Tracks
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

// SpansOf returns the spans of a fragment, one per run.
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

// Location says where a record lies.
type Location struct {
	Volume     string // name of the volume or object; empty: kept in memory only
	Offset     int64  // of the record's first byte
	Length     int64  // of the whole record
	MetaLength int64  // of the record's header and metadata, before the payload
}

// Record is one fragment to be appended.
type Record struct {
	media.Fragment
	Number  Number
	Payload [][]byte // Payload[i] holds the frames of Runs[i], back to back
	Arrival *Arrival // how it came; nil: it is stored whatever else there is
}

// Arrival says how a record came, so that a fragment that its producer sends again is recognised by
// whichever process it reaches. Whoever appends has compared it with the fragments at its place;
// what came there since would have to be compared too.
//
// The place of a record is its producer timestamp. That moves with each connection when timecodes
// are relative; then it is the document's SegmentUID and the timecode, and what came on the same
// connection does not count.
type Arrival struct {
	// the stream's commit sequence before which whoever appends has seen everything at the place,
	// itself included
	Seen       int64
	Document   string // SegmentUID, raw; "": timecodes are absolute
	Connection string // random; "" when timecodes are absolute
}

// ResendWindow is how long after it was stored a fragment with relative timecodes may be resent.
// Producers reconnect at once and send what is in their buffer, which holds 120 s
// (docs/reference/producers.md, "Reconnecting"). It is shorter than the shortest life of a token,
// 15 minutes (sts AssumeRole, DurationSeconds), after which timecodes begin again.
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
	// Payload returns the bytes of a run (index into Fragment().Runs), its frames back to back.
	// The first call may read the whole payload to verify it: ErrCorrupt when it is damaged, in
	// whichever run. Not for concurrent use.
	Payload(run int) (Range, error)
	io.Closer
}

// Session is a registered playback session. The token in a session's URL names it; everything else
// stands here.
type Session struct {
	ID            string // 16 random bytes, raw
	Stream        StreamID
	Kind          uint8 // playback's own: sessions of one stream and kind are counted together
	CreatedMillis int64
	ExpiresMillis int64
	Parameters    []byte // playback's own encoding of what was asked for; opaque to the store
	Checkpoint    []byte // playback's own, of how far the timeline got; opaque; nil at first
	Principal     string // ARN of whoever opened it; "": not known
	Address       string // of the client that the session is bound to; "": to none
}

// Size is about how many bytes the session takes on disk.
func (s *Session) Size() int64 {
	return int64(len(s.Parameters)+len(s.Checkpoint)+len(s.Principal)+len(s.Address)) + 256
}

// SessionQuery selects open sessions. The zero value selects all.
type SessionQuery struct {
	Stream    StreamID // "": of all streams
	Principal string   // ARN of whoever opened them; "": whoever it was
	After     string   // sessions whose IDs are greater, in byte order
	Limit     int      // at most so many; 0: no limit
}

// Matches reports whether the query selects a session, but for Limit.
func (q *SessionQuery) Matches(s *Session) bool {
	return (q.Stream == "" || s.Stream == q.Stream) &&
		(q.Principal == "" || s.Principal == q.Principal) && s.ID > q.After
}
