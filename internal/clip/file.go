package clip

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"weir/internal/media"
	"weir/internal/store"
)

// header is what precedes the media of a clip, with a row for each fragment that says where its
// media is. It never changes.
type header struct {
	key     clipKey
	kinds   []media.Kind // of the tracks
	size    int64        // bytes before the media
	payload int64        // bytes of media
	rows    int          // fragments

	// The header, then a row for each fragment: in memory, or in a file.
	memory []byte
	path   string
}

// length returns the size of the header and its rows.
func (h *header) length() int64 { return h.size + int64(h.rows)*rowSize }

// Clip is a clip that is open to be sent. It is not safe for concurrent use.
type Clip struct {
	*header
	service *Service
	stream  store.StreamID
	data    io.ReaderAt // as in header
	file    *os.File    // what data is, unless it is in memory
}

// newClip makes a Clip of a header; file is the header's file, nil if it is in memory.
func (s *Service) newClip(stream store.StreamID, h *header, file *os.File) *Clip {
	c := &Clip{header: h, service: s, stream: stream, file: file}
	if c.data = file; file == nil {
		c.data = bytes.NewReader(h.memory)
	}
	return c
}

// Size returns the size of the clip in bytes.
func (c *Clip) Size() int64 { return c.size + c.payload }

// ETag returns a strong validator (RFC 9110 section 8.8.3).
func (c *Clip) ETag() string { return `"` + hex.EncodeToString(c.key[:]) + `"` }

// Close frees what the clip holds. It must be called once, after the last WriteRange.
func (c *Clip) Close() {
	if c.file != nil {
		c.file.Close() // it was only read from: nothing can be lost
	}
}

// WriteRange writes n bytes of the clip, from an offset on, piece by piece. If a piece is in a file
// and w leads to a connection, the kernel sends it (store.Range). It returns an error if a fragment
// is gone or damaged.
func (c *Clip) WriteRange(ctx context.Context, w io.Writer, from, n int64) error {
	if from < c.size {
		k := min(n, c.size-from)
		if err := c.writeHeader(w, from, k); err != nil {
			return err
		}
		from, n = from+k, n-k
	}
	from -= c.size
	row := sort.Search(c.rows, func(i int) bool {
		_, at, err := c.row(i)
		return err != nil || at > from
	}) - 1
	for ; n > 0 && row >= 0 && row < c.rows; row++ {
		sent, err := c.writeFragment(ctx, w, row, from, n)
		if err != nil {
			return err
		}
		from, n = from+sent, n-sent
	}
	if n > 0 {
		return fmt.Errorf("%w: the clip's table of fragments", store.ErrCorrupt)
	}
	return nil
}

func (c *Clip) writeHeader(w io.Writer, from, n int64) error {
	if c.file == nil {
		_, err := w.Write(c.memory[from : from+n])
		return err
	}
	if _, err := c.file.Seek(from, io.SeekStart); err != nil {
		return fmt.Errorf("read clip header: %w", err)
	}
	k, err := io.Copy(w, &io.LimitedReader{R: c.file, N: n})
	if err == nil && k < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// row returns a fragment's number, and where its media begins after the header.
func (c *Clip) row(i int) (store.Number, int64, error) {
	var b [rowSize]byte
	if n, err := c.data.ReadAt(b[:], c.size+int64(i)*rowSize); n < rowSize {
		return 0, 0, fmt.Errorf("read clip header: %w", err)
	}
	return store.Number(binary.BigEndian.Uint64(b[:])), int64(binary.BigEndian.Uint64(b[8:])), nil
}

// writeFragment writes the part of a range that is in the fragment of a row. The range begins in
// that fragment.
func (c *Clip) writeFragment(
	ctx context.Context, w io.Writer, row int, from, n int64,
) (int64, error) {
	number, begin, err := c.row(row)
	if err != nil {
		return 0, err
	}
	end := c.payload
	if row+1 < c.rows {
		if _, end, err = c.row(row + 1); err != nil {
			return 0, err
		}
	}
	info, err := c.service.store.Fragment(ctx, c.stream, number)
	if err != nil {
		return 0, fmt.Errorf("find fragment: %w", err)
	}
	m, err := c.service.store.Open(ctx, c.stream, info)
	if err != nil {
		return 0, c.damaged(number, fmt.Errorf("open fragment: %w", err))
	}
	defer m.Close() // it is only read from: nothing can be lost
	f := m.Fragment()
	var payload []store.Range
	for _, p := range parts(f, numbersOf(f, c.kinds)) {
		r, err := m.Payload(p.run)
		if err != nil {
			return 0, c.damaged(number, fmt.Errorf("open payload: %w", err))
		}
		payload = append(payload, r.Slice(0, p.units.Size()))
	}
	all := store.Concat(payload...)
	if all.Size() != end-begin {
		return 0, fmt.Errorf("%w: another fragment than the clip was made of", store.ErrCorrupt)
	}
	return all.Slice(from-begin, min(n, end-from)).WriteTo(w)
}

// damaged logs a damaged fragment, because the server takes an answer that breaks off for a client
// that left.
func (c *Clip) damaged(number store.Number, err error) error {
	if errors.Is(err, store.ErrCorrupt) {
		c.service.log.Error("clip ends short, a fragment is damaged", "stream", string(c.stream),
			"number", int64(number), "error", err)
	}
	return err
}
