package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/record"
)

// How compaction reads records: so many requests at a time, each for up to so many bytes of records
// that lie close to each other in one object. They do when a producer sent faster than the media
// last.
const (
	compactReads = 8
	pieceGap     = 64 << 10
	pieceBytes   = 8 << 20
)

// piece is a run of records that one request reads, as places in a list: from the first to before
// the last.
type piece struct{ from, to int }

// pieces divides a list of fragments into pieces.
func pieces(list []store.FragmentInfo) (all []piece) {
	for i := range list {
		if n := len(all); n > 0 {
			first, last := list[all[n-1].from].Location, list[all[n-1].to-1].Location
			next, end := list[i].Location, last.Offset+last.Length
			if next.Volume == first.Volume && next.Offset >= end && next.Offset-end <= pieceGap &&
				next.Offset+next.Length-first.Offset <= pieceBytes {
				all[n-1].to++
				continue
			}
		}
		all = append(all, piece{i, i + 1})
	}
	return all
}

// records are what a compaction reads, and the object that it makes of them.
type records struct {
	s        *Store
	data     []byte // of the object
	list     []store.FragmentInfo
	moved    []store.FragmentInfo // the same in their new places
	replaced []store.Number       // by each of them; 0: none
}

// readRecords reads and verifies each record, some at a time, into its new place in data. It
// returns the numbers of the fragments that they replaced, in ascending order; a damagedError when
// some records cannot be read.
func (s *Store) readRecords(
	ctx context.Context, data []byte, list, moved []store.FragmentInfo,
) ([]store.Number, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &records{s, data, list, moved, make([]store.Number, len(list))}
	all := pieces(list)
	errs := make([]error, compactReads)
	lost := make([]damagedError, compactReads)
	var readers sync.WaitGroup
	for n := range compactReads {
		readers.Go(func() {
			for i := n; i < len(all) && errs[n] == nil; i += compactReads {
				damaged, err := r.read(ctx, all[i])
				lost[n], errs[n] = append(lost[n], damaged...), err
			}
			if errs[n] != nil {
				cancel()
			}
		})
	}
	readers.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if all := slices.Concat(lost...); len(all) > 0 {
		return nil, all
	}
	slices.Sort(r.replaced)
	replaced := slices.Compact(r.replaced)
	if len(replaced) > 0 && replaced[0] == 0 {
		replaced = replaced[1:]
	}
	return replaced, nil
}

// read reads a piece. It then reads again, one by one, the records that are damaged: the damage may
// be on the way, or for good.
func (r *records) read(ctx context.Context, p piece) (lost damagedError, err error) {
	if err := r.fetch(ctx, p); err != nil && !isLost(err) {
		return nil, err
	}
	for i := p.from; i < p.to; i++ {
		err := r.verify(i)
		if isLost(err) {
			if err = r.fetch(ctx, piece{i, i + 1}); err == nil {
				err = r.verify(i)
			}
		}
		switch {
		case isLost(err):
			lost = append(lost, damaged{r.list[i].Number, err})
		case err != nil:
			return nil, err
		}
	}
	return lost, nil
}

// isLost says that reading again will not help.
func isLost(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrGone)
}

// fetch reads the records of a piece to their new places.
func (r *records) fetch(ctx context.Context, p piece) error {
	first, last := r.list[p.from].Location, r.list[p.to-1].Location
	return r.s.bucket.Read(ctx, first.Volume, first.Offset, last.Offset+last.Length-first.Offset,
		func(b []byte, at int64) error {
			at += first.Offset
			for i := p.from; i < p.to; i++ {
				from, to := r.list[i].Location, r.moved[i].Location
				begin, end := max(at, from.Offset), min(at+int64(len(b)), from.Offset+from.Length)
				if begin < end {
					copy(r.data[to.Offset+begin-from.Offset:], b[begin-at:end-at])
				}
			}
			return nil
		})
}

// verify compares a record that was read with its row, and notes what it replaced.
// store.ErrCorrupt.
func (r *records) verify(i int) error {
	f, to := &r.list[i], r.moved[i].Location
	b, meta := r.data[to.Offset:to.Offset+to.Length], to.MetaLength
	if meta < record.HeaderSize || meta > int64(len(b)) {
		return fmt.Errorf("%w: location %+v", store.ErrCorrupt, f.Location)
	}
	h, _, err := contents.DecodeHead(b[:meta], f)
	if err != nil {
		return fmt.Errorf("fragment %d: %w", f.Number, err)
	}
	if crc32.Checksum(b[meta:], record.Castagnoli) != f.PayloadCRC {
		return fmt.Errorf("fragment %d: %w: checksum of the payload", f.Number,
			store.ErrCorrupt)
	}
	r.replaced[i] = h.Replaces
	return nil
}
