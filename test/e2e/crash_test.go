package e2e_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// crashCamera is one producer of the kill -9 test; it resends what it has no PERSISTED for, as the
// SDKs do.
type crashCamera struct {
	stream string
	base   int64 // timecode of fragment 0, milliseconds since the epoch
	round  int   // fragments it sends at most in a round; 0: crashRound

	mu    sync.Mutex
	acked map[int]string // fragment → number, from its PERSISTED
	next  int            // the first fragment that has no PERSISTED
}

const (
	crashWindow = 8   // fragments sent ahead of their PERSISTED
	crashRound  = 120 // fragments a camera sends at most in a round
)

// push sends until the connection breaks, the round's share is sent, or an error is acknowledged.
func (c *crashCamera) push(s *server) error {
	p, err := connect(s, c.stream)
	if err != nil {
		return nil // the server was killed before it answered
	}
	c.mu.Lock()
	from := c.next
	c.mu.Unlock()
	round := cmp.Or(c.round, crashRound)
	window := make(chan struct{}, crashWindow)
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Add(1)
	go func() {
		defer sender.Done()
		if _, err := p.body.Write(syntheticHeader()); err != nil {
			return
		}
		for k := from; k < from+round; k++ {
			select {
			case window <- struct{}{}:
			case <-stop:
				return
			}
			cluster := syntheticCluster(c.base+int64(k)*syntheticMillis,
				syntheticPayload(c.stream, k, crashSize(k)))
			if _, err := p.body.Write(cluster); err != nil {
				return
			}
		}
		p.body.Write(endOfFragment())
	}()
	defer sender.Wait()
	defer close(stop)
	defer p.conn.Close()
	for {
		a, err := p.next()
		if err != nil {
			return nil
		}
		switch a.EventType {
		case "ERROR":
			return fmt.Errorf("%s: ERROR acknowledgement %d %s", c.stream, a.ErrorId, a.ErrorCode)
		case "PERSISTED":
			k := int((a.FragmentTimecode - c.base) / syntheticMillis)
			c.mu.Lock()
			c.acked[k] = a.FragmentNumber
			c.next = max(c.next, k+1)
			c.mu.Unlock()
			<-window
			if k == from+round-1 {
				return nil
			}
		}
	}
}

func crashSize(k int) int { return 2000 + k%7*3000 }

// Whatever was acknowledged PERSISTED before a kill -9 is there afterwards, once, and unaltered.
func TestKillNineLosesNothingAcknowledged(t *testing.T) {
	waits(t)
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("WEIR_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	const cameras = 4
	s := start(t, "")
	base := time.Now().Add(-time.Hour).UnixMilli()
	all := make([]*crashCamera, cameras)
	for i := range all {
		all[i] = &crashCamera{stream: fmt.Sprintf("crash%d", i), base: base,
			acked: map[int]string{}}
		s.run("weir", "create-stream", "--stream-name", all[i].stream, "--data-retention-in-hours",
			"2")
	}
	for round := range rounds {
		var cams sync.WaitGroup
		errs := make([]error, cameras)
		for i, c := range all {
			cams.Add(1)
			go func() {
				defer cams.Done()
				errs[i] = c.push(s)
			}()
		}
		killAt := time.Duration(50+rand.IntN(500)) * time.Millisecond
		time.Sleep(killAt) // the moment of the crash is the test's input
		s.kill()
		cams.Wait()
		for _, err := range errs {
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		s = start(t, s.Data)
		for _, c := range all {
			c.check(t, s)
		}
	}
	total := 0
	for _, c := range all {
		total += len(c.acked)
	}
	t.Logf("%d fragments acknowledged over %d crashes", total, rounds)
	if total == 0 {
		t.Fatal("nothing was acknowledged: the test showed nothing")
	}
}

// check compares the acknowledgements with what a player gets.
func (c *crashCamera) check(t *testing.T, s *server) {
	t.Helper()
	if len(c.acked) == 0 {
		return
	}
	// A playlist has at most 5,000 fragments; the acknowledged ones are looked at in slices of that
	// size.
	last := 0
	for k := range c.acked {
		last = max(last, k)
	}
	stored := map[int]string{} // fragment → URL
	for from := 0; from <= last; from += 4000 {
		at := func(k int) time.Time { return time.UnixMilli(c.base + int64(k)*syntheticMillis) }
		u := s.hls(c.stream, "--playback-mode", "ON_DEMAND",
			"--max-media-playlist-fragment-results", "5000",
			"--hls-fragment-selector", selector("PRODUCER_TIMESTAMP", at(from), at(from+3999)),
			"--display-fragment-timestamp", "ALWAYS")
		c.collect(t, s, u, stored)
	}
	for k, number := range c.acked {
		u, ok := stored[k]
		if !ok {
			t.Fatalf("%s: fragment %d was acknowledged PERSISTED and is gone", c.stream, k)
		}
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Query().Get("FragmentNumber"); got != number {
			t.Fatalf("%s: fragment %d was acknowledged as %s and is stored as %s", c.stream, k,
				number, got)
		}
		want := bytes.Join(syntheticPayload(c.stream, k, crashSize(k)), nil)
		if got := mdat(t, mustGet(t, u)); !bytes.Equal(got, want) {
			t.Fatalf("%s: fragment %d was altered", c.stream, k)
		}
	}
}

// collect maps the fragments of a media playlist by their program date-time; one that is there
// twice is an error.
func (c *crashCamera) collect(t *testing.T, s *server, master string, stored map[int]string) {
	t.Helper()
	playlist := mediaPlaylist(master, 1)
	k := -1
	for line := range strings.Lines(string(mustGet(t, playlist))) {
		line = strings.TrimSpace(line)
		if date, ok := strings.CutPrefix(line, "#EXT-X-PROGRAM-DATE-TIME:"); ok {
			at, err := time.Parse(time.RFC3339Nano, date)
			if err != nil {
				t.Fatal(err)
			}
			k = int((at.UnixMilli() - c.base) / syntheticMillis)
		} else if line != "" && !strings.HasPrefix(line, "#") {
			if _, twice := stored[k]; twice {
				t.Fatalf("%s: fragment %d is there twice", c.stream, k)
			}
			stored[k] = s.URL + "/hls/v1/" + line
		}
	}
}
