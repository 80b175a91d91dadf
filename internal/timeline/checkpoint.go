package timeline

import (
	"encoding/binary"
	"math"
	"slices"

	"weir/internal/store"
)

// A checkpoint is a version byte and then varints (encoding/binary): unsigned ones marked u, zigzag
// ones s.
//
//	4 | u tracks  u cursor  u greatest  s server time  u target  u discontinuity  s epoch  s due
//	    s dated  u ended  u changes  u generation
//	    tracks·( u known·2+dependent  s end  u listed  u mapped  u dropped )
//	    u generations  generations·( u track set  u silent  tracks·u timescale )
//	    u entries  entries·( s number-Δ  s timestamp-Δ  s server-Δ  s due-Δ  u slice-from
//	                         u slice-until  u discontinuity-Δ  s generation-Δ  s date-timestamp
//	                         s silence-from  u silence  u I-frame
//	                         tracks·( u duration+1  u tags·8+skips·4+change·2+independent ) )
//	5 | of a DASH session: the same, and
//	    after the generations: u periods  periods·( u id  s start  s media )  s presented
//	                           tracks·s until
//	    after each entry:      u period-Δ  tracks·( s begin-Δ  s ticks-Δ )
//	7 | of a session with parts: as 4, and
//	    after each entry:      tracks·s later
//	    after the entries, of fragments that broke off:
//	    u gaps  gaps·( u index  tracks·( u parts  parts·( u nanoseconds·2+independent ) ) )
//	6 | as 7; it is written without gaps, and is read with durations in microseconds
//	3 | as 4, without dated, silent, date and silence, and with
//	    u tags·4+change·2+independent; it is read, not written
//
// Δ is the difference from the entry before (from 0 for the first), for server times from the
// timestamp of the same entry, for due times from the end of the entry before (from its due time as
// long as its longest run), for periods from the first one, for begin from the end of the track's
// entry before.
const (
	checkpointVersion = 4
	checkpointPeriods = 5 // of a DASH session
	checkpointBefore  = 3 // of sessions that an earlier version opened
	checkpointParts   = 6 // of a session with parts, but without gaps
	checkpointGaps    = 7 // of a session with parts that has gaps
)

func knownVersion(v byte) bool { return v >= checkpointBefore && v <= checkpointGaps }

// version returns the version of a checkpoint of the state.
func (t *State) version(gaps int) byte {
	switch {
	case len(t.Periods) > 0: // such a session has no gaps
		return checkpointPeriods
	case gaps > 0:
		return checkpointGaps
	case slices.ContainsFunc(t.Entries, func(e Entry) bool {
		return e.Later != [MaxTracks]int64{}
	}):
		return checkpointParts
	}
	return checkpointVersion
}

// Encode returns the checkpoint of the state. n is the number of the session's tracks.
func (t *State) Encode(n int) []byte {
	b := make([]byte, 1, 64+24*len(t.Entries))
	gaps := t.gaps()
	b[0] = t.version(len(gaps))
	u := func(v int64) { b = binary.AppendUvarint(b, uint64(v)) }
	s := func(v int64) { b = binary.AppendVarint(b, v) }
	u(int64(n))
	u(t.Cursor)
	u(int64(t.greatest))
	s(t.ServerTime)
	u(t.Target)
	u(t.discontinuity)
	s(t.epoch)
	s(t.Due)
	s(t.dated)
	u(Bit(t.ended))
	u(t.changes)
	u(int64(t.Generation))
	for i := range n {
		u(Bit(t.known[i])<<1 | Bit(t.dependent[i]))
		s(t.end[i])
		u(t.Listed[i])
		u(int64(t.mapped[i]))
		u(t.Dropped[i])
	}
	u(int64(len(t.Generations)))
	for i := range t.Generations {
		u(t.Generations[i].Set)
		u(Bit(t.Generations[i].Silent))
		for j := range n {
			u(t.Generations[i].Scales[j])
		}
	}
	if len(t.Periods) > 0 {
		b = t.appendPeriods(b, n)
	}
	u(int64(len(t.Entries)))
	var last Entry
	for i := range t.Entries {
		e := &t.Entries[i]
		s(int64(e.Number - last.Number))
		s(e.Timestamp - last.Timestamp)
		s(e.Server - e.Timestamp)
		s(e.Due - last.Due - last.Length())
		u(e.Slice.From)
		u(e.Slice.Until)
		u(e.Discontinuity - last.Discontinuity)
		s(int64(e.Generation - last.Generation))
		s(e.Date - e.Timestamp)
		s(e.Silence.From)
		u(e.Silence.Until - e.Silence.From)
		u(e.KeyFrameEnd)
		for j := range n {
			u(e.Duration[j] + 1)
			u(e.Tags[j]<<3 | Bit(e.Skips[j])<<2 | Bit(e.Change[j])<<1 | Bit(e.Independent[j]))
		}
		if len(t.Periods) > 0 {
			b = t.appendPlace(b, e, &last, n)
		}
		if b[0] >= checkpointParts {
			for j := range n {
				s(e.Later[j])
			}
		}
		last = *e
	}
	if b[0] >= checkpointParts {
		b = t.appendGaps(b, gaps, n)
	}
	return b
}

// gaps returns the indexes of the entries that are gaps.
func (t *State) gaps() (indexes []int) {
	for i := range t.Entries {
		if t.Entries[i].Gap != nil {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// appendGaps appends the gaps to a checkpoint.
func (t *State) appendGaps(b []byte, gaps []int, n int) []byte {
	u := func(v int64) { b = binary.AppendUvarint(b, uint64(v)) }
	u(int64(len(gaps)))
	for _, i := range gaps {
		u(int64(i))
		for _, parts := range t.Entries[i].Gap.Parts[:n] {
			u(int64(len(parts)))
			for j := range parts {
				u(parts[j].Duration<<1 | Bit(parts[j].Independent))
			}
		}
	}
	return b
}

// readGaps is the inverse of appendGaps, and reads those of older versions. It returns false if
// the form is wrong.
func (t *State) readGaps(r *Reader, n int, version byte) bool {
	unit := int64(1)
	if version == checkpointParts {
		unit = 1000
	}
	for gaps := r.Unsigned(); gaps > 0 && !r.Bad; gaps-- {
		i := r.Unsigned()
		if i >= int64(len(t.Entries)) {
			return false
		}
		gap := &Gap{}
		for j := range n {
			parts := r.Unsigned()
			if parts > int64(len(r.Data)) { // none is shorter
				return false
			}
			for range parts {
				v := r.Unsigned()
				if v>>1 > math.MaxInt64/2/unit {
					return false
				}
				gap.Parts[j] = append(gap.Parts[j],
					Part{Duration: v >> 1 * unit, Independent: v&1 != 0})
			}
		}
		t.Entries[i].Gap = gap
	}
	return true
}

// ReadCursor reads the commit sequence and the greatest server timestamp of a checkpoint without
// its entries.
func ReadCursor(data []byte) (cursor, serverTime int64, err error) {
	r := Reader{Data: data}
	if !knownVersion(r.Byte()) {
		return 0, 0, ErrForm
	}
	r.Unsigned() // tracks
	cursor = r.Unsigned()
	r.Unsigned() // greatest
	serverTime = r.Signed()
	if r.Bad {
		return 0, 0, ErrForm
	}
	return cursor, serverTime, nil
}

// Decode reads a checkpoint of a session with n tracks.
func Decode(data []byte, n int) (*State, error) {
	r := Reader{Data: data}
	version := r.Byte()
	if !knownVersion(version) || r.Unsigned() != int64(n) {
		return nil, ErrForm
	}
	t := &State{
		Cursor:        r.Unsigned(),
		greatest:      store.Number(r.Unsigned()),
		ServerTime:    r.Signed(),
		Target:        r.Unsigned(),
		discontinuity: r.Unsigned(),
		epoch:         r.Signed(),
		Due:           r.Signed(),
	}
	before := version == checkpointBefore
	if !before {
		t.dated = r.Signed()
	}
	t.ended, t.changes, t.Generation = r.Unsigned() != 0, r.Unsigned(), int(r.Unsigned())
	for i := range n {
		v := r.Unsigned()
		t.known[i], t.dependent[i] = v&2 != 0, v&1 != 0
		t.end[i] = r.Signed()
		t.Listed[i] = r.Unsigned()
		t.mapped[i] = int(r.Unsigned())
		t.Dropped[i] = r.Unsigned()
	}
	generations := r.Unsigned()
	// None is shorter, so the length bounds the allocation.
	if r.Bad || generations > int64(len(r.Data))/int64(1+n) {
		return nil, ErrForm
	}
	t.Generations = make([]Generation, generations)
	for i := range t.Generations {
		t.Generations[i].Set = r.Unsigned()
		t.Generations[i].Silent = !before && r.Unsigned() != 0
		for j := range n {
			if t.Generations[i].Scales[j] = r.Unsigned(); t.Generations[i].Scales[j] < 1 {
				return nil, ErrForm
			}
		}
	}
	if version == checkpointPeriods && !t.readPeriods(&r, n) {
		return nil, ErrForm
	}
	if !t.readEntries(&r, n, version) ||
		version >= checkpointParts && !t.readGaps(&r, n, version) || r.Bad || len(r.Data) != 0 {
		return nil, ErrForm
	}
	return t, nil
}

// readEntries reads the entries, and reports whether they are well formed if r has not ended early.
func (t *State) readEntries(r *Reader, n int, version byte) bool {
	before := version == checkpointBefore
	count := r.Unsigned()
	if r.Bad || count > int64(len(r.Data))/int64(9+2*n) { // an entry of none is shorter
		return false
	}
	t.Entries = make([]Entry, count)
	var last Entry
	for i := range t.Entries {
		e := &t.Entries[i]
		e.Number = last.Number + store.Number(r.Signed())
		e.Timestamp = last.Timestamp + r.Signed()
		e.Server = e.Timestamp + r.Signed()
		e.Due = last.Due + last.Length() + r.Signed()
		e.Slice = Slice{From: r.Unsigned(), Until: r.Unsigned()}
		if e.Slice.From > 0 {
			t.later++
		}
		e.Discontinuity = last.Discontinuity + r.Unsigned()
		e.Generation = last.Generation + int(r.Signed())
		if e.Date = e.Timestamp + e.Slice.From; !before {
			e.Date = e.Timestamp + r.Signed()
			e.Silence.From = r.Signed()
			e.Silence.Until = e.Silence.From + r.Unsigned()
		}
		e.KeyFrameEnd = r.Unsigned()
		if e.Generation < 0 || e.Generation >= len(t.Generations) {
			return false
		}
		for j := range n {
			e.Duration[j] = r.Unsigned() - 1
			v := r.Unsigned()
			e.Change[j], e.Independent[j] = v&2 != 0, v&1 != 0
			if v >>= 2; !before {
				e.Skips[j] = v&1 != 0
				v >>= 1
			}
			e.Tags[j] = v
		}
		if version == checkpointPeriods && !t.readPlace(r, e, &last, n) {
			return false
		}
		if version >= checkpointParts {
			for j := range n {
				e.Later[j] = r.Signed()
			}
		}
		last = *e
	}
	return true
}

// appendPeriods appends the periods to a checkpoint.
func (t *State) appendPeriods(b []byte, n int) []byte {
	b = binary.AppendUvarint(b, uint64(len(t.Periods)))
	for i := range t.Periods {
		b = binary.AppendUvarint(b, uint64(t.Periods[i].ID))
		b = binary.AppendVarint(b, t.Periods[i].Start)
		b = binary.AppendVarint(b, t.Periods[i].Media)
	}
	b = binary.AppendVarint(b, t.presented)
	for i := range n {
		b = binary.AppendVarint(b, t.until[i])
	}
	return b
}

// appendPlace appends an entry's place in its period to a checkpoint. last is the entry before it.
func (t *State) appendPlace(b []byte, e, last *Entry, n int) []byte {
	b = binary.AppendUvarint(b, uint64(e.Period-t.Periods[0].ID))
	for i := range n {
		b = binary.AppendVarint(b, e.Begin[i]-last.Begin[i]-last.Ticks[i])
		b = binary.AppendVarint(b, e.Ticks[i]-last.Ticks[i])
	}
	return b
}

// readPeriods is the inverse of appendPeriods. It returns false if the form is wrong.
func (t *State) readPeriods(r *Reader, n int) bool {
	count := r.Unsigned()
	if r.Bad || count < 1 || count > int64(len(r.Data))/3 { // none is shorter
		return false
	}
	t.Periods = make([]Period, count)
	for i := range t.Periods {
		t.Periods[i] = Period{ID: r.Unsigned(), Start: r.Signed(), Media: r.Signed()}
		if t.Periods[i].ID != t.Periods[0].ID+int64(i) {
			return false
		}
	}
	t.presented = r.Signed()
	for i := range n {
		t.until[i] = r.Signed()
	}
	return true
}

// readPlace is the inverse of appendPlace.
func (t *State) readPlace(r *Reader, e, last *Entry, n int) bool {
	index := r.Unsigned()
	if index < 0 || index >= int64(len(t.Periods)) {
		return false
	}
	e.Period = t.Periods[index].ID
	for i := range n {
		e.Begin[i] = last.Begin[i] + last.Ticks[i] + r.Signed()
		e.Ticks[i] = last.Ticks[i] + r.Signed()
	}
	return true
}
