package live

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the live edge does, over all streams.
type Metrics struct {
	followers prometheus.Gauge
	cutOff    prometheus.Counter
	latency   prometheus.Histogram
}

// NewMetrics registers the metrics of the live edge. The error is the registerer's.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{m.followers, m.cutOff, m.latency} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	return &Metrics{
		followers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_live_followers",
			Help: "Readers that follow a stream frame by frame."}),
		cutOff: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_live_cut_off_total",
			Help: "Readers that were too slow for a fragment and went on with the store."}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_live_frame_seconds",
			Help:    "A frame's arrival to its first delivery to a reader.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}}),
	}
}
