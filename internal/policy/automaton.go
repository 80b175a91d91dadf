package policy

import "unicode/utf8"

// automaton matches a pattern's text in time that nobody can drive up: whoever assumes a role
// writes its session policy, and so what all calls of that session are compared with.
//
// It reads the string once. A set of bits keeps how far the pattern may have got: bit n says that
// its first n elements match what was read. Each character takes a few operations for every 64 bits
// of that set (Baeza-Yates and Gonnet, "A New Approach to Text Searching", 1992).
//
// Usual patterns take it 15 to 80 times as long as search, so it is only for those that search
// gives up on. These would take search 5 to 17 times as long as the automaton (2026-11-29).
type automaton struct {
	size        int // elements: characters and wildcards, without redundant ones
	one         []uint64
	onePart     []uint64
	many        []uint64
	manyPart    []uint64
	letters     map[rune][]letter
	now, moving []uint64
}

// letter is where a character stands among 64 elements.
type letter struct {
	word int
	bits uint64
}

func newAutomaton(pattern string) *automaton {
	words := len(pattern)/64 + 1
	all := make([]uint64, 6*words)
	part := func(i int) []uint64 { return all[i*words : (i+1)*words : (i+1)*words] }
	a := &automaton{one: part(0), onePart: part(1), many: part(2), manyPart: part(3),
		now: part(4), moving: part(5), letters: map[rune][]letter{}}
	var last byte // if it is a wildcard for many characters
	for i := 0; i < len(pattern); {
		c := pattern[i]
		word, bit := a.size/64, uint64(1)<<(a.size%64)
		switch {
		case c == manyWild && last == manyPartWild: // together they are the one that may be longer
			word, bit = (a.size-1)/64, uint64(1)<<((a.size-1)%64)
			a.many[word] |= bit
			a.manyPart[word] &^= bit
			a.size--
		case (c == manyWild || c == manyPartWild) && last != 0:
			a.size--
			c = last
		case c == manyWild:
			a.many[word] |= bit
		case c == manyPartWild:
			a.manyPart[word] |= bit
		case c == oneWild:
			a.one[word] |= bit
		case c == onePartWild:
			a.onePart[word] |= bit
		default:
			r, n := utf8.DecodeRuneInString(pattern[i:])
			i += n - 1
			at := a.letters[r]
			if n := len(at); n > 0 && at[n-1].word == word {
				at[n-1].bits |= bit
			} else {
				a.letters[r] = append(at, letter{word, bit})
			}
		}
		if last = 0; c == manyWild || c == manyPartWild {
			last = c
		}
		i++
		a.size++
	}
	return a
}

// matches is glob, with a as the pattern.
func (a *automaton) matches(s string, fold bool) bool {
	a.now[0] = 1
	a.pass()
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case r == utf8.RuneError && n == 1:
			r = -1 // not a character, so in no pattern
		case fold && 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		}
		if !a.read(r) {
			return false
		}
	}
	return a.now[a.size/64]&(1<<(a.size%64)) != 0
}

// read reads one character, and reports whether anything can still match.
func (a *automaton) read(r rune) bool {
	copy(a.moving, a.one)
	for _, at := range a.letters[r] {
		a.moving[at.word] |= at.bits
	}
	var carry, any uint64
	for i, now := range a.now {
		moving, staying := a.moving[i], a.many[i]
		if r != ':' {
			moving, staying = moving|a.onePart[i], staying|a.manyPart[i]
		}
		moving &= now
		a.now[i] = moving<<1 | carry | now&staying
		carry = moving >> 63
		any |= a.now[i]
	}
	a.pass()
	return any != 0
}

// pass lets each wildcard for many characters stand for none. No two of them are adjacent.
func (a *automaton) pass() {
	var carry uint64
	for i := range a.now {
		stars := a.now[i] & (a.many[i] | a.manyPart[i])
		a.now[i] |= stars<<1 | carry
		carry = stars >> 63
	}
}
