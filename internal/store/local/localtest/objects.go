package localtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"weir/internal/store"
	"weir/internal/store/local/volume"
)

// Objects is an object store in memory that fails on request.
type Objects struct {
	mu      sync.Mutex
	objects map[string][]byte // by name; guarded by mu
	away    bool              // guarded by mu
	puts    func()            // guarded by mu
	spoilt  map[string]int    // bytes of copies; guarded by mu
}

var _ volume.Remote = (*Objects)(nil)

// SetAway makes every call fail, or no longer.
func (o *Objects) SetAway(away bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away = away
}

// DuringPut makes the next Put call a function, once.
func (o *Objects) DuringPut(call func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.puts = call
}

// Damage changes a byte of an object.
func (o *Objects) Damage(name string, at int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[name][at] ^= 1
}

// Spoil changes a byte of what is in a cache of an object, until that is dropped.
func (o *Objects) Spoil(name string, at int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spoilt = map[string]int{name: at}
}

// Names returns the names of all objects, sorted.
func (o *Objects) Names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.objects))
}

// Put implements volume.Remote.
func (o *Objects) Put(_ context.Context, name string, data []byte) error {
	o.mu.Lock()
	during := o.puts
	o.puts = nil
	o.mu.Unlock()
	if during != nil {
		during()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return ErrInjected
	}
	if o.objects == nil {
		o.objects = make(map[string][]byte)
	}
	o.objects[name] = slices.Clone(data)
	return nil
}

// Get implements volume.Remote.
func (o *Objects) Get(_ context.Context, name string, size int64) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	data, there := o.objects[name]
	switch {
	case o.away:
		return nil, ErrInjected
	case !there:
		return nil, fmt.Errorf("object %s: %w", name, store.ErrGone)
	case int64(len(data)) < size:
		return nil, fmt.Errorf("object %s: %w", name, store.ErrCorrupt)
	}
	return slices.Clone(data[:size]), nil
}

// Open implements volume.Remote.
func (o *Objects) Open(
	ctx context.Context, name string, offset, length int64,
) (volume.Body, error) {
	data, err := o.Get(ctx, name, offset+length)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.spoilt[name]; ok && at < len(data) {
		data[at] ^= 1
	}
	return bytesBody{o, name, store.Bytes(data[offset:])}, nil
}

// Delete implements volume.Remote.
func (o *Objects) Delete(_ context.Context, names []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return ErrInjected
	}
	for _, name := range names {
		delete(o.objects, name)
	}
	return nil
}

// bytesBody is a part of an object.
type bytesBody struct {
	objects *Objects
	name    string
	bytes   store.Range
}

func (b bytesBody) ReadAt(p []byte, off int64) (int, error) {
	return b.bytes.ReadAt(p, off)
}

func (b bytesBody) Range(off, n int64) (store.Range, error) { return b.bytes.Slice(off, n), nil }

func (b bytesBody) Forget(int64) {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	delete(b.objects.spoilt, b.name)
}

func (bytesBody) Close() error { return nil }
