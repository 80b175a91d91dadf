package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/record"
)

// page is how many objects are looked at together.
const page = 1000

// check is one pass over the bucket and the rows that changes nothing. Since nodes may be running,
// it looks a second time before it reports a problem.
type check struct {
	*cluster
	report Report
	judge  *Judge
	now    time.Time // by the clock of the database, when the pass began
	last   int64     // key of the newest object when the pass began
	seen   keySet    // of the objects in the bucket: the only thing that grows with their number
	// streams without rows that were reported: whether another stream has the name by now
	lost map[store.StreamID]bool
}

func (c *cluster) check(ctx context.Context) (Report, error) {
	k := &check{cluster: c, report: Report{Problems: []Problem{}},
		judge: NewJudge(c.db, c.bucket, c.o.Clock), lost: map[store.StreamID]bool{}}
	err := k.run(ctx)
	return k.report, err
}

func (k *check) run(ctx context.Context) (err error) {
	if k.now, err = k.db.Now(ctx); err != nil {
		return err
	}
	if k.last, err = k.db.LastObject(ctx); err != nil {
		return err
	}
	if err := k.commits(ctx); err != nil {
		return err
	}
	if err := k.tombstones(ctx, func(st *rows.Stream) error {
		k.report.problem(Problem{Kind: "deleted-stream", Stream: st.Name, Repair: true,
			Text: "it was deleted, and the database has forgotten that"})
		return nil
	}); err != nil {
		return err
	}
	for _, prefix := range []string{contents.Streams, contents.Batches} {
		if err := k.bucketObjects(ctx, prefix); err != nil {
			return err
		}
	}
	if err := k.rowObjects(ctx); err != nil {
		return err
	}
	k.report.Streams, err = k.db.CountStreams(ctx)
	return err
}

// commits reports whether the database has lost commits.
func (k *check) commits(ctx context.Context) error {
	reason, err := k.setBack(ctx)
	if err == nil && reason != "" {
		k.report.problem(Problem{Kind: "commits-lost", Repair: true,
			Text: "the database has lost commits (" + reason + "); nothing is collected"})
	}
	return err
}

// bucketObjects checks all objects with a prefix, page by page.
func (k *check) bucketObjects(ctx context.Context, prefix string) error {
	return k.pages(ctx, prefix, func(infos []objects.Info, known map[string]rows.StoredObject,
	) error {
		for _, info := range infos {
			o, ok := known[info.Key]
			switch {
			case !ok:
				if err := k.orphan(ctx, info); err != nil {
					return err
				}
			case o.Object.Bytes != info.Size:
				k.report.problem(Problem{Kind: "damaged-object", Object: info.Key,
					Text: fmt.Sprintf("it has %d bytes, and had %d", info.Size, o.Object.Bytes)})
				fallthrough
			default:
				k.seen.add(o.Key)
			}
			k.tell("looking at objects", info.Key)
		}
		return nil
	})
}

// keySet is a set of object keys, which are not negative. It has a bit for each key up to the
// greatest.
type keySet []uint64

func (s *keySet) add(key int64) {
	if need := int(key/64) + 1; need > len(*s) {
		*s = append(*s, make([]uint64, need-len(*s))...)
	}
	(*s)[key/64] |= 1 << (key % 64)
}

func (s keySet) has(key int64) bool {
	return int(key/64) < len(s) && s[key/64]&(1<<(key%64)) != 0
}

// orphan checks an object without rows, and reports what it has.
func (k *check) orphan(ctx context.Context, info objects.Info) error {
	if info.Modified.After(k.now.Add(-k.o.Settle)) {
		k.report.New++
		return nil
	}
	o := scan(ctx, k.bucket, info)
	if err := o.failed(); err != nil {
		return ignore(err, store.ErrGone) // it was collected
	}
	counts, mended := map[verdict]int{}, 0
	judged, err := k.judge.fragments(ctx, o.fragments)
	if err != nil {
		return ignore(err, store.ErrGone)
	}
	for i := range o.fragments {
		f, v := &o.fragments[i], judged[i].verdict
		if v == lost || v == lostStream {
			err = contents.Verify(ctx, o.src, &f.Info)
			if errors.Is(err, store.ErrCorrupt) { // it is not brought back
				k.report.problem(Problem{Kind: "damaged-fragment", Stream: f.Stream.Name,
					Object: info.Key, Text: f.Stream.FormatNumber(f.Info.Number) +
						" has no row and is damaged"})
				continue
			}
			if err != nil {
				return ignore(err, store.ErrGone)
			}
		}
		nameTaken := false
		if v == lostStream {
			if nameTaken, err = k.lostStream(ctx, f.Stream); err != nil {
				return err
			}
		}
		if counts[v]++; (v == lost || v == lostStream) && !nameTaken {
			mended++
		}
	}
	again, err := k.db.FindObjects(ctx, []string{info.Key})
	if err != nil || len(again) > 0 {
		return err // it was committed meanwhile
	}
	switch n := counts[lost] + counts[lostStream]; {
	case n > 0:
		k.report.problem(Problem{Kind: "lost-fragments", Object: info.Key, Repair: mended > 0,
			Text: fmt.Sprintf("%d of its %d fragments have no row", n, len(o.fragments))})
	case counts[taken] > 0:
		k.report.problem(Problem{Kind: "number-taken", Object: info.Key,
			Text: fmt.Sprintf("%d of its fragments have numbers of others", counts[taken])})
	default:
		k.report.Unused++
	}
	return nil
}

// lostStream reports, once, a stream that has no row, and whether another one has its name.
func (k *check) lostStream(ctx context.Context, st *store.Stream) (taken bool, err error) {
	if taken, told := k.lost[st.ID]; told {
		return taken, nil
	}
	other, err := k.db.Stream(ctx, st.Name)
	switch {
	case err == nil:
		k.report.problem(Problem{Kind: "name-taken", Stream: st.Name,
			Text: fmt.Sprintf("stream %s has no row, and its name is that of stream %s now",
				st.ID, other.ID)})
	case errors.Is(err, store.ErrNotFound):
		k.report.problem(Problem{Kind: "lost-stream", Stream: st.Name, Repair: true,
			Text: fmt.Sprintf("stream %s has no row", st.ID)})
	default:
		return false, err
	}
	taken = err == nil
	if len(k.lost) < cachedAnswers {
		k.lost[st.ID] = taken
	}
	return taken, nil
}

// rowObjects checks the rows of all objects.
func (k *check) rowObjects(ctx context.Context) error {
	for after := int64(-1); ; {
		list, err := k.db.Objects(ctx, after, page)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].Key
		list = slices.DeleteFunc(list, func(o rows.StoredObject) bool {
			return o.Key > k.last || !o.InUse() // its bytes may be gone
		})
		for o, read := range ahead(list, tablesAtOnce, func(o rows.StoredObject) table {
			return k.read(ctx, &o)
		}) {
			if err := k.rowObject(ctx, &o, read); err != nil {
				return err
			}
			k.tell("looking at rows", o.Name)
		}
		if after > k.last {
			return nil
		}
	}
}

// tablesAtOnce is how many tables are read at a time, so that the next ones are there when one was
// checked.
const tablesAtOnce = 8

// table is that of a sealed object, or why it cannot be read.
type table struct {
	*record.Table
	err error
}

// read reads the table of an object, if it is sealed.
func (k *check) read(ctx context.Context, o *rows.StoredObject) (t table) {
	if o.Sealed != nil {
		t.Table, t.err = contents.Footer(ctx, k.bucket, o.Sealed.Footer)
	}
	return t
}

func (k *check) rowObject(
	ctx context.Context, o *rows.StoredObject, read func() table,
) error {
	k.report.Objects++
	k.report.Bytes += o.Object.Bytes
	if k.report.Fragments += o.Fragments; o.Sealed != nil {
		k.report.Fragments += int64(o.Sealed.Count)
	}
	if !k.seen.has(o.Key) {
		there, err := k.judge.there(ctx, o.Name)
		if err != nil {
			return err
		}
		if !there {
			return k.again(ctx, o, Problem{Kind: "missing-object", Object: o.Name, Repair: true,
				Text: "rows tell of it and it is not there"})
		}
	}
	if o.End > o.Object.Bytes {
		return k.again(ctx, o, Problem{Kind: "row", Object: o.Name,
			Text: fmt.Sprintf("a row tells of byte %d of %d", o.End, o.Object.Bytes)})
	}
	if o.Sealed != nil {
		if err := k.table(ctx, o, read()); err != nil {
			return err
		}
	}
	if !k.o.Deep {
		return nil
	}
	list, err := k.db.ObjectFragments(ctx, o.Key)
	for i := 0; i < len(list) && err == nil; i++ {
		err = k.fragment(ctx, o, &list[i])
	}
	return err
}

// table compares the row of a sealed object with its table.
func (k *check) table(ctx context.Context, o *rows.StoredObject, t table) error {
	err := t.err
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrGone) {
		return k.again(ctx, o, Problem{Kind: "damaged-object", Object: o.Name,
			Text: err.Error() + "; its fragments are not listed"})
	}
	if err != nil {
		return err
	}
	now := *o.Sealed
	now.Describe(t.Table)
	if was := o.Sealed; now.Count != was.Count || now.Number != was.Number ||
		now.Sequence != was.Sequence || now.Server != was.Server || now.Producer != was.Producer ||
		len(t.Sets) != len(was.Sets) {
		return k.again(ctx, o, Problem{Kind: "row", Object: o.Name,
			Text: "its row and its table differ"})
	}
	if !k.o.Deep {
		return nil
	}
	list, err := t.Fragments(o.Name, o.Sealed.Sets)
	for i := 0; i < len(list) && err == nil; i++ {
		err = k.fragment(ctx, o, &list[i])
	}
	return err
}

// fragment reads a whole fragment and compares it with its row.
func (k *check) fragment(
	ctx context.Context, o *rows.StoredObject, f *store.FragmentInfo,
) error {
	m, err := contents.Head(ctx, k.bucket, f)
	if err == nil && (m.ProducerTimestamp != f.ProducerTimestamp ||
		m.ServerTimestamp != f.ServerTimestamp || m.Partial != f.Partial) {
		err = fmt.Errorf("%w: row and record differ", store.ErrCorrupt)
	}
	if err == nil {
		err = contents.Verify(ctx, k.bucket, f)
	}
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrGone) {
		return k.again(ctx, o, Problem{Kind: "damaged-fragment", Object: o.Name,
			Text: fmt.Sprintf("fragment %d: %v", f.Number, err)})
	}
	return err
}

// again reports a problem with an object, unless its rows have changed in the meantime.
func (k *check) again(ctx context.Context, o *rows.StoredObject, p Problem) error {
	now, err := k.db.Objects(ctx, o.Key-1, 1)
	if err != nil || len(now) == 0 || now[0].Key != o.Key || !now[0].InUse() {
		return err
	}
	k.report.problem(p)
	return nil
}
