package server

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the HTTP side. Operation labels come from the route table, statuses from the
// codes that Weir answers with.
type metrics struct {
	requests *prometheus.CounterVec // by operation and status
	// by operation; not for PutMedia and GetMedia, which last as long as the client wants
	duration *prometheus.HistogramVec
	sent     *prometheus.CounterVec // by operation
	delayed  prometheus.Counter
	// decisions on signed calls, by operation and result
	decisions *prometheus.CounterVec
	ports     *prometheus.CounterVec // by listener and protocol

	storageRefused prometheus.Counter
	eventsDropped  prometheus.Counter
	generated      prometheus.Counter

	mu    sync.RWMutex
	kinds map[answerKind]*answerMetrics // what was asked for so far
}

// answerKind is the labels of an answer.
type answerKind struct {
	operation string
	status    int
}

// answerMetrics are the metrics of one kind of answer. They are kept, because finding three by
// their labels costs as much as finding a fragment.
type answerMetrics struct {
	requests, sent prometheus.Counter
	duration       prometheus.Observer // nil for PutMedia and GetMedia
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		kinds: map[answerKind]*answerMetrics{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_http_requests_total",
			Help: "Requests answered, by operation and HTTP status.",
		}, []string{"operation", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_http_request_duration_seconds",
			Help: "Time from a request's header to the end of its answer, by operation; " +
				"PutMedia is left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"operation"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_http_response_bytes_total",
			Help: "Body bytes sent, by operation.",
		}, []string{"operation"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_authorization_decisions_total",
			Help: "Decisions whether a signed call is allowed, by operation and result.",
		}, []string{"operation", "result"}),
		delayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_http_delayed_errors_total",
			Help: "Error answers that were held back because the client failed again and again.",
		}),
	}
	m.ports = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_http_listener_requests_total",
		Help: "Requests received, by listener (main, playback, camera) and protocol.",
	}, []string{"listener", "protocol"})
	m.storageRefused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_storage_limit_refusals_total",
		Help: "Fragments refused because their stream, or its creator, stores as much as it may.",
	})
	m.eventsDropped = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_events_dropped_total",
		Help: "Fragments whose tags ask for a notification or images and that got neither, " +
			"because too many waited, or the disk was full.",
	})
	m.generated = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_generated_images_total",
		Help: "Images of tagged fragments that were written to the directory.",
	})
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.sent, m.delayed, m.decisions,
		m.ports, m.storageRefused, m.eventsDropped, m.generated} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(operation string, w *recorder, took time.Duration) {
	status := w.status
	if status == 0 {
		status = statusClientGone
	}
	a := m.of(answerKind{operation, status})
	a.requests.Inc()
	if w.live == nil {
		a.sent.Add(float64(w.bytes))
	}
	if a.duration != nil {
		a.duration.Observe(took.Seconds())
	}
}

func (m *metrics) of(kind answerKind) *answerMetrics {
	m.mu.RLock()
	a := m.kinds[kind]
	m.mu.RUnlock()
	if a != nil {
		return a
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a = &answerMetrics{
		requests: m.requests.WithLabelValues(kind.operation, strconv.Itoa(kind.status)),
		sent:     m.sent.WithLabelValues(kind.operation),
	}
	if kind.operation != opPutMedia && kind.operation != opGetMedia {
		a.duration = m.duration.WithLabelValues(kind.operation)
	}
	m.kinds[kind] = a
	return a
}

// statusClientGone is the label for a request whose client left before the answer; it is never
// sent.
const statusClientGone = 499
