package objects

import "slices"

// span is a range of bytes of an object: from, and to exclusive.
type span struct{ from, to int64 }

// spans are ranges in ascending order that do not touch.
type spans []span

// missing returns the first part of want that is in none of the spans, up to the next span; false
// when nothing is missing.
func (s spans) missing(want span) (span, bool) {
	for _, h := range s {
		if h.to <= want.from {
			continue
		}
		if h.from > want.from {
			want.to = min(want.to, h.from)
			break
		}
		want.from = h.to
	}
	return want, want.from < want.to
}

// add adds a span, and returns how many of its bytes are new.
func (s *spans) add(n span) int64 {
	before := s.size()
	i := 0
	for i < len(*s) && (*s)[i].to < n.from {
		i++
	}
	j := i
	for j < len(*s) && (*s)[j].from <= n.to {
		n.from, n.to = min(n.from, (*s)[j].from), max(n.to, (*s)[j].to)
		j++
	}
	*s = slices.Replace(*s, i, j, n)
	return s.size() - before
}

func (s spans) size() (n int64) {
	for _, h := range s {
		n += h.to - h.from
	}
	return n
}
