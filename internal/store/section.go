package store

import "io"

// Stored is what sections are of: an open record, or a part of an object. It is comparable.
type Stored interface {
	io.ReaderAt
	// CopyTo writes n bytes from off on to w, or fewer if there are no more. A file passes itself
	// to w, as Range.WriteTo says.
	CopyTo(w io.Writer, off, n int64) (int64, error)
}

// Section returns n bytes from off on as a Range.
func Section(of Stored, off, n int64) Range { return &section{of, off, n} }

type section struct {
	of     Stored
	off, n int64
}

// join returns one section for two that follow each other; nil for any other ranges.
func join(a, b Range) Range {
	x, ok := a.(*section)
	y, both := b.(*section)
	if !ok || !both || x.of != y.of || y.off != x.off+x.n {
		return nil
	}
	return &section{x.of, x.off, x.n + y.n}
}

func (s *section) Size() int64 { return s.n }

func (s *section) Slice(from, length int64) Range {
	if from < 0 || length < 0 || from > s.n-length {
		panic("store: slice out of range")
	}
	return &section{s.of, s.off + from, length}
}

func (s *section) WriteTo(w io.Writer) (int64, error) {
	n, err := s.of.CopyTo(w, s.off, s.n)
	if err == nil && n < s.n {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	return io.NewSectionReader(s.of, s.off, s.n).ReadAt(p, off)
}
