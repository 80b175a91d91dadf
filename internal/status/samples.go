package status

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"weir/internal/api"
)

// interval is the time between samples.
const interval = time.Minute

// leastTrend is the least time from which the trend of the disk is computed.
const leastTrend = 10 * time.Minute

// fullIn is how far ahead a full disk is predicted.
const fullIn = 90 * 24 * time.Hour

// Sampler keeps a day of samples of a server's metrics in memory. It is safe for concurrent use.
type Sampler struct {
	Version string

	from  prometheus.Gatherer
	start time.Time

	mu      sync.Mutex
	last    reading
	samples []api.ServerSample
}

// NewSampler makes a sampler of metrics for a server of this version that starts now.
func NewSampler(version string, from prometheus.Gatherer, now time.Time) *Sampler {
	s := &Sampler{Version: version, from: from, start: now}
	s.Sample(now)
	return s
}

// reading is the values of the metrics at one time. Counts begin at the server's start.
type reading struct {
	at                              time.Time
	bytes, fragments, sent          float64
	stored, storedSeconds           float64
	delivered, deliveredSeconds     float64
	producers, free, total, stopped float64
}

// Run samples until ctx ends, and returns its error.
func (s *Sampler) Run(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.Sample(now)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Sample takes a sample now.
func (s *Sampler) Sample(now time.Time) {
	r := s.read(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.last; !before.at.IsZero() {
		s.samples = append(s.samples, sampleOf(&before, &r))
		if more := len(s.samples) - api.MaxStatusMinutes; more > 0 {
			s.samples = append(s.samples[:0], s.samples[more:]...)
		}
	}
	s.last = r
}

func sampleOf(before, r *reading) api.ServerSample {
	return api.ServerSample{Time: api.Timestamp(r.at.UnixMilli()),
		IngestBytes:     int64(r.bytes - before.bytes),
		IngestFragments: int64(r.fragments - before.fragments),
		SentBytes:       int64(r.sent - before.sent), Producers: int64(r.producers),
		StoreMicros: mean(r.storedSeconds-before.storedSeconds, r.stored-before.stored),
		LatencyMicros: mean(r.deliveredSeconds-before.deliveredSeconds,
			r.delivered-before.delivered),
		FreeBytes: int64(r.free)}
}

// mean returns the mean of n durations whose sum is in seconds, in microseconds, 0 if n is 0.
func mean(seconds, n float64) int64 {
	if n <= 0 {
		return 0
	}
	return int64(seconds / n * 1e6)
}

// read gathers the metrics. A metric that cannot be gathered is 0.
func (s *Sampler) read(now time.Time) reading {
	r := reading{at: now}
	families, _ := s.from.Gather() // what it returns with an error is good
	for _, f := range families {
		switch f.GetName() {
		case "weir_store_append_bytes_total":
			r.bytes = sum(f)
		case "weir_put_media_connections":
			r.producers = sum(f)
		case "weir_http_response_bytes_total":
			r.sent = sum(f)
		case "weir_store_free_bytes":
			r.free = sum(f)
		case "weir_store_total_bytes":
			r.total = sum(f)
		case "weir_store_ingest_stopped":
			r.stopped = sum(f)
		case "weir_store_append_seconds":
			r.stored, r.storedSeconds = histogram(f)
			r.fragments = r.stored
		case "weir_live_frame_seconds":
			r.delivered, r.deliveredSeconds = histogram(f)
		}
	}
	return r
}

func sum(f *dto.MetricFamily) (total float64) {
	for _, m := range f.GetMetric() {
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return total
}

func histogram(f *dto.MetricFamily) (count, seconds float64) {
	for _, m := range f.GetMetric() {
		count += float64(m.GetHistogram().GetSampleCount())
		seconds += m.GetHistogram().GetSampleSum()
	}
	return count, seconds
}

// Status returns the state of the server now, with the samples of the last minutes.
func (s *Sampler) Status(now time.Time, minutes int) *api.GetServerStatusOutput {
	r := s.read(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.samples[max(0, len(s.samples)-minutes):]
	out := &api.GetServerStatusOutput{Version: s.Version,
		CurrentTime: api.Timestamp(now.UnixMilli()), StartTime: api.Timestamp(s.start.UnixMilli()),
		Samples: append([]api.ServerSample{}, list...)}
	if r.total > 0 {
		out.Disk = &api.DiskStatus{FreeBytes: int64(r.free), TotalBytes: int64(r.total),
			State: api.DiskWritable, FullTime: s.full(&r)}
		if r.stopped > 0 {
			out.Disk.State = api.DiskFull
		}
	}
	return out
}

// full predicts from the samples when the disk will be full, nil if that is further away than
// fullIn.
func (s *Sampler) full(r *reading) *api.Timestamp {
	if len(s.samples) == 0 {
		return nil
	}
	first := s.samples[0]
	over := r.at.Sub(first.Time.Time())
	taken := float64(first.FreeBytes) - r.free
	if over < leastTrend || taken <= 0 {
		return nil
	}
	left := r.free / taken * over.Seconds()
	if left > fullIn.Seconds() {
		return nil
	}
	t := api.Timestamp(r.at.Add(time.Duration(left) * time.Second).UnixMilli())
	return &t
}
