package e2e_test

import (
	"flag"
	"math"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How tests share the machine. A test that says nothing runs alone, before the others: it measures,
// or needs the processors or the disk for itself. Then come those that are exact:
//
//   - exact(t): a rule about time is tested, with little work for the processors. These run
//     together, and nothing beside them.
//
// The others begin together when those have ended, and take turns:
//
//   - waits(t): the test waits most of the time, for media that come in real time, for an answer,
//     for one short program after another. Twice as many of these run at a time as there are
//     processors.
//   - works(t): the test keeps a processor busy: a browser that shows video, an encoder. As many of
//     these run as there are processors.
//   - worksLongest(t): works(t), first of all: nothing should wait for it in the end.
//
// A test whose subtests take turns calls prepares(t), and works only to prepare them: one that held
// a turn while its subtests wait for theirs could wait for ever. A program that keeps a processor
// busy and is in no hurry is told so: polite(t, command).
var (
	exacts  sync.WaitGroup
	waiters = turns(2)
	workers = turns(1)
	bounded bool // by -parallel
)

// turns are how many there are for each processor. A machine with one processor has as many as one
// with two: it takes longer, but does not do other things.
func turns(each int) chan struct{} {
	return make(chan struct{}, each*max(2, runtime.GOMAXPROCS(0)))
}

// turnsNotSlots lets all tests that call t.Parallel begin, so that turns alone decide who runs. A
// bound that was asked for with -parallel holds as well.
func turnsNotSlots() error {
	flag.Parse()
	flag.Visit(func(f *flag.Flag) { bounded = bounded || f.Name == "test.parallel" })
	if bounded {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(math.MaxInt32))
}

// exact counts the test before t.Parallel, while no test takes turns yet. Under a bound it runs
// alone: those that wait for it could have all slots.
func exact(t *testing.T) {
	if bounded {
		return
	}
	exacts.Add(1)
	t.Cleanup(exacts.Done)
	t.Parallel()
}

func prepares(t *testing.T) {
	t.Parallel()
	exacts.Wait()
}

func waits(t *testing.T) {
	prepares(t)
	waiters <- struct{}{}
	ends(t, waiters)
}

func works(t *testing.T) {
	prepares(t)
	workers <- struct{}{}
	ends(t, workers)
}

// ends gives a turn back when the test has ended, and logs how long the test took: the time that
// go test shows includes the wait for the turn.
func ends(t *testing.T, turns chan struct{}) {
	began := time.Now()
	t.Cleanup(func() { // the first cleanup runs last, when the server has ended
		t.Logf("the turn took %.1f s", time.Since(began).Seconds())
		<-turns
	})
}

// worksLongest takes its turn before t.Parallel, while no test takes turns yet.
func worksLongest(t *testing.T) {
	t.Helper()
	select {
	case workers <- struct{}{}:
	default:
		t.Fatal("more tests ask to be the first than can run at a time")
	}
	prepares(t)
	ends(t, workers)
}

// polite lets a command that was started, and what it starts, have what others leave of the
// processors.
func polite(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, 10); err != nil {
		t.Fatal(err)
	}
}
