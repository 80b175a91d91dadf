package store

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// FormatNumber and ParseNumber agree with arithmetic without limits.
func TestNumberAgainstBig(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 56))
	edges := []uint64{0, 1, 9, 10, 999_999_999_999_999_999, 1_000_000_000_000_000_000,
		math.MaxInt64, math.MaxUint64, 1 << 32, 1 << 63}
	pick := func() uint64 {
		if r.IntN(3) == 0 {
			return edges[r.IntN(len(edges))] + uint64(r.IntN(3)) - 1
		}
		return r.Uint64() >> r.IntN(64)
	}
	base := new(big.Int).Lsh(big.NewInt(1), 156)
	for range 50_000 {
		n, s := Number(pick()&math.MaxInt64), Stream{NumberTag: pick()}
		v := new(big.Int).SetUint64(uint64(n))
		v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(s.NumberTag)).Add(v, base)
		text := s.FormatNumber(n)
		if text != v.String() || len(text) != NumberDigits {
			t.Fatalf("number %d of %d is %s, want %s", n, s.NumberTag, text, v)
		}
		got, err := s.ParseNumber(text)
		if (err != nil) != (n == 0) || (n != 0 && got != n) {
			t.Fatalf("%s reads as %d, %v", text, got, err)
		}
		// Near misses belong to no fragment, or to another one of this stream.
		v.Add(v, big.NewInt(int64(r.IntN(5)-2)))
		if near := v.String(); len(near) == NumberDigits && near != text {
			if got, err := s.ParseNumber(near); err == nil {
				t.Fatalf("%s reads as %d", near, got)
			}
		}
		digits := []byte(text)
		digits[r.IntN(len(digits))] = byte('0' + r.IntN(10))
		if got, err := s.ParseNumber(string(digits)); err == nil &&
			s.FormatNumber(got) != string(digits) {
			t.Fatalf("%s reads as %d", digits, got)
		}
	}
	s := Stream{NumberTag: 5}
	for _, text := range []string{"", "1", s.FormatNumber(7)[1:], s.FormatNumber(7) + "0",
		"x" + s.FormatNumber(7)[1:], s.FormatNumber(7)[:46] + ":",
		"00000000000000000000000000000000000000000000000",
		"99999999999999999999999999999999999999999999999"} {
		if _, err := s.ParseNumber(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func BenchmarkNumber(b *testing.B) {
	s := Stream{NumberTag: 0x0123456789abcdef}
	text := s.FormatNumber(1 << 60)
	b.Run("format", func(b *testing.B) {
		for b.Loop() {
			_ = s.FormatNumber(1 << 60)
		}
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.ParseNumber(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
