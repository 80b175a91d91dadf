package playback

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts requests of sessions with parts, over all streams.
type Metrics struct {
	blocked   prometheus.Gauge
	refused   prometheus.Counter
	parts     prometheus.Counter
	playlists prometheus.Counter
}

// NewMetrics registers the metrics of playback. The error is the registerer's.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{m.blocked, m.refused, m.parts, m.playlists} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	return &Metrics{
		blocked: prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_hls_blocked_requests",
			Help: "Requests for low-latency playlists and parts that wait for more media."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_hls_blocked_refused_total",
			Help: "Such requests refused because too many wait.",
		}),
		parts: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_hls_parts_total",
			Help: "Parts of segments sent to low-latency players."}),
		playlists: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_hls_playlists_written_total",
			Help: "Low-latency playlists written: one per state of a playlist, however many " +
				"players ask for it."}),
	}
}
