package volume

import (
	"io"

	"weir/internal/store"
)

// section is a store.Range of an open record. It reads only through the record: once that is
// closed, another reader may have its file.
type section struct {
	b      *body
	off, n int64 // within the record
}

func (s *section) Size() int64 { return s.n }

func (s *section) Slice(from, length int64) store.Range {
	if from < 0 || length < 0 || from > s.n-length {
		panic("volume: slice out of range")
	}
	return &section{s.b, s.off + from, length}
}

// Join implements store.Joiner, because the runs of a record follow each other.
func (s *section) Join(next store.Range) store.Range {
	o, ok := next.(*section)
	if !ok || o.b != s.b || o.off != s.off+s.n {
		return nil
	}
	return &section{s.b, s.off, s.n + o.n}
}

func (s *section) WriteTo(w io.Writer) (int64, error) {
	n, err := s.b.copyTo(w, s.off, s.n)
	if err == nil && n < s.n {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	return store.ReadSection(s.b, s.off, s.n, p, off)
}
