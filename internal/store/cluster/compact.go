package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

const (
	// backlogs is how many streams one pass of compaction looks at, those with the most bytes.
	backlogs = 10_000
	// compactRows bounds the fragments of one compacted object.
	compactRows = 50_000
)

// Compact moves fragments from objects with many streams into objects of one stream, which end in a
// packed table and have one row each. It does so for every stream whose fragments have
// Options.CompactBytes, or of which some are older than Options.CompactAge; with all, for every
// stream. Another node may do the same at the same time for other streams.
//
// First the object is made durable. Then its row replaces those of the fragments in one
// transaction, if the node still holds the lease and the rows are still the same. The old bytes are
// kept for Options.OrphanAge.
func (s *Store) Compact(ctx context.Context, all bool) error {
	list, err := s.db.Backlogs(ctx, backlogs)
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	s.o.Metrics.waiting(list)
	if len(list) < backlogs {
		s.damage.keep(list)
	}
	list = slices.DeleteFunc(list, func(b rows.Backlog) bool {
		return !all && b.Bytes < s.o.CompactBytes &&
			b.Oldest > s.now()-s.o.CompactAge.Milliseconds()
	})
	var errs []error
	for _, n := range parts() {
		mine := slices.DeleteFunc(slices.Clone(list),
			func(b rows.Backlog) bool { return part(b.Stream) != n })
		if len(mine) == 0 {
			continue
		}
		err := s.compactPart(ctx, n, mine, all)
		if !errors.Is(err, rows.ErrLease) { // another node does it
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Store) compactPart(
	ctx context.Context, n int, list []rows.Backlog, all bool,
) error {
	l, err := s.hold(ctx, fmt.Sprint(rows.CompactLease, n))
	if err != nil {
		return err
	}
	defer l.release(ctx)
	var errs []error
	for _, b := range list {
		for more := true; more && err == nil; {
			if err = l.renew(ctx); err == nil {
				more, err = s.compactStream(ctx, l, b.Stream, all)
			}
		}
		switch {
		case errors.Is(err, rows.ErrLease):
			return err
		case errors.Is(err, sealed.ErrUnsealable):
			s.log.Debug("fragments changed while they were compacted", "stream", b.Stream,
				"error", err) // they are as they were: the next pass tries again
		case err != nil && !errors.Is(err, store.ErrNotFound):
			errs = append(errs, fmt.Errorf("compact stream %s: %w", b.Stream, err))
		}
		err = nil
	}
	return errors.Join(errs...)
}

// compactStream makes one object of a stream's oldest fragments; more says that there may be
// another one to make.
func (s *Store) compactStream(
	ctx context.Context, l *tenure, id store.StreamID, all bool,
) (more bool, err error) {
	st, err := s.db.Row(ctx, id)
	if err != nil {
		return false, err
	}
	hot, err := s.db.Hot(ctx, id, store.Query{Order: store.BySequence, Limit: compactRows},
		sealed.MinTime)
	if err != nil {
		return false, err
	}
	list, more := s.chooseWhole(id, hot.Fragments, all)
	if len(list) == 0 {
		return false, nil
	}
	v := sealed.Volume{Stream: id, Name: sealedKey(id, list[0].ServerTimestamp, list[0].Number)}
	object := rows.Object{Name: v.Name, Node: *s.node.Load()}
	v, object.Bytes, err = s.writePacked(ctx, l, &st.Stream, v, list)
	if lost := (damagedError)(nil); errors.As(err, &lost) {
		s.damage.add(id, lost)
		s.log.Error("fragments are damaged and stay as they are", "stream", id,
			"fragments", len(lost), "error", lost)
		return true, nil // the fragments around them
	}
	if err != nil {
		return false, err
	}
	if err := s.db.Seal(ctx, l.lease, v, object); err != nil {
		if errors.Is(err, sealed.ErrUnsealable) { // it was not applied, so nobody knows the object
			err = errors.Join(err, s.bucket.Delete(ctx, []string{object.Name}))
		}
		return false, err
	}
	s.o.Metrics.Compacted.Inc()
	s.o.Metrics.CompactedBytes.Add(float64(object.Bytes))
	return more, nil
}

// sealedKey names an object of a stream by the time, in milliseconds, and the number of its first
// fragment. No key is used twice.
func sealedKey(id store.StreamID, millis int64, n store.Number) string {
	return fmt.Sprintf("%s%s/%s-%016x-%s", contents.Streams, id,
		time.UnixMilli(millis).UTC().Format("2006010215"), n, rand.Text()[:8])
}

// writePacked writes the object of fragments durably, however long the object store takes, and
// returns its size. It keeps the lease in the meantime.
func (s *Store) writePacked(
	ctx context.Context, l *tenure, st *store.Stream, v sealed.Volume, list []store.FragmentInfo,
) (sealed.Volume, int64, error) {
	ctx, stop := l.keep(ctx)
	defer stop()
	data, v, err := s.pack(ctx, st, v, list)
	if err == nil {
		err = s.bucket.Put(ctx, v.Name, data)
	}
	if cause := context.Cause(ctx); errors.Is(cause, rows.ErrLease) {
		err = cause
	}
	return v, int64(len(data)), err
}

// choose returns the fragments of the next object, from the oldest on; more says that they fill it
// and that others are left.
func (s *Store) choose(
	list []store.FragmentInfo, all bool,
) (chosen []store.FragmentInfo, more bool) {
	bytes, old := int64(0), false
	for i := range list {
		if bytes >= s.o.CompactBytes {
			return list[:i], true
		}
		bytes += list[i].Location.Length
		old = old || list[i].ServerTimestamp <= s.now()-s.o.CompactAge.Milliseconds()
	}
	if all || old || bytes >= s.o.CompactBytes {
		return list, false
	}
	return nil, false
}

// pack reads the records of fragments and returns the bytes of an object with all of them, in the
// format of a volume of the local engine (docs/store-format.md): the stream, the records, the
// packed table.
func (s *Store) pack(
	ctx context.Context, st *store.Stream, v sealed.Volume, list []store.FragmentInfo,
) ([]byte, sealed.Volume, error) {
	data, err := record.EncodeStream(st)
	if err != nil {
		return nil, v, err
	}
	moved := slices.Clone(list)
	at := int64(len(data))
	for i := range moved {
		moved[i].Location.Volume, moved[i].Location.Offset = v.Name, at
		at += moved[i].Location.Length
	}
	data = append(data, make([]byte, at-int64(len(data)))...)
	replaced, err := s.readRecords(ctx, data, list, moved)
	if err != nil {
		return nil, v, err
	}
	v.Replaced = replaced
	footer, v, err := sealed.Pack(v, moved, func(set int64) ([]byte, error) {
		tracks, err := s.db.TrackSet(ctx, st.ID, set)
		return record.AppendTracks(nil, tracks), err
	})
	if err != nil {
		return nil, v, err
	}
	v.Footer = store.Location{Volume: v.Name, Offset: at, Length: int64(len(footer)),
		MetaLength: int64(len(footer)) - record.FooterTrailer}
	return append(data, footer...), v, nil
}
