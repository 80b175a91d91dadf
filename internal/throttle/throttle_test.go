package throttle

import (
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	b := New[int]()
	for i := range 3 {
		if got := b.Allow(0, 2, 2, now); got != (i < 2) {
			t.Errorf("call %d: %v", i, got)
		}
	}
	if !b.Allow(1, 2, 2, now) {
		t.Error("another key has a bucket of its own")
	}
	if now = now.Add(500 * time.Millisecond); !b.Allow(0, 2, 2, now) {
		t.Error("half a second later there is a token")
	}
	if !b.Allow(0, 0, 0, now) {
		t.Error("a rate of 0 limits nothing")
	}
	if b.AllowN(2, 5, 4, 4, now) || !b.AllowN(2, 4, 4, 4, now) || b.Allow(2, 4, 4, now) {
		t.Error("more than a bucket holds is had, or what it holds is not")
	}
	for i, want := range []time.Duration{0, 0, time.Second / 2, time.Second} {
		if got, _ := b.Reserve(3, 10, 20, now); got != want {
			t.Errorf("turn %d of what takes half a second comes after %v", i, got)
		}
	}
	for i := range 3 * MaxKeys {
		b.Allow(i, 1, 1, now)
	}
	if len(b.buckets) > MaxKeys {
		t.Errorf("%d buckets remembered", len(b.buckets))
	}
}
