package local

import (
	"io"
	"os"

	"weir/internal/store/local/volume"
)

// Records selects records of a volume; the zero value selects all.
type Records = volume.Records

// IsVolume reports whether a file with these first bytes is a volume.
func IsVolume(begin []byte) bool { return volume.Is(begin) }

// Inspect prints a volume as text (volume.Inspect).
func Inspect(w io.Writer, f *os.File, records Records) error {
	return volume.Inspect(w, f, records)
}
