package local

import (
	"context"
	"crypto/sha256"
	"errors"

	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/record"
)

// volumeRecovery collects the records of one volume. They are few: a volume has 64 MB, and only its
// tail is read.
type volumeRecovery struct {
	s       *Store
	volume  index.VolumeInfo
	sealed  store.Number // no sealed volume of the stream has a greater number
	sets    map[[32]byte]int64
	records []recoveredRecord
	locked  int // encrypted records that cannot be decrypted
}

type recoveredRecord struct {
	row    index.NewFragment
	tracks []byte
}

func (r *volumeRecovery) found(loc store.Location, head []byte) error {
	h, fragment, _, err := r.s.o.Keys.DecodeFragment(r.volume.Stream, head)
	if err != nil && h.Encrypted {
		r.locked++
	}
	if err != nil {
		// Its checksums are right, so it was written like this: one fragment is lost, not the
		// volume.
		r.s.log.Error("record cannot be read and is left out", "volume", r.volume.Name, "offset",
			loc.Offset, "error", err)
		return nil
	}
	rec := store.Record{Fragment: *fragment, Number: h.Number}
	info := record.NewInfo(&rec, h.PayloadCRC, 0)
	info.Location = loc
	r.records = append(r.records, recoveredRecord{
		row:    index.NewFragment{Stream: r.volume.Stream, Info: info, Replaces: h.Replaces},
		tracks: record.AppendTracks(nil, fragment.Tracks),
	})
	return nil
}

// commit gives the records rows. If a record's number has a row, its commit was applied although it
// failed, or the record is a second try; both are left as they are.
func (r *volumeRecovery) commit(ctx context.Context) error {
	rows := make([]index.NewFragment, 0, recoverBatch)
	for i := range r.records {
		rec := &r.records[i]
		if rec.row.Info.Number <= r.sealed {
			_, err := r.s.reader.SealedFragment(ctx, r.volume.Stream, rec.row.Info.Number)
			if err == nil {
				continue
			}
			if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		hash := sha256.Sum256(rec.tracks)
		set, ok := r.sets[hash]
		if !ok {
			var err error
			if set, err = r.s.idx.TrackSetID(ctx, r.volume.Stream, hash, rec.tracks); err != nil {
				return err
			}
			r.sets[hash] = set
		}
		rec.row.Info.TrackSet = set
		if rows = append(rows, rec.row); len(rows) == recoverBatch {
			if err := r.commitRows(ctx, rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return r.commitRows(ctx, rows)
}

func (r *volumeRecovery) commitRows(ctx context.Context, rows []index.NewFragment) error {
	if len(rows) == 0 {
		return nil
	}
	results, err := r.s.idx.Commit(ctx, rows, true)
	if err != nil {
		return err
	}
	for _, c := range results {
		switch {
		case c.Err == nil:
			r.s.metrics.RecoveredRecords.Inc()
		case !errors.Is(c.Err, store.ErrExists):
			return c.Err
		}
	}
	return nil
}
