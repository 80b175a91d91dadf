// Package throttle limits how often something happens, by key: token buckets for requests, delays
// for repeated failures, and log lines that are not repeated. All of them limit how many keys they
// remember.
package throttle

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// MaxKeys limits how many keys are remembered.
const MaxKeys = 16_384

// Buckets are token buckets by key. They are safe for concurrent use.
type Buckets[K comparable] struct {
	mu      sync.Mutex
	buckets map[K]*rate.Limiter
}

// New returns Buckets, all of them full.
func New[K comparable]() *Buckets[K] {
	return &Buckets[K]{buckets: make(map[K]*rate.Limiter)}
}

// Allow takes one token from a bucket, which is filled with perSecond tokens a second up to depth,
// and reports whether there was one. A rate of 0 is no limit.
func (b *Buckets[K]) Allow(key K, perSecond, depth int, now time.Time) bool {
	return b.AllowN(key, 1, perSecond, depth, now)
}

// AllowN is Allow for n tokens: all of them or none.
func (b *Buckets[K]) AllowN(key K, n, perSecond, depth int, now time.Time) bool {
	if perSecond <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bucket(key, perSecond, depth, now).AllowN(now, n)
}

// Reserve takes n tokens, at most perSecond, from a bucket of one second's worth, and returns how
// long it takes until they are there. giveBack returns them, except for those that somebody has
// reserved since.
func (b *Buckets[K]) Reserve(
	key K, n, perSecond int, now time.Time,
) (after time.Duration, giveBack func(now time.Time)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.bucket(key, perSecond, perSecond, now).ReserveN(now, n)
	return r.DelayFrom(now), r.CancelAt
}

// bucket returns the bucket of a key. The caller holds mu.
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

// forget drops the buckets that are full again, which say nothing. If most are in use, it also
// drops some others, so that it is not called for every new key.
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
