package fmp4

import "math"

// edit is an entry of an edit list (ISO/IEC 14496-12 clause 8.6.6): for length ticks, the movie
// shows the track's media from a time on, or nothing.
type edit struct {
	length int64
	from   int64 // ticks of the track; empty for none
}

const empty = -1

// trim cuts a movie to a range of time.
type trim struct {
	set         bool
	from, until int64 // milliseconds on the producer's clock, for the fragments that are added next
	found       bool  // begin and end are known
	begin, end  int64 // movie ticks
}

// Trim cuts the movie to the frames that are shown in a range: Unix milliseconds on the producer's
// clock, both ends included. It applies to fragments that are added until the next call. They stay
// whole in the file, and an edit list hides what is before and after. The frames of the first track
// decide.
func (m *Movie) Trim(from, until int64) {
	m.trim.set, m.trim.from, m.trim.until = true, from, until
}

// look finds the first and the last frame of the range in a fragment that was just added. It goes
// by decode times, which are the sorted presentation times.
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

// edits returns the edit list of a track, nil if its media is shown from the movie's beginning to
// its end.
func (m *Movie) edits(t *movieTrack) []edit {
	first, last := int64(0), m.length()
	if m.trim.found {
		first, last = m.trim.begin, min(m.trim.end, last)
	}
	begin := rescale(t.begin, t.scale, movieTimescale)
	if begin < movieTimescale/1000 {
		begin = 0 // less than a millisecond is rounding
	}
	end := rescaleUp(t.end, t.scale, movieTimescale)
	from, until := max(first, begin), min(last, end)
	if from >= until {
		return []edit{{last - first, empty}}
	}
	var list []edit
	if from > first {
		list = append(list, edit{from - first, empty})
	}
	at := max(rescale(from, movieTimescale, t.scale)-t.begin, 0)
	if at+t.advance == 0 && until == end && list == nil {
		return nil
	}
	return append(list, edit{until - from, at + t.advance})
}

// duration returns how long a track with this edit list lasts, in movie ticks.
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
