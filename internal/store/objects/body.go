package objects

import (
	"io"
	"os"

	"weir/internal/store"
)

// Body is an open part of an object. Ranges of it must not be used after Close.
type Body struct {
	file           *os.File // nil: all is in memory
	memory         store.Range
	offset, length int64 // of the part within the file
	cache          *Cache
	object         *cached
}

func memoryBody(b []byte) *Body { return &Body{memory: store.Bytes(b), length: int64(len(b))} }

// ReadAt reads within the part.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if b.file == nil {
		return b.memory.ReadAt(p, off)
	}
	return store.ReadSection(b.file, b.offset, b.length, p, off)
}

// Verified reports whether SetVerified was called for this part as it is stored here.
func (b *Body) Verified() bool {
	if b.object == nil {
		return false
	}
	b.cache.mu.Lock()
	defer b.cache.mu.Unlock()
	return b.object.verified[b.offset]
}

// SetVerified says that somebody has verified this part's content.
func (b *Body) SetVerified() {
	if b.object == nil {
		return
	}
	b.cache.mu.Lock()
	defer b.cache.mu.Unlock()
	if b.object.verified == nil {
		b.object.verified = make(map[int64]bool)
	}
	b.object.verified[b.offset] = true
}

// Range returns n bytes of the part from an offset on.
func (b *Body) Range(off, n int64) store.Range {
	if b.file == nil {
		return b.memory.Slice(off, n)
	}
	return (&section{b, 0, b.length}).Slice(off, n)
}

// Close ends the use of the part.
func (b *Body) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// section is a store.Range of a Body in a file.
type section struct {
	b      *Body
	off, n int64 // within the body
}

func (s *section) Size() int64 { return s.n }

func (s *section) Slice(from, length int64) store.Range {
	if from < 0 || length < 0 || from > s.n-length {
		panic("objects: slice out of range")
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

// WriteTo passes the file to a writer that can take it, so that the kernel sends its bytes.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	if _, err := s.b.file.Seek(s.b.offset+s.off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.Copy(w, io.LimitReader(s.b.file, s.n))
	if err == nil && n < s.n {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	return store.ReadSection(s.b, s.off, s.n, p, off)
}
