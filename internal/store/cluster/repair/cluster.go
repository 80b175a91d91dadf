// Package repair compares the rows of a cluster with its objects, and brings back what a database
// has lost: each object says whose fragments it has. internal/store/cluster/DESIGN.md has the
// rules.
package repair

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
)

// ErrOtherCluster says that a database and a bucket do not belong together. Objects that one has
// and the other does not know would be deleted as orphans.
var ErrOtherCluster = errors.New("the database and the objects are not of one cluster")

// ErrOldTables says that the tables are those of an older program. A node or Repair brings them up
// to date.
var ErrOldTables = rows.ErrOldTables

// ErrMigrating says that a store is being imported into the database, which is not complete yet.
var ErrMigrating = errors.New("a migration into the database has begun and is not finished")

// Options of Check and Repair. Database and Objects have no defaults.
type Options struct {
	Database string // as rows.Open has it
	Objects  string // as objects.Open has it
	Keys     objects.Options
	Deep     bool             // read every fragment, not only the tables
	Clock    func() time.Time // the time of retention; default time.Now
	// How old an object without rows must be before it counts, since a node may be about to commit
	// it; default 1 minute.
	Settle    time.Duration
	LeaseTime time.Duration // default 1 minute
	// Progress is told what is being done, and to which object; default: nothing.
	Progress func(what, object string)
}

// cluster is the database and the bucket that a check or a repair works on.
type cluster struct {
	o      Options
	db     *rows.DB
	bucket *objects.Bucket
}

// Check compares rows and objects and changes nothing; nodes may be running. The error is about
// reading; the report has what is wrong. ErrOtherCluster, ErrMigrating, ErrOldTables.
func Check(ctx context.Context, o Options) (r Report, err error) {
	c, err := open(ctx, o, rows.Options{Unchanged: true})
	if err != nil {
		return r, err
	}
	if r, err = c.check(ctx); err != nil {
		err = fmt.Errorf("check: %w", err)
	}
	return r, errors.Join(err, c.db.Close())
}

// Repair brings back what objects have and rows lack, drops the rows of objects that are lost, and
// checks. First it brings the tables up to date. Nodes may be running, but do no background work in
// the meantime. A repair that was interrupted is continued by the next one. ErrOtherCluster,
// ErrMigrating; rows.ErrLease when another process took the work over.
func Repair(ctx context.Context, o Options) (r Report, d Done, err error) {
	c, err := open(ctx, o, rows.Options{Existing: true})
	if err != nil {
		return r, d, err
	}
	if d, err = c.repair(ctx); err == nil {
		r, err = c.check(ctx)
	}
	if err != nil {
		err = fmt.Errorf("repair: %w", err)
	}
	return r, d, errors.Join(err, c.db.Close())
}

func open(ctx context.Context, o Options, tables rows.Options) (_ *cluster, err error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Settle == 0 {
		o.Settle = time.Minute
	}
	if o.LeaseTime == 0 {
		o.LeaseTime = time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(string, string) {}
	}
	c := &cluster{o: o}
	if c.bucket, err = objects.Open(o.Objects, o.Keys); err != nil {
		return nil, err
	}
	if err := c.bucket.Check(ctx); err != nil {
		return nil, err
	}
	// What nodes change in the meantime is checked again in the transaction of the repair.
	tables.Clock, tables.Fresh, tables.Timeout = o.Clock, time.Second, 5*time.Minute
	c.db, err = rows.Open(ctx, o.Database, tables)
	if errors.Is(err, rows.ErrNoTables) {
		err = fmt.Errorf("%w: %w", ErrOtherCluster, err)
	}
	if err != nil {
		return nil, err
	}
	if err := c.same(ctx); err != nil {
		return nil, errors.Join(err, c.db.Close())
	}
	return c, nil
}

// same checks that bucket and database belong together, and refuses a database that is not complete
// yet.
func (c *cluster) same(ctx context.Context) error {
	id, _, err := c.db.BucketID(ctx)
	if err != nil {
		return err
	}
	has, err := Marker(ctx, c.bucket)
	if err != nil {
		return err
	}
	if has != id {
		return fmt.Errorf("%w: object %q has ID %q, the database %q", ErrOtherCluster,
			contents.Marker, has, id)
	}
	m, _, err := c.db.Migration(ctx)
	if err == nil && m != nil && m.Finished == nil {
		err = ErrMigrating
	}
	return err
}

// Marker returns the ID in the object that ties a bucket to a database; "" without one.
func Marker(ctx context.Context, bucket *objects.Bucket) (string, error) {
	b, err := bucket.ReadAll(ctx, contents.Marker, 0, rows.BucketIDSize)
	if errors.Is(err, store.ErrGone) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("marker of the bucket: %w", err)
	}
	return string(b), nil
}

// tell reports progress.
func (c *cluster) tell(what, object string) { c.o.Progress(what, object) }

// pages calls do with all objects under a prefix, by key, and with those of them that have rows.
func (c *cluster) pages(ctx context.Context, prefix string,
	do func(infos []objects.Info, known map[string]rows.StoredObject) error) error {
	var infos []objects.Info
	flush := func() error {
		names := make([]string, len(infos))
		for i := range infos {
			names[i] = infos[i].Key
		}
		known, err := c.db.FindObjects(ctx, names)
		if err == nil {
			err = do(infos, known)
		}
		infos = infos[:0]
		return err
	}
	for info, err := range c.bucket.List(ctx, prefix, "") {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if infos = append(infos, info); len(infos) == page {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// keys lists all keys with a prefix, of which there are few.
func (c *cluster) keys(ctx context.Context, prefix string) (keys []string, err error) {
	for info, err := range c.bucket.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}

// tombstones calls do with the streams that are there although they have a tombstone.
func (c *cluster) tombstones(ctx context.Context, do func(*rows.Stream) error) error {
	for info, err := range c.bucket.List(ctx, contents.Tombstones, "") {
		if err != nil {
			return err
		}
		id := store.StreamID(strings.TrimPrefix(info.Key, contents.Tombstones))
		st, err := c.db.Row(ctx, id)
		if err == nil {
			err = do(&st)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// setBack returns how it is known that the database has lost commits: a node has noticed it, or a
// watermark shows it. "" when it is not known.
func (c *cluster) setBack(ctx context.Context) (reason string, err error) {
	reason, err = c.db.Setback(ctx)
	if err != nil || reason != "" {
		return reason, err
	}
	alarms, err := c.keys(ctx, contents.Setbacks)
	if err != nil {
		return "", err
	}
	if len(alarms) > 0 {
		return "object " + alarms[0] + " says so", nil
	}
	behind, err := Behind(ctx, c.db, c.bucket, "")
	if err != nil || len(behind) == 0 {
		return "", err
	}
	return "the database does not have the last writes of node " + behind[0], nil
}

// hold takes all leases, as soon as no node holds them, and keeps them until release is called. The
// context ends when one is lost, with rows.ErrLease as its cause.
func (c *cluster) hold(
	ctx context.Context,
) (sweep rows.Lease, _ context.Context, release func(), err error) {
	names := []string{rows.SweepLease}
	for n := range rows.Compactors {
		names = append(names, fmt.Sprint(rows.CompactLease, n))
	}
	holder := "repair " + rand.Text()
	var held []rows.Lease
	ctx, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	release = func() {
		cancel(nil)
		renewing.Wait()
		for _, l := range held {
			_ = c.db.Release(context.WithoutCancel(ctx), l) // it ends by itself
		}
	}
	keep := func() error {
		for _, l := range held {
			_, err := c.db.Lease(ctx, l.Name, holder, c.o.LeaseTime)
			if errors.Is(err, rows.ErrLease) {
				return err
			}
		}
		return nil
	}
	take := func(name string) error {
		for {
			l, err := c.db.Lease(ctx, name, holder, c.o.LeaseTime)
			if err == nil {
				held = append(held, l)
			}
			if !errors.Is(err, rows.ErrLease) {
				return err
			}
			c.tell("waiting for work in the background", name)
			select {
			case <-time.After(c.o.LeaseTime / 60):
				err = keep()
			case <-ctx.Done():
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
		}
	}
	renew := func() {
		tick := time.NewTicker(c.o.LeaseTime / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := keep(); err != nil {
				cancel(err)
			}
		}
	}
	for _, name := range names {
		if err := take(name); err != nil {
			release()
			return sweep, ctx, nil, err
		}
	}
	renewing.Go(renew)
	return held[0], ctx, release, nil
}
