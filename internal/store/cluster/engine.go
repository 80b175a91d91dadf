// Package cluster is the engine of many nodes: rows in PostgreSQL (package rows), bytes in an
// S3-compatible object store (package objects). Any node takes any stream's fragments and serves
// any session. No node holds what another one needs, except for fragments of streams without
// retention, which are lost with it. DESIGN.md says in which order things happen, and what each
// cache may believe.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/recent"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

var _ store.Store = (*Store)(nil)

// Options of a Store. Database, Objects and CacheDir have no defaults.
type Options struct {
	Database string // as rows.Open has it
	Objects  string // as objects.Open has it
	// a directory for this node alone, emptied when the store is opened
	CacheDir   string
	CacheBytes int64 // how much of the objects is kept there; default 10 GB

	Keys   objects.Options   // who signs requests to the object store, and its timeouts
	Gather objects.Gathering // how fragments are collected into objects

	Address string           // where other nodes reach this one; may be empty
	Clock   func() time.Time // the time of retention, expiry and fragment numbers; default time.Now
	Logger  *slog.Logger     // what background work reports; default: nothing
	Metrics *Metrics         // default: counted, not registered

	// The ID of a store of another engine that is imported (BeginImport); "" for a node.
	Import string

	// How long changes by other nodes may stay unseen here: the row of a stream, and new fragments;
	// default 100 milliseconds.
	Fresh time.Duration

	// How long this node answers from memory while the database is away, about sessions, streams
	// and fragments that it was asked for lately; default 5 minutes.
	Away time.Duration

	MemoryBytes   int64 // as in local.Options, default 200 MB per stream
	FragmentBytes int64 // as in local.Options, default 16 MB

	SweepInterval time.Duration // how often Run sweeps and compacts; default 1 minute
	// A stream's fragments are compacted into one object when they have so many bytes, or when the
	// oldest one is so old; default 64 MB, 1 hour.
	CompactBytes int64
	CompactAge   time.Duration
	// How long bytes without rows are kept: what compaction and retention have left, and what a
	// node put and did not commit; default 24 hours. A node that was silent for half of that time
	// commits nothing, and no node commits an object that it put more than a quarter of it ago.
	OrphanAge time.Duration
	// How often the bucket is listed for bytes that never had a row; default 6 hours.
	OrphanInterval time.Duration
	// How long a node that does not answer keeps its part of the background work; default 1 minute.
	LeaseTime time.Duration
}

func (o *Options) setDefaults() {
	setDefault(&o.CacheBytes, 10_000_000_000)
	setDefault(&o.Fresh, 100*time.Millisecond)
	setDefault(&o.Away, 5*time.Minute)
	setDefault(&o.MemoryBytes, 200_000_000)
	setDefault(&o.FragmentBytes, 16_000_000)
	setDefault(&o.SweepInterval, time.Minute)
	setDefault(&o.CompactBytes, 64_000_000)
	setDefault(&o.CompactAge, time.Hour)
	setDefault(&o.OrphanAge, 24*time.Hour)
	setDefault(&o.OrphanInterval, 6*time.Hour)
	setDefault(&o.LeaseTime, time.Minute)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	o.Keys.Observe = o.Metrics.request
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Store is a store.Store over a database and an object store. Its methods may be called
// concurrently.
type Store struct {
	store.Streams   // db
	store.Sessions  // db
	store.Documents // db

	o      Options
	db     *rows.DB
	bucket *objects.Bucket
	cache  *objects.Cache
	log    *slog.Logger
	gather *objects.Gatherer[rows.Row, store.FragmentInfo]
	reader *sealed.Reader
	recent recent.Fragments // heads of records that were opened, and rows for memory
	memory memory
	watch  *watch
	node   atomic.Pointer[string] // the ID under which this node commits

	refused atomic.Pointer[refusal] // nil: the last object was stored

	joining sync.Mutex // held while the node gets another ID

	mu    sync.Mutex
	rings map[store.StreamID]*recent.Ring // of streams without retention; guarded by mu

	damage damage    // found by compaction
	mark   watermark // whether the database was set back

	work       work // owned by the sweep that runs
	background sync.WaitGroup
	end        context.CancelFunc // of background
}

// Errors of Open: the server that it cannot work with.
var (
	ErrDatabase = errors.New("the database")
	ErrObjects  = errors.New("the object store")
)

// Open connects to the database, brings its tables up to date, and joins the cluster as a node.
// ErrOtherCluster when the objects do not belong to the database; ErrMigrating, ErrDatabase,
// ErrObjects; for an import ErrInUse and ErrImporting.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	o.setDefaults()
	s := &Store{o: o, log: o.Logger, rings: make(map[store.StreamID]*recent.Ring)}
	s.recent.Limit = o.FragmentBytes
	s.work.turn = make(chan struct{}, 1)
	s.damage.gauge = o.Metrics.Damaged
	if s.bucket, err = objects.Open(o.Objects, o.Keys); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.bucket.Check(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w: %w", ErrObjects, err)
	}
	if s.cache, err = objects.NewCache(s.bucket, o.CacheDir, o.CacheBytes); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.cache.Opened = o.Metrics.opened
	s.db, err = rows.Open(ctx, o.Database, rows.Options{Clock: o.Clock, Logger: o.Logger,
		Fresh: o.Fresh, Silent: o.OrphanAge / 2})
	if err != nil {
		return nil, fmt.Errorf("open store: %w: %w", ErrDatabase, err)
	}
	s.Streams, s.Sessions, s.Documents = s.db, s.db, s.db
	if err = s.checkMarker(ctx); err == nil && o.Import != "" {
		err = s.claim(ctx)
	}
	if err == nil {
		err = s.checkWatermarks(ctx)
	}
	if err == nil {
		err = s.join(ctx)
	}
	if err == nil && o.Import == "" {
		err = s.checkMigration(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), s.db.Close())
	}
	s.reader = &sealed.Reader{Rows: rowsInTime{s.db, &s.memory},
		Tables: sealed.NewTables(sealed.TableBytes), Log: s.log,
		Damaged: func() {},
		Footer: func(ctx context.Context, at store.Location) (*record.Table, error) {
			return contents.Footer(ctx, s.bucket, at)
		}}
	s.gather = objects.NewGatherer(o.Gather, s.commit)
	var life context.Context
	life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.watch = newWatch(s.db, o.Fresh, s.log)
	s.background.Go(func() { s.watch.run(life) })
	s.background.Go(func() { s.heartbeats(life) })
	return s, nil
}

// Close commits what was gathered, leaves the cluster and closes everything. Fragments that are
// only in memory are lost. Call it after Run has returned, and no method after it.
func (s *Store) Close() error {
	s.gather.Close()
	s.end()
	s.background.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.beat(ctx) // so that the next node to start knows what this one did
	if err := errors.Join(err, s.db.Leave(ctx, *s.node.Load())); err != nil {
		s.log.Warn("the other nodes were not told that this one ends", "error", err)
	}
	if err := errors.Join(s.cache.Close(), s.db.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// join makes this a node of the cluster, with a new ID.
func (s *Store) join(ctx context.Context) error {
	id, err := s.db.Join(ctx, s.o.Address)
	if err != nil {
		return err
	}
	s.node.Store(&id)
	return s.beat(ctx)
}

// rejoin joins again after the other nodes have forgotten this one's ID. If the database was set
// back instead, that is noted first.
func (s *Store) rejoin(ctx context.Context, was string) error {
	s.joining.Lock()
	defer s.joining.Unlock()
	if *s.node.Load() != was {
		return nil
	}
	s.log.Warn("this node was silent for so long that the others forgot it: it joins anew")
	s.mark.leave()
	if err := s.checkWatermarks(ctx); err != nil {
		return err
	}
	return s.join(ctx)
}

// heartbeats tell the other nodes that this one is there, until ctx ends.
func (s *Store) heartbeats(ctx context.Context) {
	tick := time.NewTicker(s.beatTime())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		was := *s.node.Load()
		err := s.db.Heartbeat(ctx, was)
		if errors.Is(err, rows.ErrLease) {
			err = s.rejoin(ctx, was)
		} else if err == nil {
			err = s.beat(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("heartbeat failed", "error", err)
		}
	}
}

// now is the time of retention, milliseconds since the Unix epoch.
func (s *Store) now() int64 { return s.o.Clock().UnixMilli() }
