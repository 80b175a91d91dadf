package storetest_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"weir/internal/store"
	"weir/internal/store/blob"
	"weir/internal/store/index"
	"weir/internal/store/storetest"
)

// embedded is SQLite and volumes in one directory.
type embedded struct{ dir string }

func (e *embedded) Open(ctx context.Context) (store.Index, store.Blobs, error) {
	x, err := index.OpenSQLite(ctx, filepath.Join(e.dir, "index.db"))
	if err != nil {
		return nil, nil, err
	}
	v, err := blob.OpenVolumes(filepath.Join(e.dir, "volumes"), blob.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, x.Close())
	}
	return x, v, nil
}

func (e *embedded) Crash(t *testing.T) { e.dir = storetest.CopyDir(t, e.dir) }

func TestEmbedded(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend { return &embedded{t.TempDir()} })
}
