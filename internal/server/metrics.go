package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the HTTP side. Operation labels come from the route table, statuses from the codes Weir answers with.
type metrics struct {
	requests *prometheus.CounterVec   // by operation and status
	duration *prometheus.HistogramVec // by operation; not PutMedia, whose requests last as long as the camera is on
	sent     *prometheus.CounterVec   // by operation
	delayed  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_http_requests_total",
			Help: "Requests answered, by operation and HTTP status.",
		}, []string{"operation", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "weir_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer, by operation; PutMedia is left out.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"operation"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_http_response_bytes_total",
			Help: "Body bytes sent, by operation.",
		}, []string{"operation"}),
		delayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_http_delayed_errors_total",
			Help: "Error answers that were held back because the client failed again and again.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.sent, m.delayed} {
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
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.sent.WithLabelValues(operation).Add(float64(w.bytes))
	if operation != opPutMedia {
		m.duration.WithLabelValues(operation).Observe(took.Seconds())
	}
}

// statusClientGone labels a request whose client went away before it could be answered; it is never sent.
const statusClientGone = 499
