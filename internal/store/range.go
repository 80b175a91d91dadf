package store

import (
	"errors"
	"io"
)

// Range is a run of stored bytes that stay where they are until they are needed: in a file, in
// memory, or in an object far away. A Range of a Media must not be used after the media's Close.
type Range interface {
	// Size is how many bytes there are. It costs nothing.
	Size() int64
	// Slice returns length bytes from an offset on. It reads nothing and costs one small
	// allocation. Like a slice expression it panics when they are not all in the range.
	Slice(from, length int64) Range
	// WriteTo writes the whole range. The bytes of a file do not pass through the process if w is a
	// connection, or an io.ReaderFrom that leads to one. w then gets an *io.LimitedReader over an
	// *os.File, which net takes as one sendfile(2) per call, after one lseek(2). So a long range is
	// cheap and many short ones are not: collect those with ReadAt. Ranges of one Media share its
	// file's offset; no two of them may be written at the same time. A range can be written again.
	// io.ErrUnexpectedEOF when less is stored than Size says.
	io.WriterTo
	// ReadAt copies bytes, as in io.ReaderAt; from a file, with one pread(2) per call. It may be
	// called concurrently, also with WriteTo.
	io.ReaderAt
}

// Bytes returns b as a Range. b must not change while the range is in use.
func Bytes(b []byte) Range { return memory(b[:len(b):len(b)]) }

type memory []byte

func (m memory) Size() int64 { return int64(len(m)) }

func (m memory) Slice(from, length int64) Range { return m[from : from+length : from+length] }

func (m memory) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(m)
	return int64(n), err
}

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	n := copy(p, m[min(off, m.Size()):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Concat returns ranges one after the other as one Range. Its WriteTo calls each one's WriteTo,
// except that sections which follow each other are one. Its ReadAt searches the ranges from the
// start and reads from each that it touches.
func Concat(ranges ...Range) Range {
	var c chain
	for _, r := range ranges {
		n := r.Size()
		if n == 0 {
			continue
		}
		c.size += n
		if last := len(c.ranges) - 1; last >= 0 {
			if both := join(c.ranges[last], r); both != nil {
				c.ranges[last] = both
				continue
			}
		}
		c.ranges = append(c.ranges, r)
	}
	if len(c.ranges) == 1 {
		return c.ranges[0]
	}
	return &c
}

type chain struct {
	ranges []Range // none is empty
	size   int64
}

func (c *chain) Size() int64 { return c.size }

func (c *chain) Slice(from, length int64) Range {
	if from < 0 || length < 0 || from > c.size-length {
		panic("store: slice out of range")
	}
	var some []Range
	for _, r := range c.ranges {
		n := min(r.Size()-from, length)
		if n > 0 {
			some = append(some, r.Slice(from, n))
			from, length = from+n, length-n
		}
		from -= r.Size()
	}
	return Concat(some...)
}

func (c *chain) WriteTo(w io.Writer) (n int64, err error) {
	for _, r := range c.ranges {
		k, err := r.WriteTo(w)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *chain) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	for _, r := range c.ranges {
		size := r.Size()
		if off >= size {
			off -= size
			continue
		}
		want := int(min(int64(len(p)-n), size-off))
		k, err := r.ReadAt(p[n:n+want], off)
		n += k
		if k < want {
			return n, err
		}
		if off = 0; n == len(p) {
			return n, nil
		}
	}
	return n, io.EOF
}
