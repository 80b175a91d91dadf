package timeline

import (
	"encoding/binary"

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
//	3 | the same, without dated, silent, date and silence, and with
//	    u tags·4+change·2+independent; it is read, not written
//
// Δ is the difference from the entry before (from 0 for the first), for server times from the
// timestamp of the same entry, for due times from the end of the entry before (from its due time as
// long as its longest run).
const (
	checkpointVersion = 4
	checkpointBefore  = 3 // of sessions that an earlier version opened
)

// Encode gives the checkpoint of the state. n is the number of the session's tracks.
func (t *State) Encode(n int) []byte {
	b := make([]byte, 1, 64+24*len(t.Entries))
	b[0] = checkpointVersion
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
		last = *e
	}
	return b
}

// ReadCursor reads the commit sequence and the greatest server timestamp of a checkpoint without its
// entries.
func ReadCursor(data []byte) (cursor, serverTime int64, err error) {
	r := Reader{Data: data}
	if v := r.Byte(); v != checkpointVersion && v != checkpointBefore {
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
	if version != checkpointVersion && version != checkpointBefore || r.Unsigned() != int64(n) {
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
	count := r.Unsigned()
	if r.Bad || count > int64(len(r.Data))/int64(9+2*n) { // likewise
		return nil, ErrForm
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
			return nil, ErrForm
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
		last = *e
	}
	if r.Bad || len(r.Data) != 0 {
		return nil, ErrForm
	}
	return t, nil
}
