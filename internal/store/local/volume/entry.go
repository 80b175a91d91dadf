package volume

import (
	"io"

	"weir/internal/store"
)

// Entry is one encoded record that is to be written.
type Entry struct {
	Number          store.Number
	ServerTimestamp int64    // milliseconds since the Unix epoch
	Head            []byte   // the record's header and metadata
	Payload         [][]byte // what follows the head
	Encrypted       bool     // the record is encrypted: it goes into a volume of such
}

// Body is one opened record. Offsets count from the record's start. Not for concurrent use.
type Body interface {
	io.ReaderAt
	// Range returns n bytes from off on. After Close its methods return fs.ErrClosed.
	Range(off, n int64) (store.Range, error)
	// Forget says that the first n bytes must not come from a cache, now or later. It is a hint.
	Forget(n int64)
	io.Closer
}
