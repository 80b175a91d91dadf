package local_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/storetest"
)

// watch is a machine with a wall clock that can be set, and its store, which has one stream with a
// day's retention.
type watch struct {
	t        *testing.T
	dir      string
	wall     *storetest.Clock
	boot     int
	up       time.Duration
	log      bytes.Buffer
	registry *prometheus.Registry
	s        *local.Store
	cam      store.StreamID
	sent     int
}

func newWatch(t *testing.T) *watch {
	w := &watch{t: t, dir: t.TempDir(), wall: storetest.NewClock(), up: time.Hour}
	w.open()
	w.cam = newStream(t, w.s, "cam", 24)
	t.Cleanup(func() { closeStore(t, w.s) })
	return w
}

func (w *watch) open() {
	w.t.Helper()
	e := embedded{dir: w.dir}
	x, b, err := e.Open(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.registry = prometheus.NewRegistry()
	w.s, err = local.New(w.t.Context(), local.Options{
		Index: x, Volumes: b, Clock: w.wall.Now, Metrics: local.NewMetrics(w.registry),
		Uptime: func() (string, time.Duration) { return fmt.Sprint("boot ", w.boot), w.up },
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// restart restarts the server; with off also the machine, which was off for so long.
func (w *watch) restart(off time.Duration) {
	w.t.Helper()
	closeStore(w.t, w.s)
	if off > 0 {
		w.wall.Add(off)
		w.boot, w.up = w.boot+1, 5*time.Second
	}
	w.open()
}

// send stores a fragment in an hour of its own.
func (w *watch) send() {
	w.t.Helper()
	w.sent++
	if _, err := storetest.Append(w.t.Context(), w.s, w.cam, storetest.Record(w.wall,
		uint64(w.sent), 1000)); err != nil {
		w.t.Fatal(err)
	}
}

// run moves all clocks on; the server checks them every ten seconds and sweeps every minute.
func (w *watch) run(d time.Duration) {
	w.t.Helper()
	for ; d > 0; d -= 10 * time.Second {
		step := min(d, 10*time.Second)
		w.wall.Add(step)
		w.up += step
		if err := w.s.CheckClock(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if d%time.Minute == 0 || d <= 10*time.Second {
			if err := w.s.Sweep(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// has wants so many fragments to be visible, and so many to have bytes.
func (w *watch) has(want int) {
	w.t.Helper()
	l, err := w.s.List(w.t.Context(), w.cam, store.Query{})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(l) != want {
		w.t.Fatalf("%d fragments are listed, not %d\n%s", len(l), want, &w.log)
	}
	for _, f := range l {
		if _, err := storetest.ReadPayload(w.t.Context(), w.s, w.cam, f); err != nil {
			w.t.Fatal(err)
		}
	}
	if gone := swept(w.t, w.registry); gone > w.sent-want {
		w.t.Fatalf("%d volumes are swept of %d, %d are wanted", gone, w.sent, want)
	}
}

func swept(t *testing.T, r *prometheus.Registry) int {
	return int(metric(t, r, "weir_store_swept_volumes_total"))
}

func (w *watch) behind(want time.Duration) {
	w.t.Helper()
	if got := metric(w.t, w.registry,
		"weir_store_retention_behind_seconds"); got < want.Seconds()-60 || got > want.Seconds()+60 {
		w.t.Fatalf("retention is %v s behind, not %v", got, want)
	}
}

const tenYears = 10 * 365 * 24 * time.Hour

// The clock is ten years ahead for 70 seconds: only what is past retention by real time goes.
func TestClockJumpsAheadAndBack(t *testing.T) {
	w := newWatch(t)
	w.send()
	w.run(23*time.Hour + 50*time.Minute)
	w.send()
	session := store.Session{ID: "s", Stream: w.cam, CreatedMillis: w.wall.Now().UnixMilli(),
		ExpiresMillis: w.wall.Now().Add(time.Hour).UnixMilli()}
	if _, err := w.s.OpenSession(t.Context(), session, 5); err != nil {
		t.Fatal(err)
	}
	w.wall.Add(tenYears)
	w.run(70 * time.Second)
	w.has(2)
	w.behind(tenYears)
	if n := strings.Count(w.log.String(), "clock jumped"); n != 1 {
		t.Fatalf("the jump is told %d times:\n%s", n, &w.log)
	}
	w.restart(0) // in the middle
	w.run(time.Minute)
	w.has(2)
	w.wall.Add(-tenYears)
	w.run(time.Minute)
	w.behind(0)
	if _, err := w.s.Session(t.Context(), "s"); err != nil {
		t.Fatalf("the session is over: %v", err)
	}
	w.has(2)
	w.run(10 * time.Minute) // the first is a day old
	w.has(1)
	if swept(t, w.registry) != 1 {
		t.Fatal("its bytes are there")
	}
}

// A clock that was corrected, and stays, is followed after ten minutes, also across restarts of the
// server. In the meantime, what is past retention by real time goes.
func TestClockSetAhead(t *testing.T) {
	w := newWatch(t)
	w.send()
	w.run(23*time.Hour + 55*time.Minute)
	w.send()
	w.wall.Add(48 * time.Hour)
	w.run(4 * time.Minute)
	w.has(2)
	w.restart(0)
	w.run(4 * time.Minute)
	w.has(1) // the first one is a day old by now
	w.send()
	w.run(3 * time.Minute)
	w.has(1) // that one
	w.behind(0)
	if swept(t, w.registry) != 2 || !strings.Contains(w.log.String(), "goes by the clock again") {
		t.Fatalf("%d are swept\n%s", swept(t, w.registry), &w.log)
	}
}

// A clock that jumps again and again is never followed.
func TestClockThatIsNotSteady(t *testing.T) {
	w := newWatch(t)
	w.send()
	for range 10 {
		w.wall.Add(24 * time.Hour)
		w.run(9 * time.Minute)
	}
	w.has(1)
}

// A machine was off for a month: what is past retention goes after ten minutes. One without a
// battery starts in 1970.
func TestMachineWasOff(t *testing.T) {
	for name, battery := range map[string]bool{"with a battery": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			w := newWatch(t)
			w.send()
			w.run(time.Hour)
			now := w.wall.Now()
			w.restart(30 * 24 * time.Hour)
			if !battery {
				w.wall.Add(time.UnixMilli(1000).Sub(w.wall.Now()))
				w.restart(time.Second)
				w.run(20 * time.Minute)
				w.has(1)
				// the time comes from the network
				w.wall.Add(now.Add(30 * 24 * time.Hour).Sub(w.wall.Now()))
			}
			w.run(9 * time.Minute)
			w.has(1)
			w.run(2 * time.Minute)
			w.has(0)
			if swept(t, w.registry) != 1 {
				t.Fatal("its bytes are there")
			}
		})
	}
}

// The clock of a machine that slept has moved on: that is no jump.
func TestMachineSlept(t *testing.T) {
	w := newWatch(t)
	w.send()
	w.wall.Add(25 * time.Hour)
	w.up += 25 * time.Hour
	w.run(time.Minute)
	w.has(0)
	if strings.Contains(w.log.String(), "jump") {
		t.Fatal(&w.log)
	}
}

// What is deleted on purpose goes at once, whatever the clock does.
func TestDeletedWhileTheClockIsWrong(t *testing.T) {
	w := newWatch(t)
	w.send()
	w.run(5 * time.Hour)
	w.send()
	w.wall.Add(tenYears)
	retention := func(hours int) {
		t.Helper()
		_, err := w.s.UpdateStream(t.Context(), w.cam, "",
			func(s *store.Stream) error { s.RetentionHours = hours; return nil })
		if err != nil {
			t.Fatal(err)
		}
		w.run(time.Minute)
	}
	retention(3)
	w.has(1)
	if swept(t, w.registry) != 1 {
		t.Fatal("a shorter retention frees nothing")
	}
	retention(0)
	if swept(t, w.registry) != 2 {
		t.Fatal("no retention frees nothing")
	}
}

// What was stamped by a clock that was ahead is alone in its volume, so that nothing else is kept
// with it.
func TestVolumeOfAClockThatWasAhead(t *testing.T) {
	w := newWatch(t)
	w.send()
	w.wall.Add(tenYears)
	w.send()
	w.wall.Add(-tenYears)
	w.send()
	w.run(25 * time.Hour)
	w.has(1)
	if swept(t, w.registry) != 2 {
		t.Fatalf("%d volumes are swept", swept(t, w.registry))
	}
}
