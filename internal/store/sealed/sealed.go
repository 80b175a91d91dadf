// Package sealed combines the two forms in which an engine has a stream's fragments: the newest
// have a row each; the others are in packed tables in the footers of sealed volumes, with one row
// for thousands of fragments. It has no storage of its own.
package sealed

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
)

// HighWater is how far a stream's two orders have got: the greatest number and sequence ever
// committed, zero at first, and the greatest of its sealed volumes.
type HighWater struct {
	Number         store.Number
	Sequence       int64
	SealedNumber   store.Number
	SealedSequence int64
}

// Hot is the part of an answer that comes from rows, and what is needed to add the part from sealed
// volumes, all as of one moment.
type Hot struct {
	Fragments []store.FragmentInfo // in the order of the query, at most its limit
	HighWater HighWater
	// replaced fragments of sealed volumes, in ascending order
	Gone []store.Number
}

// Volume is the row of a sealed volume: where its packed table is, and what is in the volume.
type Volume struct {
	Name     string
	Stream   store.StreamID
	Footer   store.Location // of the footer record, whose metadata is the table
	Count    int            // fragments in the table
	Number   record.Range   // of the fragments' numbers
	Sequence record.Range
	Server   record.Range // of the fragments' server timestamps, milliseconds
	Producer record.Range // likewise of the producer timestamps
	Sets     []int64      // IDs of the track sets, by their place in the table
	// what the volume's fragments replaced on arrival; for AddSealed only, Sealed leaves it out
	Replaced []store.Number
}

// ErrUnsealable says that the rows of a volume's fragments cannot be replaced by one row, ever or
// as things are. Nothing was changed.
var ErrUnsealable = errors.New("volume cannot be sealed")

// Sort sorts volumes into the order of Rows.Sealed.
func Sort(volumes []Volume, order store.Order) {
	slices.SortFunc(volumes, func(a, b Volume) int {
		if order == store.ByNumberNewest {
			a, b = b, a
		}
		return cmp.Compare(a.Cursor(order), b.Cursor(order))
	})
}

// Cursor is where a volume is in the order of Rows.Sealed: the after of those that follow.
func (v *Volume) Cursor(order store.Order) int64 {
	switch order {
	case store.ByNumberNewest:
		return v.Number.Max
	case store.BySequence:
		return v.Sequence.Min
	}
	return v.Number.Min
}

// Follows reports whether v follows o, or is beside it, in every order: by number, by sequence and
// by either clock.
func (v *Volume) Follows(o *Volume) bool {
	follows := func(a, b record.Range) bool { return a.Min >= b.Min && a.Max >= b.Max }
	return follows(v.Number, o.Number) && follows(v.Sequence, o.Sequence) &&
		follows(v.Server, o.Server) && follows(v.Producer, o.Producer)
}

// EncodeSets returns Sets in the form of rows.
func (v *Volume) EncodeSets() []byte {
	b := []byte{} // not nil: the column is not null
	for _, id := range v.Sets {
		b = binary.AppendVarint(b, id)
	}
	return b
}

// DecodeSets reverses EncodeSets. ErrCorrupt.
func (v *Volume) DecodeSets(b []byte) error {
	v.Sets = nil
	for len(b) > 0 {
		id, n := binary.Varint(b)
		if n <= 0 {
			return fmt.Errorf("%w: track sets of sealed volume %s", store.ErrCorrupt, v.Name)
		}
		v.Sets, b = append(v.Sets, id), b[n:]
	}
	return nil
}

// A volume covers an hour at most, unless a clock jumps. So the volumes that overlap an interval
// begin at most WideMillis before it, and an index on their beginnings finds them. The few wide
// ones are looked at one by one.
const (
	WideMillis = int64(4 * time.Hour / time.Millisecond)
	WideNumber = WideMillis * 1000 << store.NumberSlotBits // a number counts microseconds
)

// Wide reports whether a volume covers more than WideMillis on one of its clocks, or more than
// WideNumber.
func (v *Volume) Wide() bool {
	span := func(r record.Range) uint64 { return uint64(r.Max) - uint64(r.Min) }
	return span(v.Number) > uint64(WideNumber) || span(v.Server) > uint64(WideMillis) ||
		span(v.Producer) > uint64(WideMillis)
}
