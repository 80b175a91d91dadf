// Package encryption is the encrypted form of a store's records, and the keys for it.
//
// Each stream has data keys. Each record is encrypted under its own key, which HKDF derives from a
// data key and 32 random bytes in the record. So no two records share a key, and a nonce need only
// be a place in the record. The metadata are one message of AES-256-GCM, and the payload has one
// for each chunk of 64 KiB. Each message also authenticates the record's header: type, lengths,
// number and timestamps. So a chunk opens only in its place in its record, and a record that was
// truncated, or given another number or stream, does not open at all.
//
// The tags are together in the head, so the length of the payload does not change. Every place and
// size that an index, a table or a segment has is the same in both forms, and a range of the
// payload is read by decrypting the chunks that it touches. The checksums are of the encrypted
// bytes. Records can be verified, copied and recovered without a key.
//
// docs/store-format.md has the format.
package encryption

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"weir/internal/store"
	"weir/internal/store/record"
)

const (
	// chunkSize is how many bytes of payload make one message; the last one has the rest.
	chunkSize = 64 << 10

	tagSize   = 16
	idSize    = 8
	saltSize  = 32
	nonceSize = 12
	fixedSize = record.HeaderSize + idSize + saltSize // of the head, up to the tags

	// LeastHead is how many bytes of the head of a record Keys.Find needs.
	LeastHead = fixedSize

	// of the nonce
	kindMeta    = 0
	kindPayload = 1
)

// KeyID names a data key among those of its stream.
type KeyID [idSize]byte

// DataKey is a data key of a stream. It is safe for concurrent use.
type DataKey struct {
	ID     KeyID
	stream store.StreamID
	secret []byte       // 32 bytes
	since  store.Number // the first number that must be encrypted; 0: not said
}

// keyOf returns the ID of the data key that the head of an encrypted record names. ErrCorrupt.
func keyOf(head []byte) (id KeyID, err error) {
	if len(head) < fixedSize {
		return id, fmt.Errorf("%w: encrypted record with a head of %d bytes", store.ErrCorrupt,
			len(head))
	}
	return KeyID(head[record.HeaderSize:]), nil
}

// recordKey derives the key of a record from its salt.
func (k *DataKey) recordKey(salt []byte) (cipher.AEAD, error) {
	info := make([]byte, 0, 96)
	info = append(info, "weir record 1\x00"...)
	info = append(info, k.stream...)
	info = append(info, salt...)
	key, err := hkdf.Expand(sha256.New, k.secret, string(info), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is the place of a message within its record.
func nonce(kind uint32, chunk int) (n [nonceSize]byte) {
	binary.BigEndian.PutUint32(n[:], kind)
	binary.BigEndian.PutUint64(n[4:], uint64(chunk))
	return n
}

// bound is what every message of a record authenticates beside its content: the record's header
// without the checksums, which are of the ciphertext, and the ID of its data key.
func bound(head []byte) []byte {
	return slices.Concat(head[:20], head[24:60], head[record.HeaderSize:][:idSize])
}

// chunks is how many chunks a payload has.
func chunks(payload int64) int { return int((payload + chunkSize - 1) / chunkSize) }

// metaLength is the length of header and metadata in the encrypted form.
func metaLength(plain, payload int64) int64 {
	return fixedSize + int64(chunks(payload))*tagSize + 1 + plain - record.HeaderSize + tagSize
}

// Encrypted is the encrypted form of a fragment's record.
type Encrypted struct {
	Head       []byte   // header and metadata
	Payload    [][]byte // what follows the head
	PayloadCRC uint32   // CRC32C of the payload

	buffer *[]byte
}

// buffers are buffers for encrypted payloads.
var buffers sync.Pool // of *[]byte

// Free says that the payload is no longer needed.
func (e *Encrypted) Free() {
	if e.buffer != nil {
		buffers.Put(e.buffer)
	}
	e.buffer, e.Payload = nil, nil
}

// Encrypt encrypts the record of a fragment, whose head is from record.EncodeFragment. It changes
// neither. The caller frees the result.
func (k *DataKey) Encrypt(head []byte, payload [][]byte) (*Encrypted, error) {
	h, err := record.CheckHead(head)
	if err != nil {
		return nil, err
	}
	size := h.Length - h.MetaLength
	w, err := k.writer(h.Encrypt(metaLength(h.MetaLength, size)))
	if err != nil {
		return nil, err
	}
	e := &Encrypted{Head: w.head}
	e.buffer, _ = buffers.Get().(*[]byte)
	if e.buffer == nil || int64(cap(*e.buffer)) < size+tagSize {
		b := make([]byte, 0, size+tagSize)
		e.buffer = &b
	}
	out := (*e.buffer)[:size+tagSize]
	parts := source(slices.Clone(payload))
	for at, i := int64(0), 0; at < size; i++ {
		n := min(size-at, chunkSize)
		// In place: the tag after the chunk is moved away before the next chunk overwrites it.
		chunk := out[at : at+n : at+n+tagSize]
		if !parts.read(chunk) {
			e.Free()
			return nil, fmt.Errorf("payload is shorter than %d bytes", size)
		}
		place := nonce(kindPayload, i)
		w.aead.Seal(chunk[:0], place[:], chunk, w.bound)
		copy(w.tag(i), out[at+n:at+n+tagSize])
		at += n
	}
	e.Payload = [][]byte{out[:size]}
	e.PayloadCRC = crc32.Checksum(out[:size], record.Castagnoli)
	if err := w.finish(h.Version(), head[record.HeaderSize:], e.PayloadCRC); err != nil {
		e.Free()
		return nil, err
	}
	return e, nil
}

// EncryptFooter encrypts the footer of a volume from record.EncodeFooter: its table, not its
// trailer.
func (k *DataKey) EncryptFooter(footer []byte) ([]byte, error) {
	h, err := record.DecodeHeader(footer)
	if err != nil {
		return nil, err
	}
	w, err := k.writer(h.Encrypt(metaLength(h.MetaLength, 0)))
	if err != nil {
		return nil, err
	}
	trailer := record.Trailer(w.header.Length)
	err = w.finish(h.Version(), footer[record.HeaderSize:h.MetaLength],
		crc32.Checksum(trailer, record.Castagnoli))
	return append(w.head, trailer...), err
}

// source reads many slices one after the other.
type source [][]byte

func (s *source) read(dst []byte) bool {
	for len(dst) > 0 {
		if len(*s) == 0 {
			return false
		}
		n := copy(dst, (*s)[0])
		dst, (*s)[0] = dst[n:], (*s)[0][n:]
		if len((*s)[0]) == 0 {
			*s = (*s)[1:]
		}
	}
	return true
}

// writer builds the head of an encrypted record.
type writer struct {
	header record.Header
	aead   cipher.AEAD
	head   []byte // of the whole length
	bound  []byte
}

func (k *DataKey) writer(h record.Header) (*writer, error) {
	if h.MetaLength > record.MaxMetaLength {
		return nil, fmt.Errorf("metadata of %d bytes is above the limit of %d", h.MetaLength,
			record.MaxMetaLength)
	}
	w := &writer{header: h, head: make([]byte, h.MetaLength)}
	if err := h.Write(w.head); err != nil {
		return nil, err
	}
	copy(w.head[record.HeaderSize:], k.ID[:])
	salt := w.head[record.HeaderSize+idSize : fixedSize]
	rand.Read(salt) // never fails
	w.bound = bound(w.head)
	var err error
	w.aead, err = k.recordKey(salt)
	return w, err
}

// tag is the place for the tag of a chunk.
func (w *writer) tag(chunk int) []byte {
	at := fixedSize + chunk*tagSize
	return w.head[at : at+tagSize]
}

// finish encrypts the metadata and completes the header.
func (w *writer) finish(version byte, meta []byte, payloadCRC uint32) error {
	from := len(w.head) - 1 - len(meta) - tagSize
	plain := w.head[from : len(w.head)-tagSize]
	plain[0] = version
	copy(plain[1:], meta)
	place := nonce(kindMeta, 0)
	w.aead.Seal(plain[:0], place[:], plain, w.bound)
	w.header.PayloadCRC = payloadCRC
	return w.header.Write(w.head)
}
