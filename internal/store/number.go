package store

import (
	"fmt"
	"math/big"
)

// NumberDigits is the constant width of a fragment number as a decimal string. Clients compare the strings.
const NumberDigits = 47

// Number orders the fragments of a stream by ingest: a hybrid logical clock, microseconds since 2020-01-01 shifted left by
// 12 bits for a node slot, strictly increasing within a stream. Zero is no fragment.
type Number int64

// FormatNumber gives the fragment number as clients see it: the 47 decimal digits of 2^156 + n·2^64 + s.NumberTag, so that the
// order of the strings is the order of the numbers and a number of another stream is recognised as foreign.
func (s *Stream) FormatNumber(n Number) string {
	v := new(big.Int).SetUint64(uint64(n))
	v.Lsh(v, 64)
	v.Add(v, new(big.Int).SetUint64(s.NumberTag))
	v.Add(v, numberBase)
	return v.String()
}

// ParseNumber reverses FormatNumber. Anything that FormatNumber of this stream cannot have produced is an error.
func (s *Stream) ParseNumber(text string) (Number, error) {
	if len(text) != NumberDigits {
		return 0, fmt.Errorf("fragment number has %d characters, not %d", len(text), NumberDigits)
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, fmt.Errorf("fragment number is not decimal")
		}
	}
	v, _ := new(big.Int).SetString(text, 10)
	v.Sub(v, numberBase)
	if v.Sign() < 0 {
		return 0, fmt.Errorf("fragment number is out of range")
	}
	tag := new(big.Int).And(v, tagMask).Uint64()
	v.Rsh(v, 64)
	if tag != s.NumberTag || !v.IsInt64() || v.Int64() == 0 {
		return 0, fmt.Errorf("fragment number is not of this stream")
	}
	return Number(v.Int64()), nil
}

var (
	numberBase = new(big.Int).Lsh(big.NewInt(1), 156)
	tagMask    = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(1))
)
