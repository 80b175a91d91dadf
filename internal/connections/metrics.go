package connections

import "github.com/prometheus/client_golang/prometheus"

// metrics are about connections and the memory that strangers take.
type metrics struct {
	acceptErrors prometheus.Counter
	closed       *prometheus.CounterVec // by reason
	unverified   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, l *Limiter, listeners []string) (*metrics, error) {
	m := &metrics{
		acceptErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_http_accept_errors_total",
			Help: "Connections that could not be accepted, for want of descriptors above all; it " +
				"is tried again.",
		}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_http_connections_closed_total",
			Help: "Connections closed because a limit of connections was reached: the new one " +
				"(refused), or one that waited, to make room for it (replaced).",
		}, []string{"reason"}),
		unverified: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_http_unverified_refused_total",
			Help: "Requests given up because those that are not verified yet held too many bytes.",
		}),
	}
	for _, reason := range []string{"refused", "replaced"} {
		m.closed.WithLabelValues(reason)
	}
	for _, name := range listeners {
		if err := reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "weir_http_listener_connections",
			Help:        "Open connections of a listener (main, playback, camera, redirect).",
			ConstLabels: prometheus.Labels{"listener": name},
		}, func() float64 { return float64(l.On(name)) })); err != nil {
			return nil, err
		}
	}
	for _, c := range []prometheus.Collector{
		m.acceptErrors, m.closed, m.unverified,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_http_connections", Help: "Open connections.",
		}, func() float64 { return float64(l.Held().Connections) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_http_unverified_bytes",
			Help: "Bytes held of requests that are not verified yet, beyond the first ones of " +
				"each.",
		}, func() float64 { return float64(l.Held().Bytes) }),
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
