package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/repair"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/recent"
)

// sweepRows limits the rows that one transaction of a sweep drops, so that fragments can be
// committed in between.
const sweepRows = 1000

// work is what background work keeps from one pass to the next.
type work struct {
	turn    chan struct{} // one slot, held by the running pass
	orphans time.Time     // when the bucket was listed; owned by the running pass
}

// Run does the background work until ctx ends: a sweep and a compaction at every interval. Failures
// are logged and tried again; work that another node does is left to it.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.SweepInterval)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.o.Metrics.WorkFailures.WithLabelValues("sweep").Inc()
			s.log.Error("sweep failed", "error", err)
		}
		if err := s.Compact(ctx, false); err != nil && ctx.Err() == nil {
			s.o.Metrics.WorkFailures.WithLabelValues("compact").Inc()
			s.log.Error("compaction failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// tenure is a lease that this node holds.
type tenure struct {
	s     *Store
	lease rows.Lease
	until time.Time // renewed before this
}

// hold takes a lease; rows.ErrLease when another node has it.
func (s *Store) hold(ctx context.Context, name string) (*tenure, error) {
	l := &tenure{s: s, lease: rows.Lease{Name: name}}
	err := l.renew(ctx)
	if err == nil {
		s.o.Metrics.Leases.Inc()
	}
	return l, err
}

// renew extends the lease once a third of it has passed. rows.ErrLease when it was lost.
func (l *tenure) renew(ctx context.Context) error {
	if time.Now().Before(l.until) {
		return nil
	}
	lease, err := l.s.db.Lease(ctx, l.lease.Name, *l.s.node.Load(), l.s.o.LeaseTime)
	if err != nil {
		return err
	}
	l.lease, l.until = lease, time.Now().Add(l.s.o.LeaseTime/3)
	return nil
}

// keep renews the lease during long work, until stop is called; nothing else may use l until then.
// If the lease is lost, the context ends with rows.ErrLease as its cause.
func (l *tenure) keep(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(max(l.s.o.LeaseTime/4, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// Another error may pass before the lease ends, and every change checks the lease
			// again.
			if err := l.renew(ctx); errors.Is(err, rows.ErrLease) {
				cancel(err)
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		renewing.Wait()
	}
}

func (l *tenure) release(ctx context.Context) {
	l.s.o.Metrics.Leases.Dec()
	if err := l.s.db.Release(context.WithoutCancel(ctx), l.lease); err != nil {
		l.s.log.Warn("lease is not released and ends by itself", "lease", l.lease.Name,
			"error", err)
	}
}

// Sweep does one pass of deletion, unless another node does it. First it deletes rows of what is
// past retention and of deleted streams; then the bytes of objects that no row has referred to for
// Options.OrphanAge, and of objects that never had a row. Rows always go before bytes, and each
// change of rows checks the lease in its own transaction.
func (s *Store) Sweep(ctx context.Context) error {
	select {
	case s.work.turn <- struct{}{}:
		defer func() { <-s.work.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.trimRings()
	l, err := s.hold(ctx, rows.SweepLease)
	if errors.Is(err, rows.ErrLease) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.release(ctx)
	err = errors.Join(s.sweepRetention(ctx, l), s.sweepDeleted(ctx, l), s.sweepOld(ctx, l))
	may, lost := s.collectable(ctx)
	if !may {
		return errors.Join(err, lost)
	}
	if err = errors.Join(err, s.sweepObjects(ctx, l)); err != nil {
		return err // the node that put an orphan may not be forgotten yet
	}
	return errors.Join(s.sweepOrphans(ctx, l), s.forgetWatermarks(ctx, l))
}

// trimRings drops fragments from memory that are too old.
func (s *Store) trimRings() {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.now() - recent.RingAge.Milliseconds()
	for id, ring := range s.rings {
		if ring.Trim(before, s.o.MemoryBytes); ring.Empty() {
			delete(s.rings, id)
		}
	}
}

// sweepRetention drops the rows of what is past retention, stream by stream. It goes by this node's
// clock, but not beyond the database's, so that a clock that is ahead deletes nothing too early.
func (s *Store) sweepRetention(ctx context.Context, l *tenure) error {
	now, err := s.db.Now(ctx)
	if err != nil {
		return fmt.Errorf("time of the database: %w", err)
	}
	if own := s.o.Clock(); own.Before(now) {
		now = own
	}
	var errs []error
	for after := ""; ; {
		streams, err := s.db.ListStreams(ctx, "", after, 100)
		if err != nil || len(streams) == 0 {
			return errors.Join(append(errs, err)...)
		}
		after = streams[len(streams)-1].Name
		for i := range streams {
			if err := s.expire(ctx, l, &streams[i], now); err != nil {
				errs = append(errs, fmt.Errorf("expire stream %s: %w", streams[i].ID, err))
			}
		}
	}
}

func (s *Store) expire(ctx context.Context, l *tenure, st *store.Stream, now time.Time) error {
	if st.RetentionHours == 0 {
		return nil // its rows go when it gets a retention, or with the stream
	}
	row, err := s.db.Row(ctx, st.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	for n := sweepRows; err == nil && n >= sweepRows; {
		if err = l.renew(ctx); err == nil {
			n, err = s.db.Expire(ctx, l.lease, st.ID, row.Edge(now), sweepRows)
		}
	}
	return err
}

// sweepDeleted drops the rows of deleted streams.
func (s *Store) sweepDeleted(ctx context.Context, l *tenure) error {
	ids, err := s.db.DeletedStreams(ctx)
	errs := []error{err}
	for _, id := range ids {
		err := s.putTombstone(ctx, id)
		for done := false; err == nil && !done; {
			if err = l.renew(ctx); err == nil {
				done, err = s.db.PurgeStream(ctx, l.lease, id, sweepRows)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("purge stream %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// sweepOld drops expired sessions, and old records of how fragments arrived.
func (s *Store) sweepOld(ctx context.Context, l *tenure) error {
	for _, drop := range []func(context.Context, rows.Lease, int) (int, error){
		s.db.ExpireSessions, s.db.DropArrivals,
	} {
		for n := sweepRows; n >= sweepRows; {
			err := l.renew(ctx)
			if err == nil {
				n, err = drop(ctx, l.lease, sweepRows)
			}
			if err != nil {
				return fmt.Errorf("drop old rows: %w", err)
			}
		}
	}
	return nil
}

// sweepObjects deletes the bytes of objects that no longer have rows. Before that it forgets the
// nodes that were silent for as long; they can commit nothing from then on.
func (s *Store) sweepObjects(ctx context.Context, l *tenure) error {
	err := l.renew(ctx)
	if err == nil {
		err = s.db.ForgetNodes(ctx, l.lease, s.o.OrphanAge)
	}
	for n := sweepRows; err == nil && n >= sweepRows; {
		if err = l.renew(ctx); err == nil {
			n, err = s.db.Unused(ctx, l.lease, sweepRows)
		}
	}
	for n := sweepRows; err == nil && n >= sweepRows; {
		var old []rows.Object
		if old, err = s.db.UnreferencedObjects(ctx, s.o.OrphanAge, sweepRows); err != nil {
			break
		}
		if n = len(old); n > 0 {
			err = s.deleteObjects(ctx, l, old)
		}
	}
	if err != nil {
		return fmt.Errorf("objects without rows: %w", err)
	}
	return nil
}

func (s *Store) deleteObjects(ctx context.Context, l *tenure, old []rows.Object) error {
	if err := l.renew(ctx); err != nil {
		return err
	}
	names := make([]string, len(old))
	for i := range old {
		names[i] = old[i].Name
		s.cache.Drop(old[i].Name)
	}
	if err := s.bucket.Delete(ctx, names); err != nil {
		return err
	}
	s.o.Metrics.DeletedObjects.Add(float64(len(names)))
	return s.db.ForgetObjects(ctx, l.lease, names)
}

// sweepOrphans deletes objects without rows that are older than Options.OrphanAge by the object
// store's own clock: what a node put and did not commit. It deletes nothing from a bucket whose
// marker is not the database's.
func (s *Store) sweepOrphans(ctx context.Context, l *tenure) error {
	if time.Since(s.work.orphans) < s.o.OrphanInterval {
		return nil
	}
	now, err := s.db.Now(ctx)
	if err != nil {
		return err
	}
	before := now.Add(-s.o.OrphanAge)
	if err := s.sure(ctx); err != nil {
		return fmt.Errorf("orphans: %w", err)
	}
	for _, prefix := range swept {
		if err := s.sweepPrefix(ctx, l, prefix, before); err != nil {
			return fmt.Errorf("orphans: %w", err)
		}
	}
	s.work.orphans = time.Now()
	return nil
}

func (s *Store) sweepPrefix(
	ctx context.Context, l *tenure, prefix string, before time.Time,
) error {
	var found []objects.Info
	for info, err := range s.bucket.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if info.Modified.After(before) {
			continue
		}
		if found = append(found, info); len(found) == sweepRows {
			if err := s.deleteOrphans(ctx, l, found); err != nil {
				return err
			}
			found = nil
		}
	}
	return s.deleteOrphans(ctx, l, found)
}

// deleteOrphans deletes those of the objects that have no row, and nothing that somebody may miss.
// No node can still commit one of them: the node that put it was forgotten, or has given up on it.
func (s *Store) deleteOrphans(ctx context.Context, l *tenure, infos []objects.Info) error {
	if len(infos) == 0 {
		return nil
	}
	keys := make([]string, len(infos))
	for i := range infos {
		keys[i] = infos[i].Key
	}
	known, err := s.db.FindObjects(ctx, keys)
	if err != nil {
		return err
	}
	judge := repair.NewJudge(s.db, s.bucket, s.o.Clock)
	var orphans, missed []string
	for _, info := range infos {
		if _, ok := known[info.Key]; ok {
			continue
		}
		if err := l.renew(ctx); err != nil {
			return err
		}
		keep, err := judge.Missed(ctx, info)
		if err != nil {
			return err
		}
		if keep {
			missed = append(missed, info.Key)
		} else {
			orphans = append(orphans, info.Key)
		}
	}
	if len(missed) > 0 {
		s.log.Warn("objects that no row knows have fragments that are nowhere else; "+
			"weir check --repair makes their rows", "objects", len(missed), "first", missed[0])
	}
	if len(orphans) == 0 {
		return nil
	}
	if err := l.renew(ctx); err != nil {
		return err
	}
	s.log.Info("deleting objects that no row knows", "objects", len(orphans), "first", orphans[0])
	return s.bucket.Delete(ctx, orphans)
}

// part is the number of the compactor that a stream belongs to.
func part(id store.StreamID) int {
	h := fnv.New32a()
	h.Write([]byte(id)) //nolint:errcheck // never fails
	return int(h.Sum32() % rows.Compactors)
}

// parts are all compactors, in an order that differs from node to node and from time to time.
func parts() []int { return rand.Perm(rows.Compactors) }
