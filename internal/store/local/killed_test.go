package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"weir/internal/store"
	"weir/internal/store/storetest"
)

// TestKilled starts this test's binary as a server that appends, kills it with SIGKILL at a random
// moment, and looks for what it had acknowledged. It repeats that in the same directory.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("WEIR_TEST_APPEND_TO"); dir != "" {
		appendForever(t, dir)
	}
	dir := t.TempDir()
	clock := storetest.NewClock()
	acked := make(map[store.Number]int64)
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "WEIR_TEST_APPEND_TO="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var number, sequence int64
			if _, err := fmt.Sscanf(lines.Text(), "ack %d %d", &number, &sequence); err != nil {
				t.Errorf("the server says %q", lines.Text())
				continue
			}
			acked[store.Number(number)] = sequence
			if n == 30+round*17 {
				// read to the end what it has written
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
		got := make(map[store.Number]int64)
		for i, f := range checkDir(t, dir, clock) {
			if f.Sequence != int64(i+1) {
				t.Fatalf("fragment %d has sequence %d", i+1, f.Sequence)
			}
			got[f.Number] = f.Sequence
		}
		for n, sequence := range acked {
			if got[n] != sequence {
				t.Fatalf("fragment %d was acknowledged as %d and is %d", n, sequence, got[n])
			}
		}
	}
}

func appendForever(t *testing.T, dir string) {
	clock := storetest.NewClock()
	s := openStore(t, dir, clock)
	st, err := s.Stream(t.Context(), "cam")
	if errors.Is(err, store.ErrNotFound) {
		st, err = s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 24})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	acks := make(chan string)
	for p := range 4 {
		go func() {
			for i := 0; ; i++ {
				f, err := storetest.Append(context.Background(), s, st.ID,
					storetest.Record(clock, uint64(p), 20_000))
				if err != nil {
					acks <- err.Error()
					continue
				}
				acks <- "ack " + strconv.FormatInt(int64(f.Number), 10) + " " +
					strconv.FormatInt(f.Sequence, 10)
			}
		}()
	}
	late := time.After(time.Minute) // nobody kills it: the parent died
	for {
		select {
		case line := <-acks:
			fmt.Println(line)
		case <-late:
			os.Exit(1)
		}
	}
}
