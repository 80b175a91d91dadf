package playback

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"weir/internal/store"
)

// maxRateLimits bounds how many streams are remembered at a time.
const maxRateLimits = 4096

// rateLimits holds one token bucket per stream, a second deep.
type rateLimits struct {
	perSecond int // 0: no limit
	mu        sync.Mutex
	buckets   map[store.StreamID]*rate.Limiter
}

func newRateLimits(perSecond int) *rateLimits {
	return &rateLimits{perSecond: perSecond, buckets: make(map[store.StreamID]*rate.Limiter)}
}

// allow takes one call of the stream at the given time, and reports whether there was one to take.
func (l *rateLimits) allow(id store.StreamID, now time.Time) bool {
	if l.perSecond <= 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[id]
	if b == nil {
		if len(l.buckets) >= maxRateLimits {
			l.forget(now)
		}
		b = rate.NewLimiter(rate.Limit(l.perSecond), l.perSecond)
		l.buckets[id] = b
	}
	return b.AllowN(now, 1)
}

// forget drops the buckets that are full again, which say nothing, and if all are in use any one.
func (l *rateLimits) forget(now time.Time) {
	for id, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.perSecond) {
			delete(l.buckets, id)
		}
	}
	for id := range l.buckets {
		if len(l.buckets) < maxRateLimits {
			return
		}
		delete(l.buckets, id)
	}
}
