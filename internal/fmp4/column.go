package fmp4

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Scratch holds a table of a long movie, which is appended to it and read back.
type Scratch interface {
	io.Writer
	io.ReaderAt
}

// MemoryScratch is a Scratch in memory.
func MemoryScratch() Scratch { return &memory{} }

type memory struct{ b []byte }

func (s *memory) Write(p []byte) (int, error) { s.b = append(s.b, p...); return len(p), nil }

func (s *memory) ReadAt(p []byte, at int64) (int, error) {
	if n := copy(p, s.b[min(at, int64(len(s.b))):]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

// columnMemory is how many bytes of a table stay in memory. The rest goes to a Scratch.
const columnMemory = 64 << 10

// column is a table of a movie while it grows.
type column struct {
	movie   *Movie
	b       []byte // the last bytes of it
	spilled int64  // bytes in file
	file    Scratch
}

func (c *column) u32(v uint32) { c.room(4); c.b = binary.BigEndian.AppendUint32(c.b, v) }
func (c *column) u64(v uint64) { c.room(8); c.b = binary.BigEndian.AppendUint64(c.b, v) }

func (c *column) size() int64 { return c.spilled + int64(len(c.b)) }

// room makes room for n bytes.
func (c *column) room(n int) {
	m := c.movie
	if len(c.b)+n <= columnMemory || m.err != nil {
		return
	}
	if c.file == nil {
		if c.file, m.err = m.o.Scratch(); m.err != nil {
			return
		}
	}
	if _, err := c.file.Write(c.b); err != nil {
		m.err = fmt.Errorf("write table: %w", err)
		return
	}
	c.spilled += int64(len(c.b))
	c.b = c.b[:0]
}

// each calls do with all bytes, in pieces of whole rows of 8 bytes.
func (c *column) each(do func([]byte) error) error {
	buf := make([]byte, min(columnMemory, c.spilled))
	for at := int64(0); at < c.spilled; {
		n := min(int64(len(buf)), c.spilled-at)
		if _, err := c.file.ReadAt(buf[:n], at); err != nil {
			return fmt.Errorf("read table: %w", err)
		}
		if err := do(buf[:n]); err != nil {
			return err
		}
		at += n
	}
	return do(c.b)
}

func (c *column) write(w io.Writer) error {
	return c.each(func(b []byte) error { _, err := w.Write(b); return err })
}

// counted is a table of values in the order of samples, stts or ctts. A row has the number of equal
// values and the value.
type counted struct {
	column
	count, value uint32
}

func (c *counted) add(count, value uint32) {
	if c.count > 0 && c.value == value && c.count <= 1<<31 {
		c.count += count
		return
	}
	c.end()
	c.count, c.value = count, value
}

// end completes the table.
func (c *counted) end() {
	if c.count > 0 {
		c.u32(c.count)
		c.u32(c.value)
	}
	c.count = 0
}
