package encryption

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

const stream = store.StreamID("00112233445566778899aabbccddeeff")

func newKey(id store.StreamID) *DataKey {
	return &DataKey{ID: KeyID{1, 2, 3, 4, 5, 6, 7, 8}, stream: id,
		secret: bytes.Repeat([]byte{7}, secretSize)}
}

// fragment makes a record of two runs with a payload of so many bytes.
func fragment(r *rand.Rand, number store.Number, size int) *store.Record {
	rec := &store.Record{Number: number, Fragment: media.Fragment{
		ProducerTimestamp: 1773480600000, ServerTimestamp: 1773480600250, Timecode: 5,
		Tracks: []media.Track{
			{Number: 1, Kind: media.Video, CodecID: "V_MPEG4/ISO/AVC", Timescale: 90000},
			{Number: 2, Kind: media.Audio, CodecID: "A_AAC", Timescale: 44100},
		},
		Tags: []media.Tag{{Name: "door", Value: "open"}},
	}}
	for i, n := range []int{size * 3 / 4, size - size*3/4} {
		if n == 0 {
			continue
		}
		rec.Runs = append(rec.Runs, media.Run{Track: i + 1,
			Frames: []media.Frame{{Duration: 3000, Size: uint32(n), Key: true}}})
		b := make([]byte, n)
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		rec.Payload = append(rec.Payload, b)
	}
	if size%2 == 1 {
		rec.Runs[0].Frames[0].Marks = media.Open
		rec.Runs[0].Frames[0].Key = false
	}
	return rec
}

// encrypt returns the encrypted record as it is stored, and the length of its head.
func encrypt(t testing.TB, k *DataKey, rec *store.Record) (stored []byte, head int) {
	t.Helper()
	plain, _, err := record.EncodeFragment(rec, 3)
	if err != nil {
		t.Fatal(err)
	}
	e, err := k.Encrypt(plain, rec.Payload)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Free()
	stored = append(bytes.Clone(e.Head), bytes.Join(e.Payload, nil)...)
	h, err := record.CheckHead(e.Head)
	if err != nil || !h.Encrypted || h.PayloadCRC != e.PayloadCRC ||
		h.Length != int64(len(stored)) ||
		h.PayloadCRC != crc32.Checksum(stored[h.MetaLength:], record.Castagnoli) {
		t.Fatalf("header %+v of %d bytes, %v", h, len(stored), err)
	}
	return stored, len(e.Head)
}

// decrypt reads a stored record like an engine, and returns its content.
func decrypt(k *DataKey, stored []byte) (*media.Fragment, []byte, error) {
	h, err := record.DecodeHeader(stored)
	if err != nil {
		return nil, nil, err
	}
	if h.Length != int64(len(stored)) {
		return nil, nil, fmt.Errorf("%w: length", store.ErrCorrupt)
	}
	payload := stored[h.MetaLength:]
	if crc32.Checksum(payload, record.Castagnoli) != h.PayloadCRC {
		return nil, nil, fmt.Errorf("%w: checksum", store.ErrCorrupt)
	}
	if id, err := keyOf(stored[:h.MetaLength]); err != nil {
		return nil, nil, err
	} else if id != k.ID {
		return nil, nil, fmt.Errorf("%w: key", store.ErrCorrupt)
	}
	head, p, err := k.Decrypt(stored[:h.MetaLength])
	if err != nil {
		return nil, nil, err
	}
	_, f, err := record.DecodeFragment(head)
	if err != nil {
		return nil, nil, err
	}
	r := p.Range(store.Bytes(payload))
	defer r.Close()
	var out bytes.Buffer
	_, err = r.WriteTo(&out)
	return f, out.Bytes(), err
}

var sizes = []int{0, 2, 3, chunkSize - 2, chunkSize, chunkSize + 1, 200_001, 3 * chunkSize}

// What is encrypted decrypts to what it was, of every size and in every version.
func TestRecord(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	k := newKey(stream)
	for _, size := range sizes {
		rec := fragment(r, 9, size)
		stored, head := encrypt(t, k, rec)
		f, payload, err := decrypt(k, stored)
		want := bytes.Join(rec.Payload, nil)
		if err != nil || !reflect.DeepEqual(f, &rec.Fragment) || !bytes.Equal(payload, want) {
			t.Fatalf("%d bytes: %+v, %d bytes, %v", size, f, len(payload), err)
		}
		if len(stored)-head != size {
			t.Fatalf("a payload of %d bytes is stored as one of %d", size, len(stored)-head)
		}
		for _, secret := range [][]byte{[]byte("V_MPEG4"), []byte("door"), want[:min(8, size)]} {
			if len(secret) > 3 && bytes.Contains(stored, secret) {
				t.Fatalf("%q can be read in the record", secret)
			}
		}
		again, _ := encrypt(t, k, rec)
		if bytes.Equal(again[fixedSize:], stored[fixedSize:]) {
			t.Fatal("the same record is encrypted to the same bytes twice")
		}
		if _, _, err := record.DecodeFragment(stored[:head]); !errors.Is(err,
			record.ErrEncrypted) || errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("decoded without a key: %v", err)
		}
	}
}

// counted notes which bytes are read.
type counted struct {
	store.Range
	reads []int64 // offsets
	bytes int
}

func (c *counted) ReadAt(b []byte, off int64) (int, error) {
	c.reads = append(c.reads, off)
	c.bytes += len(b)
	return c.Range.ReadAt(b, off)
}

// Every range of a payload has the bytes of the plain one, and reads only the chunks that it
// touches.
func TestRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	k := newKey(stream)
	const size = 200_001
	rec := fragment(r, 9, size)
	want := bytes.Join(rec.Payload, nil)
	stored, head := encrypt(t, k, rec)
	_, p, err := k.Decrypt(stored[:head])
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		source := &counted{Range: store.Bytes(stored[head:])}
		whole := p.Range(source)
		from := r.Int64N(size)
		n := r.Int64N(size-from) + 1
		part := whole.Slice(from, n)
		var out bytes.Buffer
		if k, err := part.WriteTo(&out); err != nil || k != n || part.Size() != n ||
			!bytes.Equal(out.Bytes(), want[from:from+n]) {
			t.Fatalf("%d bytes from %d on: %d, %v", n, from, k, err)
		}
		if touched := int((from+n-1)/chunkSize - from/chunkSize + 1); len(source.reads) != touched {
			t.Fatalf("%d bytes from %d on: read %v", n, from, source.reads)
		}
		inner := r.Int64N(n)
		b := make([]byte, r.Int64N(n-inner)+1)
		if k, err := part.ReadAt(b, inner); err != nil || k != len(b) ||
			!bytes.Equal(b, want[from+inner:][:k]) {
			t.Fatalf("read %d, %v", k, err)
		}
		whole.Close()
		if _, err := part.ReadAt(b, 0); !errors.Is(err, fs.ErrClosed) {
			t.Fatalf("read after close: %v", err)
		}
	}
	source := &counted{Range: store.Bytes(stored[head:])}
	whole := p.Range(source)
	defer whole.Close()
	for at := int64(0); at < size; at += 1000 { // frame by frame, as containers are written
		b := make([]byte, 1000)
		n, err := whole.ReadAt(b, at)
		if left := size - at; left < 1000 && (err != io.EOF || int64(n) != left) {
			t.Fatalf("read %d at the end, %v", n, err)
		} else if left >= 1000 && err != nil {
			t.Fatal(err)
		}
	}
	if limit := size + size/1000*20; source.bytes > 2*limit {
		t.Fatalf("read %d bytes for a payload of %d", source.bytes, size)
	}
}

// keepingWriter keeps what it is given and fails, as a stream of HTTP/2 does that was reset.
type keepingWriter struct{ kept []byte }

func (w *keepingWriter) Write(p []byte) (int, error) {
	w.kept = p
	return 0, io.ErrClosedPipe
}

// What could not be written is not overwritten with what is decrypted next: net/http may still be
// writing it.
func TestFailedWritesKeepTheirBytes(t *testing.T) {
	k := newKey(stream)
	rec := fragment(rand.New(rand.NewPCG(1, 3)), 9, 3*chunkSize)
	want := bytes.Join(rec.Payload, nil)
	stored, head := encrypt(t, k, rec)
	_, p, err := k.Decrypt(stored[:head])
	if err != nil {
		t.Fatal(err)
	}
	whole := p.Range(store.Bytes(stored[head:]))
	defer whole.Close()
	var w keepingWriter
	if _, err := whole.WriteTo(&w); err != io.ErrClosedPipe {
		t.Fatal(err)
	}
	for i := int64(1); i < 3; i++ {
		if _, err := whole.ReadAt(make([]byte, 9), i*chunkSize); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(w.kept, want[:len(w.kept)]) {
		t.Error("other bytes are in what may still be written")
	}
}

// mend corrects the checksums of a record, as somebody without the key can.
func mend(stored []byte, head int) []byte {
	b := bytes.Clone(stored)
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(b[head:], record.Castagnoli))
	crc := crc32.Update(crc32.Checksum(b[:60], record.Castagnoli), record.Castagnoli, b[64:head])
	binary.LittleEndian.PutUint32(b[60:], crc)
	return b
}

// A record with any byte changed does not decrypt, even if its checksums are corrected.
func TestEveryByteCounts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	k := newKey(stream)
	rec := fragment(r, 9, chunkSize+200)
	stored, head := encrypt(t, k, rec)
	at := func(i int) bool { // each of the head, and some of the payload
		return i < head+300 || i > head+chunkSize-20 || i%997 == 0
	}
	for i := range stored {
		if !at(i) {
			continue
		}
		bad := bytes.Clone(stored)
		bad[i] ^= byte(1 + r.IntN(255))
		if _, _, err := decrypt(k, bad); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("byte %d is another one: %v", i, err)
		}
		if i >= 20 && i < 24 || i >= 60 && i < 64 {
			continue // the checksums
		}
		if _, payload, err := decrypt(k, mend(bad, head)); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("byte %d is another one, checksums mended: %d bytes, %v", i, len(payload), err)
		}
	}
}

// Chunks and records open only in their own places.
func TestNothingMoves(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	k := newKey(stream)
	size := 3 * chunkSize
	a, head := encrypt(t, k, fragment(r, 9, size))
	b, _ := encrypt(t, k, fragment(r, 9, size))
	tag := func(i int) int { return fixedSize + i*tagSize }
	swap := func(bad []byte, i, j int) {
		for n := range tagSize {
			bad[tag(i)+n], bad[tag(j)+n] = bad[tag(j)+n], bad[tag(i)+n]
		}
		for n := range chunkSize {
			x, y := head+i*chunkSize+n, head+j*chunkSize+n
			bad[x], bad[y] = bad[y], bad[x]
		}
	}
	le := binary.LittleEndian
	for name, change := range map[string]func(bad []byte) []byte{
		"chunks swapped": func(bad []byte) []byte { swap(bad, 0, 2); return bad },
		"chunk of another record": func(bad []byte) []byte {
			copy(bad[tag(1):], b[tag(1):tag(2)])
			copy(bad[head+chunkSize:head+2*chunkSize], b[head+chunkSize:])
			return bad
		},
		"payload of another record": func(bad []byte) []byte {
			return append(bad[:head], b[head:]...)
		},
		"another number": func(bad []byte) []byte { bad[24]++; return bad },
		"another time":   func(bad []byte) []byte { bad[32]++; return bad },
		"no fragment is replaced": func(bad []byte) []byte {
			le.PutUint64(bad[48:], 0)
			return bad
		},
		"cut by a chunk": func(bad []byte) []byte {
			bad = bad[:len(bad)-chunkSize]
			le.PutUint64(bad[8:], uint64(len(bad)))
			return bad
		},
		"cut by a chunk and its tag": func(bad []byte) []byte {
			bad = slices.Delete(bad[:len(bad)-chunkSize], tag(2), tag(3))
			le.PutUint64(bad[8:], uint64(len(bad)))
			le.PutUint32(bad[16:], uint32(head-tagSize))
			return bad
		},
	} {
		bad := change(bytes.Clone(a))
		meta := int(le.Uint32(bad[16:]))
		if _, _, err := decrypt(k, mend(bad, meta)); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := newKey("ffeeddccbbaa99887766554433221100")
	if _, _, err := decrypt(other, a); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("record of another stream: %v", err)
	}
	if _, _, err := decrypt(k, a); err != nil {
		t.Fatal(err)
	}
}

func footer(t testing.TB) []byte {
	t.Helper()
	rows := []store.FragmentInfo{{Number: 7, Sequence: 1, ServerTimestamp: 5, ProducerTimestamp: 4,
		Location: store.Location{Offset: 300, MetaLength: 70, Length: 70}}}
	b, err := record.EncodeFooter([][]byte{[]byte("tracks")}, []store.Number{3}, rows)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The table of a volume is encrypted as one piece, and found from the volume's end as before.
func TestFooter(t *testing.T) {
	k := newKey(stream)
	plain := footer(t)
	b, err := k.EncryptFooter(plain)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("tracks")) ||
		record.FooterLength(b[len(b)-record.FooterTrailer:]) != int64(len(b)) {
		t.Fatal("the table can be read, or its trailer cannot")
	}
	again, err := k.DecryptFooter(b)
	if err != nil || !bytes.Equal(again, plain) {
		t.Fatalf("%x became %x, %v", plain, again, err)
	}
	head := len(b) - record.FooterTrailer
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x40
		if _, err := k.DecryptFooter(bad); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("byte %d is another one: %v", i, err)
		}
		if i >= 20 && i < 24 || i >= 60 && i < 64 {
			continue
		}
		if _, err := k.DecryptFooter(mend(bad, head)); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("byte %d is another one, checksums mended: %v", i, err)
		}
	}
}

// FuzzDecrypt reads made-up records whose checksums and lengths are right.
func FuzzDecrypt(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 5))
	k := newKey(stream)
	for _, size := range []int{0, 100, chunkSize + 1} {
		stored, head := encrypt(f, k, fragment(r, 9, size))
		f.Add(stored, uint32(head))
	}
	table, err := k.EncryptFooter(footer(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(table, uint32(len(table)-record.FooterTrailer))
	f.Fuzz(func(t *testing.T, b []byte, head uint32) {
		if len(b) < record.HeaderSize || int(head) > len(b) || head < record.HeaderSize {
			return
		}
		b = bytes.Clone(b)
		binary.LittleEndian.PutUint64(b[8:], uint64(len(b)))
		binary.LittleEndian.PutUint32(b[16:], head)
		b = mend(b, int(head))
		if _, _, err := decrypt(k, b); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatal(err)
		}
		plain, err := k.DecryptFooter(b)
		if err == nil {
			_, err = record.DecodeFooter(plain)
		}
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

// What encryption costs beside the copy that it makes.
func BenchmarkEncrypt(b *testing.B) {
	rec := fragment(rand.New(rand.NewPCG(1, 6)), 9, 2_000_000)
	k := newKey(stream)
	head, _, err := record.EncodeFragment(rec, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(2_000_000)
	for b.Loop() {
		e, err := k.Encrypt(head, rec.Payload)
		if err != nil {
			b.Fatal(err)
		}
		e.Free()
	}
}

func BenchmarkDecrypt(b *testing.B) {
	for _, size := range []int{200_000, 2_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k := newKey(stream)
			stored, head := encrypt(b, k, fragment(rand.New(rand.NewPCG(1, 6)), 9, size))
			b.SetBytes(int64(size))
			for b.Loop() {
				_, p, err := k.Decrypt(stored[:head])
				if err != nil {
					b.Fatal(err)
				}
				r := p.Range(store.Bytes(stored[head:]))
				if _, err := r.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}
