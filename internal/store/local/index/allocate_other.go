//go:build !linux

package index

import "os"

// allocate does nothing: there is no fallocate(2).
func allocate(*os.File, int64, int64) error { return nil }

func holdShm(*os.File) (release func(), err error) { return func() {}, nil }
