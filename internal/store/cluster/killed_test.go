package cluster_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

// Where a process of TestKilled finds its servers.
const (
	killedDatabase = "WEIR_TEST_CLUSTER_DATABASE"
	killedObjects  = "WEIR_TEST_CLUSTER_OBJECTS"
	killedStream   = "WEIR_TEST_CLUSTER_STREAM"
	killedRounds   = "WEIR_CLUSTER_ROUNDS" // make cluster-crash sets it
)

// victim is a process that appends and is then killed.
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

// read reads acknowledgements: n of them, or all until the process ends.
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

// Two processes are nodes with producers of the same stream. Meanwhile they sweep, compact, and
// delete other streams and fragments. By turns one is killed at a random moment and started again.
// Whatever was acknowledged is there, once, with the sequence that was reported, and can be read;
// sequences have no gap; and in the end every object is referred to.
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
	create(t, n, "short", 1)
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
	noneLeft(t, n, list)
}

// noneLeft deletes all streams but the one with the listed fragments, and finds no other objects in
// the end.
func noneLeft(t *testing.T, n *node, list []store.FragmentInfo) {
	t.Helper()
	streams, err := n.ListStreams(t.Context(), "", "", 0)
	must(t, err)
	for _, st := range streams {
		if st.Name != "cam" {
			must(t, n.DeleteStream(t.Context(), st.ID, ""))
		}
	}
	used := make(map[string]bool)
	for _, f := range list {
		used[f.Location.Volume] = true
	}
	n.SetOrphans(time.Millisecond, time.Nanosecond)
	var left []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		// Sweep does nothing while a node that was killed still holds the lease. With ages this
		// short the other nodes may forget this one as well: a long pass then ends when this node
		// joins again.
		if err := n.Sweep(t.Context()); !errors.Is(err, rows.ErrLease) {
			must(t, err)
		}
		left = slices.DeleteFunc(append(keys(t, n, "b/"), keys(t, n, "s/")...),
			func(key string) bool { return used[key] })
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("objects that nobody refers to: %q", left)
}

// appendForever is the process that is killed.
func appendForever(t *testing.T) {
	dir, err := os.MkdirTemp("", "node")
	must(t, err)
	s, err := cluster.Open(context.Background(), cluster.Options{
		Database: os.Getenv(killedDatabase), Objects: os.Getenv(killedObjects), CacheDir: dir,
		Keys: keysOfTests, Gather: objects.Gathering{Linger: 5 * time.Millisecond},
		SweepInterval: 100 * time.Millisecond, LeaseTime: time.Second, CompactBytes: 100_000,
		OrphanAge: 30 * time.Second, OrphanInterval: time.Second,
	})
	must(t, err)
	go func() { _ = s.Run(context.Background()) }() // ends with the process
	go deleteForever(s)
	id := store.StreamID(os.Getenv(killedStream))
	st, err := s.StreamByID(context.Background(), id)
	must(t, err)
	acks := make(chan string)
	// All processes send the same fragments. So what one of them put without committing it is
	// stored anyway, and the sweep need not keep it as something that somebody may miss.
	clock := storetest.NewClock()
	clock.Add(time.UnixMilli(st.CreatedMillis).Sub(clock.Now()))
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

// deleteForever creates streams and deletes them with their fragments, and appends fragments to
// another stream that are past its retention.
func deleteForever(s *cluster.Store) {
	ctx := context.Background()
	past := storetest.NewClock()
	past.Add(time.Since(past.Now()) - 2*time.Hour)
	for {
		short, err := s.Stream(ctx, "short")
		var st store.Stream
		if err == nil {
			st, err = s.CreateStream(ctx, store.Stream{Name: rand.Text(), RetentionHours: 1})
		}
		for i := 0; err == nil && i < 4; i++ {
			to := []store.StreamID{st.ID, short.ID}[i%2]
			_, err = storetest.Append(ctx, s, to, storetest.Record(past, uint64(i), 3000))
		}
		if err == nil {
			err = s.DeleteStream(ctx, st.ID, "")
		}
		if err != nil {
			fmt.Println("deleting failed:", err) // which fails the test
		}
	}
}
