package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// recoverBatch bounds the rows that recovery commits at a time.
const recoverBatch = 256

// recover brings the index and the bytes together after a crash, before anything else runs:
//
//   - blobs that the index has and that are not there lose their rows;
//   - blobs that are there and that the index does not have become known (the crash came between the bytes and the first
//     commit; or the index was lost, and then their streams become known again too);
//   - open blobs are read from their indexed end on: a torn tail is cut, whole records get rows. Their acks may not have
//     been sent, which is legal: the producer cannot tell a lost ack from a lost fragment and sends again;
//   - open blobs are closed: the next Append of each stream begins another.
//
// Closed blobs cost nothing but their names.
func (s *Store) recover(ctx context.Context) error {
	known, err := s.idx.Blobs(ctx)
	if err != nil {
		return err
	}
	deleted := make(map[StreamID]bool)
	ids, err := s.idx.DeletedStreams(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		deleted[id] = true // the sweep deletes their bytes
	}
	there := make(map[string]bool)
	if err := s.blobs.List(ctx, func(name string) error { there[name] = true; return nil }); err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}

	var missing []string
	var open []BlobInfo
	for _, b := range known {
		switch {
		case deleted[b.Stream]:
		case b.State != BlobDoomed && !there[b.Name]:
			s.log.Error("blob is missing, its fragments are dropped", "blob", b.Name)
			missing = append(missing, b.Name)
		case b.State == BlobOpen:
			open = append(open, b)
		}
		delete(there, b.Name)
	}
	if err := s.idx.ForgetBlobs(ctx, missing); err != nil {
		return fmt.Errorf("forget missing blobs: %w", err)
	}

	// Names begin with stream, hour and first number, so their order is that of their making.
	var unknown []string
	for name := range there {
		unknown = append(unknown, name)
	}
	sort.Strings(unknown)
	for _, b := range open {
		if err := s.recoverBlob(ctx, b); err != nil {
			return err
		}
	}
	for _, name := range unknown {
		id, _, _ := strings.Cut(name, "/")
		if deleted[StreamID(id)] {
			continue
		}
		if strings.HasSuffix(name, "/") {
			if err := s.recoverEmpty(ctx, StreamID(id)); err != nil {
				return err
			}
			continue
		}
		if err := s.recoverBlob(ctx, BlobInfo{Name: name, Stream: StreamID(id)}); err != nil {
			return err
		}
	}
	return nil
}

// recoverEmpty frees what is left of a stream that has no blobs and is not known.
func (s *Store) recoverEmpty(ctx context.Context, id StreamID) error {
	_, err := s.idx.StreamByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		err = s.blobs.DeleteStream(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("recover stream %s: %w", id, err)
	}
	return nil
}

// recoverBlob gives rows to the records behind b.Indexed and closes the blob. A b.Indexed of 0 is a blob without a row, or one
// whose row was written by a recovery that did not end.
func (s *Store) recoverBlob(ctx context.Context, b BlobInfo) error {
	r := blobRecovery{s: s, blob: b, sets: make(map[[32]byte]int64)}
	stream, err := s.idx.StreamByID(ctx, b.Stream)
	switch {
	case err == nil:
		r.stream = &stream
	case !errors.Is(err, ErrNotFound) || b.Indexed > 0:
		return fmt.Errorf("recover blob %s: %w", b.Name, err)
	}
	described, end, cut, err := s.blobs.Recover(ctx, b.Name, b.Indexed, func(loc Location, head []byte) error {
		return r.found(loc, head)
	})
	if errors.Is(err, ErrCorrupt) {
		// It does not even begin as a blob: a file cut short at its creation, or not ours. Nothing refers to it.
		s.log.Warn("blob holds nothing and is deleted", "blob", b.Name, "err", err)
		return s.deleteBlob(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("recover blob %s: %w", b.Name, err)
	}
	s.metrics.TruncatedBytes.Add(float64(cut))
	if len(r.records) == 0 && b.Indexed == 0 {
		return s.deleteBlob(ctx, b)
	}
	if r.stream == nil {
		// The index does not know the stream, not even as a deleted one: it was lost or is an older copy. What the blob says
		// of the stream makes it known again; deleting video because an index is missing would be the worst answer.
		if described == nil || described.ID != b.Stream {
			s.log.Warn("blob belongs to no stream and is deleted", "blob", b.Name)
			return s.deleteBlob(ctx, b)
		}
		err := s.idx.CreateStream(ctx, *described)
		if errors.Is(err, ErrExists) {
			s.log.Error("blob is of a lost stream whose name is taken by another, it is left alone", "blob", b.Name, "stream", described.Name)
			return nil
		}
		if err != nil {
			return fmt.Errorf("recover stream of blob %s: %w", b.Name, err)
		}
		s.log.Warn("stream recovered from its bytes", "stream", described.Name, "id", described.ID)
		r.stream = described
	}
	if b.Indexed == 0 {
		if err := s.idx.AddBlob(ctx, b.Stream, b.Name); err != nil {
			return fmt.Errorf("recover blob %s: %w", b.Name, err)
		}
	}
	if err := r.commit(ctx); err != nil {
		return fmt.Errorf("recover blob %s: %w", b.Name, err)
	}
	if err := s.idx.CloseBlob(ctx, b.Name, end); err != nil {
		return fmt.Errorf("recover blob %s: %w", b.Name, err)
	}
	if len(r.records) > 0 || cut > 0 {
		s.log.Info("blob recovered", "blob", b.Name, "records", len(r.records), "cut_bytes", cut)
	}
	return nil
}

func (s *Store) deleteBlob(ctx context.Context, b BlobInfo) error {
	err := s.idx.ForgetBlobs(ctx, []string{b.Name})
	if err == nil {
		err = s.blobs.Delete(ctx, []string{b.Name})
	}
	if err != nil {
		return fmt.Errorf("delete blob %s: %w", b.Name, err)
	}
	return nil
}

// blobRecovery collects the records of one blob. There are few: a blob is 64 MB, and only its tail is read.
type blobRecovery struct {
	s       *Store
	blob    BlobInfo
	stream  *Stream
	sets    map[[32]byte]int64
	records []recoveredRecord
}

type recoveredRecord struct {
	row    NewFragment
	tracks []byte
}

func (r *blobRecovery) found(loc Location, head []byte) error {
	h, fragment, err := DecodeRecord(head)
	if err != nil {
		// Its checksums hold, so it was written like this: one fragment lost, not the blob.
		r.s.log.Error("record cannot be read and is left out", "blob", r.blob.Name, "offset", loc.Offset, "err", err)
		return nil
	}
	rec := Record{Fragment: *fragment, Number: h.Number}
	info := newInfo(&rec, h.PayloadCRC, 0)
	info.Location = loc
	r.records = append(r.records, recoveredRecord{
		row:    NewFragment{Stream: r.blob.Stream, Info: info, Replaces: h.Replaces},
		tracks: AppendTracks(nil, fragment.Tracks),
	})
	return nil
}

// commit gives the records rows. A record whose number has a row already was applied although its commit had failed, or is
// the second try of one; both are left as they are.
func (r *blobRecovery) commit(ctx context.Context) error {
	rows := make([]NewFragment, 0, recoverBatch)
	for i := range r.records {
		rec := &r.records[i]
		hash := sha256.Sum256(rec.tracks)
		set, ok := r.sets[hash]
		if !ok {
			var err error
			if set, err = r.s.idx.TrackSetID(ctx, r.blob.Stream, hash, rec.tracks); err != nil {
				return err
			}
			r.sets[hash] = set
		}
		rec.row.Info.TrackSet = set
		rows = append(rows, rec.row)
		if len(rows) < recoverBatch && i < len(r.records)-1 {
			continue
		}
		results, err := r.s.idx.Commit(ctx, rows)
		if err != nil {
			return err
		}
		for _, c := range results {
			switch {
			case c.Err == nil:
				r.s.metrics.RecoveredRecords.Inc()
			case !errors.Is(c.Err, ErrExists):
				return c.Err
			}
		}
		rows = rows[:0]
	}
	return nil
}
