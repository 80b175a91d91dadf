package mkv

import (
	"io"
	"slices"
)

const (
	bufferSize = 32 << 10
	// direct is how much of a payload must be missing to read it straight to its destination:
	// below, filling the buffer costs a small copy and saves a Read for the next element's header.
	direct = 16 << 10
	// growStep is how far a destination grows ahead of the bytes that have come.
	growStep = 64 << 10
)

// input is a buffered reader that never reads while it has the bytes that were asked for, and reads
// once at a time otherwise, so that no event waits for bytes that it does not need.
type input struct {
	src        io.Reader // nil when buf holds everything
	buf        []byte
	start, end int   // buf[start:end] is unread
	off        int64 // bytes from the start of the whole input to buf[start]
	err        error // what src said, once it has ended
}

// memory returns an input over bytes at hand; off is the offset of the first.
func memory(data []byte, off int64) input {
	return input{buf: data, end: len(data), off: off, err: io.EOF}
}

// read does one Read that returns something, or sets err.
func (in *input) read(dst []byte) int {
	for range 100 {
		n, err := in.src.Read(dst)
		if n < 0 || n > len(dst) {
			n, err = 0, io.ErrNoProgress // a reader that breaks the rules of io.Reader
		}
		if err != nil {
			in.err = err
		}
		if n > 0 || err != nil {
			return n
		}
	}
	in.err = io.ErrNoProgress
	return 0
}

// need makes n bytes (at most bufferSize) stand in buf[start:], or returns why they cannot.
func (in *input) need(n int) error {
	for in.end-in.start < n {
		if in.err != nil {
			return in.err
		}
		if in.start == in.end {
			in.start, in.end = 0, 0
		} else if in.start+n > len(in.buf) {
			in.end = copy(in.buf, in.buf[in.start:in.end])
			in.start = 0
		}
		in.end += in.read(in.buf[in.end:])
	}
	return nil
}

// take returns n bytes that need has made stand; they are good until the next call.
func (in *input) take(n int) []byte {
	b := in.buf[in.start : in.start+n]
	in.start += n
	in.off += int64(n)
	return b
}

// skip passes over n bytes.
func (in *input) skip(n int64) error {
	for n > 0 {
		if in.start == in.end {
			if err := in.need(1); err != nil {
				return err
			}
		}
		n -= int64(len(in.take(int(min(n, int64(in.end-in.start))))))
	}
	return nil
}

// appendTo appends n bytes to dst, which grows no faster than they come. On error dst holds what
// came.
func (in *input) appendTo(dst []byte, n int64) ([]byte, error) {
	got := 0
	for n > 0 {
		switch {
		case in.start < in.end:
			b := in.take(int(min(n, int64(in.end-in.start))))
			dst = append(dst, b...)
			n -= int64(len(b))
			got += len(b)
		case in.err != nil:
			return dst, in.err
		case n < direct:
			if err := in.need(1); err != nil {
				return dst, err
			}
		default:
			if cap(dst)-len(dst) < direct {
				dst = slices.Grow(dst, int(min(n, int64(max(growStep, got)))))
			}
			spare := dst[len(dst):cap(dst)]
			m := in.read(spare[:min(n, int64(len(spare)))])
			dst = dst[:len(dst)+m]
			n -= int64(m)
			got += m
			in.off += int64(m)
		}
	}
	return dst, nil
}
