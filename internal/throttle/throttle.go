// Package throttle limits how often something happens, by key: token buckets for what may be asked
// for, answers to repeated failures that come later and later, and lines of logs that are not
// repeated. All of them bound how many keys they remember.
package throttle

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// MaxKeys bounds how many keys are remembered at a time.
const MaxKeys = 16_384

// Buckets are token buckets by key. They are safe for concurrent use.
type Buckets[K comparable] struct {
	mu      sync.Mutex
	buckets map[K]*rate.Limiter
}

// New makes Buckets, all of them full.
func New[K comparable]() *Buckets[K] {
	return &Buckets[K]{buckets: make(map[K]*rate.Limiter)}
}

// Allow takes one token from a bucket that is filled at so many a second up to depth, and reports
// whether there was one to take. A rate of 0 limits nothing.
func (b *Buckets[K]) Allow(key K, perSecond, depth int, now time.Time) bool {
	return b.AllowN(key, 1, perSecond, depth, now)
}

// AllowN is Allow of n tokens, all or none.
func (b *Buckets[K]) AllowN(key K, n, perSecond, depth int, now time.Time) bool {
	if perSecond <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bucket(key, perSecond, depth, now).AllowN(now, n)
}

// Reserve takes n tokens, perSecond at most, from a bucket of one second's worth, and returns how
// long it takes until they are there. giveBack returns them, as far as nobody has reserved others
// since.
func (b *Buckets[K]) Reserve(
	key K, n, perSecond int, now time.Time,
) (after time.Duration, giveBack func(now time.Time)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.bucket(key, perSecond, perSecond, now).ReserveN(now, n)
	return r.DelayFrom(now), r.CancelAt
}

// bucket is that of a key. The caller holds mu.
func (b *Buckets[K]) bucket(key K, perSecond, depth int, now time.Time) *rate.Limiter {
	bucket := b.buckets[key]
	if bucket == nil {
		if len(b.buckets) >= MaxKeys {
			b.forget(now)
		}
		bucket = rate.NewLimiter(rate.Limit(perSecond), depth)
		b.buckets[key] = bucket
	}
	return bucket
}

// forget drops the buckets that are full again, which say nothing, and when most are in use any
// ones, so that it is not called for every new one.
func (b *Buckets[K]) forget(now time.Time) {
	for key, bucket := range b.buckets {
		if bucket.TokensAt(now) >= float64(bucket.Burst()) {
			delete(b.buckets, key)
		}
	}
	for key := range b.buckets {
		if len(b.buckets) <= MaxKeys*3/4 {
			return
		}
		delete(b.buckets, key)
	}
}
