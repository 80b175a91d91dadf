//go:build !linux

package volume

import (
	"math"
	"os"
)

// writeAt writes the slices back to back at an offset.
func writeAt(f *os.File, bufs [][]byte, off int64) (written int64, err error) {
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+written)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func syncData(f *os.File) error { return f.Sync() }

func syncAll(string) error { return nil }

// Space implements FS. The space is unknown here, so never short.
func (OS) Space(string) (free, total int64, err error) { return math.MaxInt64, math.MaxInt64, nil }

func openFiles() uint64 { return 256 } // the least among these systems

// Forget implements File.
func (osFile) Forget(off, n int64) {}
