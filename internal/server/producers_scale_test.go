package server

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestManyProducers connects producers, each to a stream of its own, and lets each send a fragment
// every two seconds. With WEIR_SCALE=1 there are 1,000, and the 99th percentile of acknowledgements
// may take no more than 500 ms. Otherwise there are 20, which must all be acknowledged. The costs
// of an idle producer include its client, because both are in this process.
func TestManyProducers(t *testing.T) {
	producers, fragments, every := 20, 2, 200*time.Millisecond
	big := os.Getenv("WEIR_SCALE") != ""
	if big {
		producers, fragments, every = 1000, 6, 2*time.Second
	}
	s := newSite(t)
	for i := range producers {
		s.ok("/createStream", fmt.Sprintf(`{"StreamName":"cam%d","DataRetentionInHours":1}`, i))
	}
	memory := func() (goroutines int, bytes uint64) {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapInuse + m.StackInuse
	}
	goroutines, bytes := memory()
	connected := make([]*producer, producers)
	cameras := make([]*camera, producers)
	for i := range producers {
		connected[i], cameras[i] = s.dial(fmt.Sprintf("cam%d", i)), newCamera(t)
		connected[i].started()
	}
	idle, idleBytes := memory()
	t.Logf("an idle producer: %.1f goroutines, %.0f KB of heap and stacks",
		float64(idle-goroutines)/float64(producers),
		float64(idleBytes-bytes)/float64(producers)/1000)

	var mu sync.Mutex
	var took []float64 // milliseconds; guarded by mu
	var wg sync.WaitGroup
	began := time.Now()
	for i, p := range connected {
		wg.Go(func() {
			for n := range fragments {
				at := began.Add(
					every * time.Duration(i) / time.Duration(producers)).Add(
					every * time.Duration(n))
				time.Sleep(time.Until(at))
				if err := p.conn.SetDeadline(time.Now().Add(patience)); err != nil {
					t.Error(err)
					return
				}
				timecode := at.UnixMilli()
				data := cameras[i].cluster(timecode, 50, 1000).endOfFragment().take()
				sent := time.Now()
				p.send(data)
				p.until(fmt.Sprintf("PERSISTED %d", timecode))
				mu.Lock()
				took = append(took, time.Since(sent).Seconds()*1000)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(took) != producers*fragments {
		t.Fatalf("%d acknowledgements for %d fragments", len(took), producers*fragments)
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d producers: PERSISTED after %.1f ms (median), %.1f ms (p99), %.1f ms (latest); "+
		"limit 500 ms (p99)", producers, took[len(took)/2], p99, took[len(took)-1])
	if big && p99 > 500 {
		t.Errorf("p99 is %.0f ms", p99)
	}
}
