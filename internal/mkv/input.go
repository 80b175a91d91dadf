package mkv

import (
	"io"
	"slices"
)

const (
	bufferSize = 32 << 10
	// direct is how many bytes of a payload must be missing to read them straight to their
	// destination. Below that, filling the buffer costs a small copy but saves a Read for the next
	// element's header.
	direct = 16 << 10
	// growStep is how far a destination grows ahead of the bytes that have arrived.
	growStep = 64 << 10
)

// input is a buffered reader. It reads only while it lacks the bytes that were asked for, one Read
// at a time, so that no event waits for bytes that it does not need.
type input struct {
	src        io.Reader // nil when buf holds everything
	buf        []byte
	start, end int   // buf[start:end] is unread
	off        int64 // bytes from the start of the whole input to buf[start]
	err        error // of src, once it has ended
}

// memory returns an input of bytes in memory; off is the offset of the first.
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

// need reads until buf[start:] has n bytes (at most bufferSize), or returns why it cannot.
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

// take returns n bytes that need has read. They are valid until the next call.
func (in *input) take(n int) []byte {
	b := in.buf[in.start : in.start+n]
	in.start += n
	in.off += int64(n)
	return b
}

// skip discards n bytes.
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

// appendTo appends n bytes to dst, which grows only as they arrive. On error dst holds what
// arrived.
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
