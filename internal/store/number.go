package store

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// NumberDigits is the constant width of a fragment number as a decimal string. Clients compare the
// strings.
const NumberDigits = 47

// Number orders the fragments of a stream by ingest: a hybrid logical clock, microseconds since
// 2020-01-01 shifted left by 12 bits for a node slot, strictly increasing within a stream. Zero is
// no fragment.
type Number int64

// NumberSlotBits is how many low bits of a Number hold the node slot.
const NumberSlotBits = 12

// numberEpoch is where the microseconds of fragment numbers begin.
var numberEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// NumberAt returns the number of a moment for node slot 0, or, if that is not greater than after,
// the least number that is.
func NumberAt(t time.Time, after Number) Number {
	next := int64(after>>NumberSlotBits) + 1
	return Number(max(t.UnixMicro()-numberEpoch, next, 1) << NumberSlotBits)
}

// FormatNumber returns the fragment number as clients see it: the 47 decimal digits of 2^156 +
// n·2^64 + s.NumberTag, so that the order of the strings is the order of the numbers and a number
// of another stream is recognised as foreign.
func (s *Stream) FormatNumber(n Number) string {
	// Three words of 64 bits, divided by 10^18 twice: 11, 18 and 18 digits. Playlists hold a
	// thousand of these.
	high, middle, low := uint64(numberTop), uint64(n), s.NumberTag
	var digits [NumberDigits]byte
	for end := NumberDigits; end > 0; end -= numberGroup {
		var rest uint64
		high, rest = high/numberGroupBase, high%numberGroupBase
		middle, rest = bits.Div64(rest, middle, numberGroupBase)
		low, rest = bits.Div64(rest, low, numberGroupBase)
		for i := end - 1; i >= max(end-numberGroup, 0); i-- {
			digits[i] = byte('0' + rest%10)
			rest /= 10
		}
	}
	return string(digits[:])
}

// ParseNumber reverses FormatNumber. A string that FormatNumber of this stream cannot return is an
// error.
func (s *Stream) ParseNumber(text string) (Number, error) {
	if len(text) != NumberDigits {
		return 0, fmt.Errorf("fragment number has %d characters, not %d", len(text), NumberDigits)
	}
	var high, middle, low uint64 // 47 digits are less than 2^157, so high does not overflow
	for from := 0; from < NumberDigits; {
		to := from + numberGroup
		if from == 0 {
			to = NumberDigits % numberGroup
		}
		var group uint64
		for ; from < to; from++ {
			c := text[from] - '0'
			if c > 9 {
				return 0, errors.New("fragment number is not decimal")
			}
			group = group*10 + uint64(c)
		}
		carry, l := bits.Mul64(low, numberGroupBase)
		carry2, m := bits.Mul64(middle, numberGroupBase)
		var c uint64
		low, c = bits.Add64(l, group, 0)
		middle, c = bits.Add64(m, carry, c)
		high, _ = bits.Add64(high*numberGroupBase, carry2, c)
	}
	if high != numberTop || middle == 0 || middle > math.MaxInt64 || low != s.NumberTag {
		return 0, errors.New("fragment number is not of this stream")
	}
	return Number(middle), nil
}

const (
	numberTop       = 1 << (156 - 128) // the word above the two lower ones of 64 bits each
	numberGroup     = 18               // decimal digits converted at a time
	numberGroupBase = 1_000_000_000_000_000_000
)
