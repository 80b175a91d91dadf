// Package contents reads what the objects of a cluster say about themselves, so that rows can be
// made from them. In an object each record follows the record of its stream; an object of one
// stream ends in the packed table of its fragments. docs/store-format.md has both formats.
package contents

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// Prefixes of the keys of a cluster's objects, below that of the bucket's address.
const (
	Batches    = "b/"       // many streams' records, as they came: by hour, then by time
	Streams    = "s/"       // one stream's fragments, packed: by stream, then by time
	Tombstones = "t/"       // a stream that was deleted, by its ID
	Watermarks = "w/"       // how often a node has written to the database, by its ID
	Setbacks   = "setback/" // that the database has lost commits, by when it was noticed
	Marker     = "cluster"  // the ID of the database
)

// Limits of what is read of an object, whoever wrote it.
const (
	maxStreamLength = 1 << 20   // bytes of the record of a stream
	maxFragments    = 100_000   // of one object: compaction makes half as many, a batch fewer
	maxHeads        = 256 << 20 // bytes of all heads of an object
	window          = 1 << 20   // bytes of one read, where heads are close to each other
	volumeHeader    = 64        // bytes that a volume of the local engine begins with
	volumeMagic     = "WEIRVOLM"
)

// Source reads objects; objects.Bucket is one.
type Source interface {
	// Read hands length bytes of an object to sink as they come. store.ErrGone, store.ErrCorrupt.
	Read(ctx context.Context, key string, offset, length int64,
		sink func(p []byte, at int64) error) error
	ReadAll(ctx context.Context, key string, offset, length int64) ([]byte, error)
}

// wholeBytes is the largest size of an object that is read in one piece. Those that nodes gather
// are smaller.
const wholeBytes = 32 << 20

// Load returns a Source for one object. An object up to wholeBytes is read into memory with one
// request, in place of one request for each of its records. store.ErrGone, store.ErrCorrupt.
func Load(ctx context.Context, src Source, key string, size int64) (Source, error) {
	if size > wholeBytes {
		return src, nil
	}
	data, err := src.ReadAll(ctx, key, 0, size)
	if err != nil {
		return nil, err
	}
	return loaded{key, data}, nil
}

// loaded is an object in memory.
type loaded struct {
	key  string
	data []byte
}

func (l loaded) ReadAll(_ context.Context, key string, offset, length int64) ([]byte, error) {
	if key != l.key || offset < 0 || length < 0 || length > int64(len(l.data))-offset {
		return nil, fmt.Errorf("%w: object %s ends before", store.ErrCorrupt, key)
	}
	return l.data[offset : offset+length], nil
}

func (l loaded) Read(
	ctx context.Context, key string, offset, length int64, sink func(p []byte, at int64) error,
) error {
	b, err := l.ReadAll(ctx, key, offset, length)
	if err == nil {
		err = sink(b, 0)
	}
	return err
}

// Fragment is a fragment as found in an object.
type Fragment struct {
	Stream   *store.Stream      // as it was when the fragment was stored
	Info     store.FragmentInfo // without Sequence and TrackSet, which only rows have
	Media    *media.Fragment    // its metadata
	Replaces store.Number       // the fragment that it took the place of; 0: none
}

// Scan reads the heads of all records of an object, in their order. It stops at a record that
// cannot be read, with the fragments before it and store.ErrCorrupt. It reads no payload.
func Scan(
	ctx context.Context, src Source, key string, size int64,
) (fragments []Fragment, err error) {
	r := reader{ctx: ctx, src: src, key: key, size: size}
	at, err := r.begin()
	if err != nil {
		return nil, err
	}
	var st *store.Stream
	heads := int64(0)
	for at < size {
		h, head, err := r.head(at)
		if heads += int64(len(head)); err == nil && heads > maxHeads {
			err = fmt.Errorf("%w: heads of more than %d bytes", store.ErrCorrupt, maxHeads)
		}
		if err != nil {
			return fragments, fmt.Errorf("object %s at %d: %w", key, at, err)
		}
		switch h.Type {
		case record.TypeStream:
			st, err = record.DecodeStream(head)
		case record.TypeFragment:
			var f Fragment
			if f, err = fragment(st, h, head, key, at); err == nil {
				fragments = append(fragments, f)
			}
			if len(fragments) > maxFragments {
				err = fmt.Errorf("%w: more than %d fragments", store.ErrCorrupt, maxFragments)
			}
		case record.TypeFooter:
			return fragments, nil
		}
		if err != nil {
			return fragments, fmt.Errorf("object %s at %d: %w", key, at, err)
		}
		at += h.Length
	}
	return fragments, nil
}

func fragment(
	st *store.Stream, h record.Header, head []byte, key string, at int64,
) (f Fragment, err error) {
	if st == nil {
		return f, fmt.Errorf("%w: a fragment of no stream", store.ErrCorrupt)
	}
	_, m, err := record.DecodeFragment(head)
	if err != nil {
		return f, unreadable(err)
	}
	info := record.NewInfo(&store.Record{Fragment: *m, Number: h.Number}, h.PayloadCRC, 0)
	info.Location = store.Location{Volume: key, Offset: at, Length: h.Length,
		MetaLength: h.MetaLength}
	return Fragment{Stream: st, Info: info, Media: m, Replaces: h.Replaces}, nil
}

// Verify reads the payload of a fragment and verifies its checksum. store.ErrCorrupt,
// store.ErrGone.
func Verify(ctx context.Context, src Source, f *store.FragmentInfo) error {
	l, sum := f.Location, uint32(0)
	if l.Length == l.MetaLength {
		return nil
	}
	next := int64(0)
	err := src.Read(ctx, l.Volume, l.Offset+l.MetaLength, l.Length-l.MetaLength,
		func(p []byte, at int64) error {
			if at == 0 { // a failed try begins anew
				sum, next = 0, 0
			}
			if at != next {
				return fmt.Errorf("object %s is read out of order", l.Volume)
			}
			sum, next = crc32.Update(sum, record.Castagnoli, p), at+int64(len(p))
			return nil
		})
	if err == nil && sum != f.PayloadCRC {
		err = fmt.Errorf("%w: checksum of the payload", store.ErrCorrupt)
	}
	return err
}

// Head reads the metadata of a row's fragment. store.ErrCorrupt when another record is in its
// place.
func Head(ctx context.Context, src Source, f *store.FragmentInfo) (*media.Fragment, error) {
	l := f.Location
	if err := record.CheckLocation(l); err != nil {
		return nil, err
	}
	b, err := src.ReadAll(ctx, l.Volume, l.Offset, l.MetaLength)
	if err != nil {
		return nil, err
	}
	_, m, err := DecodeHead(b, f)
	return m, err
}

// DecodeHead decodes the head of a row's record. store.ErrCorrupt when it is another record.
func DecodeHead(head []byte, f *store.FragmentInfo) (record.Header, *media.Fragment, error) {
	h, m, err := record.DecodeFragment(head)
	if err == nil && (h.Number != f.Number || h.Length != f.Location.Length ||
		h.PayloadCRC != f.PayloadCRC) {
		err = fmt.Errorf("%w: another record lies there", store.ErrCorrupt)
	}
	return h, m, unreadable(err)
}

// unreadable turns the error for an encrypted record into store.ErrCorrupt: a cluster has none.
func unreadable(err error) error {
	if errors.Is(err, record.ErrEncrypted) {
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}

// Packed is an object of one stream with its table.
type Packed struct {
	Stream *store.Stream
	Table  *record.Table
	Footer store.Location
}

// ReadPacked reads the stream and the table of a packed object. store.ErrCorrupt.
func ReadPacked(ctx context.Context, src Source, key string, size int64) (p Packed, err error) {
	r := reader{ctx: ctx, src: src, key: key, size: size}
	at, err := r.begin()
	if err != nil {
		return p, err
	}
	_, head, err := r.head(at)
	if err == nil {
		p.Stream, err = record.DecodeStream(head)
	}
	if err == nil && size < record.FooterTrailer {
		err = fmt.Errorf("%w: no footer", store.ErrCorrupt)
	}
	var trailer []byte
	if err == nil {
		trailer, err = src.ReadAll(ctx, key, size-record.FooterTrailer, record.FooterTrailer)
	}
	length := record.FooterLength(trailer)
	if err == nil && (length == 0 || length > size) {
		err = fmt.Errorf("%w: no footer", store.ErrCorrupt)
	}
	if err == nil {
		p.Footer = store.Location{Volume: key, Offset: size - length, Length: length,
			MetaLength: length - record.FooterTrailer}
		p.Table, err = Footer(ctx, src, p.Footer)
	}
	if err == nil {
		err = within(p.Table, p.Footer)
	}
	if err != nil {
		return p, fmt.Errorf("object %s: %w", key, err)
	}
	return p, nil
}

// Footer reads a packed table. store.ErrCorrupt, store.ErrGone.
func Footer(ctx context.Context, src Source, at store.Location) (*record.Table, error) {
	if err := record.CheckFooterLocation(at); err != nil {
		return nil, err
	}
	b, err := src.ReadAll(ctx, at.Volume, at.Offset, at.Length)
	if err != nil {
		return nil, err
	}
	t, err := record.DecodeFooter(b)
	return t, unreadable(err)
}

// within checks the fragments of a table against the bytes before it.
func within(t *record.Table, footer store.Location) error {
	if t.Count > maxFragments {
		return fmt.Errorf("%w: more than %d fragments", store.ErrCorrupt, maxFragments)
	}
	var wrong error
	_, err := t.Choose(nil, footer.Volume, make([]int64, len(t.Sets)),
		func(f *store.FragmentInfo) bool {
			if l := f.Location; l.Offset > footer.Offset || l.Length > footer.Offset-l.Offset {
				wrong = fmt.Errorf("%w: fragment %d lies at %+v", store.ErrCorrupt, f.Number, l)
			}
			return false
		})
	return errors.Join(err, wrong)
}

// reader reads an object from its beginning, a window at a time.
type reader struct {
	ctx  context.Context
	src  Source
	key  string
	size int64

	data []byte // of the object, from off on
	off  int64
}

// begin returns the offset of the first record, which may come after the header of a volume.
func (r *reader) begin() (int64, error) {
	if r.size < volumeHeader {
		return 0, nil
	}
	b, err := r.bytes(0, volumeHeader)
	if err == nil && string(b[:len(volumeMagic)]) == volumeMagic {
		return volumeHeader, nil
	}
	return 0, err
}

// head returns the header and metadata of the record at an offset. All of it lies in the object.
func (r *reader) head(at int64) (h record.Header, head []byte, err error) {
	b, err := r.bytes(at, record.HeaderSize)
	if err != nil {
		return h, nil, err
	}
	if h, err = record.DecodeHeader(b); err != nil {
		return h, nil, err
	}
	if h.Length > r.size-at {
		return h, nil, fmt.Errorf("%w: record of %d bytes, %d are there", store.ErrCorrupt,
			h.Length, r.size-at)
	}
	if h.Type == record.TypeStream && h.MetaLength > maxStreamLength {
		return h, nil, fmt.Errorf("%w: record of a stream with %d bytes", store.ErrCorrupt,
			h.MetaLength)
	}
	if h.Type == record.TypeFooter { // read by who wants it
		return h, b, nil
	}
	head, err = r.bytes(at, h.MetaLength)
	return h, head, err
}

// bytes returns n bytes at an offset. They are valid until the next call.
func (r *reader) bytes(at, n int64) ([]byte, error) {
	if n > r.size-at {
		return nil, fmt.Errorf("%w: it ends at %d", store.ErrCorrupt, r.size)
	}
	if at < r.off || at+n > r.off+int64(len(r.data)) {
		b, err := r.src.ReadAll(r.ctx, r.key, at, min(max(n, window), r.size-at))
		if err != nil {
			return nil, err
		}
		r.data, r.off = b, at
	}
	return r.data[at-r.off:][:n], nil
}
