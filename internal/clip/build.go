package clip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/store"
)

// rowSize is the size of a fragment's row after a header: its number, and where its media begins,
// counted from the start of the media.
const rowSize = 16

// build makes the header of a clip. The error is store.ErrGone if a fragment has been deleted.
func (s *Service) build(ctx context.Context, c *choice) (*header, *os.File, error) {
	movie, rows := (*fmp4.Movie)(nil), make([]byte, 0, rowSize*len(c.fragments))
	tables := scratch{dir: s.cache.dir}
	defer tables.close()
	for i := range c.fragments {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		f := &c.fragments[i]
		m, err := s.store.Open(ctx, c.stream, f.FragmentInfo)
		if errors.Is(err, store.ErrCorrupt) {
			s.log.Error("fragment of a clip cannot be read", "number", int64(f.Number),
				"error", err)
			return nil, nil, api.Errorf(api.InvalidMediaFrameException,
				"The fragment at %s is damaged and cannot be read.", c.moment(&f.FragmentInfo))
		} else if err != nil {
			return nil, nil, fmt.Errorf("open fragment: %w", err)
		}
		described := m.Fragment() // stays as it is after Close
		if err := m.Close(); err != nil {
			return nil, nil, fmt.Errorf("close fragment: %w", err)
		}
		if movie == nil {
			movie, err = fmp4.NewMovie(c.tracks, fmp4.MovieOptions{
				KeepGaps: c.KeepGaps, Scratch: tables.file,
				Created: described.ProducerTimestamp / 1000})
			if err != nil {
				return nil, nil, fmt.Errorf("begin clip: %w", err)
			}
		}
		rows = binary.BigEndian.AppendUint64(rows, uint64(f.Number))
		rows = binary.BigEndian.AppendUint64(rows, uint64(movie.Payload()))
		if err := c.append(movie, f, described); err != nil {
			return nil, nil, err
		}
	}
	h := &header{key: c.key, payload: movie.Payload(), rows: len(c.fragments)}
	for _, t := range c.tracks {
		h.kinds = append(h.kinds, t.Track.Kind)
	}
	out := &output{dir: s.cache.dir}
	size, err := movie.WriteTo(out)
	if err == nil {
		_, err = out.Write(rows)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("write clip header: %w", err), out.discard())
	}
	h.size = size
	file, err := s.cache.keep(h, out)
	return h, file, err
}

// append adds a fragment's frames to the movie.
func (c *choice) append(movie *fmp4.Movie, f *fragment, described *media.Fragment) error {
	var chunks []fmp4.Chunk
	numbers := c.numbers[f.TrackSet]
	start := int64(0)
	for _, p := range parts(described, numbers) {
		chunks = append(chunks, fmp4.Chunk{Track: p.track, Run: p.units})
		scale := int64(c.tracks[p.track].Track.Timescale)
		at := p.units.BaseDecodeTime / scale * 1000
		at += p.units.BaseDecodeTime % scale * 1000 / scale
		if start == 0 || at < start {
			start = at
		}
	}
	if c.Exact {
		shift := int64(0) // from the range's clock to the media's
		if c.Selector == store.ServerTimestamp {
			shift = start - f.ServerTimestamp
		}
		movie.Trim(c.Start+shift, c.End+shift)
	}
	err := movie.Add(chunks)
	if errors.Is(err, media.ErrTime) {
		return api.Errorf(api.InvalidMediaFrameException,
			"The fragment at %s cannot be packaged: %v.", c.moment(&f.FragmentInfo), err)
	}
	if err != nil {
		return fmt.Errorf("add fragment %d: %w", f.Number, err)
	}
	return nil
}

// part is a run of a fragment, as a clip has it.
type part struct {
	track int // of the clip
	run   int // of the fragment
	units *media.Run
}

// parts returns the parts of a fragment that a clip has, in the order of their bytes. numbers has
// the track numbers of the clip's tracks in the fragment, 0 for none.
func parts(f *media.Fragment, numbers []int) []part {
	var out []part
	for i := range f.Runs {
		for track, number := range numbers {
			if number == 0 || f.Runs[i].Track != number {
				continue
			}
			if units := f.Runs[i].Units(); len(units.Frames) > 0 {
				out = append(out, part{track, i, &units})
			}
		}
	}
	return out
}

// numbersOf returns the numbers that a clip's tracks have in a fragment: the first of each kind.
func numbersOf(f *media.Fragment, kinds []media.Kind) []int {
	numbers := make([]int, len(kinds))
	for k, kind := range kinds {
		for i := range f.Tracks {
			if f.Tracks[i].Kind == kind {
				numbers[k] = f.Tracks[i].Number
				break
			}
		}
	}
	return numbers
}
