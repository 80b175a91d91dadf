package local_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store/local"
)

// A server's first failed append is an increase to Prometheus: the series is there before.
func TestFailuresBeginAtZero(t *testing.T) {
	reg := prometheus.NewRegistry()
	local.NewMetrics(reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "weir_store_appends_total" && l.GetValue() == "failed" &&
					m.GetCounter().GetValue() == 0 {
					return
				}
			}
		}
	}
	t.Error("no weir_store_appends_total{result=\"failed\"} before the first failure")
}
