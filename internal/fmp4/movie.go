package fmp4

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"weir/internal/media"
)

// movieTimescale is the timescale of a movie and of its edit lists: that of video, so that an edit
// begins and ends where pictures do.
const movieTimescale = media.VideoTimescale

// gapTicks is the longest distance between fragments that is not a gap: 50 ms, as for
// discontinuities of playlists.
const gapTicks = movieTimescale / 20

// ErrMovieTooLarge says that a movie has more tables than a moov box can hold.
var ErrMovieTooLarge = errors.New("movie header is too large")

// MovieTrack is a track of a movie.
type MovieTrack struct {
	Track *media.Track
	// the greatest media.Run.Reorder of its runs, in ticks: composition offsets are raised by so
	// much, and an edit list subtracts it again
	Advance int64
}

// MovieOptions configure a movie.
type MovieOptions struct {
	// KeepGaps keeps gaps between fragments, up to 13 hours: the last picture stays, and sound is
	// silent. Otherwise the later fragment follows at once.
	//
	// Empty edits would take fewer bytes. But FFmpeg 5.1, and Chromium with it, accepts them only
	// before the first sample; after one elsewhere it presents the whole track again.
	KeepGaps bool
	// Created is the creation time, seconds since the Unix epoch.
	Created int64
	// Scratch makes a Scratch for a table that has become long; nil keeps all tables in memory.
	Scratch func() (Scratch, error)
}

// Movie collects the tables of a progressive MP4 file, fragment by fragment, and writes what goes
// before its media:
//
//	ftyp                        isom
//	moov
//	├ mvhd                      timescale 90,000
//	└ trak …                    in the order of the tracks, IDs from 1
//	  ├ tkhd
//	  ├ edts / elst             only where presentation is not that of the samples from 0 on
//	  └ mdia … stbl
//	    ├ stsd                  one entry (entry.go)
//	    ├ stts                  durations
//	    ├ ctts                  version 0: raised until none is negative
//	    ├ stsc stco | co64      a chunk is a track's run of a fragment
//	    ├ stsz
//	    └ stss                  unless all samples are sync samples
//	mdat                        header, and silence if there is any
//
// The payloads of the chunks follow in the order in which they were added, back to back: a stored
// fragment goes into the file as it is. With a Scratch, memory does not grow with the movie. A
// Movie is not safe for concurrent use.
//
// Tracks are as far apart as they are on the producer's clock. Where sound is missing beside
// pictures, it is silent, if the codec has silence; the same few bytes, at the beginning of mdat,
// serve all such places. A picture is shown until the next one comes.
type Movie struct {
	o       MovieOptions
	tracks  []*movieTrack
	started bool
	base    int64 // where the movie begins on the producer's clock, in movie ticks
	payload int64 // bytes of chunks added
	trim    trim
	err     error
}

// maxGap is the longest gap that is kept, in movie ticks: what the duration of a picture can hold.
const maxGap = math.MaxUint32 - 60*movieTimescale

// NewMovie makes a movie of one or more tracks. Errors are those of the codec private data:
// media.ErrMissingCodecPrivate, ErrInvalidCodecPrivate, ErrUnsupportedCodec.
func NewMovie(tracks []MovieTrack, o MovieOptions) (*Movie, error) {
	m := &Movie{o: o}
	if o.Scratch == nil {
		m.o.Scratch = func() (Scratch, error) { return MemoryScratch(), nil }
	}
	for _, t := range tracks {
		mt, err := m.newTrack(t)
		if err != nil {
			return nil, err
		}
		m.tracks = append(m.tracks, mt)
	}
	if len(m.tracks) == 0 {
		return nil, errors.New("movie without tracks")
	}
	return m, nil
}

// Chunk is a track's part of a fragment.
type Chunk struct {
	Track int        // index of the track in the movie
	Run   *media.Run // of access units (media.Run.Units), at least one
}

// Add adds a fragment: its chunks in the order of their bytes, at most one of each track. The error
// wraps media.ErrTime if times cannot be expressed.
func (m *Movie) Add(chunks []Chunk) error {
	if len(chunks) == 0 || m.err != nil {
		return m.err
	}
	for _, c := range chunks {
		if len(c.Run.Frames) == 0 {
			return fmt.Errorf("run of track %d has no frames", c.Run.Track)
		}
	}
	m.place(chunks)
	for _, c := range chunks {
		t := m.tracks[c.Track]
		if err := t.add(c.Run, m.payload); err != nil {
			return err
		}
		m.payload += c.Run.Size()
	}
	m.trim.look(m, chunks)
	return m.err
}

// place decides where the fragment is on the movie's clock. It follows what is there as on the
// producer's clock, unless there is a gap.
func (m *Movie) place(chunks []Chunk) {
	start, end := int64(math.MaxInt64), int64(0)
	for _, c := range chunks {
		t := m.tracks[c.Track]
		start = min(start, rescale(c.Run.BaseDecodeTime, t.clock, movieTimescale))
	}
	if !m.started {
		m.started, m.base = true, start
		m.shift(start)
		return
	}
	joined := false
	for i, t := range m.tracks {
		if !t.begun {
			continue
		}
		end = max(end, rescale(t.end, t.scale, movieTimescale))
		for _, c := range chunks {
			if c.Track == i {
				apart := t.position(c.Run.BaseDecodeTime) - t.end
				joined = joined || abs(rescale(apart, t.scale, movieTimescale)) <= gapTicks
			}
		}
	}
	if joined {
		return
	}
	gone := start - m.base - end
	switch {
	case abs(gone) <= gapTicks:
		return
	case gone > 0 && m.o.KeepGaps:
		gone -= min(gone, maxGap)
	}
	m.base += gone
	m.shift(m.base)
}

// shift sets where position 0 of the movie is on the producer's clock, in movie ticks.
func (m *Movie) shift(base int64) {
	for _, t := range m.tracks {
		t.shift = rescale(base, movieTimescale, t.scale)
	}
}

// length returns where the last track ends, in movie ticks.
func (m *Movie) length() int64 {
	var end int64
	for _, t := range m.tracks {
		if t.begun {
			end = max(end, rescaleUp(t.end, t.scale, movieTimescale))
		}
	}
	return end
}

// Payload returns how many bytes of chunks must follow what WriteTo writes.
func (m *Movie) Payload() int64 { return m.payload }

// WriteTo writes everything before the payload of the chunks. Nothing can be added afterwards.
func (m *Movie) WriteTo(to io.Writer) (int64, error) {
	m.tracks = slices.DeleteFunc(m.tracks, func(t *movieTrack) bool { return !t.begun })
	if m.err == nil && len(m.tracks) == 0 {
		m.err = errors.New("movie without samples")
	}
	for _, t := range m.tracks {
		t.finish()
	}
	if m.err != nil {
		return 0, m.err
	}
	pool, at := []byte(nil), []int64(nil)
	for _, t := range m.tracks {
		at = append(at, int64(len(pool)))
		pool = append(pool, t.pool...)
	}
	wide := false
	w := m.boxes(pool, at, wide)
	if size := w.size() + m.payload; size > math.MaxUint32 {
		w = m.boxes(pool, at, true)
	}
	if w.size() > math.MaxUint32 {
		return 0, ErrMovieTooLarge
	}
	err := w.flush(to)
	return w.size(), errors.Join(err, m.err)
}

// boxes lays everything out; wide is for files beyond 4 GiB.
func (m *Movie) boxes(pool []byte, poolAt []int64, wide bool) *builder {
	w := &builder{}
	w.box("ftyp", func() {
		w.text("isom")
		w.u32(0x200)
		w.text("isomiso2")
		if slices.ContainsFunc(m.tracks, func(t *movieTrack) bool {
			return t.t.CodecID == media.CodecAVC
		}) {
			w.text("avc1")
		}
		w.text("mp41")
	})
	media := int64(0) // offset of the first chunk; known when the boxes are complete
	edits := make([][]edit, len(m.tracks))
	var duration uint64
	for i, t := range m.tracks {
		edits[i] = m.edits(t)
		duration = max(duration, t.duration(edits[i]))
	}
	w.box("moov", func() {
		w.mvhd(m.o.Created, duration, uint32(len(m.tracks)+1))
		for i, t := range m.tracks {
			w.box("trak", func() {
				w.tkhd(t.e, uint32(i+1), t.duration(edits[i]))
				w.elst(edits[i])
				w.box("mdia", func() {
					w.mdia(t.e, uint32(t.scale), uint64(t.end-t.begin), func() {
						t.tables(w, wide, func() (int64, int64) {
							return media, media - int64(len(pool)) + poolAt[i]
						})
					})
				})
			})
		}
	})
	if size := int64(len(pool)) + m.payload + 8; wide {
		w.u32(1)
		w.text("mdat")
		w.u64(uint64(size + 8))
	} else {
		w.u32(uint32(size))
		w.text("mdat")
	}
	w.bytes(pool)
	media = w.size()
	return w
}

// unixTo1904 is the Unix epoch in seconds of the epoch of MP4 files.
const unixTo1904 = 2_082_844_800

func (w *builder) mvhd(created int64, duration uint64, next uint32) {
	at := uint64(max(created+unixTo1904, 0))
	version := max(versionFor(duration), versionFor(at))
	w.full("mvhd", version, 0, func() {
		w.time(version, at) // creation
		w.time(version, at) // modification
		w.u32(movieTimescale)
		w.time(version, duration)
		w.u32(0x00010000) // rate 1.0
		w.u16(0x0100)     // volume 1.0
		w.zero(10)
		w.matrix()
		w.zero(24)
		w.u32(next) // next_track_ID
	})
}

// rescale returns v·to/from, rounded down, for times since the Unix epoch too.
func rescale(v, from, to int64) int64 {
	if from == to {
		return v
	}
	q, r := v/from, v%from
	if r < 0 {
		q, r = q-1, r+from
	}
	return q*to + r*to/from
}

// rescaleUp returns v·to/from, rounded up.
func rescaleUp(v, from, to int64) int64 { return -rescale(-v, from, to) }

func abs(v int64) int64 { return max(v, -v) }
