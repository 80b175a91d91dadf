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
	"weir/internal/store/local/localtest"
	"weir/internal/store/storetest"
)

// A disk lost what it had synced: the acknowledged fragments that are damaged are reported one by
// one, by the check and by the start, each once. What is intact plays, and the store goes on.
func TestTornTailOfAcknowledgedFragments(t *testing.T) {
	for form, fill := range forms {
		t.Run(form, func(t *testing.T) { testTornTailOfAcknowledgedFragments(t, fill) })
	}
}

func testTornTailOfAcknowledgedFragments(t *testing.T, fill fillFunc) {
	clean, clock, st, fragments := fill(t, 5)
	last := func(n int) store.Location { return fragments[len(fragments)-n].Location }
	zero := func(t *testing.T, path string, from int64) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(b[from:])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cut := func(t *testing.T, path string, to int64) {
		if err := os.Truncate(path, to); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		tear func(t *testing.T, path string)
		lost int
	}{
		"nothing": {func(*testing.T, string) {}, 0},
		"cut in the payload": {func(t *testing.T, path string) {
			cut(t, path,
				last(1).Offset+last(1).Length-10)
		}, 1},
		"zeroes": {func(t *testing.T, path string) {
			zero(t, path,
				last(1).Offset+last(1).MetaLength+100)
		}, 1},
		"cut in the header": {func(t *testing.T, path string) {
			cut(t, path,
				last(1).Offset+20)
		}, 1},
		"cut in the third": {func(t *testing.T, path string) {
			cut(t, path,
				last(3).Offset+20)
		}, 3},
		"zeroes from the head": {func(t *testing.T, path string) { zero(t, path, last(2).Offset) },
			2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := localtest.CopyDir(t, clean)
			c.tear(t, volumePath(dir, fragments[0]))
			e := embedded{dir: dir}
			x, b, err := e.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			keys := keysOf(t, dir, b)
			r, err := local.CheckSeams(t.Context(), x, b, local.CheckOptions{Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Problems) != c.lost {
				t.Errorf("the check finds %d problems of %d: %v", len(r.Problems), c.lost,
					r.Problems)
			}
			for _, p := range r.Problems {
				if p.Kind != "damaged-fragment" {
					t.Error(p)
				}
			}
			var log bytes.Buffer
			registry := prometheus.NewRegistry()
			s, err := local.New(t.Context(), local.Options{
				Index: x, Volumes: b, Keys: keys, Clock: clock.Now,
				Logger:  slog.New(slog.NewTextHandler(&log, nil)),
				Metrics: local.NewMetrics(registry),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer closeStore(t, s)
			if n := strings.Count(log.String(), "fragment is damaged on disk"); n != c.lost {
				t.Errorf("the start tells of %d of %d\n%s", n, c.lost, &log)
			}
			if n := metric(t, registry, "weir_store_damaged_fragments"); int(n) != c.lost {
				t.Errorf("the metric is %v of %d", n, c.lost)
			}
			goesOnTorn(t, s, st.ID, clock, fragments, c.lost)
			clock.Add(48 * time.Hour)
			defer clock.Add(-48 * time.Hour)
			if err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(volumePath(dir, fragments[0])); err == nil {
				t.Error("past retention its bytes are there")
			}
		})
	}
}

// goesOnTorn appends to and sweeps a store whose last fragments are lost, and reads all others.
func goesOnTorn(t *testing.T, s *local.Store, id store.StreamID, clock *storetest.Clock,
	fragments []store.FragmentInfo, lost int) {
	t.Helper()
	if _, err := storetest.Append(t.Context(), s, id, storetest.Record(clock, 9,
		2000)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatalf("sweep: %v", err)
		}
	}
	l, err := s.List(t.Context(), id, store.Query{})
	if err != nil || len(l) != len(fragments)+1 {
		t.Fatalf("%d fragments are listed: %v", len(l), err)
	}
	for i, f := range l {
		torn := i >= len(fragments)-lost && i < len(fragments)
		if _, err := storetest.ReadPayload(t.Context(), s, id,
			f); (err != nil) != torn || torn && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("fragment %d reads with %v", i, err)
		}
	}
}
