package local

import (
	"context"

	"weir/internal/store"
	"weir/internal/store/local/volume"
	"weir/internal/store/objects"
)

// Remote is where volumes can be moved to.
type Remote = volume.Remote

// NewRemote returns a place for volumes in an object store. Each volume becomes an object with the
// volume's name as its key. Reads go through the cache, except to verify a volume or bring it back.
func NewRemote(bucket *objects.Bucket, cache *objects.Cache) Remote {
	return &remote{bucket, cache}
}

type remote struct {
	bucket *objects.Bucket
	cache  *objects.Cache
}

func (r *remote) Put(ctx context.Context, name string, data []byte) error {
	return r.bucket.Put(ctx, name, data)
}

func (r *remote) Get(ctx context.Context, name string, size int64) ([]byte, error) {
	return r.bucket.ReadAll(ctx, name, 0, size)
}

func (r *remote) Open(
	ctx context.Context, name string, offset, length int64,
) (volume.Body, error) {
	b, err := r.cache.Open(ctx, name, offset, length)
	if err != nil {
		return nil, err
	}
	return remoteBody{b, func() { r.cache.Drop(name) }}, nil
}

func (r *remote) Delete(ctx context.Context, names []string) error {
	for _, name := range names {
		r.cache.Drop(name)
	}
	return r.bucket.Delete(ctx, names)
}

// remoteBody is an open record in an object.
type remoteBody struct {
	*objects.Body
	drop func() // drops the object from the cache
}

func (b remoteBody) Range(off, n int64) (store.Range, error) { return b.Body.Range(off, n), nil }

// Forget implements volume.Body. What is open stays as it is.
func (b remoteBody) Forget(int64) { b.drop() }
