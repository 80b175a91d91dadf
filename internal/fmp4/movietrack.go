package fmp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"weir/internal/media"
)

// silentTogether is how many samples of silence the pool of a track has.
const silentTogether = 64

// inPool marks the place of a chunk of silence, which counts from where the track's silence begins.
const inPool = 1 << 63

// movieTrack collects the tables of a track. Positions are ticks of its scale on the movie's clock.
type movieTrack struct {
	t       *media.Track
	e       *entry
	clock   int64 // ticks per second of the runs' decode times
	scale   int64 // ticks per second of the track in the file
	advance int64
	shift   int64 // where position 0 is on the producer's clock

	sound  *media.Silence // of AAC; nil if there is none
	sample int64          // G.711: bytes of a sample, which lasts a tick; 0 for everything else
	pool   []byte         // silence

	begun      bool
	begin, end int64  // positions of the first sample and of the end of the last
	last       uint32 // duration of the last sample, which is not in durations yet
	samples    int64
	syncs      int64
	offsets    bool // a composition offset differs from 0

	durations, compositions counted
	sizes, sync             column
	places                  column // of chunks
	shapes                  column // stsc: first chunk, samples, description
	chunks, inChunk         uint32
}

func (m *Movie) newTrack(of MovieTrack) (*movieTrack, error) {
	t := &movieTrack{t: of.Track, advance: of.Advance, clock: int64(of.Track.Timescale)}
	if t.clock == 0 {
		t.clock = int64(media.Timescale(of.Track))
	}
	t.scale = t.clock
	var err error
	if t.e, err = newEntry(of.Track); err != nil {
		return nil, err
	}
	if c := t.e.g711; c != nil {
		t.scale, t.sample, t.advance = int64(c.SampleRate), int64(c.Channels), 0
	}
	if of.Track.Kind == media.Audio && t.sample == 0 {
		t.sound = media.SilenceOf(of.Track)
	}
	for _, c := range []*column{&t.durations.column, &t.compositions.column, &t.sizes, &t.sync,
		&t.places, &t.shapes} {
		c.movie = m
	}
	return t, nil
}

// position returns the position of a decode time on the producer's clock (ticks of clock).
func (t *movieTrack) position(at int64) int64 { return rescale(at, t.clock, t.scale) - t.shift }

// add appends a run. place is the offset of its bytes from the first chunk's.
func (t *movieTrack) add(run *media.Run, place int64) error {
	at := t.position(run.BaseDecodeTime)
	if !t.begun {
		t.begun, t.begin, t.end = true, at, at
	}
	if t.sample > 0 {
		t.addG711(run, at, place)
		return nil
	}
	if err := t.meet(at); err != nil {
		return err
	}
	for i := range run.Frames {
		f := &run.Frames[i]
		offset := int64(f.CompositionOffset) + t.advance
		if offset < 0 || offset > math.MaxInt32 {
			return fmt.Errorf("track %d: %w: composition offset %d", run.Track, media.ErrTime,
				f.CompositionOffset)
		}
		t.put(f.Duration, f.Size, uint32(offset), f.Key || t.t.Kind != media.Video)
	}
	t.chunk(uint64(place), uint32(len(run.Frames)))
	return nil
}

// put appends a sample.
func (t *movieTrack) put(duration, size, offset uint32, key bool) {
	if t.samples > 0 {
		t.durations.add(1, t.last)
	}
	t.samples++
	t.last = duration
	t.end += int64(duration)
	t.sizes.u32(size)
	t.compositions.add(1, offset)
	t.offsets = t.offsets || offset != 0
	if key {
		t.syncs++
		t.sync.u32(uint32(t.samples))
	}
}

// chunk appends a chunk of the last samples that were put.
func (t *movieTrack) chunk(place uint64, samples uint32) {
	t.chunks++
	t.places.u64(place)
	if samples != t.inChunk {
		t.shapes.u32(t.chunks)
		t.shapes.u32(samples)
		t.shapes.u32(1)
		t.inChunk = samples
	}
}

// meet makes the track end where its next run begins: by silence, if there is enough room and the
// codec has it, and by the length of the last sample.
func (t *movieTrack) meet(at int64) error {
	missing := at - t.end
	if t.samples == 0 || missing == 0 {
		return nil
	}
	if t.sound != nil && missing >= t.sound.Duration {
		n := (missing + t.sound.Duration/2) / t.sound.Duration
		if t.pool == nil {
			t.pool = bytes.Repeat(t.sound.Frame, silentTogether)
		}
		for left := n; left > 0; left -= silentTogether {
			k := uint32(min(left, silentTogether))
			for range k {
				t.put(uint32(t.sound.Duration), uint32(len(t.sound.Frame)), 0, true)
			}
			t.chunk(inPool, k)
		}
		missing = at - t.end
	}
	// If the last sample cannot be shortened by so much, the rest waits for the next call.
	last := max(int64(t.last)+missing, 1)
	if last > math.MaxUint32 {
		return fmt.Errorf("track %d: %w: %d ticks without a sample", t.t.Number, media.ErrTime,
			missing)
	}
	t.end += last - int64(t.last)
	t.last = uint32(last)
	return nil
}

// addG711 appends a run of samples that last a tick each. Positions of blocks are rounded, and
// clocks differ a little, so it corrects only a tenth of a second or more.
func (t *movieTrack) addG711(run *media.Run, at, place int64) {
	n := run.Size() / t.sample
	switch missing := at - t.end; {
	case missing >= t.scale/10:
		const together = 8000
		if t.pool == nil {
			t.pool = bytes.Repeat([]byte{t.e.g711.Silence()}, int(together*t.sample))
		}
		for left := missing; left > 0; left -= together {
			t.chunk(inPool, uint32(min(left, together)))
		}
		t.samples += missing
		t.end += missing
	case missing <= -t.scale/10:
		skip := min(-missing, n)
		n -= skip
		place += skip * t.sample
	}
	if n > 0 {
		t.chunk(uint64(place), uint32(n))
		t.samples += n
		t.end += n
	}
}

// finish completes the tables.
func (t *movieTrack) finish() {
	if t.sample > 0 {
		for left := t.samples; left > 0; left -= math.MaxInt32 {
			t.durations.add(uint32(min(left, math.MaxInt32)), 1)
		}
	} else {
		t.durations.add(1, t.last)
	}
	t.durations.end()
	t.compositions.end()
	if t.samples > math.MaxUint32 {
		t.sizes.movie.err = ErrMovieTooLarge
	}
}

// tables writes the boxes of stbl after stsd. When the boxes are complete, places returns the
// offsets of the first chunk and of the track's silence in the file.
func (t *movieTrack) tables(w *builder, wide bool, places func() (media, pool int64)) {
	list := func(typ string, row int64, c *column) {
		w.full(typ, 0, 0, func() {
			w.u32(uint32(c.size() / row))
			w.hold(c.size(), c.write)
		})
	}
	list("stts", 8, &t.durations.column)
	if t.offsets {
		list("ctts", 8, &t.compositions.column)
	}
	list("stsc", 12, &t.shapes)
	w.full("stsz", 0, 0, func() {
		w.u32(uint32(t.sample))
		w.u32(uint32(t.samples))
		w.hold(t.sizes.size(), t.sizes.write)
	})
	name, width := "stco", int64(4)
	if wide {
		name, width = "co64", 8
	}
	w.full(name, 0, 0, func() {
		w.u32(t.chunks)
		w.hold(int64(t.chunks)*width, func(to io.Writer) error {
			media, pool := places()
			return t.writePlaces(to, wide, media, pool)
		})
	})
	if t.sample == 0 && t.syncs < t.samples {
		list("stss", 4, &t.sync)
	}
}

func (t *movieTrack) writePlaces(to io.Writer, wide bool, media, pool int64) error {
	out := make([]byte, 0, columnMemory)
	return t.places.each(func(b []byte) error {
		out = out[:0]
		for ; len(b) > 0; b = b[8:] {
			at := binary.BigEndian.Uint64(b)
			if at&inPool != 0 {
				at = at&^inPool + uint64(pool)
			} else {
				at += uint64(media)
			}
			if wide {
				out = binary.BigEndian.AppendUint64(out, at)
			} else {
				out = binary.BigEndian.AppendUint32(out, uint32(at))
			}
		}
		_, err := to.Write(out)
		return err
	})
}
