package ingest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
)

// Metrics counts what PutMedia does, with the meanings of the service's metrics
// (docs/reference/service.md, "Metrics"), over all streams: a label per stream would grow without
// bound.
type Metrics struct {
	requests    prometheus.Counter     // PutMedia.Requests
	connections prometheus.Gauge       // PutMedia.ActiveConnections
	failures    prometheus.Counter     // PutMedia.ConnectionErrors
	fragments   *prometheus.CounterVec // PutMedia.IncomingFragments, by result
	frames      prometheus.Counter     // PutMedia.IncomingFrames
	bytes       prometheus.Counter     // PutMedia.IncomingBytes
	errors      *prometheus.CounterVec // PutMedia.ErrorAckCount, by error id
	// PutMedia.BufferingAckLatency, ReceivedAckLatency, PersistedAckLatency
	ackLatency *prometheus.HistogramVec
	// PutMedia.FragmentIngestionLatency: first to last byte of a fragment
	ingestion prometheus.Histogram
	persist   prometheus.Histogram // PutMedia.FragmentPersistLatency: last byte to durable
}

// Results of fragments.
const (
	resultStored   = "stored"   // appended
	resultReplaced = "replaced" // took the place of a partial one
	resultResent   = "resent"   // stored already
	resultPartial  = "partial"  // appended, cut short
	resultDropped  = "dropped"  // begun and given up
)

// NewMetrics registers the metrics of ingest. The error is the registerer's.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{
		m.requests, m.connections, m.failures, m.fragments, m.frames, m.bytes, m.errors,
		m.ackLatency, m.ingestion, m.persist,
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(
			prometheus.CounterOpts{Name: "weir_put_media_" + name, Help: help})
	}
	histogram := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: "weir_put_media_" + name, Help: help,
			Buckets: buckets}
	}
	return &Metrics{
		requests: counter("connections_total", "PutMedia connections begun."),
		connections: prometheus.NewGauge(
			prometheus.GaugeOpts{Name: "weir_put_media_connections",
				Help: "PutMedia connections that run."}),
		failures: counter("connection_errors_total",
			"PutMedia connections that ended other than by the end of the body."),
		frames: counter("frames_total", "Frames of fragments that were received whole."),
		bytes:  counter("received_bytes_total", "Body bytes read."),
		ingestion: prometheus.NewHistogram(
			histogram("fragment_ingestion_seconds", "First to last byte of a fragment.")),
		persist: prometheus.NewHistogram(
			histogram("fragment_persist_seconds", "Last byte of a fragment to durable.")),
		fragments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_put_media_fragments_total",
			Help: "Fragments, by what became of them: stored, replaced (a partial one), resent " +
				"(stored already), partial, dropped.",
		}, []string{"result"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_put_media_error_acks_total",
			Help: "ERROR acknowledgements sent, by error id.",
		}, []string{"id"}),
		ackLatency: prometheus.NewHistogramVec(
			histogram("ack_latency_seconds",
				"First byte to BUFFERING, last byte to RECEIVED and PERSISTED, as sent."), []string{
				"event"}),
	}
}

// sent observes an acknowledgement that has left.
func (m *Metrics) sent(kind api.AckType, id api.AckErrorID, since, now int64) {
	switch kind {
	case api.AckError:
		m.errors.WithLabelValues(strconv.Itoa(int(id))).Inc()
	case api.AckBuffering, api.AckReceived, api.AckPersisted:
		m.ackLatency.WithLabelValues(kind.String()).Observe(time.Duration(now - since).Seconds())
	}
}
