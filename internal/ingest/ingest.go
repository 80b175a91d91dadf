// Package ingest handles a PutMedia connection: Matroska comes in, acknowledgements go out, and
// fragments go to the store.
//
// A connection has three goroutines. One reads events from the Matroska reader and builds
// fragments. One makes each fragment durable, in order, while the next is being read. One writes
// acknowledgements, so that a producer that does not read them never stalls reading. DESIGN.md
// states the rules and their sources.
package ingest

import (
	"context"
	"log/slog"
	"time"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
)

// Appender stores fragments: a part of store.Fragments. Append and Replace must keep nothing of the
// record after they return, because its buffers are reused.
type Appender interface {
	// NextNumber returns the number for a new fragment.
	NextNumber(ctx context.Context, id store.StreamID) (store.Number, error)
	// Append makes the fragment durable before it returns.
	Append(ctx context.Context, id store.StreamID, rec *store.Record) (store.FragmentInfo, error)
	// Replace appends and deletes the fragment old in the same commit.
	Replace(
		ctx context.Context, id store.StreamID, old store.Number, rec *store.Record,
	) (store.FragmentInfo, error)
}

// Finder finds and reads stored fragments, to recognise resends: a part of store.Fragments.
type Finder interface {
	List(ctx context.Context, id store.StreamID, q store.Query) ([]store.FragmentInfo, error)
	Fragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	Open(ctx context.Context, id store.StreamID, f store.FragmentInfo) (store.Media, error)
	// Wait with -1 returns a commit sequence that every later List has seen.
	Wait(ctx context.Context, id store.StreamID, after int64) (int64, error)
}

// Store is the part of store.Store that a connection uses.
type Store interface {
	Appender
	Finder
}

// Arrivals is implemented by a store of many processes. It knows on which connections, in any
// process, fragments with relative timecodes came.
type Arrivals interface {
	// Arrived returns at most limit fragments that came to a place on other connections within
	// store.ResendWindow, newest first. It leaves out connections that ended properly.
	Arrived(ctx context.Context, id store.StreamID, a store.Arrival, timecode int64,
		limit int) ([]store.Arrived, error)
	// EndConnection says that a connection ended properly: none of its fragments comes again.
	EndConnection(ctx context.Context, id store.StreamID, connection string) error
}

// Deadlines are those of the HTTP connection; *http.ResponseController has them. Without them there
// is no idle timeout, and after a failure, or when the context ends, Run returns only at the next
// byte.
type Deadlines interface {
	// SetReadDeadline makes reading the body fail from then on. It may be called while a Read is
	// blocked.
	SetReadDeadline(t time.Time) error
	// SetWriteDeadline does the same for the acknowledgements. Run clears it at the start and sets
	// it at the end. An AckWriter must leave it alone: a producer may read nothing during an upload
	// of any length.
	SetWriteDeadline(t time.Time) error
}

// Limits of a connection. A zero field means its default. The numbers of four digits are errors of
// acknowledgements.
type Limits struct {
	// Of a fragment.
	FragmentBytes    int           // payload; default api.MaxFragmentBytes or Memory.Largest; 4001
	FragmentFrames   int           // default 65,536: 20 s of 3 tracks at 1,000 a second; 4001
	FragmentDuration time.Duration // presentation time; default api.MaxFragmentDuration; 4002
	Patience         time.Duration // wall clock before Rate counts; default api.MaxFragmentPatience
	Rate             int           // least bytes/s after that; default api.MinFragmentRate; 4002

	Tracks        int           // default api.MaxTracks; 4012
	MaxConnection time.Duration // no fragment starts later; default api.MaxPutMediaConnection; 4003
	Future        time.Duration // of a producer timestamp; default api.MaxProducerAhead; 4007
	IdleAck       time.Duration // between IDLE acknowledgements while idle; default 15 s
	InFlight      int           // fragments read but not durable before reading pauses; default 3
	MemoryWait    time.Duration // for Memory; default 10 s (producers bear 40 s); 5000
	Linger        time.Duration // to notice an ERROR before the connection is cut; default 3 s
	DrainLinger   time.Duration // to notice the last PERSISTED after Options.Drain; default 250 ms
}

// queuedAcks is how many acknowledgements wait for a slow reader: 3 MB at most.
const queuedAcks = 65_536

// ackDrain is how long a producer may take to read the last acknowledgements after the body.
const ackDrain = 30 * time.Second

// lingerBytes bounds what is read and thrown away after an ERROR, and when a connection is drained.
const lingerBytes = 64 << 20

func (l Limits) withDefaults() Limits {
	def(&l.FragmentFrames, 65_536)
	def(&l.FragmentDuration, api.MaxFragmentDuration)
	def(&l.Patience, api.MaxFragmentPatience)
	def(&l.Rate, api.MinFragmentRate)
	def(&l.Tracks, api.MaxTracks)
	def(&l.MaxConnection, api.MaxPutMediaConnection)
	def(&l.Future, api.MaxProducerAhead)
	def(&l.IdleAck, 15*time.Second)
	def(&l.InFlight, 3)
	def(&l.MemoryWait, 10*time.Second)
	def(&l.Linger, 3*time.Second)
	def(&l.DrainLinger, 250*time.Millisecond)
	return l
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Summary is what became of a connection's body.
type Summary struct {
	Fragments int   // stored, including partial ones and those that replaced one
	Resends   int   // stored already
	Partials  int   // stored, but cut short
	Dropped   int   // begun and given up
	Frames    int64 // of the fragments that were not dropped
	Bytes     int64 // of the body
	// Unended: the connection was closed without the last chunk of the body, but none of its media
	// is missing.
	Unended bool
}

// DefaultMemory is the default size of Memory: 1 GiB.
const DefaultMemory = 1 << 30

// Options configure a connection. Stream, Store and TimecodeType are required.
type Options struct {
	Stream        store.Stream
	Store         Store
	TimecodeType  api.TimecodeType
	ProducerStart int64            // Unix milliseconds; RELATIVE timecodes count from it
	Principal     string           // who sends, for a share of Memory
	NoAcks        bool             // the producer wants no acknowledgements: only ERROR is sent
	Drain         <-chan struct{}  // closed: end after the present fragment; nil: never
	Deadlines     Deadlines        // of the HTTP connection; may be nil, see there
	Memory        *Memory          // shared by connections; nil: DefaultMemory for this one
	Resends       *Resends         // shared by connections; nil: only this one's
	Numbers       *Numbers         // shared by connections; nil: nobody asks for it
	Edge          *live.Edge       // shared by connections; nil: nobody follows
	Clock         func() time.Time // nil: time.Now
	Logger        *slog.Logger     // nil: none
	Metrics       *Metrics         // shared by connections; nil: none
	Limits        Limits

	// Hold returns how long to hold an ERROR acknowledgement back, because producers reconnect as
	// soon as they have it. Meanwhile the body is read on. nil: not at all.
	Hold func(*Error) time.Duration
	// Room is asked before a fragment of that size is stored, but not for a resend. If it returns
	// an error, the fragment is refused with 5001. nil: there always is room.
	Room func(ctx context.Context, bytes int64) error
	// Event is called for each durable fragment whose reserved tags ask for something. It must not
	// block. nil: nobody is told.
	Event func(Event)
	// Stored is called for each fragment that was stored, but not for a resend. nil: nobody is
	// told.
	Stored func()
	// Unplayable is called once for each track number whose frames are stored although no player
	// can decode them. nil: nobody is told.
	Unplayable func(why string)
}

// Event is a stored fragment, and what its producer asked for.
type Event struct {
	Wants
	Stream   store.StreamID
	Fragment store.FragmentInfo
	Tags     []media.Tag // of the fragment
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Memory == nil {
		o.Memory = NewMemory(DefaultMemory)
	}
	def(&o.Limits.FragmentBytes, min(api.MaxFragmentBytes, o.Memory.Largest()))
	if o.Resends == nil {
		o.Resends = NewResends(o.Clock)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = newMetrics()
	}
	if o.Hold == nil {
		o.Hold = func(*Error) time.Duration { return 0 }
	}
	if o.Room == nil {
		o.Room = func(context.Context, int64) error { return nil }
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	if o.Stored == nil {
		o.Stored = func() {}
	}
	if o.Unplayable == nil {
		o.Unplayable = func(string) {}
	}
	o.Limits = o.Limits.withDefaults()
	return o
}
