// Package directory makes the names in a directory durable, for the index and the volumes.
package directory

import (
	"errors"
	"os"
)

// Sync makes the names in a directory durable: files that were made, renamed or removed there.
// Syncing a file does not sync its name: fsync(2).
func Sync(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
