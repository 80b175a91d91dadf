package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local/index"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// sealTries is how often the engine tries to seal a volume whose rows keep changing.
const sealTries = 3

// sweepClosed seals the closed volumes: first the footer is durable, then one row replaces those of
// the fragments. What is interrupted in between is repeated: a footer without its row is written
// again.
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
				// Its rows still find what is left of it.
				s.log.Error("volume is damaged and stays unsealed", "volume", b.Name, "error", err)
				s.unsealable[b.Name] = true
				err = nil
				break
			}
			if !errors.Is(err, sealed.ErrUnsealable) {
				break
			}
			if try == sealTries {
				// Rows serve as well, but there are many of them.
				s.log.Warn("volume stays unsealed", "volume", b.Name, "error", err)
				s.unsealable[b.Name] = true
				err = nil
				break
			}
			err = nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("seal volume %s: %w", b.Name, err))
		}
	}
	return errors.Join(errs...)
}

// seal seals one closed volume. sealed.ErrUnsealable when its rows changed in the meantime, or when
// it can never be sealed.
func (s *Store) seal(ctx context.Context, st *streamState, b index.VolumeInfo) error {
	footer, volume, err := s.footer(ctx, b)
	if err != nil {
		return err
	}
	if volume.Count > 0 {
		if volume.Footer, err = s.volumes.Seal(ctx, b.Name, b.Indexed, footer); err != nil {
			return err
		}
	}
	// No fragment may be appended between the row and st.sealed, which notSealed goes by.
	if err := acquire(ctx, st.appending); err != nil {
		return err
	}
	defer release(st.appending)
	err = s.idx.SealVolume(ctx, volume)
	st.mu.Lock()
	// After an error it may or may not be sealed.
	st.sealed = max(st.sealed, store.Number(volume.Number.Max))
	st.mu.Unlock()
	if err == nil {
		s.metrics.SealedVolumes.Inc()
	}
	return err
}

// footer makes the footer of a volume from its rows.
func (s *Store) footer(
	ctx context.Context, b index.VolumeInfo,
) ([]byte, sealed.Volume, error) {
	hot, err := s.idx.Hot(ctx, b.Stream, store.Query{Order: store.BySequence}, sealed.MinTime)
	if err != nil {
		return nil, sealed.Volume{}, err
	}
	rows := slices.DeleteFunc(hot.Fragments,
		func(f store.FragmentInfo) bool { return f.Location.Volume != b.Name })
	if len(rows) == 0 {
		return nil, sealed.Volume{Name: b.Name, Stream: b.Stream}, nil
	}
	replaced, err := s.idx.Replaced(ctx, b.Name)
	if err != nil {
		return nil, sealed.Volume{}, err
	}
	footer, v, err := sealed.Pack(
		sealed.Volume{Name: b.Name, Stream: b.Stream, Replaced: replaced}, rows,
		func(set int64) ([]byte, error) { return s.idx.TrackSet(ctx, b.Stream, set) })
	if err == nil {
		footer, err = s.encryptFooter(ctx, b.Stream, rows[0].Location, footer)
	}
	return footer, v, err
}

// NewReader returns a reader that merges the rows of an index with the tables of its sealed
// volumes.
func NewReader(idx IndexReader, volumes VolumeReader, keys *encryption.Keys, tableBytes int64,
) *sealed.Reader {
	return &sealed.Reader{
		Rows: idx, Tables: sealed.NewTables(tableBytes), Log: slog.New(slog.DiscardHandler),
		Damaged: func() {},
		Footer: func(ctx context.Context, at store.Location) (*record.Table, error) {
			return readTable(ctx, volumes, keys, at)
		},
	}
}

// readTable reads and verifies the footer at a place.
func readTable(
	ctx context.Context, volumes VolumeReader, keys *encryption.Keys, at store.Location,
) (*record.Table, error) {
	if err := record.CheckFooterLocation(at); err != nil {
		return nil, err
	}
	body, err := volumes.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	b := make([]byte, at.Length)
	if err := record.Read(body, b, 0); err != nil {
		return nil, errors.Join(err, body.Close())
	}
	t, err := keys.DecodeFooter(streamOf(at), b)
	return t, errors.Join(err, body.Close())
}

// notSealed returns ErrExists when a sealed volume has a fragment of this number. It costs more
// than a comparison only for a number that was given out long ago or is tried again. The caller
// holds st.appending.
func (s *Store) notSealed(st *streamState, n store.Number) error {
	st.mu.Lock()
	sealed := st.sealed
	st.mu.Unlock()
	if n > sealed {
		return nil
	}
	_, err := s.reader.SealedFragment(context.Background(), st.id, n)
	switch {
	case err == nil:
		return store.ErrExists
	case errors.Is(err, store.ErrNotFound):
		return nil
	}
	return err
}
