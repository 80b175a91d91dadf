package volume

import (
	"io"

	"weir/internal/store"
)

// Entry is one encoded record on its way to the bytes.
type Entry struct {
	Number          store.Number
	ServerTimestamp int64    // milliseconds since the Unix epoch
	Head            []byte   // the record's header and metadata
	Payload         [][]byte // what follows the head
	Encrypted       bool     // the record is: it is put into a volume of such
}

// Body is one opened record. Offsets are relative to the record's start. Not for concurrent use.
type Body interface {
	io.ReaderAt
	// Range returns n bytes from off on. After Close it reads nothing: its methods return
	// fs.ErrClosed.
	Range(off, n int64) (store.Range, error)
	// Forget says that the first n bytes are not to be had from a cache, neither now nor later. It
	// is a hint.
	Forget(n int64)
	io.Closer
}
