package index

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/record"
)

// tableRows counts the rows that are in the table already.
func tableRows(t *testing.T, x *SQLite) (n int) {
	t.Helper()
	if err := x.readers.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM fragments").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A row that waits is read, in every way, like one in the table.
func TestWaitingRowsAreRead(t *testing.T) {
	x := withStream(t)
	stopFlushes(x)
	for n := range store.Number(30) {
		f := fragment(n + 1)
		f.Info.ServerTimestamp, f.Info.ProducerTimestamp = int64(n*7%30)+1, int64(n*11%30)+1
		f.AfterSequence = int64(n / 10 * 20) // some were kept in memory only
		if r, err := x.Commit(t.Context(), []NewFragment{f}); err != nil || r[0].Err != nil {
			t.Fatal(r, err)
		}
		if n == 12 {
			if err := x.settled(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := tableRows(t, x); n != 13 {
		t.Fatalf("%d rows are in the table", n)
	}
	type answer struct {
		q         store.Query
		notBefore int64
		hot       Hot
	}
	var answers []answer
	for order := range 3 {
		for _, q := range []store.Query{{}, {After: 10}, {After: 20}, {AfterSequence: 5}, {AfterSequence: 25}, {Start: 5, End: 22},
			{Timestamp: store.ProducerTimestamp, Start: 9}, {Timestamp: store.ProducerTimestamp, End: 20, After: 14}} {
			for _, limit := range []int{0, 1, 4, 15} {
				q.Order, q.Limit = store.Order(order), limit
				for _, notBefore := range []int64{0, 10} {
					hot, err := x.Hot(t.Context(), streamID, q, notBefore)
					if err != nil {
						t.Fatal(err)
					}
					answers = append(answers, answer{q, notBefore, hot})
				}
			}
		}
	}
	one, oneErr := x.HotFragment(t.Context(), streamID, 25)
	high, headErr := x.HighWater(t.Context(), streamID)
	if err := errors.Join(oneErr, headErr, x.settled(t.Context())); err != nil {
		t.Fatal(err)
	}
	if n := tableRows(t, x); n != 30 {
		t.Fatalf("%d rows are in the table", n)
	}
	for _, a := range answers {
		if hot, err := x.Hot(t.Context(), streamID, a.q, a.notBefore); err != nil || !reflect.DeepEqual(hot, a.hot) {
			t.Errorf("%+v of %d on:\nwaiting  %v\nin table %v, %v", a.q, a.notBefore, numbers(a.hot), numbers(hot), err)
		}
	}
	if f, err := x.HotFragment(t.Context(), streamID, 25); err != nil || !reflect.DeepEqual(f, one) {
		t.Errorf("%+v waiting, %+v in the table: %v", one, f, err)
	}
	if h, err := x.HighWater(t.Context(), streamID); err != nil || h != high || h.Sequence != 50 {
		t.Errorf("%+v waiting, %+v in the table: %v", high, h, err)
	}
}

func numbers(hot Hot) string {
	s := fmt.Sprintf("high-water mark %+v:", hot.HighWater)
	for i := range hot.Fragments {
		s += fmt.Sprint(" ", hot.Fragments[i].Number)
	}
	return s
}

// stopFlushes lets rows wait until the table is needed.
func stopFlushes(x *SQLite) {
	x.waiting.mu.Lock()
	defer x.waiting.mu.Unlock()
	x.waiting.flushes.Add(1)
	x.waiting.timer = time.AfterFunc(time.Hour, x.flush)
}

// Whatever needs the table whole finds in it what waited; what a stream that is deleted had waiting goes with it.
func TestNothingWaitsBesideTheTable(t *testing.T) {
	volume := fragment(1).Info.Location.Volume
	for _, c := range []struct {
		name string
		call func(x *SQLite) error
		left int // rows
	}{
		{"replace", func(x *SQLite) error {
			f := fragment(4)
			f.Replaces = 3
			r, err := x.Commit(t.Context(), []NewFragment{f})
			return errors.Join(err, r[0].Err)
		}, 3},
		{"new blob", func(x *SQLite) error {
			f := fragment(4)
			f.Info.Location.Volume = string(streamID) + "/b.vol"
			r, err := x.Commit(t.Context(), []NewFragment{f})
			if volumes, err := x.Volumes(t.Context()); err != nil || volumes[0].Indexed != 40 || volumes[0].State != VolumeClosed {
				return fmt.Errorf("%+v, %v", volumes, err)
			}
			return errors.Join(err, r[0].Err)
		}, 4},
		{"seal", func(x *SQLite) error {
			if err := x.CloseVolumes(t.Context(), []VolumeInfo{{Name: volume}}); err != nil {
				return err
			}
			r := record.Range{Min: 1, Max: 3}
			return x.SealVolume(t.Context(), SealedVolume{Name: volume, Stream: streamID, Count: 3, Number: r, Sequence: r, Server: r, Producer: r})
		}, 0},
		{"forget", func(x *SQLite) error { return x.ForgetVolumes(t.Context(), []string{volume}) }, 0},
		{"delete and purge", func(x *SQLite) error {
			if err := x.DeleteStream(t.Context(), streamID, func(*store.Stream) error { return nil }); err != nil {
				return err
			}
			if r, err := x.Commit(t.Context(), []NewFragment{fragment(4)}); err != nil || r[0].Err != store.ErrNotFound {
				return fmt.Errorf("commit: %+v, %v", r, err)
			}
			_, err := x.PurgeStream(t.Context(), streamID, 10)
			return err
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := withStream(t)
			stopFlushes(x)
			for n := range store.Number(3) {
				if r, err := x.Commit(t.Context(), []NewFragment{fragment(n + 1)}); err != nil || r[0].Err != nil {
					t.Fatal(r, err)
				}
			}
			if n := tableRows(t, x); n != 1 {
				t.Fatalf("%d rows are in the table", n)
			}
			if err := c.call(x); err != nil {
				t.Fatal(err)
			}
			if err := x.settled(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := tableRows(t, x); n != c.left {
				t.Fatalf("%d rows are left, want %d", n, c.left)
			}
		})
	}
}

// Only so many rows wait.
func TestWaitingIsBounded(t *testing.T) {
	x := withStream(t)
	stopFlushes(x)
	batch := make([]NewFragment, 0, 512)
	most := 0
	for n := store.Number(1); n <= maxWaiting+1024; n++ {
		if batch = append(batch, fragment(n)); len(batch) < cap(batch) {
			continue
		}
		if _, err := x.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		batch = batch[:0]
		most = max(most, len(x.waiting.of(streamID)))
	}
	if most > maxWaiting || tableRows(t, x) < maxWaiting {
		t.Fatalf("%d rows wait, %d are in the table", most, tableRows(t, x))
	}
}

// A record whose commit failed has no row, and recovery must not find it before those behind it: the next commit is durable.
func TestCommitBehindAFailedOne(t *testing.T) {
	x := withStream(t)
	if _, err := x.Commit(t.Context(), []NewFragment{fragment(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.conn.ExecContext(t.Context(), "PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	f := fragment(2)
	f.Replaces = 1
	if r, err := x.Commit(t.Context(), []NewFragment{f}); err != nil || r[0].Err == nil {
		t.Fatal(r, err)
	}
	if _, err := x.conn.ExecContext(t.Context(), "PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	if err := x.Checkpoint(t.Context(), "none", nil, 0); !errors.Is(err, store.ErrNotFound) || x.synced {
		t.Fatal(x.synced, err)
	}
	if r, err := x.Commit(t.Context(), []NewFragment{fragment(3)}); err != nil || r[0].Sequence != 2 || !x.synced {
		t.Fatal(r, err, x.synced)
	}
	var indexed int64
	if err := x.conn.QueryRowContext(t.Context(), "SELECT indexed FROM blobs").Scan(&indexed); err != nil || indexed != 40 {
		t.Fatal(indexed, err)
	}
}
