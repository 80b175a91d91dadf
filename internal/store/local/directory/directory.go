// Package directory makes the names in a directory durable, for the index and for the volumes.
package directory

import (
	"errors"
	"os"
)

// Sync returns when the names in a directory (files that were made, renamed or removed there) would
// survive a power cut. fsync(2): syncing a file does not sync its name.
func Sync(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
