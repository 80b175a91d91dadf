package local_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
	"weir/internal/store/storetest"
)

// embedded is SQLite and volumes in one directory.
type embedded struct {
	dir     string
	objects localtest.Objects // where volumes can be moved to
}

func (e *embedded) Open(ctx context.Context) (local.Index, local.Volumes, error) {
	x, err := index.OpenSQLite(ctx, filepath.Join(e.dir, "index.db"))
	if err != nil {
		return nil, nil, err
	}
	v, err := volume.Open(filepath.Join(e.dir, "volumes"), volume.Options{Remote: &e.objects})
	if err != nil {
		return nil, nil, errors.Join(err, x.Close())
	}
	return x, v, nil
}

func (e *embedded) Crash(t *testing.T) { e.dir = localtest.CopyDir(t, e.dir) }

// TestContract runs the contract's suite over the engine: with rows only, with rows and sealed
// volumes that keep changing, plain and encrypted, and with volumes that move to an object store
// and back.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"rows", "sealed", "encrypted", "moved"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T, clock *storetest.Clock) storetest.Engine {
				h := closedHarness(t, clock)
				h.encrypt = name == "encrypted"
				h.open()
				t.Cleanup(func() {
					h.check()
					h.close()
				})
				e := storetest.Engine{Store: h.store, Restart: func(kill bool) store.Store {
					if kill {
						h.crash()
					} else {
						h.reopen()
					}
					return h.store
				}}
				every := 0
				if name == "moved" {
					e.Settle = func() store.Store {
						h.sealAll()
						h.moveAll(every%2 == 0)
						every++
						h.check()
						return h.store
					}
				}
				if name == "sealed" || name == "encrypted" {
					e.Settle = func() store.Store {
						if every++; every%3 == 0 {
							h.sealAll()
						} else {
							h.rollAll() // the volume before it is sealed
							h.sweep()
						}
						h.check()
						return h.store
					}
				}
				return e
			})
		})
	}
}

func (h *harness) sweep() {
	h.Helper()
	h.must(h.store.Sweep(h.ctx))
}

// rollAll makes the next fragment of every stream begin another volume.
func (h *harness) rollAll() {
	h.Helper()
	streams, err := h.store.ListStreams(h.ctx, "", "", 0)
	h.must(err)
	for _, s := range streams {
		h.must(h.volumes.Roll(h.ctx, s.ID))
	}
}
