package cluster_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/storetest"
)

// values reads the values of a metric, by the value of its one label.
func values(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			label := ""
			for _, l := range m.GetLabel() {
				label = l.GetValue()
			}
			all[label] = m.GetCounter().GetValue() + m.GetGauge().GetValue() +
				float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// What a node does is counted: fragments, commits, requests, hits of the cache, compaction, leases.
func TestMetrics(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	reg := prometheus.NewRegistry()
	n := newFixture(t, clock).node(func(o *cluster.Options) { o.Metrics = cluster.NewMetrics(reg) })
	st := create(t, n, "cam", 24)
	rec := storetest.Record(clock, 1, 3000)
	first, err := storetest.Append(t.Context(), n, st.ID, rec)
	must(t, err)
	rec.Arrival = &store.Arrival{}
	if _, err := storetest.Append(t.Context(), n, st.ID, rec); err == nil {
		t.Fatal("a resend is stored")
	}
	reads(t, n, st.ID, first, 1)
	reads(t, n, st.ID, first, 1)
	held, err := n.Hold(t.Context(), st.ID)
	must(t, err)
	must(t, held.Compact(t.Context(), st.ID))
	for _, want := range []struct {
		name, label string
		least, most float64
	}{
		{"weir_store_appends_total", "stored", 1, 1},
		{"weir_store_appends_total", "raced", 1, 1},
		{"weir_store_appends_total", "failed", 0, 0}, // there before the first, for alerts
		{"weir_store_background_failures_total", "sweep", 0, 0},
		{"weir_store_background_failures_total", "compact", 0, 0},
		{"weir_store_append_bytes_total", "", float64(first.Size()), float64(first.Size())},
		{"weir_store_append_seconds", "", 1, 1},
		{"weir_store_commit_batch_rows", "", 2, 2},
		{"weir_store_commit_seconds", "", 2, 8},
		{"weir_store_object_seconds", "put", 3, 30},
		{"weir_store_object_bytes_total", "read", float64(first.Size()), 1e6},
		{"weir_store_cache_reads_total", "miss", 1, 1},
		{"weir_store_cache_reads_total", "hit", 1, 1},
		{"weir_store_compacted_objects_total", "", 1, 1},
		{"weir_store_leases_held", "", 1, 1},
	} {
		got, ok := values(t, reg, want.name)[want.label]
		if !ok || got < want.least || got > want.most {
			t.Errorf("%s %s is %v", want.name, want.label, got)
		}
	}
}
