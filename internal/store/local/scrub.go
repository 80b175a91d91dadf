package local

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/record"
)

const (
	// scrubAge is how old a fragment must be to be scrubbed. Live viewers want younger ones to be
	// in memory, and what is in memory says nothing about the disk.
	scrubAge = time.Hour
	// scrubEvery is the least time between the beginnings of two passes.
	scrubEvery = 24 * time.Hour
	// scrubMost limits the damaged fragments that are remembered.
	scrubMost = 10_000
	scrubPage = 256
	readChunk = 256 << 10
)

// scrubbed names a damaged fragment.
type scrubbed struct {
	stream store.StreamID
	number store.Number
}

// scrubForever scrubs until ctx ends, pass after pass.
func (s *Store) scrubForever(ctx context.Context) {
	for {
		began := time.Now()
		if err := s.Scrub(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("scrub failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(time.Minute, scrubEvery-time.Since(began))):
		}
	}
}

// Scrub reads every fragment older than an hour from the disk, past the page cache, at
// Options.ScrubRate, and verifies its checksums. A damaged one is counted in the metrics and logged
// once. Run calls it once a day. A pass begins at a random fragment of a random stream, so that a
// server that is often restarted still gets round to all of them. Not for concurrent use.
func (s *Store) Scrub(ctx context.Context) error {
	limit := rate.Inf
	if s.o.ScrubRate > 0 {
		limit = rate.Limit(s.o.ScrubRate)
	}
	limiter := rate.NewLimiter(limit, readChunk)
	streams, err := s.ListStreams(ctx, "", "", 0)
	if err != nil || len(streams) == 0 {
		return err
	}
	found := make(map[scrubbed]bool)
	first := rand.IntN(len(streams))
	for i := range streams {
		stream := &streams[(first+i)%len(streams)]
		start := store.Number(0)
		if i == 0 {
			if start, err = s.somewhere(ctx, stream.ID); err != nil {
				return err
			}
			if err := s.scrubStream(ctx, stream, start, 1<<62, limiter, found); err != nil {
				return err
			}
			if start == 0 {
				continue
			}
			if err := s.scrubStream(ctx, stream, 0, start, limiter, found); err != nil {
				return err
			}
			continue
		}
		if err := s.scrubStream(ctx, stream, 0, 1<<62, limiter, found); err != nil {
			return err
		}
	}
	s.damaged = found // those that are gone by now are forgotten
	s.metrics.Damaged.Set(float64(len(found)))
	return nil
}

// somewhere returns a random number between those of a stream's oldest and newest fragments.
func (s *Store) somewhere(ctx context.Context, id store.StreamID) (store.Number, error) {
	oldest, err := s.List(ctx, id, store.Query{Limit: 1})
	if errors.Is(err, store.ErrNotFound) || err == nil && len(oldest) == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	newest, err := s.List(ctx, id, store.Query{Limit: 1, Order: store.ByNumberNewest})
	if err != nil || len(newest) == 0 {
		return 0, err
	}
	return oldest[0].Number + store.Number(rand.Int64N(int64(newest[0].Number-oldest[0].Number)+1)),
		nil
}

// scrubStream scrubs the fragments of a stream after one number, up to another.
func (s *Store) scrubStream(ctx context.Context, stream *store.Stream, after, last store.Number,
	limiter *rate.Limiter, found map[scrubbed]bool) error {
	volume, away := "", false // of the fragment before
	for {
		page, err := s.List(ctx, stream.ID, store.Query{After: after, Limit: scrubPage})
		if errors.Is(err, store.ErrNotFound) {
			return nil // deleted
		}
		if err != nil {
			return err
		}
		for i := range page {
			f := &page[i]
			after = f.Number
			if after > last {
				return nil
			}
			if f.Location.Volume == "" || f.ServerTimestamp > s.now()-scrubAge.Milliseconds() {
				continue
			}
			if name := f.Location.Volume; name != volume {
				// The reader of the table reports it.
				volume = name
				away, _ = s.volumes.Away(ctx, name)
			}
			if away {
				continue // not on this disk
			}
			_, err := verifyRecord(ctx, s.volumes, s.o.Keys, *f, func(n int) error {
				s.metrics.ScrubbedBytes.Add(float64(n))
				return limiter.WaitN(ctx, n)
			})
			switch {
			case err == nil || errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrKey):
			case ctx.Err() != nil:
				return ctx.Err()
			default: // damaged, or the disk cannot read it
				s.foundDamaged(stream, f, err, found)
			}
		}
		if len(page) < scrubPage {
			return nil
		}
	}
}

func (s *Store) foundDamaged(
	stream *store.Stream, f *store.FragmentInfo, err error, found map[scrubbed]bool,
) {
	key := scrubbed{stream.ID, f.Number}
	if !s.damaged[key] {
		s.log.Error("fragment is damaged on disk", "stream", stream.Name, "fragment",
			stream.FormatNumber(f.Number),
			"volume", f.Location.Volume, "offset", f.Location.Offset, "error", err)
	}
	if len(found) < scrubMost {
		found[key] = true
	}
	s.metrics.Damaged.Set(float64(max(len(found), len(s.damaged))))
}

// verifyRecord reads a whole record of a fragment, past the page cache where there is one. It
// verifies that it is the record of the row, and both of its checksums. Before it reads some bytes
// (at most 256 KiB) it calls pace with their number; an error of pace ends it and is returned.
// ErrCorrupt, ErrGone; ErrKey when the checksums are right but the content cannot be decrypted.
func verifyRecord(ctx context.Context, volumes VolumeReader, keys *encryption.Keys,
	f store.FragmentInfo, pace func(n int) error,
) (_ *media.Fragment, err error) {
	loc := f.Location
	body, err := openBody(ctx, volumes, loc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	body.Forget(loc.Length)
	defer body.Forget(loc.Length)
	read := func(b []byte, off int64) error {
		for len(b) > 0 {
			n := min(len(b), readChunk)
			if err := pace(n); err != nil {
				return err
			}
			if err := record.Read(body, b[:n], off); err != nil {
				return err
			}
			b, off = b[n:], off+int64(n)
		}
		return nil
	}
	head := make([]byte, loc.MetaLength)
	if err := read(head, 0); err != nil {
		return nil, err
	}
	h, fragment, _, err := keys.DecodeFragment(streamOf(loc), head)
	locked := err
	if err != nil && !errors.Is(err, store.ErrKey) {
		return nil, err
	}
	if h.Number != f.Number || h.Length != loc.Length {
		return nil, fmt.Errorf("%w: another record lies here", store.ErrCorrupt)
	}
	crc := uint32(0)
	chunk := make([]byte, min(readChunk, loc.Length-loc.MetaLength))
	for off := loc.MetaLength; off < loc.Length; off += int64(len(chunk)) {
		chunk = chunk[:min(int64(len(chunk)), loc.Length-off)]
		if err := read(chunk, off); err != nil {
			return fragment, err
		}
		crc = crc32.Update(crc, record.Castagnoli, chunk)
	}
	if crc != h.PayloadCRC || crc != f.PayloadCRC {
		return fragment, fmt.Errorf("%w: checksum of the payload", store.ErrCorrupt)
	}
	return fragment, locked
}

// streamOf returns the stream that a record's volume belongs to.
func streamOf(loc store.Location) store.StreamID {
	id, _, _ := strings.Cut(loc.Volume, "/")
	return store.StreamID(id)
}
