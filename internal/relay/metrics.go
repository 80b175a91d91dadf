package relay

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what nodes send each other, over all streams.
type Metrics struct {
	streams  prometheus.Gauge
	readers  prometheus.Gauge
	received prometheus.Counter
	sent     prometheus.Counter
	cutOff   prometheus.Counter
	errors   *prometheus.CounterVec
}

// Reasons of errors.
const (
	errorBroken = "broken" // the connection ended, or could not be made
	errorSilent = "silent" // nothing came
	errorMemory = "memory" // no memory was left for a fragment
)

// NewMetrics registers the metrics of a relay. The error is the registerer's.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{m.streams, m.readers, m.received, m.sent, m.cutOff,
		m.errors} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	m := &Metrics{
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_relay_streams",
			Help: "Streams that are followed at other nodes, once for each node."}),
		readers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_relay_readers",
			Help: "Streams that other nodes follow at this one, once for each node."}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_relay_received_bytes_total",
			Help: "Bytes that came from nodes that receive a stream."}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_relay_sent_bytes_total",
			Help: "Bytes sent to nodes that follow a stream."}),
		cutOff: prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_relay_cut_off_total",
			Help: "Nodes that followed a stream and took it too slowly."}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_relay_errors_total",
			Help: "What went wrong with following a stream at another node, by reason."},
			[]string{"reason"}),
	}
	for _, reason := range []string{errorBroken, errorSilent, errorMemory} {
		m.errors.WithLabelValues(reason)
	}
	return m
}
