// Package local is the engine of a store in one directory: rows in an Index (SQLite), bytes in
// Volumes, which are append-only files.
//
// One process holds the directory. What it keeps in memory besides the files is right because no
// other process writes:
//
//   - streams and the order of their appends (streamState)
//   - rows on their way into the index (rowQueue)
//   - rows of fragments and of sessions (recent.Fragments, recent.Sessions)
//   - sessions for which there is no space (recent.Fleeting)
//   - tables of sealed volumes (sealed.Tables)
//   - the clock of retention (retentionClock)
//
// Each says what limits it and who tells it of changes. An engine of many processes has none of
// these.
//
// The order is always the same: the bytes are durable, then the index has the fragment, then it is
// acknowledged. From then on every answer has it, although its row may be written with others a
// moment later. For deletion, rows go first and bytes after.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local/clock"
	"weir/internal/store/local/volume"
	"weir/internal/store/recent"
	"weir/internal/store/sealed"
)

// Options of a Store. All have defaults.
type Options struct {
	// The seams, which New needs and Open makes itself.
	Index   Index
	Volumes Volumes

	// for encrypted records; nil: nothing is encrypted. Open makes it itself.
	Keys *encryption.Keys

	// Only Open heeds these.
	Encrypt bool // new records are encrypted
	// encryption.Options.KeyFile; default encryption.key in the directory
	EncryptionKeyFile string
	LockWait          time.Duration // how long to wait for another process to release it
	// called once the lock is held, before anything is read; its error fails Open
	Locked func() error
	// makes Remote, after Locked; nil: there is none
	Objects      func() (Remote, error)
	SyncInterval time.Duration // volume.Options.SyncInterval
	VolumeBytes  int64         // volume.Options.MaxSize

	// the time for retention, expiry and fragment numbers; default time.Now
	Clock func() time.Time
	// what Clock is checked against; default clock.Uptime, or nothing when Clock is set
	Uptime func() (boot string, up time.Duration)
	// reports of background work and recovery; default: discarded
	Logger  *slog.Logger
	Metrics *Metrics // default: counted, not registered

	// how much memory the rows and heads of fragments that were asked for may take; default 16 MB
	FragmentBytes int64
	// how many bytes of fragments of a stream without retention are kept in memory; default 200 MB
	MemoryBytes   int64
	SweepInterval time.Duration // how often Run sweeps; default 1 minute

	// bytes that are kept free: new data that would need them is ErrFull; 0: all may be used
	MinFree  int64
	WhenFull FullPolicy // what happens when there is no more than that; default StopWhenFull

	// where Volumes can move the sealed volumes of WARM streams; nil: they stay. Open makes it with
	// Objects.
	Remote Remote
	// how old the last fragment of a volume must be before the volume is moved there; default 1
	// hour
	WarmAfter time.Duration

	// bytes per second that Run reads to find damage on the disk; 0: Run does not scrub
	ScrubRate int64

	// ErrLost when the files of Index and Volumes are no longer those that were opened; default:
	// they always are
	Check func() error

	// called for every volume that New reads; default: nothing
	Progress func(done, total int)
}

// Store is a store.Store in one directory. Its methods may be called concurrently.
type Store struct {
	o       Options
	idx     Index
	volumes Volumes
	log     *slog.Logger
	metrics *Metrics
	rows    *rowQueue
	reader  *sealed.Reader
	wake    chan struct{} // asks Run for a sweep now
	moves   chan struct{} // asks Run to move volumes between the tiers now
	sweep   chan struct{} // one slot, held by the running sweep
	// one slot, held from reading a stream's row until its state is known, so that a deletion finds
	// it
	loading   chan struct{}
	space     space
	sessions  recent.Sessions
	fleeting  recent.Fleeting
	recent    recent.Fragments
	documents store.Wake        // wakes on a change of a document; only this process makes them
	damaged   map[scrubbed]bool // what the last pass of Scrub found; owned by it

	lock *volume.Lock // of the directory; nil after New

	lost       atomic.Pointer[error] // the result of the last CheckFiles; nil: all is well
	retention  retentionClock
	volumeLost atomic.Pointer[time.Time] // when an append last found its volume deleted

	// closed volumes that could not be sealed since the start; owned by the running sweep
	unsealable map[string]bool

	mu sync.Mutex
	// one for each live stream that was used; guarded by mu
	streams map[store.StreamID]*streamState
}

// streamState is what the engine remembers of one stream: its row, how far its orders have got, and
// the fragments that are only in memory. It can, because only this process appends and changes
// streams. There is one for each stream that was used, until the stream is deleted. Within it the
// ring is limited by recent.RingAge and Options.MemoryBytes, the track sets by setsCached.
// Store.changeStream tells it of a new row, Store.forget of a deletion, append and seal of
// everything else.
//
// Lock order: Store.loading or appending before Store.mu, and that before mu. No other lock is
// taken while mu is held.
type streamState struct {
	id store.StreamID
	// One slot, held from the first byte of a record until its row is acknowledged or committed, so
	// that bytes, rows and sequences of a stream are in one order.
	appending chan struct{}
	// the volume of the last row, which is on disk; "" when unknown; guarded by appending
	volume   string
	number   store.Number  // the greatest number that has a row; guarded by appending
	given    int64         // the greatest sequence of a record, stored or not; guarded by appending
	changing chan struct{} // one slot, held while the stream's row is changed
	stream   atomic.Pointer[store.Stream]
	deleted  atomic.Bool

	mu    sync.Mutex
	clock store.Number // the greatest number given out or seen; guarded by mu
	// The greatest sequence of a stored fragment. The index need not be asked for it: this process
	// holds the directory's lock, so every commit is its own. Guarded by mu.
	sequence int64
	sealed   store.Number // no sealed volume has a greater number; guarded by mu
	// No stored fragment has a greater producer timestamp. Guarded by mu.
	producer int64
	// Closed when sequence rises or the stream is deleted; nil: nobody waits. Guarded by mu.
	changed chan struct{}
	ring    recent.Ring             // fragments that are only in memory; guarded by mu
	setIDs  map[[32]byte]int64      // guarded by mu
	sets    map[int64][]media.Track // guarded by mu, the slices never change
}

// setsCached limits the track sets that are remembered of a stream. A camera has one or two.
const setsCached = 64

// New opens a store over an index and volumes that nobody else uses, and recovers from a crash. The
// store owns both and closes them, also when New fails.
func New(ctx context.Context, o Options) (*Store, error) {
	if o.Clock == nil {
		o.Clock = time.Now
		if o.Uptime == nil {
			o.Uptime = clock.Uptime
		}
	}
	if o.Check == nil {
		o.Check = func() error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	setDefault(&o.MemoryBytes, 200_000_000)
	setDefault(&o.FragmentBytes, 16_000_000)
	setDefault(&o.SweepInterval, time.Minute)
	setDefault(&o.WarmAfter, time.Hour)
	if o.WhenFull == DeleteOldest && o.MinFree <= 0 {
		o.MinFree = leastOpen // there must be a limit to fall below
	}
	s := &Store{
		o: o, idx: o.Index, volumes: o.Volumes, log: o.Logger, metrics: o.Metrics,
		wake: make(chan struct{}, 1), sweep: make(chan struct{}, 1),
		moves:   make(chan struct{}, 1),
		loading: make(chan struct{}, 1),
		streams: make(map[store.StreamID]*streamState), unsealable: make(map[string]bool),
		damaged: make(map[scrubbed]bool),
	}
	s.rows = newRowQueue(s.idx, s.metrics)
	s.reader = NewReader(s.idx, s.volumes, o.Keys, sealed.TableBytes)
	s.reader.Waiting, s.reader.Log, s.reader.Damaged = s.rows.of, s.log, s.metrics.DamagedTables.Inc
	s.recent.Limit = o.FragmentBytes
	s.space.wake = make(chan struct{}, 1)
	err := s.startClock(ctx)
	if err == nil {
		err = s.recover(ctx)
	}
	if err == nil {
		var free int64
		if free, err = s.measure(ctx); err == nil {
			s.tellSpace(free)
		}
	}
	if errors.Is(err, store.ErrFull) {
		err = fmt.Errorf("the index must be written and its reserve is used up: %w", err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), o.Index.Close(),
			o.Volumes.Close())
	}
	return s, nil
}

// newer reports whether q asks for producer timestamps greater than those of every stored fragment.
// A producer's connection asks so for each fragment, to find resends. The index would have to look
// at each row of the stream's last volume.
func (st *streamState) newer(q *store.Query) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return q.Range != nil && q.Range.Clock == store.ProducerTimestamp &&
		q.Range.Start > st.producer
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Close waits for running commits, closes the index and the volumes, and releases the directory.
// Fragments that are only in memory are lost. Call it after Run has returned, and no method after
// it.
func (s *Store) Close() error {
	err := errors.Join(s.rows.close(), s.idx.Close(), s.volumes.Close())
	if s.lock != nil { // last: the next process finds everything written
		err = errors.Join(err, s.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Settle writes the waiting rows into the index, so that somebody who reads only the index finds
// all that was acknowledged.
func (s *Store) Settle() error {
	if err := s.rows.flush(); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return nil
}

// Run does the background work until ctx ends: a sweep at every interval, and soon after a stream
// was deleted or its retention shortened; checks of the files, the clock and the free space; the
// scrub; moves between the tiers. Failures are logged and tried again.
func (s *Store) Run(ctx context.Context) error {
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { s.watchFiles(ctx) })
	watch.Go(func() { s.watchClock(ctx) })
	watch.Go(func() { s.watchSpace(ctx) })
	if s.o.ScrubRate > 0 {
		watch.Go(func() { s.scrubForever(ctx) })
	}
	if s.o.Remote != nil {
		watch.Go(func() { s.moveForever(ctx) })
	}
	tick := time.NewTicker(s.o.SweepInterval)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweep failed", "error", err)
		}
		s.moveSoon() // what was sealed
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// state returns what the engine remembers of a stream, and reads it when the stream is used for the
// first time.
func (s *Store) state(ctx context.Context, id store.StreamID) (*streamState, error) {
	st := s.known(id)
	if st == nil {
		var err error
		if st, err = s.load(ctx, id); err != nil {
			return nil, fmt.Errorf("stream %s: %w", id, err)
		}
	}
	if st.deleted.Load() {
		return nil, fmt.Errorf("stream %s: %w", id, store.ErrNotFound)
	}
	return st, nil
}

func (s *Store) known(id store.StreamID) *streamState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id]
}

func (s *Store) load(ctx context.Context, id store.StreamID) (*streamState, error) {
	if err := acquire(ctx, s.loading); err != nil {
		return nil, err
	}
	defer release(s.loading)
	if st := s.known(id); st != nil {
		return st, nil
	}
	row, err := s.idx.StreamByID(ctx, id)
	if err != nil {
		return nil, err
	}
	high, err := s.idx.HighWater(ctx, id)
	if err != nil {
		return nil, err
	}
	producer, err := s.idx.LastProducer(ctx, id)
	if err != nil {
		return nil, err
	}
	st := &streamState{
		id: id, appending: make(chan struct{}, 1), changing: make(chan struct{}, 1),
		number: high.Number, clock: high.Number, sequence: high.Sequence, sealed: high.SealedNumber,
		producer: producer,
		setIDs:   make(map[[32]byte]int64), sets: make(map[int64][]media.Track),
	}
	st.stream.Store(&row)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[id] = st
	return st, nil
}

// forget marks what is remembered of a stream as deleted. The index has deleted it already, so
// nobody who loads the stream later finds it, and forget waits for anybody who is loading it.
func (s *Store) forget(id store.StreamID) *streamState {
	s.loading <- struct{}{}
	st := s.known(id)
	release(s.loading)
	if st != nil {
		st.drop()
	}
	s.fleeting.Drop(func(f *store.Session) bool { return f.Stream == id })
	return st
}

// acquire takes a one-slot lock, or gives up when ctx ends.
func acquire(ctx context.Context, slot chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func release(slot chan struct{}) { <-slot }

const hexDigits = "0123456789abcdef"
const alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText returns n random characters of alphabet, each equally likely.
func randomText(alphabet string, n int) string {
	out := make([]byte, 0, n)
	limit := byte(256 / len(alphabet) * len(alphabet) % 256) // 0: every byte value is usable
	var buf [64]byte
	for {
		rand.Read(buf[:]) // never fails
		for _, b := range buf {
			if limit != 0 && b >= limit {
				continue
			}
			out = append(out, alphabet[int(b)%len(alphabet)])
			if len(out) == n {
				return string(out)
			}
		}
	}
}
