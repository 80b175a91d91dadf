package e2e_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Producers of fragments of 45 MB, near the service's limit, are served within the memory that
// docs/operations.md gives. `make attack` does it with 48 of them, twice what the memory for
// fragments holds, and prints the figures.
func TestLargeFragments(t *testing.T) {
	load := largeFragments{server: start(t, "", "--ingest-memory", "1GiB"), producers: 4}
	if os.Getenv("WEIR_ATTACK") != "" {
		load.producers, load.time, load.pace = 48, time.Minute, 200*time.Millisecond
	}
	var producers sync.WaitGroup
	for i := range load.producers {
		stream := fmt.Sprint("cam", i)
		load.server.run("weir", "create-stream", "--stream-name", stream,
			"--data-retention-in-hours", "1")
		producers.Go(func() { load.produce(stream) })
	}
	producers.Wait()
	peak := peakMB(t, load.server.cmd.Process.Pid)
	t.Logf("%d producers sent %d MB: %d fragments stored, %d told to try again, %d MB at most",
		load.producers, load.sent.Load()>>20, load.stored.Load(), load.refused.Load(), peak)
	if load.time == 0 && load.stored.Load() != int64(load.producers) {
		t.Errorf("%d of %d fragments stored", load.stored.Load(), load.producers)
	}
	const buffer = 58 // MiB that a fragment of 45 takes at most
	// The heap may grow to twice what is used, below the limit of the process.
	if most := 300 + min(2*load.producers*buffer, 1024*5/4); peak > most {
		t.Errorf("the server took %d MB, more than %d", peak, most)
	}
}

// largeFragments is a load of producers, and what became of what they sent.
type largeFragments struct {
	server                *server
	producers             int
	time                  time.Duration // 0: one fragment each
	pace                  time.Duration // pause after each MiB
	sent, stored, refused atomic.Int64
}

// produce sends fragments to a stream, on a new connection after each error, until the load's time
// is over.
func (l *largeFragments) produce(stream string) {
	block := element(0xA3, []byte{0x81, 0, 0, 0x80}, []byte{0, 0xF, 0xFF, 0xFC, 0x65, 0x80},
		make([]byte, 1<<20-6))
	end := time.Now().Add(l.time)
	for first := true; first || time.Now().Before(end); first = false {
		p, err := connect(l.server, stream)
		if err != nil {
			l.server.t.Error(err)
			return
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for a, err := p.next(); err == nil; a, err = p.next() {
				switch a.EventType {
				case "PERSISTED":
					l.stored.Add(1)
				case "ERROR":
					l.refused.Add(1)
				}
			}
		}()
		_, err = p.body.Write(syntheticHeader())
		for first := true; err == nil && (first || time.Now().Before(end)); first = false {
			_, err = p.body.Write(clusterHead(time.Now().UnixMilli()))
			for n := 0; n < 45 && err == nil; n++ {
				_, err = p.body.Write(block)
				l.sent.Add(1 << 20)
				time.Sleep(l.pace)
			}
		}
		if err == nil {
			p.body.Write(endOfFragment())
			p.body.Close()
			p.conn.Write([]byte("\r\n")) // the end of the body's trailer
		}
		<-ended
		p.conn.Close()
	}
}

// peakMB is the most that a process has had in memory.
func peakMB(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "VmHWM:")
	kB, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kB >> 10
}
