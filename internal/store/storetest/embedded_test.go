package storetest_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/storetest"
)

// embedded is SQLite and volumes in one directory.
type embedded struct{ dir string }

func (e *embedded) Open(ctx context.Context) (local.Index, local.Volumes, error) {
	x, err := index.OpenSQLite(ctx, filepath.Join(e.dir, "index.db"))
	if err != nil {
		return nil, nil, err
	}
	v, err := volume.Open(filepath.Join(e.dir, "volumes"), volume.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, x.Close())
	}
	return x, v, nil
}

func (e *embedded) Crash(t *testing.T) { e.dir = storetest.CopyDir(t, e.dir) }

func TestEmbedded(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Backend { return &embedded{t.TempDir()} })
}
