package fmp4

import "math"

// edit is an entry of an edit list (ISO/IEC 14496-12 clause 8.6.6): so many ticks of the movie show
// the track's media from a time on, or nothing.
type edit struct {
	length int64
	from   int64 // ticks of the track; empty for none
}

const empty = -1

// trim cuts a movie to a range of moments.
type trim struct {
	set         bool
	from, until int64 // milliseconds on the producer's clock, of the fragments that are added next
	found       bool  // begin and end are known
	begin, end  int64 // movie ticks
}

// Trim cuts the movie to the frames that are shown at some moment of a range, milliseconds since
// the Unix epoch on the producer's clock, both ends included; until the next call it holds for the
// fragments that are added. They stay whole in the file: an edit list hides what is before and
// after. Frames are those of the first track.
func (m *Movie) Trim(from, until int64) {
	m.trim.set, m.trim.from, m.trim.until = true, from, until
}

// look finds the first and the last frame of the range in a fragment that was just added. Decode
// times are the sorted presentation times, so the frames are shown as long as they are decoded.
func (c *trim) look(m *Movie, chunks []Chunk) {
	if !c.set {
		return
	}
	for _, chunk := range chunks {
		t := m.tracks[chunk.Track]
		if chunk.Track != 0 {
			continue
		}
		from, until := rescale(c.from, 1000, t.clock), rescaleUp(c.until+1, 1000, t.clock)
		at := chunk.Run.BaseDecodeTime
		for i := range chunk.Run.Frames {
			end := at + int64(chunk.Run.Frames[i].Duration)
			if end > from && at < until {
				if !c.found {
					c.begin = rescale(t.position(at), t.scale, movieTimescale)
				}
				c.found = true
				c.end = rescaleUp(t.position(end), t.scale, movieTimescale)
			}
			at = end
		}
	}
}

// edits is the edit list of a track; nil when its media is shown from the movie's beginning to its
// end.
func (m *Movie) edits(t *movieTrack) []edit {
	length := m.length()
	first, last := int64(0), length
	if m.trim.found {
		first, last = m.trim.begin, min(m.trim.end, length)
	}
	begin := rescale(t.begin, t.scale, movieTimescale)
	end := rescaleUp(t.end, t.scale, movieTimescale)
	var list []edit
	nothing := func(n int64) {
		switch k := len(list); {
		case n <= 0:
		case k > 0 && list[k-1].from == empty:
			list[k-1].length += n
		default:
			list = append(list, edit{n, empty})
		}
	}
	show := func(a, b int64) {
		nothing(min(b, begin) - a)
		from, until := max(a, begin), min(b, end)
		if from >= until {
			nothing(b - max(a, begin))
			return
		}
		at := max(rescale(from, movieTimescale, t.scale)-t.begin, 0)
		list = append(list, edit{until - from, at + t.advance})
		nothing(b - until)
	}
	at := first
	for _, g := range m.gaps {
		if g.at <= first || g.at >= last {
			continue
		}
		show(at, g.at)
		nothing(g.length)
		at = g.at
	}
	show(at, last)
	if k := len(list); k > 0 && list[k-1].from == empty {
		list = list[:k-1]
	}
	if len(list) == 1 && list[0].from == 0 && list[0].length >= end-begin {
		return nil
	}
	return list
}

// duration is how long a track with an edit list lasts, movie ticks.
func (t *movieTrack) duration(list []edit) uint64 {
	if list == nil {
		return uint64(rescaleUp(t.end-t.begin, t.scale, movieTimescale))
	}
	var n int64
	for _, e := range list {
		n += e.length
	}
	return uint64(n)
}

func (w *builder) elst(list []edit) {
	if list == nil {
		return
	}
	version := uint8(0)
	for _, e := range list {
		if e.length > math.MaxUint32 || e.from > math.MaxInt32 {
			version = 1
		}
	}
	w.box("edts", func() {
		w.full("elst", version, 0, func() {
			w.u32(uint32(len(list)))
			for _, e := range list {
				w.time(version, uint64(e.length))
				w.time(version, uint64(e.from))
				w.u32(0x00010000) // media_rate 1.0
			}
		})
	})
}
