package local

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"weir/internal/store"
	"weir/internal/store/local/index"
	"weir/internal/store/record"
)

// sealTries is how often a volume is tried to be sealed while its rows change.
const sealTries = 3

// sweepClosed seals the volumes that are closed: first the footer is durable, then one row takes
// the place of those of the fragments. Whatever is cut short in between is done again: a footer
// without its row is written anew.
func (s *Store) sweepClosed(ctx context.Context) error {
	volumes, err := s.idx.VolumesInState(ctx, index.VolumeClosed)
	errs := []error{err}
	for _, b := range volumes {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if s.unsealable[b.Name] {
			continue
		}
		st, err := s.state(ctx, b.Stream)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		for try := 1; err == nil; try++ {
			if err = s.seal(ctx, st, b); errors.Is(err, store.ErrCorrupt) {
				// What is left of it is found by its rows.
				s.log.Error("volume is damaged and stays unsealed", "blob", b.Name, "error", err)
				s.unsealable[b.Name] = true
				err = nil
				break
			}
			if !errors.Is(err, index.ErrUnsealable) {
				break
			}
			if try == sealTries {
				// Rows serve as well, only not as many of them.
				s.log.Warn("volume stays unsealed", "blob", b.Name, "error", err)
				s.unsealable[b.Name] = true
				err = nil
				break
			}
			err = nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("seal blob %s: %w", b.Name, err))
		}
	}
	return errors.Join(errs...)
}

// seal seals one closed volume. index.ErrUnsealable when its rows changed meanwhile, or for good.
func (s *Store) seal(ctx context.Context, st *streamState, b index.VolumeInfo) error {
	footer, sealed, err := s.footer(ctx, b)
	if err != nil {
		return err
	}
	if sealed.Count > 0 {
		if sealed.Footer, err = s.volumes.Seal(ctx, b.Name, b.Indexed, footer); err != nil {
			return err
		}
	}
	// No fragment is appended between the row and what notSealed goes by.
	if err := acquire(ctx, st.appending); err != nil {
		return err
	}
	defer release(st.appending)
	err = s.idx.SealVolume(ctx, sealed)
	st.mu.Lock()
	// after an error it may be sealed or not
	st.sealed = max(st.sealed, store.Number(sealed.Number.Max))
	st.mu.Unlock()
	if err == nil {
		s.metrics.SealedVolumes.Inc()
	}
	return err
}

// footer makes the footer of a volume from its rows.
func (s *Store) footer(
	ctx context.Context, b index.VolumeInfo,
) ([]byte, index.SealedVolume, error) {
	sealed := index.SealedVolume{Name: b.Name, Stream: b.Stream}
	hot, err := s.idx.Hot(ctx, b.Stream, store.Query{Order: store.BySequence}, minTime)
	if err != nil {
		return nil, sealed, err
	}
	var rows []store.FragmentInfo
	for i := range hot.Fragments {
		if hot.Fragments[i].Location.Volume == b.Name {
			rows = append(rows, hot.Fragments[i])
		}
	}
	if len(rows) == 0 {
		return nil, sealed, nil
	}
	var sets [][]byte
	place := make(map[int64]int64)
	packed := make([]store.FragmentInfo, len(rows))
	for i := range rows {
		id := rows[i].TrackSet
		at, ok := place[id]
		if !ok {
			data, err := s.idx.TrackSet(ctx, b.Stream, id)
			if err != nil {
				return nil, sealed, fmt.Errorf("track set %d: %w", id, err)
			}
			at = int64(len(sets))
			place[id], sets, sealed.Sets = at, append(sets, data), append(sealed.Sets, id)
		}
		packed[i] = rows[i]
		packed[i].TrackSet = at
	}
	replaced, err := s.idx.Replaced(ctx, b.Name)
	if err != nil {
		return nil, sealed, err
	}
	footer, err := record.EncodeFooter(sets, replaced, packed)
	if err != nil {
		// rows that no table can hold stay rows
		return nil, sealed, fmt.Errorf("%w: %w", index.ErrUnsealable, err)
	}
	// The rows go when this is written, so it is read back before.
	t, err := record.DecodeFooter(footer)
	if err != nil {
		return nil, sealed, err
	}
	again, err := t.Fragments(b.Name, sealed.Sets)
	if err != nil || !reflect.DeepEqual(again, rows) {
		return nil, sealed, fmt.Errorf("the table reads as something else: %w",
			errors.Join(index.ErrUnsealable, err))
	}
	describe(&sealed, t)
	return footer, sealed, nil
}

// describe fills in what the row of a sealed volume tells of its fragments.
func describe(b *index.SealedVolume, t *record.Table) {
	b.Count, b.Number, b.Sequence, b.Server, b.Producer = t.Count, t.Numbers, t.Sequences,
		t.ServerTimes, t.ProducerTimes
}

// notSealed is ErrExists when a sealed volume has a fragment of this number. Only a number that was
// given out long ago, or is tried again, costs more than a comparison. The caller holds
// st.appending.
func (s *Store) notSealed(st *streamState, n store.Number) error {
	st.mu.Lock()
	sealed := st.sealed
	st.mu.Unlock()
	if n > sealed {
		return nil
	}
	_, err := s.reader.sealedFragment(context.Background(), st.id, n)
	switch {
	case err == nil:
		return store.ErrExists
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	return err
}
