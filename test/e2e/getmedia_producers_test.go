package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// Two cameras send to one stream at a time, and a consumer follows it. Numbers rise, and the
// consumer gets every frame of every fragment that ListFragments lists, once.
func TestGetMediaOfTwoProducers(t *testing.T) {
	waits(t)
	const fragments, bytes = 40, 30_000
	s := start(t, "")
	s.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "2")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	frames := 0
	base := time.Now().Add(-time.Hour).UnixMilli()
	var producers [2]*putMedia
	for i := range producers {
		p, err := connect(s, "cam")
		if err != nil {
			t.Fatal(err)
		}
		defer p.conn.Close()
		producers[i] = p
	}
	var sent sync.WaitGroup
	for i, p := range producers {
		for k := range fragments {
			frames += len(syntheticPayload(fmt.Sprint("cam", i), k, bytes))
		}
		sent.Go(func() { // errors show as missing acknowledgements
			p.body.Write(syntheticHeader())
			for k := range fragments {
				p.body.Write(syntheticCluster(base+int64(k)*2000+int64(i)*700,
					syntheticPayload(fmt.Sprint("cam", i), k, bytes)))
			}
			p.body.Write(endOfFragment())
		})
	}
	c := &consumer{server: func() *server { return s }, stream: "cam"}
	if err := c.follow(ctx, frames); err != nil {
		t.Fatal(err)
	}
	sent.Wait()
	for _, p := range producers {
		p.persisted(t, fragments)
	}
	if listed := s.numbers("weir", "cam"); len(listed) != 2*fragments ||
		!slices.Equal(c.numbers, listed) || c.answers != 1 {
		t.Errorf("%d answers with %v\nlisted are %v", c.answers, c.numbers, listed)
	}
	of := map[string]int{} // frames by what they hold
	for _, unit := range c.units {
		of[string(unit)]++
	}
	for i := range producers {
		for k := range fragments {
			for n, frame := range syntheticPayload(fmt.Sprint("cam", i), k, bytes) {
				if of[string(frame)] != 1 {
					t.Fatalf("frame %d of fragment %d of camera %d came %d times", n, k, i,
						of[string(frame)])
				}
			}
		}
	}
}
