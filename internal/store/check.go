package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"slices"
)

// Report is what Check found.
type Report struct {
	Streams   int
	Fragments int
	Blobs     int      // known to the index
	Unknown   int      // blobs that the index does not know; the next start looks at them
	Bytes     int64    // of the fragments' records
	Problems  []string // what does not hold, one sentence each; none when all is well
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// checkPage is how many rows Check reads at a time.
const checkPage = 1000

// Check reads all that is stored and verifies that rows and bytes agree: each row has its record, with the same number,
// timestamps, spans and tracks and with right checksums; records do not overlap; both orders are strictly increasing and
// within the stream's head; every blob that the index knows is there. It changes nothing. The error is of reading, what is
// found wrong stands in the report. Nothing may be written while it runs.
func Check(ctx context.Context, idx Index, blobs Blobs) (Report, error) {
	var r Report
	there := make(map[string]bool)
	if err := blobs.List(ctx, func(name string) error { there[name] = true; return nil }); err != nil {
		return r, fmt.Errorf("check: %w", err)
	}
	infos, err := idx.Blobs(ctx)
	if err != nil {
		return r, fmt.Errorf("check: %w", err)
	}
	gone, err := idx.DeletedStreams(ctx)
	if err != nil {
		return r, fmt.Errorf("check: %w", err)
	}
	known := make(map[string]*checkedBlob)
	for _, b := range infos {
		r.Blobs++
		known[b.Name] = &checkedBlob{BlobInfo: b}
		if !there[b.Name] && b.State != BlobDoomed && !slices.Contains(gone, b.Stream) {
			r.problem("blob %s is missing", b.Name)
		}
		delete(there, b.Name)
	}
	r.Unknown = len(there)
	damaged := 0
	rows := &reader{idx: idx, blobs: blobs, tables: newTableCache(1 << 20), log: slog.New(slog.DiscardHandler), damaged: func() { damaged++ }}
	streams, err := idx.ListStreams(ctx, "", "", 0)
	if err != nil {
		return r, fmt.Errorf("check: %w", err)
	}
	for i := range streams {
		r.Streams++
		c := checker{reader: rows, idx: idx, blobs: blobs, report: &r, stream: &streams[i], known: known, sets: make(map[int64][]byte), sequences: make(map[int64]Number)}
		if err := c.run(ctx); err != nil {
			return r, fmt.Errorf("check stream %s: %w", streams[i].Name, err)
		}
	}
	if damaged > 0 {
		r.problem("%d times the table of a sealed blob could not be read", damaged)
	}
	for _, b := range known {
		b.check(&r)
	}
	return r, nil
}

// checkedBlob collects where the fragments of a blob lie.
type checkedBlob struct {
	BlobInfo
	records []FragmentInfo
}

// check verifies that records do not overlap and that their commit order is that of their bytes.
func (b *checkedBlob) check(r *Report) {
	slices.SortFunc(b.records, func(x, y FragmentInfo) int { return int(x.Location.Offset - y.Location.Offset) })
	for i := 1; i < len(b.records); i++ {
		p, q := &b.records[i-1], &b.records[i]
		if p.Location.Offset+p.Location.Length > q.Location.Offset {
			r.problem("fragments %d and %d overlap in %s", p.Number, q.Number, b.Name)
		}
		if p.Sequence >= q.Sequence {
			r.problem("fragments %d and %d of %s have sequences %d and %d", p.Number, q.Number, b.Name, p.Sequence, q.Sequence)
		}
	}
}

// checker checks one stream.
type checker struct {
	reader    *reader
	idx       Index
	blobs     Blobs
	report    *Report
	stream    *Stream
	known     map[string]*checkedBlob
	sets      map[int64][]byte
	sequences map[int64]Number
}

func (c *checker) run(ctx context.Context) error {
	head, err := c.idx.Head(ctx, c.stream.ID)
	if err != nil {
		return err
	}
	var after Number
	for {
		page, err := c.reader.list(ctx, c.stream.ID, Query{After: after, Limit: checkPage}, minTime)
		if err != nil {
			return err
		}
		for i := range page {
			f := &page[i]
			if f.Number <= after || f.Number > head.Number {
				c.report.problem("fragment %d of %s stands behind %d, the head at %d", f.Number, c.stream.Name, after, head.Number)
			}
			after = f.Number
			if other, ok := c.sequences[f.Sequence]; ok || f.Sequence < 1 || f.Sequence > head.Sequence {
				c.report.problem("fragment %d of %s has sequence %d, the head is %d, fragment %d has it too", f.Number, c.stream.Name, f.Sequence, head.Sequence, other)
			}
			c.sequences[f.Sequence] = f.Number
			if err := c.fragment(ctx, f); err != nil {
				return err
			}
		}
		if len(page) < checkPage {
			return nil
		}
	}
}

func (c *checker) fragment(ctx context.Context, f *FragmentInfo) error {
	c.report.Fragments++
	c.report.Bytes += f.Location.Length
	wrong := func(what string) { c.report.problem("fragment %d of %s: %s", f.Number, c.stream.Name, what) }
	b := c.known[f.Location.Blob]
	switch {
	case b == nil || b.Stream != c.stream.ID || b.State == BlobDoomed:
		wrong("its blob " + f.Location.Blob + " is not one of the stream's")
	case f.Location.Offset+f.Location.Length > b.Indexed || f.ServerTimestamp > b.LastServerTimestamp:
		wrong("it lies beyond what its blob's row says")
	default:
		b.records = append(b.records, *f)
	}
	m, err := OpenRecord(ctx, c.blobs, *f)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrGone) {
		wrong(err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	got := m.Fragment()
	if got.ProducerTimestamp != f.ProducerTimestamp || got.ServerTimestamp != f.ServerTimestamp || got.Partial != f.Partial ||
		!slices.Equal(SpansOf(got), f.Spans) {
		wrong("its row and its record differ")
	}
	tracks, ok := c.sets[f.TrackSet]
	if !ok {
		if tracks, err = c.idx.TrackSet(ctx, c.stream.ID, f.TrackSet); err != nil && !errors.Is(err, ErrNotFound) {
			return errors.Join(err, m.Close())
		}
		c.sets[f.TrackSet] = tracks
	}
	if !bytes.Equal(tracks, AppendTracks(nil, got.Tracks)) {
		wrong("its track set is not that of its record")
	}
	crc := crc32.New(castagnoli)
	for i := range got.Runs {
		p, err := m.Payload(i)
		var n int64
		if err == nil {
			n, err = io.Copy(crc, p)
		}
		if err != nil {
			return errors.Join(err, m.Close())
		}
		if n != got.Runs[i].Size() {
			wrong("its payload is cut short")
		}
	}
	if crc.Sum32() != f.PayloadCRC {
		wrong("the checksum of its payload does not hold")
	}
	return m.Close()
}
