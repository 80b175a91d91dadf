package images

import (
	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
	"weir/internal/still"
)

// Metrics counts images, of GetImages and of image generation, over all streams.
type Metrics struct {
	images *prometheus.CounterVec // by result
	decode prometheus.Histogram   // seconds of a process
}

// Results of images.
const (
	resultMade       = "made"        // decoded
	resultCached     = "cached"      // kept from before
	resultNoMedia    = "no_media"    // there is no frame
	resultMediaError = "media_error" // the frame cannot be decoded
)

// NewMetrics registers the metrics of images, and of the cache's size on disk. The error is the
// registerer's.
func NewMetrics(reg prometheus.Registerer, cache *still.Cache) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{m.images, m.decode,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_image_cache_bytes",
			Help: "Space that images take which are kept for the next call.",
		}, func() float64 { return float64(cache.Bytes()) })} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func newMetrics() *Metrics {
	return &Metrics{
		images: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_images_total",
			Help: "Images that were asked for, of GetImages and of tagged fragments, by result: " +
				"made, cached, no_media, media_error.",
		}, []string{"result"}),
		decode: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_image_decoder_seconds",
			Help:    "Time that ffmpeg processes ran, each for up to 25 images.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 20},
		}),
	}
}

// count counts an image that was returned, or the failure in its place.
func (m *Metrics) count(s *shot) {
	result := resultMade
	switch {
	case s.failed == api.ImageNoMedia:
		result = resultNoMedia
	case s.failed != "":
		result = resultMediaError
	case s.cached:
		result = resultCached
	}
	m.images.WithLabelValues(result).Inc()
}
