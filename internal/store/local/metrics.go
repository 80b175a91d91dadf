package local

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
)

// Metrics counts what the store does.
type Metrics struct {
	// fragments, by result: stored, memory, full, not_found, failed
	Appends     *prometheus.CounterVec
	AppendBytes prometheus.Counter // payload bytes of the fragments stored
	// seconds that Append takes, for fragments that were stored
	AppendSeconds    prometheus.Histogram
	SyncSeconds      prometheus.Histogram // seconds of one fdatasync of a volume
	CommitRows       prometheus.Histogram // rows in one transaction of the group commit
	RecoveredRecords prometheus.Counter   // records found at start-up without a row
	TruncatedBytes   prometheus.Counter   // bytes of torn tails that were cut at start-up
	SweptVolumes     prometheus.Counter   // volumes deleted because they were past retention
	SealedVolumes    prometheus.Counter   // volumes that got their footer
	DamagedTables    prometheus.Counter   // reads of a footer that found damage
	FreeBytes        prometheus.Gauge     // of the file system, for this user
	TotalBytes       prometheus.Gauge     // of the file system
	Stopped          prometheus.Gauge     // 1 while fragments are refused for want of space
	OldestVolumes    prometheus.Counter   // volumes deleted for want of space
	ScrubbedBytes    prometheus.Counter   // read by the scrub
	Damaged          prometheus.Gauge     // fragments that the scrub knows to be damaged
	Lost             prometheus.Gauge     // 1 while the files are not those that were opened
	// seconds by which retention's clock is behind the wall clock
	RetentionBehind prometheus.Gauge
	// sealed volumes whose records are in the object store
	AwayVolumes prometheus.Gauge
	Moves       *prometheus.CounterVec // volumes moved to the object store and back: out, in
	FailedMoves prometheus.Counter     // passes of moves that ended with an error
	// fragments that could not be opened because of damage
	CorruptReads prometheus.Counter
}

// NewMetrics makes the metrics and registers them when reg is not nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	seconds := []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
	m := &Metrics{
		Appends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_store_appends_total", Help: "Fragments appended, by result."},
			[]string{"result"}),
		AppendBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_append_bytes_total",
			Help: "Payload bytes of the fragments that were stored."}),
		AppendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_store_append_seconds", Help: "Time to make a fragment durable and visible.",
			Buckets: seconds}),
		SyncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_store_fsync_seconds", Help: "Time of one sync of a volume.",
			Buckets: seconds}),
		CommitRows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_store_commit_batch_rows", Help: "Fragments per index transaction.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}}),
		RecoveredRecords: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_recovered_records_total",
			Help: "Records found at start-up that the index did not know."}),
		TruncatedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_truncated_bytes_total",
			Help: "Bytes of torn tails cut at start-up."}),
		SweptVolumes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_swept_volumes_total",
			Help: "Volumes deleted because they were past retention."}),
		SealedVolumes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_sealed_volumes_total", Help: "Volumes that got their footer."}),
		DamagedTables: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_damaged_tables_total",
			Help: "Reads of a volume's footer that found it damaged; " +
				"its fragments are not listed."}),
		FreeBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_store_free_bytes",
			Help: "Free space of the file system that the volumes are on."}),
		TotalBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_store_total_bytes",
			Help: "Size of the file system that the volumes are on."}),
		Stopped: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_store_ingest_stopped",
			Help: "1 while fragments are refused because the free space is down to --min-free."}),
		OldestVolumes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_deleted_oldest_volumes_total",
			Help: "Volumes deleted before their time for want of space."}),
		ScrubbedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_scrubbed_bytes_total", Help: "Bytes that the scrub has read."}),
		Damaged: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_store_damaged_fragments",
			Help: "Stored fragments that the scrub found damaged; the log names them."}),
		Lost: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_store_data_directory_lost",
			Help: "1 while the data directory, its index or its volumes are deleted or replaced."}),
		RetentionBehind: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_store_retention_behind_seconds",
			Help: "How far the clock jumped ahead, while retention waits for it to be steady; " +
				"else 0."}),
		AwayVolumes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_store_object_volumes",
			Help: "Volumes whose records lie in the object store."}),
		Moves: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_store_moved_volumes_total",
			Help: "Volumes moved to the object store and back, by direction."},
			[]string{"direction"}),
		FailedMoves: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_failed_moves_total",
			Help: "Tries to move volumes to the object store or back that failed."}),
		CorruptReads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_store_corrupt_reads_total",
			Help: "Fragments that could not be served because what is stored of them is damaged."}),
	}
	m.begin()
	if reg != nil {
		reg.MustRegister(m.Lost, m.RetentionBehind, m.ScrubbedBytes, m.Damaged, m.CorruptReads)
		reg.MustRegister(m.AwayVolumes, m.Moves, m.FailedMoves)
		reg.MustRegister(m.FreeBytes, m.TotalBytes, m.Stopped, m.OldestVolumes)
		reg.MustRegister(m.Appends, m.AppendBytes, m.AppendSeconds, m.SyncSeconds, m.CommitRows,
			m.RecoveredRecords,
			m.TruncatedBytes, m.SweptVolumes, m.SealedVolumes, m.DamagedTables)
	}
	return m
}

// begin makes the series of every result, at zero: Prometheus sees no increase in a counter that
// begins at one, and the first failure would raise no alert.
func (m *Metrics) begin() {
	for _, result := range []string{"stored", "full", "not_found", "failed", "memory"} {
		m.Appends.WithLabelValues(result)
	}
}

func (m *Metrics) append(took time.Duration, info store.FragmentInfo, err error) {
	result := "stored"
	switch {
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
