package server

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
)

// mediaMetrics are metrics of GetMedia, besides the bytes and requests that every operation has.
type mediaMetrics struct {
	connections prometheus.Gauge     // GetMedia.ActiveConnections
	fragments   prometheus.Counter   // GetMedia.OutgoingFragments
	behind      prometheus.Histogram // GetMedia.MillisBehindNow
	errors      prometheus.Counter   // GetMedia.ConnectionErrors
}

func newMediaMetrics(reg prometheus.Registerer) (*mediaMetrics, error) {
	m := &mediaMetrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_get_media_connections",
			Help: "Connections of GetMedia now (CloudWatch: GetMedia.ActiveConnections).",
		}),
		fragments: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_get_media_fragments_total",
			Help: "Fragments sent by GetMedia (CloudWatch: GetMedia.OutgoingFragments).",
		}),
		behind: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_get_media_behind_seconds",
			Help: "Time from the arrival of a fragment's first byte until GetMedia had sent it " +
				"(CloudWatch: GetMedia.MillisBehindNow).",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 600, 3600, 86400},
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_get_media_connection_errors_total",
			Help: "Connections of GetMedia refused, or broken off before the client left " +
				"(CloudWatch: GetMedia.ConnectionErrors).",
		}),
	}
	for _, c := range []prometheus.Collector{m.connections, m.fragments, m.behind, m.errors} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// failed counts a connection that a limit refused.
func (m *mediaMetrics) failed(err error) {
	if errors.Is(err, &api.Error{Code: api.ConnectionLimitExceededException}) {
		m.errors.Inc()
	}
}
