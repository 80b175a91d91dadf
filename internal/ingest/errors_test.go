package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
)

func wantError(t testing.TB, err error, id api.AckErrorID) {
	t.Helper()
	var e *Error
	if id == 0 {
		if err != nil {
			t.Fatalf("error %v", err)
		}
		return
	}
	if !errors.As(err, &e) || e.ID != id {
		t.Fatalf("error %v, want %d", err, id)
	}
}

// Every error acknowledgement, after a fragment that is stored and acknowledged first.
func TestErrors(t *testing.T) {
	at := epoch + 1000
	long := strings.Repeat("x", 300)
	third, fourth := audioTrack, audioTrack
	third.Number, fourth.Number = 3, 4
	full := func(n store.Number) func(*store.Record) error {
		return func(r *store.Record) error {
			if r.Number == n {
				return store.ErrFull
			}
			return nil
		}
	}
	gone := func(n store.Number, err error) func(store.Number) error {
		return func(got store.Number) error {
			if got == n {
				return err
			}
			return nil
		}
	}
	named := func(f string) string { return fmt.Sprintf(f, at) }
	for _, c := range []struct {
		name string
		set  func(*Options, *testStore)
		add  func(*builder)
		ack  string
	}{
		{"size", func(o *Options, _ *testStore) { o.Limits.FragmentBytes = 100 },
			func(b *builder) { b.gop(at, 1).frame(1, at+40, long) }, named("ERROR %d #2 4001")},
		{"frames", func(o *Options, _ *testStore) { o.Limits.FragmentFrames = 3 },
			func(b *builder) { b.gop(at, 4) }, named("ERROR %d #2 4001")},
		{"block over the reader's limit", nil,
			func(b *builder) {
				b.cluster(at).Write([]byte{0xA3, 0x08, 0xFF, 0xFF, 0xFF, 0xFF})
			}, named("ERROR %d #2 4001")},
		{"duration", nil, func(b *builder) {
			b.gop(at, 1).frame(1, at+20_001, "late")
		}, named("ERROR %d #2 4002")},
		{"connection too old", func(o *Options, _ *testStore) {
			o.Limits.MaxConnection = time.Minute
			var steps atomic.Int64
			o.Clock = func() time.Time {
				return testNow.Add(time.Duration(steps.Add(10)) * time.Second)
			}
			o.Limits.Future = 10 * time.Hour
		}, func(b *builder) {
			for i := range int64(20) {
				b.gop(at+1000*i, 1)
			}
		}, "ERROR 4003"},
		{"same timecode", nil, func(b *builder) {
			b.gop(epoch, 1)
		}, fmt.Sprintf("ERROR %d #2 4004", epoch)},
		{"earlier timecode", nil, func(b *builder) {
			b.gop(epoch-1, 1)
		}, fmt.Sprintf("ERROR %d #2 4004", epoch-1)},
		{"garbage", nil, func(b *builder) { b.end().Write([]byte{0, 1, 2, 3}) }, "ERROR 4006"},
		{"garbage in a cluster", nil, func(b *builder) {
			b.gop(at, 1).Write([]byte{0, 0, 0, 0})
		}, named("ERROR %d #2 4006")},
		{"cluster without tracks", nil, func(b *builder) {
			b.Write(element(0x1A45DFA3, element(0x4282, []byte("matroska"))))
			b.Write([]byte{0x18, 0x53, 0x80, 0x67, 0xFF})
			b.gop(at, 1)
		}, "ERROR 4006"},
		{"far future", nil, func(b *builder) {
			b.gop(testNow.UnixMilli()+api.MaxProducerAhead.Milliseconds()+1, 1)
		},
			fmt.Sprintf("ERROR %d #2 4007",
				testNow.UnixMilli()+api.MaxProducerAhead.Milliseconds()+1)},
		{"wrong unit", nil, func(b *builder) {
			b.gop(epoch*2, 1)
		}, fmt.Sprintf("ERROR %d #2 4007", epoch*2)},
		{"no time at all", nil, func(b *builder) { b.gop(epoch*1000, 1) }, "ERROR 4006"},
		{"not active", func(_ *Options, s *testStore) {
			s.onNumber = gone(1, store.ErrNotFound)
		}, func(*builder) {}, "ERROR 4008"},
		{"deleted", func(_ *Options, s *testStore) { s.onNumber = gone(2, store.ErrNotFound) },
			func(b *builder) { b.gop(at, 1) }, "ERROR 4507"},
		{"deleted while storing", func(_ *Options, s *testStore) {
			s.onAppend = func(r *store.Record) error {
				if r.Number == 2 {
					return store.ErrNotFound
				}
				return nil
			}
		}, func(b *builder) { b.gop(at, 1).end() }, named("ERROR %d #2 4507")},
		{"too many tags", nil, func(b *builder) {
			for i := range 11 {
				b.tag(fmt.Sprint("k", i), "v")
			}
		}, "ERROR 4009"},
		{"tag name", nil, func(b *builder) { b.tag(long[:129], "v") }, "ERROR 4009"},
		{"tag value", nil, func(b *builder) { b.tag("k", long[:257]) }, "ERROR 4009"},
		{"tag of AWS", nil, func(b *builder) { b.tag("AWSome", "v") }, "ERROR 4009"},
		{"undeclared track", nil, func(b *builder) {
			b.gop(at, 1).frame(7, at+40, "x")
		}, named("ERROR %d #2 4010")},
		{"no frame", nil, func(b *builder) {
			b.cluster(at).gop(at+1000, 1)
		}, named("ERROR %d #2 4011")},
		{"four tracks", nil, func(b *builder) {
			b.header(sdk, videoTrack, audioTrack, third, fourth)
		}, "ERROR 4012"},
		{"number", func(_ *Options, s *testStore) {
			s.onNumber = gone(2, errors.New("index"))
		}, func(b *builder) { b.gop(at, 1) }, "ERROR 5001"},
		{"memory", func(o *Options, _ *testStore) {
			o.Memory = newMemory(3 * memoryStep)
			o.Limits.MemoryWait, o.Limits.FragmentBytes = time.Nanosecond, 1<<20
		}, func(b *builder) {
			b.end().cluster(at)
			for i := range int64(5) {
				b.frame(1, at+i, strings.Repeat("m", memoryStep))
			}
		}, named("ERROR %d #2 5000")},
		{"full", func(_ *Options, s *testStore) {
			s.onAppend = full(2)
		}, func(b *builder) { b.gop(at, 1).end() }, named("ERROR %d #2 5001")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore()
			o := absolute(s)
			if c.set != nil {
				c.set(&o, s)
			}
			b := build(t).header(sdk).gop(epoch, 2)
			c.add(b)
			acks, err := run(t, o, b.reader())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("Run returned %v", err)
			}
			last := acks[len(acks)-1]
			if c.ack != "" && last != c.ack {
				t.Errorf("last acknowledgement %q, want %q (%v)", last, c.ack, err)
			}
			if !strings.HasPrefix(last, "ERROR") {
				t.Errorf("the last acknowledgement is %q", last)
			}
			if c.name != "not active" && c.name != "connection too old" {
				if n := len(s.all()); n != 1 {
					t.Errorf("%d fragments stored, want the first only", n)
				}
				if !slices.Contains(acks, fmt.Sprintf("PERSISTED %d #1", epoch)) {
					t.Errorf("the fragment before was not acknowledged: %q", acks)
				}
			}
		})
	}
}

func TestRelativeStartInTheFuture(t *testing.T) {
	acks, err := run(t,
		relative(newStore(), testNow.UnixMilli()+api.MaxProducerAhead.Milliseconds()+1),
		build(t).header(sdk).gop(0, 1).reader())
	wantError(t, err, 4007)
	wantAcks(t, acks, "ERROR 0 #1 4007")
}
