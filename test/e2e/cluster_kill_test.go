package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"weir/test/output"
)

// roam pushes to one node after the other until stop is closed, whatever becomes of each, and notes
// the errors that were acknowledged.
func (c *crashCamera) roam(stop <-chan struct{}, errs *output.Buffer, node func() *server) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if err := c.push(node()); err != nil {
			fmt.Fprintln(errs, err)
		}
		time.Sleep(20 * time.Millisecond) // as a producer does, so that it is not refused for haste
	}
}

// acknowledged returns how many fragments have their PERSISTED.
func (c *crashCamera) acknowledged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acked)
}

// Of three nodes, one after the other is killed and another one starts in its place, while cameras
// send to whichever is there and streams are deleted. What was acknowledged is there, once and
// unaltered, and nothing that was deleted comes back.
func TestClusterKillNine(t *testing.T) {
	waits(t)
	rounds := 10
	if n, err := strconv.Atoi(os.Getenv("WEIR_CLUSTER_ROUNDS")); err == nil {
		rounds = n
	}
	site := newClusterSite(t)
	var mu sync.Mutex
	nodes := []*server{site.node(), site.node(), site.node()}
	at := func(i int) *server {
		mu.Lock()
		defer mu.Unlock()
		return nodes[i%len(nodes)]
	}
	base := time.Now().Add(-48 * time.Hour).UnixMilli()
	kept := []*crashCamera{
		{stream: "kept0", base: base, acked: map[int]string{}},
		{stream: "kept1", base: base, acked: map[int]string{}},
	}
	stop := make(chan struct{})
	var roaming sync.WaitGroup
	errs := &output.Buffer{}
	for i, c := range kept {
		at(0).run("weir", "create-stream", "--stream-name", c.stream, "--data-retention-in-hours",
			"2")
		turn := i
		roaming.Go(func() {
			c.roam(stop, errs, func() *server { turn++; return at(turn) })
		})
	}
	gone := 0
	for round := range rounds {
		victim, witness := at(round), at(round+1)
		was := kept[0].acknowledged() + kept[1].acknowledged()
		within(t, time.Minute, "a camera goes on", func() bool {
			return kept[0].acknowledged()+kept[1].acknowledged() > was
		})
		gone += killInClusterDeletion(t, victim, witness,
			base+int64(round+1)*time.Minute.Milliseconds(), base)
		next := site.node()
		mu.Lock()
		nodes[round%len(nodes)] = next
		mu.Unlock()
	}
	close(stop)
	roaming.Wait()
	for _, c := range kept {
		for i := range nodes {
			c.check(t, at(i))
		}
		t.Logf("%s: %d fragments acknowledged over %d kills", c.stream, len(c.acked), rounds)
		if len(c.acked) == 0 {
			t.Error("nothing was acknowledged: the test showed nothing")
		}
	}
	t.Logf("%d fragments of deleted streams are gone; producers were told:\n%s", gone, errs)
}

// killInClusterDeletion creates a stream, whose earlier lives have left nothing, lets a camera push
// to one node, deletes the stream at the other one and kills the first meanwhile. It returns how
// many fragments were acknowledged. The lives of the stream are told apart by the times of their
// fragments: this one's begin at base, the first one's at since.
func killInClusterDeletion(t *testing.T, victim, witness *server, base, since int64) int {
	t.Helper()
	c := &crashCamera{stream: "deleted", base: base, acked: map[int]string{}}
	witness.run("weir", "create-stream", "--stream-name", c.stream, "--data-retention-in-hours",
		"2")
	c.checkOthers(t, witness, since)
	arn := streamARN(witness, c.stream)
	var pushing sync.WaitGroup
	pushing.Go(func() { _ = c.push(victim) }) // ends with the stream, or the node
	within(t, time.Minute, "a fragment of the stream is acknowledged", func() bool {
		return c.acknowledged() > 0
	})
	pushing.Go(func() { witness.run("weir", "delete-stream", "--stream-arn", arn) })
	time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond) // the moment is the test's input
	victim.kill()
	pushing.Wait()
	return len(c.acked)
}
