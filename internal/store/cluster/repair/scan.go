package repair

import (
	"context"
	"errors"
	"iter"
	"sync"

	"weir/internal/store"
	"weir/internal/store/cluster/contents"
	"weir/internal/store/objects"
)

// scansAtOnce is how many objects are in memory: one that is handled, and the next ones, which are
// read meanwhile.
const scansAtOnce = 4

// scanned is an object and the fragments in it.
type scanned struct {
	info      objects.Info
	src       contents.Source // reads the object
	fragments []contents.Fragment
	// store.ErrCorrupt: fragments are those before what cannot be read
	err error
}

// scan finds the fragments in an object. They are whole or the error is not store.ErrCorrupt.
func scan(ctx context.Context, bucket *objects.Bucket, info objects.Info) *scanned {
	s := &scanned{info: info}
	if s.src, s.err = contents.Load(ctx, bucket, info.Key, info.Size); s.err == nil {
		s.fragments, s.err = contents.Scan(ctx, s.src, info.Key, info.Size)
	}
	return s
}

// failed is the error of an object about which nothing can be said; store.ErrGone too.
func (s *scanned) failed() error {
	if errors.Is(s.err, store.ErrCorrupt) {
		return nil
	}
	return s.err
}

// ahead goes through a list. With each value comes a function that returns what do makes of it. do
// runs in goroutines, for that value and the ones after it, n in all; with n = 0 only when the
// function is called.
func ahead[T, R any](list []T, n int, do func(T) R) iter.Seq2[T, func() R] {
	return func(yield func(T, func() R) bool) {
		var running sync.WaitGroup
		defer running.Wait()
		results := make([]func() R, len(list))
		begun := 0
		for i, v := range list {
			for ; begun < min(i+n, len(list)); begun++ {
				result, v := make(chan R, 1), list[begun]
				results[begun] = func() R { return <-result }
				running.Go(func() { result <- do(v) })
			}
			get := func() R { return do(v) }
			if n > 0 {
				get, results[i] = results[i], nil
			}
			if !yield(v, get) {
				return
			}
		}
	}
}
