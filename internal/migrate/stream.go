package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// pageSize is how many rows are read at a time.
const pageSize = 500

// checkStreams refuses a cluster with streams that the directory does not have, or no longer has.
func (m *migration) checkStreams(ctx context.Context, streams []store.Stream) error {
	ours := make(map[store.StreamID]bool, len(streams))
	for i := range streams {
		ours[streams[i].ID] = true
	}
	there, err := m.store.ListStreams(ctx, "", "", 0)
	if err != nil {
		return err
	}
	for i := range there {
		if !ours[there[i].ID] {
			return fmt.Errorf("%w: it has the stream %s, which the directory has not",
				cluster.ErrInUse, there[i].Name)
		}
	}
	return nil
}

// copyStream copies a stream and its fragments.
func (m *migration) copyStream(ctx context.Context, st *store.Stream) error {
	high, err := m.from.rows.HighWater(ctx, st.ID)
	if err == nil {
		err = m.to.Stream(ctx, st, high)
	}
	if err == nil {
		err = m.copyVolumes(ctx, st)
	}
	if err == nil {
		err = m.copyHot(ctx, st)
	}
	if err != nil {
		return err
	}
	gone, err := m.from.rows.Gone(ctx, st.ID)
	if err == nil && len(gone) > 0 {
		err = m.to.Gone(ctx, st.ID, gone)
	}
	return err
}

// copyVolumes copies a stream's sealed volumes, several at a time.
func (m *migration) copyVolumes(ctx context.Context, st *store.Stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan sealed.Volume)
	errs := make([]error, volumesAtOnce)
	var workers sync.WaitGroup
	for n := range volumesAtOnce {
		workers.Go(func() {
			for v := range work {
				if errs[n] == nil {
					errs[n] = m.copyVolume(ctx, st, v)
				}
				if errs[n] != nil {
					cancel()
				}
			}
		})
	}
	err := m.eachMissing(ctx, st.ID, func(v sealed.Volume) error {
		select {
		case work <- v:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(work)
	workers.Wait()
	if first := errors.Join(errs...); first != nil {
		return first // what cancelled the others
	}
	return err
}

// eachMissing calls copy for each sealed volume of a stream that the cluster does not have, in the
// order of their sequences.
func (m *migration) eachMissing(
	ctx context.Context, id store.StreamID, copy func(sealed.Volume) error,
) error {
	var after int64
	have := imported{to: m.to, id: id}
	for {
		page, err := m.from.rows.Sealed(ctx, id, store.Query{Order: store.BySequence},
			sealed.MinTime, after, pageSize)
		if err != nil {
			return err
		}
		for i := range page {
			v := page[i]
			after = v.Sequence.Min
			done, err := have.overlaps(ctx, v.Sequence)
			if err != nil {
				return err
			}
			if done {
				m.mu.Lock()
				m.sum.Before++
				m.mu.Unlock()
				m.tell(v.Footer.Offset + v.Footer.Length)
				continue
			}
			v.Stream = id
			if err := copy(v); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// imported has the sealed objects of a stream in the cluster, in the order of their sequences.
type imported struct {
	to    *cluster.Import
	id    store.StreamID
	page  []sealed.Volume
	after int64
	end   bool
}

// overlaps reports whether an object has sequences in a range. Calls must have ascending ranges.
func (i *imported) overlaps(ctx context.Context, r record.Range) (bool, error) {
	for {
		for len(i.page) > 0 && i.page[0].Sequence.Max < r.Min {
			i.page = i.page[1:]
		}
		if len(i.page) > 0 || i.end {
			return len(i.page) > 0 && i.page[0].Sequence.Min <= r.Max, nil
		}
		var err error
		if i.page, err = i.to.Volumes(ctx, i.id, i.after, pageSize); err != nil {
			return false, err
		}
		if i.end = len(i.page) < pageSize; len(i.page) > 0 {
			i.after = i.page[len(i.page)-1].Sequence.Min
		}
	}
}

// copySessions copies the open playback sessions.
func (m *migration) copySessions(ctx context.Context) error {
	now := time.Now().UnixMilli()
	for after := ""; ; {
		page, err := m.from.rows.ListSessions(ctx,
			store.SessionQuery{After: after, Limit: pageSize}, now)
		if err != nil {
			return err
		}
		for i := range page {
			after = page[i].ID
			s, err := m.from.rows.Session(ctx, page[i].ID)
			if err == nil {
				_, err = m.store.OpenSession(ctx, s, 0)
			}
			if err != nil && !errors.Is(err, store.ErrExists) { // of an earlier run
				return err
			}
			m.sum.Sessions++
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// compare compares the cluster's list of a stream with the directory's. Only fragments that cannot
// be read may be missing.
func (m *migration) compare(ctx context.Context, st *store.Stream) error {
	q := store.Query{Order: store.BySequence, Limit: 1000}
	for {
		want, err := m.from.reader.List(ctx, st.ID, q, sealed.MinTime)
		if err != nil {
			return err
		}
		got, err := m.to.List(ctx, st.ID, q)
		if err != nil {
			return err
		}
		last := len(want) < q.Limit
		if !last { // the others are compared with the next page
			q.AfterSequence = want[len(want)-1].Sequence
			got = slices.DeleteFunc(got, func(f store.FragmentInfo) bool {
				return f.Sequence > q.AfterSequence
			})
		}
		if err := m.comparePage(ctx, st, want, got); err != nil {
			return err
		}
		m.sum.Fragments += len(got)
		if last {
			return nil
		}
	}
}

func (m *migration) comparePage(
	ctx context.Context, st *store.Stream, want, got []store.FragmentInfo,
) error {
	for i := range want {
		w := &want[i]
		if len(got) == 0 || got[0].Sequence > w.Sequence {
			if err := m.unreadable(ctx, st, w); err != nil {
				return err
			}
			continue
		}
		if !m.same(w, &got[0]) {
			return fmt.Errorf("%w: fragment %s is %+v, not %+v", errDiffers,
				st.FormatNumber(w.Number), got[0], *w)
		}
		got = got[1:]
	}
	if len(got) > 0 {
		return fmt.Errorf("%w: it has fragment %s", errDiffers, st.FormatNumber(got[0].Number))
	}
	return nil
}

// unreadable checks that a fragment that the cluster does not have cannot be read.
func (m *migration) unreadable(ctx context.Context, st *store.Stream, f *store.FragmentInfo) error {
	if name := f.Location.Volume; m.last.name != name {
		m.last.name = name
		m.last.data, m.last.err = m.from.volumes.Whole(ctx, name, m.from.warm)
	}
	err := m.last.err
	if err == nil {
		if err = checkRecord(m.last.data, f); err == nil {
			again := *f
			_, err = m.plain(st.ID, m.last.data[f.Location.Offset:][:f.Location.Length], &again)
		}
	}
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrGone) {
		m.damaged("fragment %s of stream %s is left out: %v", st.FormatNumber(f.Number), st.Name,
			err)
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%w: it has not fragment %s", errDiffers, st.FormatNumber(f.Number))
	}
	return err
}

// errDiffers says that rows in the cluster differ from those of the directory.
var errDiffers = errors.New("the cluster does not list what the directory does; use a new " +
	"database and prefix")

// same reports whether two rows are of the same fragment.
func (m *migration) same(w, g *store.FragmentInfo) bool {
	same := w.Number == g.Number && w.Sequence == g.Sequence && w.TrackSet == g.TrackSet &&
		w.ServerTimestamp == g.ServerTimestamp && w.ProducerTimestamp == g.ProducerTimestamp &&
		w.Partial == g.Partial && slices.Equal(w.Spans, g.Spans)
	if m.o.Decrypt { // the records differ
		return same
	}
	return same && w.PayloadCRC == g.PayloadCRC && w.Location.Length == g.Location.Length &&
		w.Location.MetaLength == g.Location.MetaLength
}
