package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/internal/store"
	"weir/internal/store/encryption"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
	"weir/internal/store/sealed"
)

// Report is what a check found.
type Report struct {
	Streams   int `json:"streams"`
	Fragments int `json:"fragments"`
	Volumes   int `json:"volumes"` // known to the index
	// that the index does not know; the next start handles them
	Unknown int   `json:"unknown_volumes"`
	Bytes   int64 `json:"bytes"` // of the fragments' records
	// fragments whose records are in an object store and were not read
	Away     int       `json:"fragments_in_object_store"`
	Problems []Problem `json:"problems"` // what is wrong; none when all is well
}

// Remedy is what repairs a problem.
type Remedy string

// Remedies, from the least to the most.
const (
	RemedyNone    Remedy = "none"    // nothing brings back what is damaged; what is left is kept
	RemedyStart   Remedy = "start"   // any start of a server does it
	RemedyRebuild Remedy = "rebuild" // the index is rebuilt from the volumes
)

// Problem is one thing that is wrong.
type Problem struct {
	// missing-volume, volume-header, volume-table, damaged-fragment, encryption-key, row, index
	Kind     string `json:"kind"`
	Stream   string `json:"stream,omitempty"`   // name
	Fragment string `json:"fragment,omitempty"` // number as clients see it
	Volume   string `json:"volume,omitempty"`
	Text     string `json:"text"` // a sentence
	Remedy   Remedy `json:"repair"`
}

func (p Problem) String() string {
	s := p.Kind
	for _, part := range []string{p.Stream, p.Fragment, p.Volume} {
		if part != "" {
			s += " " + part
		}
	}
	return s + ": " + p.Text
}

// CheckOptions are options of CheckSeams.
type CheckOptions struct {
	// a server may be writing: what looks wrong is checked again before it is reported
	Live     bool
	Progress Progress // default: nothing
	Keys     *encryption.Keys
}

// Progress is told after every fragment how many volumes there are and how many bytes were read.
type Progress func(volumes int, read int64)

// checkPage is how many rows a check reads at a time.
const checkPage = 1000

// CheckSeams reads all that is stored and verifies that rows and bytes agree: each row has its
// record, with the same number, timestamps, spans and tracks and with right checksums; records do
// not overlap; both orders are strictly increasing and within the stream's high-water mark; every
// volume that the index knows is there, begins as it must, and has its table when it is sealed. It
// changes nothing. The error is of reading, what is found wrong stands in the report. Memory does
// not grow with the number of fragments.
func CheckSeams(
	ctx context.Context, idx IndexReader, volumes VolumeReader, o CheckOptions,
) (Report, error) {
	if o.Progress == nil {
		o.Progress = func(int, int64) {}
	}
	c := &checker{o: o, idx: idx, volumes: volumes, report: &Report{Problems: []Problem{}}}
	// Damaged tables are reported by volume.
	c.reader = NewReader(idx, volumes, o.Keys, 8<<20)
	if err := c.run(ctx); err != nil {
		return *c.report, fmt.Errorf("check: %w", err)
	}
	return *c.report, nil
}

type checker struct {
	o       CheckOptions
	idx     IndexReader
	volumes VolumeReader
	reader  *sealed.Reader
	report  *Report
	known   map[string]index.VolumeInfo

	lockedStreams map[store.StreamID]bool // of which something cannot be decrypted

	// About the stream that is being checked.
	stream *store.Stream
	sets   map[int64][]byte
	ends   map[string]int64 // where the last record of each volume ended
}

func (c *checker) problem(p Problem) { c.report.Problems = append(c.report.Problems, p) }

// refresh reads from the index which volumes it knows.
func (c *checker) refresh(ctx context.Context) error {
	infos, err := c.idx.Volumes(ctx)
	if err != nil {
		return err
	}
	c.known = make(map[string]index.VolumeInfo, len(infos))
	for _, b := range infos {
		c.known[b.Name] = b
	}
	return nil
}

func (c *checker) run(ctx context.Context) error {
	// Names first: a volume that the index knows a moment later and that is not among them is new,
	// not missing.
	there := make(map[string]bool)
	err := c.volumes.List(ctx, func(name string) error {
		if !strings.HasSuffix(name, "/") { // else a directory without volumes
			there[name] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.refresh(ctx); err != nil {
		return err
	}
	gone, err := c.idx.DeletedStreams(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(c.known))
	for name, b := range c.known {
		c.report.Volumes++
		delete(there, name)
		if b.State != index.VolumeDoomed && !slices.Contains(gone, b.Stream) {
			names = append(names, name)
		}
	}
	c.report.Unknown = len(there)
	slices.Sort(names)
	for _, name := range names {
		if err := c.volume(ctx, c.known[name]); err != nil {
			return err
		}
	}
	streams, err := c.idx.ListStreams(ctx, "", "", 0)
	if err != nil {
		return err
	}
	for i := range streams {
		c.report.Streams++
		c.stream, c.sets, c.ends = &streams[i], make(map[int64][]byte), make(map[string]int64)
		if err := c.checkStream(ctx); err != nil && !(c.o.Live &&
			errors.Is(err, store.ErrNotFound)) {
			return fmt.Errorf("stream %s: %w", streams[i].Name, err)
		}
	}
	return nil
}

// volume verifies what a volume says about itself.
func (c *checker) volume(ctx context.Context, b index.VolumeInfo) error {
	described, footer, err := c.volumes.Describe(ctx, b.Name)
	if err == nil && b.State == index.VolumeSealed {
		if footer.Length == 0 {
			err = fmt.Errorf("%w: no footer", store.ErrCorrupt)
		} else {
			_, err = readTable(ctx, c.volumes, c.o.Keys, footer)
		}
	}
	if err == nil {
		if described.ID != b.Stream {
			c.problem(Problem{Kind: "volume-header", Volume: b.Name,
				Text: "it is of another stream, " + string(described.ID), Remedy: RemedyNone})
		}
		return nil
	}
	if c.o.Live { // it may be gone, or sealed again
		if err := c.refresh(ctx); err != nil {
			return err
		}
		if now, ok := c.known[b.Name]; !ok || now.State != b.State {
			return nil
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrGone):
		c.problem(Problem{Kind: "missing-volume", Volume: b.Name,
			Text: "the index has it and it is not there", Remedy: RemedyStart})
	case errors.Is(err, store.ErrKey):
		c.locked(b.Stream, b.Name, err)
	case !errors.Is(err, store.ErrCorrupt):
		return err
	case described == nil:
		c.problem(Problem{Kind: "volume-header", Volume: b.Name, Text: err.Error() +
			"; if the index were lost its fragments would be too", Remedy: RemedyNone})
	default:
		c.problem(Problem{Kind: "volume-table", Volume: b.Name, Text: err.Error() +
			"; its fragments are not listed", Remedy: RemedyRebuild})
	}
	return nil
}

// locked reports, once, that part of a stream cannot be decrypted.
func (c *checker) locked(id store.StreamID, volume string, err error) {
	if c.lockedStreams[id] {
		return
	}
	if c.lockedStreams == nil {
		c.lockedStreams = make(map[store.StreamID]bool)
	}
	c.lockedStreams[id] = true
	c.problem(Problem{Kind: "encryption-key", Volume: volume, Text: err.Error() +
		"; what it encrypted has right checksums, as far as they are told of here",
		Remedy: RemedyNone})
}

// checkStream checks one stream, fragment by fragment in the order of their commits.
func (c *checker) checkStream(ctx context.Context) error {
	var after int64
	for {
		page, err := c.reader.List(ctx, c.stream.ID, store.Query{Order: store.BySequence,
			AfterSequence: after, Limit: checkPage}, sealed.MinTime)
		if err != nil {
			return err
		}
		// after the page, so it is as of the same moment or later
		high, err := c.idx.HighWater(ctx, c.stream.ID)
		if err != nil {
			return err
		}
		for i := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			f := &page[i]
			found := len(c.report.Problems)
			if f.Sequence <= after || f.Sequence > high.Sequence || f.Number > high.Number {
				c.row(f, fmt.Sprintf("its sequence %d stands behind %d, "+
					"the high-water mark at %d; its number at %d",
					f.Sequence, after, high.Sequence, high.Number))
			}
			after = f.Sequence
			if err := c.fragment(ctx, f); err != nil {
				return err
			}
			if c.o.Live && len(c.report.Problems) > found {
				// A fragment may have expired, been replaced or been sealed in the meantime.
				again, err := c.reader.Fragment(ctx, c.stream.ID, f.Number)
				if errors.Is(err, store.ErrNotFound) || err == nil && again.Location != f.Location {
					c.report.Problems = c.report.Problems[:found]
				} else if err != nil {
					return err
				}
			}
			c.o.Progress(len(c.known), c.report.Bytes)
		}
		if len(page) < checkPage {
			return nil
		}
	}
}

func (c *checker) about(f *store.FragmentInfo, kind, text string, remedy Remedy) {
	c.problem(Problem{Kind: kind, Stream: c.stream.Name, Fragment: c.stream.FormatNumber(f.Number),
		Volume: f.Location.Volume, Text: text, Remedy: remedy})
}

func (c *checker) row(f *store.FragmentInfo, text string) { c.about(f, "row", text, RemedyRebuild) }

// inVolume reports whether a fragment lies in a volume of its stream, and within what the volume's
// row says.
func (c *checker) inVolume(f *store.FragmentInfo) bool {
	b, ok := c.known[f.Location.Volume]
	return ok && b.Stream == c.stream.ID && b.State != index.VolumeDoomed &&
		f.Location.Offset+f.Location.Length <= b.Indexed &&
		f.ServerTimestamp <= b.LastServerTimestamp
}

func (c *checker) fragment(ctx context.Context, f *store.FragmentInfo) error {
	c.report.Fragments++
	c.report.Bytes += f.Location.Length
	if !c.inVolume(f) {
		if c.o.Live {
			if err := c.refresh(ctx); err != nil {
				return err
			}
		}
		if !c.inVolume(f) {
			c.row(f, "it lies in no volume of the stream, or beyond what its row says")
		}
	}
	if f.Location.Offset < c.ends[f.Location.Volume] {
		c.row(f, "it overlaps the fragment before it")
	}
	c.ends[f.Location.Volume] = f.Location.Offset + f.Location.Length

	got, err := verifyRecord(ctx, c.volumes, c.o.Keys, *f, func(int) error { return ctx.Err() })
	switch {
	case errors.Is(err, store.ErrGone):
		if _, there := c.known[f.Location.Volume]; !there || c.o.Live {
			c.row(f, "its volume is not there")
		} // else reported once, for the volume
		return nil
	case errors.Is(err, volume.ErrNoRemote):
		c.report.Away++
		return nil
	case errors.Is(err, store.ErrKey):
		c.locked(c.stream.ID, f.Location.Volume, err)
	case errors.Is(err, store.ErrCorrupt):
		c.about(f, "damaged-fragment", err.Error(), RemedyNone)
	case err != nil:
		return err
	}
	if got == nil {
		return nil
	}
	if got.ProducerTimestamp != f.ProducerTimestamp || got.ServerTimestamp != f.ServerTimestamp ||
		got.Partial != f.Partial ||
		!slices.Equal(store.SpansOf(got), f.Spans) {
		c.row(f, "its row and its record differ")
	}
	tracks, ok := c.sets[f.TrackSet]
	if !ok {
		if tracks, err = c.idx.TrackSet(ctx, c.stream.ID, f.TrackSet); err != nil &&
			!errors.Is(err, store.ErrNotFound) {
			return err
		}
		if len(c.sets) >= setsCached {
			clear(c.sets)
		}
		c.sets[f.TrackSet] = tracks
	}
	if !bytes.Equal(tracks, record.AppendTracks(nil, got.Tracks)) {
		c.row(f, "its track set is not that of its record")
	}
	return nil
}
