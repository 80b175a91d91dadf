package volume

import (
	"context"
	"errors"
)

// Remote is where volumes can be moved to: an object store. Names are those of volumes.
type Remote interface {
	// Put writes an object; durable on return. After an error it may or may not exist.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads the first size bytes of an object from the object store itself. store.ErrGone when
	// it does not exist, store.ErrCorrupt when it is shorter.
	Get(ctx context.Context, name string, size int64) ([]byte, error)
	// Open opens a part of an object, which may come from a cache. Errors are those of Get.
	Open(ctx context.Context, name string, offset, length int64) (Body, error)
	// Delete deletes objects, if they exist.
	Delete(ctx context.Context, names []string) error
}

// ErrNoRemote says that a volume's records are in an object store that is not configured here.
var ErrNoRemote = errors.New("the records lie in an object store, and none is given (--objects)")

// noRemote is no object store.
type noRemote struct{}

func (noRemote) Put(context.Context, string, []byte) error { return ErrNoRemote }

func (noRemote) Get(context.Context, string, int64) ([]byte, error) { return nil, ErrNoRemote }

func (noRemote) Open(context.Context, string, int64, int64) (Body, error) {
	return nil, ErrNoRemote
}

func (noRemote) Delete(context.Context, []string) error { return ErrNoRemote }
