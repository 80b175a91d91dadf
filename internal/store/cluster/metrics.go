package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/objects"
)

// Metrics counts what a node does. Where the local engine has the same metric, it has the same
// name.
type Metrics struct {
	// fragments, by result: stored, memory, raced, full, not_found, failed
	Appends       *prometheus.CounterVec
	AppendBytes   prometheus.Counter   // payload bytes of the fragments stored
	AppendSeconds prometheus.Histogram // from Append's call to its return, of the fragments stored
	CommitRows    prometheus.Histogram // fragments in one object and its transaction
	CommitSeconds prometheus.Histogram // seconds of one try of a transaction
	CommitRetries prometheus.Counter   // transactions of commits that were tried again
	// seconds of a try of a request to the object store, by operation: check, put, read, delete,
	// list
	ObjectSeconds  *prometheus.HistogramVec
	ObjectFailures *prometheus.CounterVec // such tries that failed
	ObjectBytes    *prometheus.CounterVec // put and read, by operation
	CacheReads     *prometheus.CounterVec // records opened, by result: hit, miss
	Compacted      prometheus.Counter     // objects that compaction wrote
	CompactedBytes prometheus.Counter     // their bytes
	DeletedObjects prometheus.Counter     // objects that the sweep deleted
	Leases         prometheus.Gauge       // held by this node
	// fragments and bytes that have rows of their own, as the last compaction found
	WaitingRows, WaitingBytes prometheus.Gauge
	WorkFailures              *prometheus.CounterVec // passes that failed: sweep, compact
	CorruptReads              prometheus.Counter     // fragments that could not be opened
	Damaged                   prometheus.Gauge       // fragments that compaction leaves as they are
}

// NewMetrics makes the metrics and registers them when reg is not nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	var all []prometheus.Collector
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_store_" + name, Help: help})
		all = append(all, c)
		return c
	}
	counters := func(name, label, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(
			prometheus.CounterOpts{Name: "weir_store_" + name, Help: help}, []string{label})
		all = append(all, c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_store_" + name, Help: help})
		all = append(all, g)
		return g
	}
	seconds := []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_store_" + name,
			Help: help, Buckets: buckets})
		all = append(all, h)
		return h
	}
	m := &Metrics{
		Appends:     counters("appends_total", "result", "Fragments appended, by result."),
		AppendBytes: counter("append_bytes_total", "Payload bytes of the fragments stored."),
		AppendSeconds: histogram("append_seconds", "Time to make a fragment durable and visible.",
			seconds),
		CommitRows: histogram("commit_batch_rows", "Fragments per object and its transaction.",
			[]float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}),
		CommitSeconds: histogram("commit_seconds", "Time of one try to commit an object's rows.",
			seconds),
		CommitRetries: counter("commit_retries_total", "Commits of rows that were tried again."),
		ObjectFailures: counters("object_failures_total", "operation",
			"Tries of requests to the object store that failed, by operation."),
		ObjectBytes: counters("object_bytes_total", "operation",
			"Bytes put into and read from the object store, by operation."),
		CacheReads: counters("cache_reads_total", "result",
			"Records opened, by whether the local cache had them: hit or miss."),
		Compacted:      counter("compacted_objects_total", "Objects that compaction wrote."),
		CompactedBytes: counter("compacted_bytes_total", "Bytes of the objects it wrote."),
		DeletedObjects: counter("deleted_objects_total", "Objects deleted by the sweep."),
		Leases:         gauge("leases_held", "Leases of background work that this node holds."),
		WaitingRows: gauge("waiting_fragments",
			"Fragments that are not compacted yet, when this node last looked."),
		WaitingBytes: gauge("waiting_bytes", "Their bytes."),
		WorkFailures: counters("background_failures_total", "work",
			"Passes of background work that failed, by work: sweep or compact."),
		CorruptReads: counter("corrupt_reads_total",
			"Fragments that could not be served because what is stored of them is damaged."),
		Damaged: gauge("damaged_fragments",
			"Fragments that this node found damaged when it compacted, and that are kept still."),
	}
	m.begin()
	m.ObjectSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "weir_store_object_seconds",
		Help: "Time of one try of a request to the object store, by operation.", Buckets: seconds,
	}, []string{"operation"})
	if reg != nil {
		reg.MustRegister(append(all, m.ObjectSeconds)...)
	}
	return m
}

// begin makes the series that alerts watch, at zero: Prometheus sees no increase in a counter that
// begins at one, and the first failure would raise no alert.
func (m *Metrics) begin() {
	for _, result := range []string{"stored", "raced", "full", "not_found", "failed", "memory"} {
		m.Appends.WithLabelValues(result)
	}
	for _, work := range []string{"sweep", "compact"} {
		m.WorkFailures.WithLabelValues(work)
	}
}

// request records a try of a request to the object store.
func (m *Metrics) request(r objects.Request) {
	m.ObjectSeconds.WithLabelValues(r.Operation).Observe(r.Took.Seconds())
	switch {
	case r.Err != nil:
		m.ObjectFailures.WithLabelValues(r.Operation).Inc()
	case r.Operation == "put" || r.Operation == "read":
		m.ObjectBytes.WithLabelValues(r.Operation).Add(float64(r.Bytes))
	}
}

func (m *Metrics) append(took time.Duration, info store.FragmentInfo, err error) {
	result := "stored"
	switch {
	case errors.Is(err, store.ErrRaced):
		result = "raced"
	case errors.Is(err, store.ErrFull):
		result = "full"
	case errors.Is(err, store.ErrNotFound):
		result = "not_found"
	case err != nil:
		result = "failed"
	case info.Location.Volume == "":
		result = "memory"
	}
	m.Appends.WithLabelValues(result).Inc()
	if err == nil {
		m.AppendBytes.Add(float64(info.Size()))
		m.AppendSeconds.Observe(took.Seconds())
	}
}

// opened counts a record that was opened.
func (m *Metrics) opened(here bool) {
	result := "miss"
	if here {
		result = "hit"
	}
	m.CacheReads.WithLabelValues(result).Inc()
}

// waiting records what compaction has found to do.
func (m *Metrics) waiting(list []rows.Backlog) {
	var fragments, bytes int64
	for i := range list {
		fragments, bytes = fragments+list[i].Fragments, bytes+list[i].Bytes
	}
	m.WaitingRows.Set(float64(fragments))
	m.WaitingBytes.Set(float64(bytes))
}

// store is append with metrics.
func (s *Store) store(
	ctx context.Context, id store.StreamID, rec *store.Record, replaces store.Number,
) (store.FragmentInfo, error) {
	began := time.Now()
	info, err := s.append(ctx, id, rec, replaces)
	s.o.Metrics.append(time.Since(began), info, err)
	return info, err
}
