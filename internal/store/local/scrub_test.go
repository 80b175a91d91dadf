package local_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

// flip damages one byte of a volume.
func flip(t *testing.T, dir string, f store.FragmentInfo, off int64) {
	t.Helper()
	file, err := os.OpenFile(volumePath(dir, f), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, f.Location.Offset+off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := file.WriteAt(b, f.Location.Offset+off); err != nil {
		t.Fatal(err)
	}
}

// The scrub finds every fragment that the disk has damaged, says so once, and affects nothing else.
func TestScrub(t *testing.T) {
	dir, clock, st, fragments := fill(t, 20)
	e := embedded{dir: dir}
	x, b, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	s, err := local.New(t.Context(), local.Options{
		Index: x, Volumes: b, Clock: clock.Now, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Metrics: local.NewMetrics(registry),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	scrub := func(damaged, lines int) {
		t.Helper()
		if err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := metric(t, registry, "weir_store_damaged_fragments"); got != float64(damaged) {
			t.Errorf("%v fragments are damaged, want %d", got, damaged)
		}
		if got := strings.Count(log.String(), "fragment is damaged"); got != lines {
			t.Errorf("%d lines in the log, want %d:\n%s", got, lines, &log)
		}
	}
	head, payload := fragments[3], fragments[7]
	flip(t, dir, head, record.HeaderSize+5)
	flip(t, dir, payload, payload.Location.Length-1)
	scrub(0, 0) // they are young
	clock.Add(2 * time.Hour)
	scrub(2, 2)
	var bytes int64
	for _, f := range fragments {
		bytes += f.Location.Length
	}
	if got := metric(t, registry, "weir_store_scrubbed_bytes_total"); got > float64(bytes) ||
		got < float64(bytes)*0.9 {
		t.Errorf("%v bytes were read of %d", got, bytes)
	}
	scrub(2, 2)
	for _, f := range fragments {
		_, err := storetest.ReadPayload(t.Context(), s, st.ID, f)
		want := f.Number == head.Number || f.Number == payload.Number
		if errors.Is(err, store.ErrCorrupt) != want || (err != nil) != want {
			t.Errorf("fragment %d reads with %v", f.Number, err)
		}
	}
	if got := metric(t, registry, "weir_store_corrupt_reads_total"); got != 2 {
		t.Errorf("%v corrupt reads", got)
	}
	if err := s.DeleteStream(t.Context(), st.ID, ""); err != nil {
		t.Fatal(err)
	}
	other := newStream(t, s, "other", 24)
	if _, err := storetest.Append(t.Context(), s, other, storetest.Record(clock, 1,
		100)); err != nil {
		t.Fatal(err)
	}
	scrub(0, 2)
}
