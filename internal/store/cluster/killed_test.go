package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

// Where a node of TestKilled finds what it stands on.
const (
	killedDatabase = "WEIR_TEST_CLUSTER_DATABASE"
	killedObjects  = "WEIR_TEST_CLUSTER_OBJECTS"
	killedStream   = "WEIR_TEST_CLUSTER_STREAM"
	killedRounds   = "WEIR_CLUSTER_ROUNDS" // make cluster-crash sets it
)

// victim is a process that appends and is killed.
type victim struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	acked map[store.Number]int64 // sequences
}

func (v *victim) start(t *testing.T, f *fixture, id store.StreamID) {
	t.Helper()
	v.cmd = exec.Command(os.Args[0], "-test.run=^TestKilled$")
	v.cmd.Env = append(os.Environ(), killedDatabase+"="+f.options.Database,
		killedObjects+"="+f.options.Objects, killedStream+"="+string(id),
		"TMPDIR="+f.options.CacheDir)
	out, err := v.cmd.StdoutPipe()
	must(t, err)
	v.lines = bufio.NewScanner(out)
	must(t, v.cmd.Start())
}

// read takes note of acknowledgements: n of them, or all that come before the process ends.
func (v *victim) read(t *testing.T, n int) {
	t.Helper()
	for i := 0; (n == 0 || i < n) && v.lines.Scan(); i++ {
		var number, sequence int64
		if _, err := fmt.Sscanf(v.lines.Text(), "ack %d %d", &number, &sequence); err != nil {
			t.Fatalf("a node says %q", v.lines.Text())
		}
		v.acked[store.Number(number)] = sequence
	}
}

func (v *victim) kill(t *testing.T) {
	t.Helper()
	must(t, v.cmd.Process.Kill())
	v.read(t, 0) // what it still wrote
	_ = v.cmd.Wait()
}

// Two processes are nodes with producers of the same stream. One after the other is killed at a
// random moment and started again: what was acknowledged is there, once, at the sequence that was
// told, and can be read; sequences have no gap.
func TestKilled(t *testing.T) {
	if os.Getenv(killedStream) != "" {
		appendForever(t)
	}
	t.Parallel()
	rounds := 10
	if n, err := strconv.Atoi(os.Getenv(killedRounds)); err == nil {
		rounds = n
	}
	f := newFixture(t, nil)
	n := f.node()
	st := create(t, n, "cam", 24)
	victims := []*victim{{acked: map[store.Number]int64{}}, {acked: map[store.Number]int64{}}}
	for _, v := range victims {
		v.start(t, f, st.ID)
	}
	for round := range rounds {
		v := victims[round%2]
		v.read(t, 10+round%7)
		v.kill(t)
		if round%3 == 0 {
			must(t, n.Compact(t.Context(), true))
		}
		v.start(t, f, st.ID)
	}
	for _, v := range victims {
		v.kill(t)
	}
	list, err := n.List(t.Context(), st.ID, store.Query{Order: store.BySequence})
	must(t, err)
	got := make(map[store.Number]int64)
	for i, f := range list {
		if f.Sequence != int64(i+1) || got[f.Number] != 0 {
			t.Fatalf("fragment %d, number %d, has sequence %d", i+1, f.Number, f.Sequence)
		}
		got[f.Number] = f.Sequence
		_, err := storetest.ReadPayload(t.Context(), n, st.ID, f)
		must(t, err)
	}
	acked := 0
	for _, v := range victims {
		acked += len(v.acked)
		for number, sequence := range v.acked {
			if got[number] != sequence {
				t.Errorf("fragment %d was acknowledged as %d and is %d", number, sequence,
					got[number])
			}
		}
	}
	t.Logf("%d rounds, %d acknowledged, %d stored", rounds, acked, len(list))
}

// appendForever is the process that is killed.
func appendForever(t *testing.T) {
	dir, err := os.MkdirTemp("", "node")
	must(t, err)
	s, err := cluster.Open(context.Background(), cluster.Options{
		Database: os.Getenv(killedDatabase), Objects: os.Getenv(killedObjects), CacheDir: dir,
		Keys: keysOfTests, Gather: objects.Gathering{Linger: 5 * time.Millisecond},
	})
	must(t, err)
	id := store.StreamID(os.Getenv(killedStream))
	acks := make(chan string)
	clock := storetest.NewClock()
	clock.Add(time.Since(clock.Now()))
	for p := range 4 {
		go func() {
			for {
				f, err := storetest.Append(context.Background(), s, id,
					storetest.Record(clock, uint64(p), 3000))
				if err != nil {
					acks <- err.Error()
					continue
				}
				acks <- fmt.Sprint("ack ", int64(f.Number), " ", f.Sequence)
			}
		}()
	}
	late := time.After(5 * time.Minute) // nobody kills it: the parent died
	for {
		select {
		case line := <-acks:
			fmt.Println(line)
		case <-late:
			os.Exit(1)
		}
	}
}
