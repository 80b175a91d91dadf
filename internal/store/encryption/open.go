package encryption

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"weir/internal/store"
	"weir/internal/store/record"
)

// Payload decrypts the payload of one record. It is safe for concurrent use.
type Payload struct {
	aead   cipher.AEAD
	bound  []byte
	tags   []byte
	length int64 // bytes
}

// Bytes is about how much memory it takes.
func (p *Payload) Bytes() int { return 1024 + len(p.tags) }

// Decrypt returns the plain form of the head of an encrypted fragment, for record.DecodeFragment,
// and what decrypts its payload. The header has the checksum of the encrypted payload. ErrCorrupt.
func (k *DataKey) Decrypt(head []byte) ([]byte, *Payload, error) {
	h, err := record.CheckHead(head)
	if err != nil {
		return nil, nil, err
	}
	p := &Payload{length: h.Length - h.MetaLength}
	plain, header, err := k.decrypt(h, head, p)
	if err != nil {
		return nil, nil, err
	}
	if err := header.Write(plain); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return plain, p, nil
}

// DecryptFooter returns the plain form of an encrypted footer, for record.DecodeFooter. ErrCorrupt.
func (k *DataKey) DecryptFooter(footer []byte) ([]byte, error) {
	h, err := record.DecodeHeader(footer)
	if err != nil {
		return nil, err
	}
	if h.Type != record.TypeFooter || h.Length != int64(len(footer)) ||
		h.MetaLength != h.Length-record.FooterTrailer ||
		record.FooterLength(footer[h.MetaLength:]) != h.Length ||
		crc32.Checksum(footer[h.MetaLength:], record.Castagnoli) != h.PayloadCRC {
		return nil, fmt.Errorf("%w: record is not a footer", store.ErrCorrupt)
	}
	if _, err := record.CheckHead(footer[:h.MetaLength]); err != nil {
		return nil, err
	}
	head, header, err := k.decrypt(h, footer[:h.MetaLength], &Payload{})
	if err != nil {
		return nil, err
	}
	if head, err = header.Footer(head); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return head, nil
}

// decrypt returns the decrypted metadata, after room for a header, and the header. The caller has
// set p.length; decrypt sets the rest of p.
func (k *DataKey) decrypt(h record.Header, head []byte, p *Payload) ([]byte, record.Header, error) {
	from := fixedSize + chunks(p.length)*tagSize
	if !h.Encrypted || len(head) < from+1+tagSize {
		return nil, h, fmt.Errorf("%w: record is not encrypted", store.ErrCorrupt)
	}
	var err error
	p.aead, err = k.recordKey(head[record.HeaderSize+idSize : fixedSize])
	if err != nil {
		return nil, h, err
	}
	p.bound, p.tags = bound(head), append([]byte(nil), head[fixedSize:from]...)
	// The version precedes the metadata, where the last byte of the header will be.
	plain := make([]byte, record.HeaderSize-1, record.HeaderSize+len(head)-from)
	place := nonce(kindMeta, 0)
	plain, err = p.aead.Open(plain, place[:], head[from:], p.bound)
	if err != nil {
		return nil, h, fmt.Errorf("%w: metadata do not decrypt", store.ErrCorrupt)
	}
	h, err = h.Decrypt(plain[record.HeaderSize-1], int64(len(plain)))
	return plain, h, err
}

// Range returns the plain form of a payload that is stored in r. Close frees its memory.
func (p *Payload) Range(r store.Range) *Range {
	return &Range{payload: p, stored: r, from: 0, size: p.length, root: &root{}}
}

// Range is a store.Range of a record's payload, decrypted as it is read.
type Range struct {
	payload    *Payload
	stored     store.Range // the whole payload
	from, size int64
	root       *root
}

// root is what the slices of a range share: the last chunk, because many small reads often follow
// each other.
type root struct {
	mu     sync.Mutex
	last   *chunk // guarded by mu
	closed bool   // guarded by mu
}

// chunk is room for one chunk and its tag.
type chunk struct {
	index int
	size  int // bytes that are decrypted
	bytes [chunkSize + tagSize]byte
	nonce [nonceSize]byte
}

var chunkPool = sync.Pool{New: func() any { return new(chunk) }}

// take returns a decrypted chunk, for the caller alone until give. ErrCorrupt.
func (r *Range) take(index int) (*chunk, error) {
	r.root.mu.Lock()
	if r.root.closed {
		r.root.mu.Unlock()
		return nil, fs.ErrClosed
	}
	c := r.root.last
	r.root.last = nil
	r.root.mu.Unlock()
	if c != nil && c.index == index {
		return c, nil
	}
	if c == nil {
		c = chunkPool.Get().(*chunk)
	}
	if err := r.decrypt(c, index); err != nil {
		chunkPool.Put(c)
		return nil, err
	}
	return c, nil
}

func (r *Range) decrypt(c *chunk, index int) error {
	p := r.payload
	off := int64(index) * chunkSize
	n := int(min(chunkSize, p.length-off))
	if k, err := r.stored.ReadAt(c.bytes[:n], off); k < n {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	copy(c.bytes[n:n+tagSize], p.tags[index*tagSize:])
	c.nonce = nonce(kindPayload, index)
	if _, err := p.aead.Open(c.bytes[:0], c.nonce[:], c.bytes[:n+tagSize], p.bound); err != nil {
		return fmt.Errorf("%w: payload does not decrypt", store.ErrCorrupt)
	}
	c.index, c.size = index, n
	return nil
}

// give keeps a chunk for the next reader.
func (r *Range) give(c *chunk) {
	r.root.mu.Lock()
	defer r.root.mu.Unlock()
	if r.root.last != nil || r.root.closed {
		chunkPool.Put(c)
		return
	}
	r.root.last = c
}

// Close frees the memory; nothing can be read any more.
func (r *Range) Close() {
	r.root.mu.Lock()
	defer r.root.mu.Unlock()
	if r.root.last != nil {
		chunkPool.Put(r.root.last)
	}
	r.root.last, r.root.closed = nil, true
}

// Size implements store.Range.
func (r *Range) Size() int64 { return r.size }

// Slice implements store.Range.
func (r *Range) Slice(from, length int64) store.Range {
	if from < 0 || length < 0 || from > r.size-length {
		panic("encryption: slice out of range")
	}
	s := *r
	s.from, s.size = r.from+from, length
	return &s
}

// WriteTo implements store.Range.
func (r *Range) WriteTo(w io.Writer) (n int64, err error) {
	return r.each(0, r.size, w.Write)
}

// ReadAt implements store.Range.
func (r *Range) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	var end error
	if left := max(0, r.size-off); int64(len(b)) > left {
		b, end = b[:left], io.EOF
	}
	at := 0
	n, err := r.each(off, int64(len(b)), func(part []byte) (int, error) {
		k := copy(b[at:], part)
		at += k
		return k, nil
	})
	if err == nil {
		err = end
	}
	return int(n), err
}

// each calls use with the bytes from an offset on, in order.
func (r *Range) each(off, length int64, use func([]byte) (int, error)) (n int64, err error) {
	for at := r.from + off; n < length; {
		c, err := r.take(int(at / chunkSize))
		if err != nil {
			return n, err
		}
		part := c.bytes[at%chunkSize : c.size]
		part = part[:min(int64(len(part)), length-n)]
		k, err := use(part)
		n, at = n+int64(k), at+int64(k)
		if err == nil && k < len(part) {
			err = io.ErrShortWrite
		}
		if err != nil {
			// c is not used again: net/http may still write it to a stream of HTTP/2 that the
			// client has reset (writeDataFromHandler).
			return n, err
		}
		r.give(c)
	}
	return n, nil
}
