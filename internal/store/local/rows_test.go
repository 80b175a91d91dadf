package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local/index"
)

// slowIndex holds up each transaction until the test lets it go on.
type slowIndex struct {
	Index
	began    chan struct{}
	goOn     chan error          // what becomes of it
	batches  [][]store.Number    // used by one transaction at a time, so unguarded
	promised []bool              // likewise
	rows     []index.NewFragment // of the last one
}

func newSlowIndex() *slowIndex {
	return &slowIndex{began: make(chan struct{}), goOn: make(chan error)}
}

func (x *slowIndex) Commit(
	_ context.Context, rows []index.NewFragment, promised bool,
) ([]index.Committed, error) {
	var numbers []store.Number
	for i := range rows {
		numbers = append(numbers, rows[i].Info.Number)
	}
	x.batches, x.promised, x.rows = append(x.batches, numbers), append(x.promised, promised), rows
	x.began <- struct{}{}
	if err := <-x.goOn; err != nil {
		return nil, err
	}
	return make([]index.Committed, len(rows)), nil
}

func rowOf(n store.Number) *index.NewFragment {
	return &index.NewFragment{Stream: "s", Info: store.FragmentInfo{Number: n, Sequence: int64(n)}}
}

func waitingNumbers(q *rowQueue) (list []store.Number) {
	for _, f := range q.of("s") {
		list = append(list, f.Number)
	}
	return list
}

// Rows that are queued while a transaction runs are the next transaction, in order. An acknowledged
// row can be read before it is in the index, any other cannot. A flush waits for the rows before
// it.
func TestGroupCommit(t *testing.T) {
	x := newSlowIndex()
	q := newRowQueue(x, NewMetrics(nil))
	var wg sync.WaitGroup
	commit := func(n store.Number) {
		wg.Go(func() {
			if err := q.commit(rowOf(n)); err != nil {
				t.Errorf("row %d: %v", n, err)
			}
		})
	}
	if !q.acknowledge(rowOf(1)) {
		t.Fatal("the first row is not acknowledged")
	}
	commit(2)
	<-x.began
	for n := range store.Number(3) {
		if !q.acknowledge(rowOf(n + 3)) {
			t.Fatal("a row that comes during a transaction is not acknowledged")
		}
	}
	if got, want := waitingNumbers(q), []store.Number{1, 3, 4, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v are read beside the index, want %v", got, want)
	}
	flushed := make(chan error)
	go func() { flushed <- q.flush() }()
	for { // the flush is queued
		q.mu.Lock()
		n := q.waiters
		q.mu.Unlock()
		if n == 2 {
			break
		}
		runtime.Gosched()
	}
	x.goOn <- nil
	<-x.began
	if got, want := waitingNumbers(q), []store.Number{3, 4, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v are read beside the index, want %v", got, want)
	}
	x.goOn <- nil
	if err := <-flushed; err != nil || len(waitingNumbers(q)) != 0 {
		t.Errorf("flushed: %v, %v are left", err, waitingNumbers(q))
	}
	wg.Wait()
	if want := [][]store.Number{{1, 2}, {3, 4, 5}}; !reflect.DeepEqual(x.batches, want) ||
		x.promised[0] || !x.promised[1] {
		t.Errorf("transactions %v, promised %v, want %v", x.batches, x.promised, want)
	}
}

// A failed transaction loses only rows that were not acknowledged. The others stay in place, and
// nothing more is acknowledged until they are in the index; closing writes them.
func TestGroupCommitThatFails(t *testing.T) {
	x := newSlowIndex()
	q := newRowQueue(x, NewMetrics(nil))
	run := func(outcome error, f func() error) error {
		done := make(chan error)
		go func() { done <- f() }()
		<-x.began
		x.goOn <- outcome
		return <-done
	}
	no := errors.New("no")
	q.acknowledge(rowOf(1))
	q.acknowledge(rowOf(2))
	if err := run(no, func() error { return q.commit(rowOf(3)) }); !errors.Is(err, no) {
		t.Error(err)
	}
	if q.acknowledge(rowOf(4)) {
		t.Error("a row is acknowledged although those before it could not be written")
	}
	if err := run(nil, func() error { return q.commit(rowOf(5)) }); err != nil {
		t.Error(err)
	}
	if !q.acknowledge(rowOf(6)) {
		t.Error("no row is acknowledged although all are written")
	}
	if err := run(no, q.flush); !errors.Is(err, no) {
		t.Error(err)
	}
	if err := run(nil, q.close); err != nil {
		t.Error(err)
	}
	want := [][]store.Number{{1, 2, 3}, {1, 2, 5}, {6}, {6}}
	if !reflect.DeepEqual(x.batches, want) {
		t.Errorf("transactions %v, want %v", x.batches, want)
	}
	if err := q.commit(rowOf(7)); !errors.Is(err, errStoreClosed) || q.acknowledge(rowOf(8)) {
		t.Errorf("after closing: %v", err)
	}
}

// Only so many rows wait, and not for long.
func TestRowsThatWait(t *testing.T) {
	x := newSlowIndex()
	q := newRowQueue(x, NewMetrics(nil))
	q.acknowledge(rowOf(1))
	<-x.began // without anybody asking for it
	n := store.Number(1)
	for q.acknowledge(rowOf(n + 1)) {
		n++
	}
	if n != maxWaiting {
		t.Errorf("%d rows wait, want %d", n, maxWaiting)
	}
	x.goOn <- nil
	closed := make(chan error)
	go func() { closed <- q.close() }()
	<-x.began
	x.goOn <- nil
	if err := <-closed; err != nil || len(x.rows) != maxWaiting-1 {
		t.Errorf("%d rows were left: %v", len(x.rows), err)
	}
}

// videoAt is a fragment of one frame with the given timestamps.
func videoAt(n store.Number, server, producer int64) *store.Record {
	return &store.Record{Number: n, Fragment: media.Fragment{
		ServerTimestamp: server, ProducerTimestamp: producer,
		Tracks: []media.Track{
			{Number: 1, Kind: media.Video, CodecID: media.CodecAVC, Timescale: 90000},
		},
		Runs: []media.Run{{Track: 1, Frames: []media.Frame{{Size: 9, Duration: 3000, Key: true}}}},
	}, Payload: [][]byte{make([]byte, 9)}}
}

func appendAt(
	t *testing.T, s *Store, id store.StreamID, server, producer int64,
) store.FragmentInfo {
	t.Helper()
	n, err := s.NextNumber(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Append(t.Context(), id, videoAt(n, server, producer))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A row that waits can be read in every way, like one in the index.
func TestWaitingRowsAreRead(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	stream, err := s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	id, now := stream.ID, time.Now().UnixMilli()
	stopFlushes(s.rows)
	var stored []store.FragmentInfo
	for n := range int64(30) {
		stored = append(stored, appendAt(t, s, id, now+n*7%30, n*11%30+1))
		if n == 12 {
			if err := s.Settle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(s.rows.of(id)); n != 17 {
		t.Fatalf("%d rows wait", n)
	}
	var queries []store.Query
	for order := range 3 {
		for _, q := range []store.Query{{}, {After: stored[9].Number}, {After: stored[19].Number},
			{AfterSequence: 5}, {AfterSequence: 25},
			{Range: &store.TimeRange{Start: now + 5, End: now + 22}},
			{Range: &store.TimeRange{Clock: store.ProducerTimestamp, Start: 9, End: math.MaxInt64}},
			{Range: &store.TimeRange{Clock: store.ProducerTimestamp, Start: math.MinInt64, End: 20},
				After: stored[14].Number}} {
			for _, limit := range []int{0, 1, 4, 15} {
				q.Order, q.Limit = store.Order(order), limit
				queries = append(queries, q)
			}
		}
	}
	read := func() (answers []string) {
		t.Helper()
		for _, q := range queries {
			for _, since := range []int64{0, now + 10} {
				hot, err := s.reader.Hot(t.Context(), id, q, since)
				if err != nil {
					t.Fatal(err)
				}
				answers = append(answers, fmt.Sprintf("%+v since %d: %+v", q, since, hot))
			}
		}
		f, err := s.reader.Fragment(t.Context(), id, stored[25].Number)
		if err != nil {
			t.Fatal(err)
		}
		return append(answers, fmt.Sprintf("%+v", f))
	}
	before := read()
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.rows.of(id)); n != 0 {
		t.Fatalf("%d rows wait", n)
	}
	for i, after := range read() {
		if before[i] != after {
			t.Errorf("waiting  %s\nin index %s", before[i], after)
		}
	}
}

// stopFlushes makes rows wait until somebody asks for the index.
func stopFlushes(q *rowQueue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer != nil {
		q.timer.Stop()
	}
	q.timer = time.AfterFunc(time.Hour, func() {})
}

// watchedIndex remembers the rows of the last transaction, and makes the next one fail on request.
type watchedIndex struct {
	Index
	fail error
	rows []index.NewFragment
}

func (x *watchedIndex) Commit(
	ctx context.Context, rows []index.NewFragment, promised bool,
) ([]index.Committed, error) {
	x.rows = rows
	if err := x.fail; err != nil {
		x.fail = nil
		return nil, err
	}
	return x.Index.Commit(ctx, rows, promised)
}

// The row of a volume's first record is on disk at once. So is the row of the record after one
// whose row could not be written, because recovery must not find that one first. All other rows
// wait.
func TestWhichRowsAreDurable(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	if err != nil {
		t.Fatal(err)
	}
	x := &watchedIndex{Index: s.idx}
	s.rows.idx = x
	stopFlushes(s.rows)
	now := time.Now().UnixMilli()
	check := func(durable bool) (f store.FragmentInfo) {
		t.Helper()
		x.rows = nil
		f = appendAt(t, s, stream.ID, now, now)
		if got := len(x.rows) > 0 && x.rows[len(x.rows)-1].Durable; got != durable {
			t.Errorf("sequence %d: durable is %t", f.Sequence, got)
		}
		return f
	}
	check(true)
	last := check(false)
	x.fail = errors.New("no")
	n, err := s.NextNumber(t.Context(), stream.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Replace(t.Context(), stream.ID, 1, videoAt(n, now, now)); err == nil {
		t.Error("a fragment is stored whose row is not")
	}
	st, err := s.state(t.Context(), stream.ID)
	if err != nil {
		t.Fatal(err)
	}
	if sequence, changed := st.awaited(last.Sequence); changed == nil {
		t.Errorf("who waits for more than %d is told of %d, which is not stored",
			last.Sequence, sequence)
	}
	check(true)
	check(false)
	if err := s.volumes.Roll(t.Context(), stream.ID); err != nil {
		t.Fatal(err)
	}
	check(true)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
