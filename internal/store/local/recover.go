package local

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"
	"strings"

	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// recoverBatch bounds the rows that recovery commits at a time.
const recoverBatch = 256

// recover makes the index and the bytes agree after a crash, before anything else runs:
//
//   - Volumes that are in the index but do not exist lose their rows.
//   - Volumes that exist but are not in the index become known. The crash came between the bytes
//     and the first commit; or the index was lost, and then their streams become known again, too.
//   - Open volumes are read from their indexed end on: a torn tail is cut, whole records get rows.
//     Their acknowledgements may not have been sent, which is fine: a producer cannot distinguish a
//     lost acknowledgement from a lost fragment, and sends again.
//   - Open volumes are closed: the next Append to each stream begins another one.
//
// Closed and sealed volumes cost no more than their names. Of an unknown sealed volume only the
// footer is read.
//
// Every step leaves a state that a crash may leave, too, so the steps need not be durable one by
// one.
func (s *Store) recover(ctx context.Context) error {
	return s.idx.Batch(ctx, func() error { return s.recoverAll(ctx) })
}

func (s *Store) recoverAll(ctx context.Context) error {
	known, err := s.idx.Volumes(ctx)
	if err != nil {
		return err
	}
	deleted := make(map[store.StreamID]bool)
	ids, err := s.idx.DeletedStreams(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		deleted[id] = true // the sweep deletes their bytes
	}
	there := make(map[string]bool)
	if err := s.volumes.List(ctx,
		func(name string) error { there[name] = true; return nil }); err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}

	var missing []string
	var open []index.VolumeInfo
	for _, b := range known {
		switch {
		case deleted[b.Stream]:
		case b.State != index.VolumeDoomed && !there[b.Name]:
			s.log.Error("volume is missing, its fragments are dropped", "volume", b.Name)
			missing = append(missing, b.Name)
		case b.State == index.VolumeOpen:
			open = append(open, b)
		}
		delete(there, b.Name)
	}
	if err := s.idx.ForgetVolumes(ctx, missing); err != nil {
		return fmt.Errorf("forget missing volumes: %w", err)
	}

	var closed []index.VolumeInfo
	for i, b := range open {
		if whole, err := s.bringBack(ctx, b.Name); err != nil {
			return err
		} else if !whole {
			continue
		}
		if err := s.verifyTail(ctx, b); err != nil {
			return err
		}
		closed, err = s.recoverVolume(ctx, b, nil, closed)
		if err != nil {
			return err
		}
		s.progress(i+1, len(open)+len(there))
	}
	if err := s.idx.CloseVolumes(ctx, closed); err != nil {
		return fmt.Errorf("close volumes: %w", err)
	}
	// Names begin with stream, hour and first number, so their order is that of their making.
	var unknown []string
	for name := range there {
		unknown = append(unknown, name)
	}
	sort.Strings(unknown)
	for done := 0; len(unknown) > 0; {
		id, _, _ := strings.Cut(unknown[0], "/")
		n := sort.Search(len(unknown), func(i int) bool { return unknown[i] > id+"/\xff" })
		names := unknown[:n]
		unknown = unknown[n:]
		if !deleted[store.StreamID(id)] {
			if err := s.recoverUnknown(ctx, store.StreamID(id), names,
				func(n int) { s.progress(len(open)+done+n, len(open)+len(there)) }); err != nil {
				return err
			}
		}
		done += n
	}
	return nil
}

// tailPage is how many rows verifyTail reads at a time.
const tailPage = 16

// verifyTail reads the last fragments of an open volume that have rows, backwards to one that is
// intact, and reports the damaged ones. They were acknowledged, and a disk that loses what it
// claimed to have synced loses the newest. They keep their rows, like any damaged fragment.
func (s *Store) verifyTail(ctx context.Context, b index.VolumeInfo) error {
	stream, err := s.idx.StreamByID(ctx, b.Stream)
	if errors.Is(err, store.ErrNotFound) {
		return nil // recoverVolume says so
	}
	if err != nil {
		return fmt.Errorf("verify volume %s: %w", b.Name, err)
	}
	q := store.Query{Order: store.ByNumberNewest, Limit: tailPage}
	for {
		hot, err := s.idx.Hot(ctx, b.Stream, q, sealed.MinTime)
		if err != nil {
			return fmt.Errorf("verify volume %s: %w", b.Name, err)
		}
		for i := range hot.Fragments {
			f := &hot.Fragments[i]
			q.After = f.Number
			if f.Location.Volume != b.Name {
				continue
			}
			switch _, err := verifyRecord(ctx, s.volumes, s.o.Keys, *f,
				func(int) error { return ctx.Err() }); {
			case err == nil || errors.Is(err, store.ErrKey): // intact, as far as anybody can tell
				return nil
			case ctx.Err() != nil:
				return ctx.Err()
			default: // damaged, or the disk cannot read it
				s.foundDamaged(&stream, f, err, s.damaged)
			}
		}
		if len(hot.Fragments) < tailPage {
			return nil
		}
	}
}

func (s *Store) progress(done, total int) {
	if s.o.Progress != nil {
		s.o.Progress(done, total)
	}
}

// recoverUnknown makes the volumes of one stream known, in the order in which they were made.
// Sealed ones are added together from their footers, the others are read.
func (s *Store) recoverUnknown(
	ctx context.Context, id store.StreamID, names []string, done func(int),
) error {
	if len(names) == 1 && strings.HasSuffix(names[0], "/") {
		return s.recoverEmpty(ctx, id)
	}
	// If the index does not know the stream, its last volume says what it was like at the end.
	described, err := s.describe(ctx, id, names)
	if err != nil {
		return err
	}
	var volumes []sealed.Volume // to be added
	sets := make(map[[32]byte]int64)
	for i, name := range names {
		b, err := s.recoverSealed(ctx, id, name, described, sets)
		if err != nil {
			return fmt.Errorf("recover volume %s: %w", name, err)
		}
		if b != nil {
			described = nil // it is known now
			volumes = append(volumes, *b)
		}
		if b == nil || len(volumes) == recoverBatch || i == len(names)-1 {
			if err := s.addSealed(ctx, volumes); err != nil {
				return err
			}
			volumes = volumes[:0]
		}
		if b == nil {
			closed, err := s.recoverVolume(ctx, index.VolumeInfo{Name: name, Stream: id}, described,
				nil)
			if err == nil {
				err = s.idx.CloseVolumes(ctx, closed)
			}
			if err != nil {
				return err
			}
		}
		done(i + 1)
	}
	return nil
}

// describe returns the stream of volumes without rows as its last volume describes it, if the index
// does not know the stream; nil if it does, or if no volume says anything.
func (s *Store) describe(
	ctx context.Context, id store.StreamID, names []string,
) (*store.Stream, error) {
	_, err := s.idx.StreamByID(ctx, id)
	if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	for i := len(names) - 1; i >= 0; i-- {
		described, _, err := s.volumes.Describe(ctx, names[i])
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, fmt.Errorf("recover volume %s: %w", names[i], err)
		}
		if err == nil && described.ID == id {
			return described, nil
		}
	}
	return nil, nil
}

// revive makes a stream known that the index does not have, not even as a deleted one: the index
// was lost or is an older copy. Its volumes describe it well enough, and deleting video because an
// index is missing would be the worst answer. false when another stream has its name.
func (s *Store) revive(ctx context.Context, described *store.Stream) (bool, error) {
	err := s.idx.CreateStream(ctx, *described)
	if errors.Is(err, store.ErrExists) {
		if _, err := s.idx.StreamByID(ctx, described.ID); err == nil {
			return true, nil
		}
		s.log.Error("bytes are of a lost stream whose name is taken by another, "+
			"they are left alone", "stream", described.Name, "id", described.ID)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("recover stream %s: %w", described.ID, err)
	}
	s.log.Warn("stream recovered from its bytes", "stream", described.Name, "id", described.ID)
	return true, nil
}

// recoverSealed reads the footer of a volume; nil when it has none that is usable. sets remembers
// the track sets of the stream's other volumes.
func (s *Store) recoverSealed(ctx context.Context, id store.StreamID, name string,
	described *store.Stream, sets map[[32]byte]int64) (*sealed.Volume, error) {
	_, at, err := s.volumes.Describe(ctx, name)
	var t *record.Table
	if err == nil && at.Length > 0 {
		t, err = readTable(ctx, s.volumes, s.o.Keys, at)
	}
	if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrKey) {
		return nil, err
	}
	if err != nil || t == nil || t.Count == 0 {
		return nil, nil
	}
	if described != nil {
		if ok, err := s.revive(ctx, described); !ok {
			return nil, err
		}
	}
	b := &sealed.Volume{Name: name, Stream: id, Footer: at, Replaced: t.Replaced}
	for _, tracks := range t.Sets {
		hash := sha256.Sum256(tracks)
		set, ok := sets[hash]
		if !ok {
			if set, err = s.idx.TrackSetID(ctx, id, hash,
				tracks); errors.Is(err, store.ErrNotFound) {
				return nil, nil // of no stream
			}
			if err != nil {
				return nil, err
			}
			sets[hash] = set
		}
		b.Sets = append(b.Sets, set)
	}
	b.Describe(t)
	return b, nil
}

// addSealed makes sealed volumes known. If they cannot be put in order with the known ones, they
// are read instead.
func (s *Store) addSealed(ctx context.Context, volumes []sealed.Volume) error {
	if len(volumes) == 0 {
		return nil
	}
	n := 0
	for i := range volumes {
		n += volumes[i].Count
	}
	err := s.idx.AddSealed(ctx, volumes)
	if err == nil {
		s.metrics.RecoveredRecords.Add(float64(n))
		s.log.Info("sealed volumes recovered", "stream", volumes[0].Stream, "volumes", len(volumes),
			"fragments", n)
		return nil
	}
	if !errors.Is(err, sealed.ErrUnsealable) {
		return fmt.Errorf("recover sealed volumes: %w", err)
	}
	if len(volumes) > 1 {
		for i := range volumes {
			if err := s.addSealed(ctx, volumes[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	s.log.Warn("table of a volume does not go with what is known, its records are read", "volume",
		volumes[0].Name, "error", err)
	closed, err := s.recoverVolume(ctx, index.VolumeInfo{Name: volumes[0].Name,
		Stream: volumes[0].Stream}, nil, nil)
	if err == nil {
		err = s.idx.CloseVolumes(ctx, closed)
	}
	return err
}

// recoverEmpty removes what is left of a stream that has no volumes and is not known.
func (s *Store) recoverEmpty(ctx context.Context, id store.StreamID) error {
	_, err := s.idx.StreamByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = s.volumes.DeleteStream(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("recover stream %s: %w", id, err)
	}
	return nil
}

// recoverVolume adds rows for the records after b.Indexed, and adds the volume to those to be
// closed. b.Indexed is 0 for a volume without a row, or with a row from a recovery that did not
// finish. described is its stream if the index does not know it.
func (s *Store) recoverVolume(
	ctx context.Context, b index.VolumeInfo, described *store.Stream, closed []index.VolumeInfo,
) ([]index.VolumeInfo, error) {
	if whole, err := s.bringBack(ctx, b.Name); err != nil || !whole {
		return closed, err
	}
	r := volumeRecovery{s: s, volume: b, sets: make(map[[32]byte]int64)}
	high, err := s.idx.HighWater(ctx, b.Stream)
	known := err == nil
	r.sealed = high.SealedNumber
	if !known && (!errors.Is(err, store.ErrNotFound) || b.Indexed > 0) {
		return closed, fmt.Errorf("recover volume %s: %w", b.Name, err)
	}
	own, end, cut, err := s.volumes.Recover(ctx, b.Name, b.Indexed, func(loc store.Location,
		head []byte) error {
		return r.found(loc, head)
	})
	if errors.Is(err, store.ErrCorrupt) {
		// It does not even begin like a volume: it was cut short when it was made, or is not ours.
		// Nothing refers to it.
		s.log.Warn("volume holds nothing and is deleted", "volume", b.Name, "error", err)
		return closed, s.deleteVolume(ctx, b)
	}
	if err != nil {
		return closed, fmt.Errorf("recover volume %s: %w", b.Name, err)
	}
	s.metrics.TruncatedBytes.Add(float64(cut))
	if len(r.records) == 0 && b.Indexed == 0 {
		if r.locked > 0 {
			s.log.Error("volume is encrypted under a key that is not here, it is left alone",
				"volume", b.Name, "records", r.locked)
			return closed, nil
		}
		return closed, s.deleteVolume(ctx, b)
	}
	if !known {
		if described == nil && own == nil && b.Indexed == 0 {
			s.log.Error("volume is of a lost stream that no volume describes, it is left alone",
				"volume", b.Name, "records", len(r.records))
			return closed, nil
		}
		if described == nil {
			s.log.Warn("volume belongs to no stream and is deleted", "volume", b.Name)
			return closed, s.deleteVolume(ctx, b)
		}
		if ok, err := s.revive(ctx, described); !ok {
			return closed, err
		}
	}
	if b.Indexed == 0 {
		if err := s.idx.AddVolume(ctx, b.Stream, b.Name); err != nil {
			return closed, fmt.Errorf("recover volume %s: %w", b.Name, err)
		}
	}
	if err := r.commit(ctx); err != nil {
		return closed, fmt.Errorf("recover volume %s: %w", b.Name, err)
	}
	if len(r.records) > 0 || cut > 0 {
		s.log.Info("volume recovered", "volume", b.Name, "records", len(r.records), "cut_bytes",
			cut)
	}
	b.Indexed = end
	return append(closed, b), nil
}

// bringBack brings back the records of a volume that must be read here although they are in the
// object store, because the index is older than the move, or because the volume's footer is
// unusable. If that is not possible, the volume is left alone, with its rows, for another start.
func (s *Store) bringBack(ctx context.Context, name string) (whole bool, err error) {
	away, err := s.volumes.Away(ctx, name)
	if err == nil && away {
		err = s.volumes.MoveIn(ctx, name)
	}
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, store.ErrNotFound): // the next step says so
		return true, nil
	case away && err != nil:
		s.log.Error("records of a volume cannot be brought back from the object store, it is "+
			"left alone", "volume", name, "error", err)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("recover volume %s: %w", name, err)
	}
	return true, nil
}

func (s *Store) deleteVolume(ctx context.Context, b index.VolumeInfo) error {
	err := s.idx.ForgetVolumes(ctx, []string{b.Name})
	if err == nil {
		err = s.volumes.Delete(ctx, []string{b.Name})
	}
	if err != nil {
		return fmt.Errorf("delete volume %s: %w", b.Name, err)
	}
	return nil
}
