package local

import (
	"io"
	"os"

	"weir/internal/store/local/volume"
	"weir/internal/store/record"
)

// Records selects records of a volume; the zero value selects all.
type Records = volume.Records

// HasRecords reports whether a file with these first bytes is one that Inspect prints: a volume, or
// an object of a cluster.
func HasRecords(begin []byte) bool { return volume.Is(begin) || record.Begins(begin) }

// Inspect prints such a file as text (volume.Inspect).
func Inspect(w io.Writer, f *os.File, records Records) error {
	return volume.Inspect(w, f, records)
}
