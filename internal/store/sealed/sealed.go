// Package sealed puts together what an engine has of a stream's fragments: rows of those that came
// last, one each, and the packed tables in the footers of sealed volumes, which have one row each
// for thousands of fragments. It has no storage of its own.
package sealed

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
)

// HighWater is where a stream's two orders stand: the greatest number and sequence ever committed,
// zero at first, and the greatest of its sealed volumes.
type HighWater struct {
	Number         store.Number
	Sequence       int64
	SealedNumber   store.Number
	SealedSequence int64
}

// Hot is the answer to a query as far as it stands in rows, and what is needed to add the sealed
// volumes' part: all of one moment.
type Hot struct {
	Fragments []store.FragmentInfo // in the order of the query, at most its limit
	HighWater HighWater
	// fragments of sealed volumes that were replaced since, in ascending order
	Gone []store.Number
}

// Volume is the one row of a sealed volume: where its packed table is and what is in it.
type Volume struct {
	Name     string
	Stream   store.StreamID
	Footer   store.Location // of the footer record, whose metadata is the table
	Count    int            // fragments in the table
	Number   record.Range   // of the fragments' numbers
	Sequence record.Range
	Server   record.Range // of the fragments' server timestamps, milliseconds
	Producer record.Range // likewise of the producer timestamps
	Sets     []int64      // ids of the track sets, by their place in the table
	// what the fragments of the volume replaced when they came; for AddSealed only, Sealed leaves
	// it out
	Replaced []store.Number
}

// ErrUnsealable is of a volume that cannot have one row in the place of those of its fragments, or
// not as things are: what is stored of it stays as it is.
var ErrUnsealable = errors.New("volume cannot be sealed")

// Sort puts volumes in the order in which Rows.Sealed returns them.
func Sort(volumes []Volume, order store.Order) {
	slices.SortFunc(volumes, func(a, b Volume) int {
		switch order {
		case store.ByNumberNewest:
			return cmp.Compare(b.Number.Max, a.Number.Max)
		case store.BySequence:
			return cmp.Compare(a.Sequence.Min, b.Sequence.Min)
		}
		return cmp.Compare(a.Number.Min, b.Number.Min)
	})
}

// A volume covers an hour at most as long as nobody's clock jumps. So those that overlap an
// interval begin at most WideMillis before it, and an index on where they begin finds them. The few
// wide ones are looked at one by one.
const (
	WideMillis = int64(4 * time.Hour / time.Millisecond)
	WideNumber = WideMillis * 1000 << store.NumberSlotBits // a number counts microseconds
)

// Wide tells whether a volume covers more than WideMillis on one of its clocks, or WideNumber.
func (v *Volume) Wide() bool {
	span := func(r record.Range) uint64 { return uint64(r.Max) - uint64(r.Min) }
	return span(v.Number) > uint64(WideNumber) || span(v.Server) > uint64(WideMillis) ||
		span(v.Producer) > uint64(WideMillis)
}
