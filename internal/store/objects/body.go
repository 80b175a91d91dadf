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
	fetch          *fetch // has the memory; nil: it is the body's own
}

func memoryBody(b []byte) *Body { return &Body{memory: store.Bytes(b), length: int64(len(b))} }

// ReadAt reads within the part.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if b.file == nil {
		return b.memory.ReadAt(p, off)
	}
	return io.NewSectionReader(b.file, b.offset, b.length).ReadAt(p, off)
}

// CopyTo implements store.Stored.
func (b *Body) CopyTo(w io.Writer, off, n int64) (int64, error) {
	if b.file == nil {
		return b.memory.Slice(off, n).WriteTo(w)
	}
	if _, err := b.file.Seek(b.offset+off, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(w, io.LimitReader(b.file, n))
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
	return store.Section(b, 0, b.length).Slice(off, n)
}

// Close ends the use of the part.
func (b *Body) Close() error {
	if b.fetch != nil {
		b.cache.release(b.fetch)
		b.fetch = nil
	}
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
