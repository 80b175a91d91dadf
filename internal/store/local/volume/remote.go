package volume

import (
	"context"
	"errors"
)

// Remote is where volumes can be moved to: an object store. Names are those of volumes.
type Remote interface {
	// Put writes an object; durable on return. After an error it may be there or not.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads the first size bytes of an object from the object store itself. store.ErrGone when
	// it is not there, store.ErrCorrupt when it is shorter.
	Get(ctx context.Context, name string, size int64) ([]byte, error)
	// Open opens a part of an object, which may be in a cache. Errors are those of Get.
	Open(ctx context.Context, name string, offset, length int64) (Body, error)
	// Delete deletes objects. Those that are not there are no error.
	Delete(ctx context.Context, names []string) error
}

// ErrAway is of a volume whose records lie in an object store that is not known here.
var ErrAway = errors.New("the records lie in an object store, and none is given (--objects)")

// noRemote knows no object store.
type noRemote struct{}

func (noRemote) Put(context.Context, string, []byte) error { return ErrAway }

func (noRemote) Get(context.Context, string, int64) ([]byte, error) { return nil, ErrAway }

func (noRemote) Open(context.Context, string, int64, int64) (Body, error) { return nil, ErrAway }

func (noRemote) Delete(context.Context, []string) error { return ErrAway }
