package repair

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/sealed"
)

// work is a repair. It holds all leases, so that background work stops in the meantime.
type work struct {
	*cluster
	lease rows.Lease // for sweeping; every change checks it in its transaction
	judge *Judge
	done  Done
	// the version of a stream that the last object with it had: a row that still has this version
	// gets the next
	versions map[store.StreamID]string
	made     map[store.StreamID]bool // streams that this repair has made
	seen     keySet                  // of the objects in the bucket that had rows
	now      time.Time               // by the clock of the database, when it was last asked
}

// repair brings back what the objects have and the rows lack. When it is interrupted, what was done
// stays done, and the next repair goes on.
func (c *cluster) repair(ctx context.Context) (Done, error) {
	lease, ctx, release, err := c.hold(ctx)
	if err != nil {
		return Done{}, err
	}
	defer release()
	w := &work{cluster: c, lease: lease, judge: NewJudge(c.db, c.bucket, c.o.Clock),
		versions: map[store.StreamID]string{}, made: map[store.StreamID]bool{}}
	err = w.run(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, rows.ErrLease) {
		err = cause
	}
	return w.done, err
}

func (w *work) run(ctx context.Context) error {
	lost, err := w.setBack(ctx)
	if err == nil && lost != "" { // commit sequences leap, unless a node has seen to that
		err = w.db.SetBack(ctx, lost)
	}
	if err != nil {
		return err
	}
	alarms, err := w.keys(ctx, contents.Setbacks)
	if err != nil {
		return err
	}
	behind, err := Behind(ctx, w.db, w.bucket, "")
	if err != nil {
		return err
	}
	if err := w.tombstones(ctx, func(st *rows.Stream) error {
		w.done.Deleted++
		return ignore(w.db.DeleteStream(ctx, st.ID, ""), store.ErrNotFound)
	}); err != nil {
		return err
	}
	// Packed objects first: their fragments keep their sequences.
	for _, prefix := range []string{contents.Streams, contents.Batches} {
		if err := w.orphans(ctx, prefix); err != nil {
			return err
		}
	}
	if err := w.missing(ctx); err != nil {
		return err
	}
	return w.clear(ctx, lost != "", alarms, behind)
}

// clear removes the notes that commits are lost, as far as they were there when the repair began.
func (w *work) clear(ctx context.Context, lost bool, alarms, behind []string) error {
	for _, node := range behind {
		alarms = append(alarms, contents.Watermarks+node)
	}
	if len(alarms) > 0 {
		if err := w.bucket.Delete(ctx, alarms); err != nil {
			return err
		}
	}
	if !lost {
		return nil
	}
	left, err := w.keys(ctx, contents.Setbacks)
	if err != nil || len(left) > 0 {
		return err // another loss was noticed in the meantime
	}
	return w.db.ClearSetback(ctx, w.lease)
}

// orphans handles all objects with a prefix that have no rows, in the order of their keys, which is
// that of time for each stream.
func (w *work) orphans(ctx context.Context, prefix string) error {
	atOnce := scansAtOnce
	if prefix == contents.Streams {
		atOnce = 0 // few of these are scanned, and they are large
	}
	return w.pages(ctx, prefix, func(infos []objects.Info, known map[string]rows.StoredObject,
	) error {
		var orphans []objects.Info
		for _, info := range infos {
			if o, ok := known[info.Key]; ok {
				w.seen.add(o.Key)
			} else {
				orphans = append(orphans, info)
			}
		}
		for info, found := range ahead(orphans, atOnce, func(info objects.Info) *scanned {
			return scan(ctx, w.bucket, info)
		}) {
			w.tell("bringing back", info.Key)
			err := w.orphan(ctx, info, found, prefix == contents.Streams)
			if err != nil && !errors.Is(err, store.ErrGone) {
				return fmt.Errorf("object %s: %w", info.Key, err)
			}
		}
		return w.see(ctx, orphans)
	})
}

// orphan handles an object without rows. found returns what is in it.
func (w *work) orphan(
	ctx context.Context, info objects.Info, found func() *scanned, packed bool,
) error {
	if err := w.settle(ctx, info); err != nil {
		return err
	}
	if packed {
		done, err := w.restorePacked(ctx, info)
		if done || err != nil {
			return err
		}
	}
	return w.restore(ctx, found())
}

// see notes which objects have rows by now, and so are not missing.
func (w *work) see(ctx context.Context, orphans []objects.Info) error {
	names := make([]string, len(orphans))
	for i := range orphans {
		names[i] = orphans[i].Key
	}
	known, err := w.db.FindObjects(ctx, names)
	for _, o := range known {
		w.seen.add(o.Key)
	}
	return err
}

// settle waits until no node can still be about to commit the rows of an object.
func (w *work) settle(ctx context.Context, info objects.Info) (err error) {
	for {
		left := info.Modified.Add(w.o.Settle).Sub(w.now)
		if left <= 0 {
			return nil
		}
		if w.now, err = w.db.Now(ctx); err != nil {
			return err
		}
		if left = info.Modified.Add(w.o.Settle).Sub(w.now); left <= 0 {
			return nil
		}
		select {
		case <-time.After(min(left, time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// restore adds the rows of an object's fragments, one by one.
func (w *work) restore(ctx context.Context, o *scanned) error {
	if err := o.failed(); err != nil {
		return err
	}
	info := o.info
	var list []rows.Row
	twice := make(map[twin]bool) // what a producer sent twice within one object
	judged, err := w.judge.fragments(ctx, o.fragments)
	if err != nil {
		return err
	}
	for i := range o.fragments {
		f := &o.fragments[i]
		same := twin{f.Stream.ID, f.Info.ProducerTimestamp, f.Info.PayloadCRC}
		if twice[same] {
			continue
		}
		row, err := w.fragment(ctx, o, f, judged[i])
		if err != nil {
			return err
		}
		if row != nil {
			list, twice[same] = append(list, *row), true
		}
	}
	if len(list) == 0 {
		return nil
	}
	committed, err := w.db.Commit(ctx, rows.Object{Name: info.Key, Bytes: info.Size}, list)
	for _, c := range committed {
		if c.Err == nil {
			w.done.Fragments++
		}
	}
	return err
}

// twin is what two copies of a fragment have in common.
type twin struct {
	stream   store.StreamID
	producer int64
	payload  uint32
}

// fragment returns the row that a fragment gets; nil: none.
func (w *work) fragment(
	ctx context.Context, o *scanned, f *contents.Fragment, j judged,
) (*rows.Row, error) {
	if j.verdict == stored && j.row != nil && j.row.Location.Volume != o.info.Key {
		return nil, w.repoint(ctx, f, j.row, o.info)
	}
	if j.verdict != lost && j.verdict != lostStream {
		return nil, nil
	}
	err := contents.Verify(ctx, o.src, &f.Info)
	if errors.Is(err, store.ErrCorrupt) {
		return nil, nil // the check tells of it
	}
	if err != nil {
		return nil, err
	}
	if known, err := w.stream(ctx, f.Stream); err != nil || !known {
		return nil, err
	}
	return &rows.Row{Stream: f.Stream.ID, Info: f.Info, Tracks: f.Media.Tracks,
		Replaces: f.Replaces, Looked: math.MaxInt64}, nil
}

// repoint makes the row of a fragment point to where the fragment is.
func (w *work) repoint(
	ctx context.Context, f *contents.Fragment, row *store.FragmentInfo, info objects.Info,
) error {
	if there, err := w.judge.present(ctx, row.Location.Volume); err != nil || there {
		return err
	}
	err := w.db.Repoint(ctx, w.lease, f.Stream.ID, row.Number, row.Location, f.Info.Location,
		info.Size)
	if err == nil {
		w.done.Moved++
	}
	return ignore(err, store.ErrNotFound) // it is in the table of a lost object
}

// stream makes a stream that has no row, and updates one that has the settings of an earlier
// version; known says that it has a row now.
func (w *work) stream(ctx context.Context, st *store.Stream) (known bool, err error) {
	was, seen := w.versions[st.ID]
	w.versions[st.ID] = st.Version
	v, row, err := w.judge.stream(ctx, st.ID)
	switch {
	case err != nil || v == deleted:
		return false, err
	case v == lostStream:
		err = w.db.ImportStream(ctx, w.lease, st, sealed.HighWater{Sequence: rows.RestoreSequence})
		if errors.Is(err, store.ErrExists) {
			return false, nil // the check tells of it
		}
		if err == nil {
			w.done.Streams++
			w.made[st.ID] = true
		}
		return err == nil, err
	case row.Version == st.Version || !(w.made[st.ID] || seen && row.Version == was):
		return true, nil
	}
	err = w.db.ReviseStream(ctx, row.Version, st)
	if err == nil && !w.made[st.ID] {
		w.done.Revised++
	}
	return true, ignore(err, store.ErrVersion)
}

// restorePacked adds the one row of a packed object. done says that nothing more is to be done for
// it; otherwise its fragments are handled one by one.
func (w *work) restorePacked(ctx context.Context, info objects.Info) (done bool, err error) {
	p, err := contents.ReadPacked(ctx, w.bucket, info.Key, info.Size)
	if err != nil || p.Table.Count == 0 {
		return false, ignore(err, store.ErrCorrupt)
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(info.Key, contents.Streams), "/")
	if id != string(p.Stream.ID) {
		return false, nil
	}
	v, row, err := w.judge.stream(ctx, p.Stream.ID)
	if err != nil || v == deleted {
		return true, err
	}
	edge := p.Stream.StoredEdge(w.o.Clock())
	if row != nil {
		edge = row.Edge(w.o.Clock())
	}
	if p.Table.ServerTimes.Max < edge {
		return true, nil
	}
	if known, err := w.stream(ctx, p.Stream); err != nil || !known {
		return true, err
	}
	volume := sealed.Volume{Name: info.Key, Stream: p.Stream.ID, Footer: p.Footer,
		Replaced: p.Table.Replaced}
	volume.Describe(p.Table)
	err = w.db.RestoreSealed(ctx, w.lease, volume, info.Size, p.Table.Sets)
	if errors.Is(err, sealed.ErrUnsealable) || errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		w.done.Fragments += int64(p.Table.Count)
	}
	return true, err
}

// missing drops the rows of lost objects, so that nothing is listed that cannot be read.
func (w *work) missing(ctx context.Context) error {
	for after := int64(-1); ; {
		list, err := w.db.Objects(ctx, after, page)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			o := &list[i]
			if after = o.Key; w.seen.has(o.Key) || !o.InUse() {
				continue
			}
			there, err := w.judge.there(ctx, o.Name)
			if err != nil {
				return err
			}
			if there {
				continue
			}
			n, err := w.db.DropObject(ctx, w.lease, o.Name)
			if err != nil {
				return err
			}
			w.done.Dropped += n
		}
	}
}
