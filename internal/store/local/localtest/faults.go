package localtest

import (
	"context"
	"errors"
	"sync"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/sealed"
)

// ErrInjected is the error of a planned fault.
var ErrInjected = errors.New("injected fault")

// Faults makes methods of an Index and of Volumes fail on request.
type Faults struct {
	mu    sync.Mutex
	plan  map[string]Fault // by method name; guarded by mu
	fired map[string]int   // guarded by mu
}

// Fault is a way to fail.
type Fault uint8

// The two ways to fail: the change was not made, or it was made and only the answer is lost.
const (
	NotApplied Fault = iota + 1
	Applied
)

func (f Fault) String() string {
	if f == Applied {
		return "applied"
	}
	return "not applied"
}

// Fail makes the next call of a method fail.
func (f *Faults) Fail(method string, how Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plan == nil {
		f.plan, f.fired = make(map[string]Fault), make(map[string]int)
	}
	f.plan[method] = how
}

// Fired returns how often a method failed, and drops what was planned for it.
func (f *Faults) Fired(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.fired[method]
	delete(f.fired, method)
	delete(f.plan, method)
	return n
}

func (f *Faults) do(method string, call func() error) error {
	f.mu.Lock()
	how := f.plan[method]
	if how != 0 {
		delete(f.plan, method)
		f.fired[method]++
	}
	f.mu.Unlock()
	if how == NotApplied {
		return ErrInjected
	}
	if err := call(); err != nil {
		return err
	}
	if how == Applied {
		return ErrInjected
	}
	return nil
}

func value[T any](f *Faults, method string, call func() (T, error)) (v T, err error) {
	err = f.do(method, func() (err error) { v, err = call(); return err })
	if err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// Index wraps an index.
func (f *Faults) Index(x local.Index) local.Index { return &faultyIndex{x, f} }

// Volumes wraps volumes.
func (f *Faults) Volumes(b local.Volumes) local.Volumes { return &faultyVolumes{b, f} }

type faultyIndex struct {
	local.Index
	f *Faults
}

func (x *faultyIndex) CreateStream(ctx context.Context, s store.Stream) error {
	return x.f.do("CreateStream", func() error { return x.Index.CreateStream(ctx, s) })
}

func (x *faultyIndex) UpdateStream(
	ctx context.Context, id store.StreamID, change func(*store.Stream) error,
) (store.Stream, error) {
	return value(x.f, "UpdateStream", func() (store.Stream, error) {
		return x.Index.UpdateStream(ctx, id, change)
	})
}

func (x *faultyIndex) DeleteStream(
	ctx context.Context, id store.StreamID, check func(*store.Stream) error,
) error {
	return x.f.do("DeleteStream", func() error { return x.Index.DeleteStream(ctx, id, check) })
}

func (x *faultyIndex) PurgeStream(ctx context.Context, id store.StreamID, limit int) (bool, error) {
	return value(x.f, "PurgeStream", func() (bool, error) {
		return x.Index.PurgeStream(ctx, id,
			limit)
	})
}

func (x *faultyIndex) Commit(
	ctx context.Context, rows []index.NewFragment, promised bool,
) ([]index.Committed, error) {
	return value(x.f, "Commit", func() ([]index.Committed, error) {
		return x.Index.Commit(ctx, rows, promised)
	})
}

func (x *faultyIndex) TrackSetID(
	ctx context.Context, id store.StreamID, hash [32]byte, data []byte,
) (int64, error) {
	return value(x.f, "TrackSetID", func() (int64, error) {
		return x.Index.TrackSetID(ctx, id, hash,
			data)
	})
}

func (x *faultyIndex) Expire(
	ctx context.Context, id store.StreamID, edge int64, limit int,
) (int, error) {
	return value(x.f, "Expire", func() (int, error) { return x.Index.Expire(ctx, id, edge, limit) })
}

func (x *faultyIndex) AddVolume(ctx context.Context, id store.StreamID, name string) error {
	return x.f.do("AddVolume", func() error { return x.Index.AddVolume(ctx, id, name) })
}

func (x *faultyIndex) CloseVolumes(ctx context.Context, volumes []index.VolumeInfo) error {
	return x.f.do("CloseVolumes", func() error { return x.Index.CloseVolumes(ctx, volumes) })
}

func (x *faultyIndex) SealVolume(ctx context.Context, b sealed.Volume) error {
	return x.f.do("SealVolume", func() error { return x.Index.SealVolume(ctx, b) })
}

func (x *faultyIndex) AddSealed(ctx context.Context, volumes []sealed.Volume) error {
	return x.f.do("AddSealed", func() error { return x.Index.AddSealed(ctx, volumes) })
}

func (x *faultyIndex) ForgetVolumes(ctx context.Context, names []string) error {
	return x.f.do("ForgetVolumes", func() error { return x.Index.ForgetVolumes(ctx, names) })
}

func (x *faultyIndex) OpenSession(
	ctx context.Context, s store.Session, l index.SessionLimits, now int64,
) ([]string, error) {
	return value(x.f, "OpenSession", func() ([]string, error) {
		return x.Index.OpenSession(ctx, s,
			l, now)
	})
}

func (x *faultyIndex) Checkpoint(ctx context.Context, id string, data []byte, limit int64) error {
	return x.f.do("Checkpoint", func() error { return x.Index.Checkpoint(ctx, id, data, limit) })
}

func (x *faultyIndex) BindSession(ctx context.Context, id, address string) (string, error) {
	return value(x.f, "BindSession", func() (string, error) {
		return x.Index.BindSession(ctx, id, address)
	})
}

func (x *faultyIndex) CloseSession(ctx context.Context, id string, now int64) error {
	return x.f.do("CloseSession", func() error { return x.Index.CloseSession(ctx, id, now) })
}

func (x *faultyIndex) ExpireSessions(ctx context.Context, now int64, limit int) (int, error) {
	return value(x.f, "ExpireSessions", func() (int, error) {
		return x.Index.ExpireSessions(ctx, now, limit)
	})
}

func (x *faultyIndex) PutDocument(
	ctx context.Context, d store.Document, revision int64,
) (int64, error) {
	return value(x.f, "PutDocument", func() (int64, error) {
		return x.Index.PutDocument(ctx, d, revision)
	})
}

func (x *faultyIndex) DeleteDocument(
	ctx context.Context, kind, name string, revision int64,
) error {
	return x.f.do("DeleteDocument", func() error {
		return x.Index.DeleteDocument(ctx, kind, name, revision)
	})
}

type faultyVolumes struct {
	local.Volumes
	f *Faults
}

func (b *faultyVolumes) Append(
	ctx context.Context, s *store.Stream, e volume.Entry,
) (store.Location, error) {
	return value(b.f, "Append", func() (store.Location, error) {
		return b.Volumes.Append(ctx, s,
			e)
	})
}

func (b *faultyVolumes) Roll(ctx context.Context, id store.StreamID) error {
	return b.f.do("Roll", func() error { return b.Volumes.Roll(ctx, id) })
}

func (b *faultyVolumes) Seal(
	ctx context.Context, name string, indexed int64, footer []byte,
) (store.Location, error) {
	return value(b.f, "Seal", func() (store.Location, error) {
		return b.Volumes.Seal(ctx, name,
			indexed, footer)
	})
}

func (b *faultyVolumes) Delete(ctx context.Context, names []string) error {
	return b.f.do("Delete", func() error { return b.Volumes.Delete(ctx, names) })
}

func (b *faultyVolumes) DeleteStream(ctx context.Context, id store.StreamID) error {
	return b.f.do("DeleteStreamBytes", func() error { return b.Volumes.DeleteStream(ctx, id) })
}

func (b *faultyVolumes) Recover(
	ctx context.Context, name string, from int64, found func(store.Location, []byte) error,
) (s *store.Stream, end, cut int64, err error) {
	err = b.f.do("Recover", func() (err error) {
		s, end, cut, err = b.Volumes.Recover(ctx, name,
			from, found)
		return err
	})
	return s, end, cut, err
}
