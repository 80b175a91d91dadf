package local

import (
	"context"
	"errors"
	"sync"
	"testing"

	"weir/internal/store"
	"weir/internal/store/local/index"
)

// slowIndex gives sequences, and holds each transaction until the test lets it go on.
type slowIndex struct {
	Index
	began, goOn chan struct{}
	batches     [][]store.Number // of one transaction after the other, so unguarded
}

func (x *slowIndex) Commit(_ context.Context, rows []index.NewFragment) ([]index.Committed, error) {
	var numbers []store.Number
	results := make([]index.Committed, len(rows))
	for i := range rows {
		numbers = append(numbers, rows[i].Info.Number)
		results[i].Sequence = int64(rows[i].Info.Number) * 10
	}
	x.batches = append(x.batches, numbers)
	x.began <- struct{}{}
	<-x.goOn
	return results, nil
}

// What is queued while a transaction runs is the next one, in its order; nil waits for what is before it, and closing for
// everything that was queued.
func TestGroupCommit(t *testing.T) {
	x := &slowIndex{began: make(chan struct{}), goOn: make(chan struct{})}
	c := newCommitter(x, NewMetrics(nil))
	var wg sync.WaitGroup
	queue := func(n store.Number) {
		p := c.queue(&index.NewFragment{Info: store.FragmentInfo{Number: n}})
		wg.Go(func() {
			if r := c.wait(p); r.Err != nil || r.Sequence != int64(n)*10 {
				t.Errorf("fragment %d: %+v", n, r)
			}
		})
	}
	queue(1)
	<-x.began
	const more = commitBatch + 3
	for n := range store.Number(more) {
		queue(n + 2)
	}
	flushed := make(chan struct{})
	go func() {
		<-c.enqueue(nil)
		if len(x.batches) != 3 {
			t.Errorf("flushed after %d transactions", len(x.batches))
		}
		close(flushed)
	}()
	x.goOn <- struct{}{}
	<-x.began
	x.goOn <- struct{}{}
	<-x.began
	x.goOn <- struct{}{}
	<-flushed
	wg.Wait()
	n := store.Number(0)
	for i, want := range []int{1, commitBatch, more - commitBatch} {
		if len(x.batches[i]) != want {
			t.Errorf("transaction %d has %d rows, want %d", i, len(x.batches[i]), want)
		}
		for _, got := range x.batches[i] {
			if n++; got != n {
				t.Fatalf("transaction %d has %d where %d should be", i, got, n)
			}
		}
	}
	p := c.queue(&index.NewFragment{Info: store.FragmentInfo{Number: n + 1}}) // its producer is slow to wait
	closed := make(chan struct{})
	go func() { c.close(); close(closed) }()
	<-x.began
	select {
	case <-closed:
		t.Error("closed while a transaction runs")
	default:
	}
	x.goOn <- struct{}{}
	<-closed
	if r := c.wait(p); r.Err != nil {
		t.Error(r.Err)
	}
	if r := c.wait(c.queue(&index.NewFragment{})); !errors.Is(r.Err, errStoreClosed) {
		t.Errorf("after closing: %+v", r)
	}
}
