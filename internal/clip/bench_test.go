package clip

import (
	"context"
	"io"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/store"
)

// day is a store with a day of one camera: fragments of two seconds, 30 pictures a second, some of
// them reordered, and AAC at 48 kHz. All fragments have the same bytes.
type day struct {
	stream store.Stream
	tracks []media.Track
	frames [2][]media.Frame
	spans  []store.Span
	sizes  [2]int64
	watch  func()
}

const (
	dayFragments = 24 * 3600 / 2
	dayMillis    = 2000
)

func newDay() *day {
	d := &day{stream: store.Stream{ID: "00112233445566778899aabbccddeeff"},
		tracks: []media.Track{videoTrack(), audioTrack()}}
	d.stream.RetentionHours = 48
	d.tracks[1].Timescale = 48000
	d.tracks[1].CodecPrivate = []byte{0x11, 0x90} // AAC-LC, 48 kHz, stereo
	for i := range 60 {
		f := media.Frame{Duration: 3000, Size: uint32(2000 + 37*i), Key: i == 0}
		if i%2 == 1 && i < 59 {
			f.CompositionOffset = 3000
		} else if i > 0 && i%2 == 0 {
			f.CompositionOffset = -3000
		}
		d.frames[0] = append(d.frames[0], f)
	}
	for i := range 93 {
		d.frames[1] = append(d.frames[1],
			media.Frame{Duration: 1024, Size: uint32(300 + i), Key: true})
	}
	d.frames[1] = append(d.frames[1], media.Frame{Duration: 768, Size: 300, Key: true})
	d.spans = store.SpansOf(d.fragment(1))
	for i := range d.sizes {
		d.sizes[i] = d.spans[i].Size
	}
	return d
}

func (d *day) fragment(n store.Number) *media.Fragment {
	at := base + int64(n-1)*dayMillis
	return &media.Fragment{ProducerTimestamp: at, ServerTimestamp: at, Tracks: d.tracks,
		Runs: []media.Run{
			{Track: 1, BaseDecodeTime: at * 90, Frames: d.frames[0]},
			{Track: 2, BaseDecodeTime: at * 48, Frames: d.frames[1]}}}
}

func (d *day) info(n store.Number) store.FragmentInfo {
	at := base + int64(n-1)*dayMillis
	return store.FragmentInfo{Number: n, Sequence: int64(n), ProducerTimestamp: at,
		ServerTimestamp: at, TrackSet: 1, Spans: d.spans}
}

func (d *day) StreamByID(context.Context, store.StreamID) (store.Stream, error) {
	return d.stream, nil
}

func (d *day) List(
	_ context.Context, _ store.StreamID, q store.Query,
) (out []store.FragmentInfo, _ error) {
	n := max(q.After, store.Number(q.AfterSequence)) + 1
	for ; n <= dayFragments && len(out) < q.Limit; n++ {
		if f := d.info(n); q.Selects(&f) {
			out = append(out, f)
		}
	}
	return out, nil
}

func (d *day) Fragment(
	_ context.Context, _ store.StreamID, n store.Number,
) (store.FragmentInfo, error) {
	return d.info(n), nil
}

func (d *day) TrackSet(context.Context, store.StreamID, int64) ([]media.Track, error) {
	return d.tracks, nil
}

func (d *day) Open(_ context.Context, _ store.StreamID, f store.FragmentInfo) (store.Media, error) {
	if d.watch != nil {
		d.watch()
	}
	return dayMedia{d, d.fragment(f.Number)}, nil
}

func (d *day) Wait(context.Context, store.StreamID, int64) (int64, error) {
	return dayFragments, nil
}

type dayMedia struct {
	day      *day
	fragment *media.Fragment
}

func (m dayMedia) Fragment() *media.Fragment { return m.fragment }
func (m dayMedia) Close() error              { return nil }

func (m dayMedia) Payload(run int) (store.Range, error) {
	return store.Bytes(dayBytes[:m.day.sizes[run]]), nil
}

var dayBytes = make([]byte, 1<<20)

// peak is the greatest heap size that look saw.
type peak struct{ most atomic.Uint64 }

func (p *peak) look() {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	for v := s[0].Value.Uint64(); ; {
		was := p.most.Load()
		if v <= was || p.most.CompareAndSwap(was, v) {
			return
		}
	}
}

// BenchmarkDay makes a clip of 24 hours, and gets it again when its header is there. It measures
// how long that takes, how large the heap gets (before and after a collection), and how large the
// header is.
func BenchmarkDay(b *testing.B) {
	d := newDay()
	var p peak
	opens := 0
	d.watch = func() {
		if opens++; opens%500 == 0 {
			p.look()
		}
	}
	late := func(o *Options) {
		o.Clock = func() time.Time { return time.UnixMilli(base).Add(25 * time.Hour) }
		o.CacheBytes = 256 << 20
	}
	request := Request{Selector: store.ServerTimestamp, Start: base, End: base + 24*3600_000 - 1}
	var made, again time.Duration
	var header int64
	for b.Loop() {
		s := newService(b, d, late)
		runtime.GC()
		began := time.Now()
		c, err := s.Open(b.Context(), d.stream, request)
		if err != nil || c.rows != dayFragments {
			b.Fatal(err)
		}
		made += time.Since(began)
		header = c.size
		c.Close()
		began = time.Now()
		if c, err = s.Open(b.Context(), d.stream, request); err != nil {
			b.Fatal(err)
		}
		again += time.Since(began)
		if err := c.WriteRange(b.Context(), io.Discard, c.Size()/2, 1<<20); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	b.ReportMetric(made.Seconds()*1e3/float64(b.N), "make-ms")
	b.ReportMetric(again.Seconds()*1e3/float64(b.N), "again-ms")
	b.ReportMetric(float64(p.most.Load())/(1<<20), "heap-MB")
	b.ReportMetric(float64(header)/(1<<20), "header-MB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkHundred has a hundred callers at a time ask for clips of ten seconds and of six hours,
// each of another range, and read some of each. It measures how large the heap gets.
func BenchmarkHundred(b *testing.B) {
	for name, length := range map[string]int64{"10s": 10_000, "6h": 6 * 3600_000} {
		b.Run(name, func(b *testing.B) {
			d := newDay()
			var p peak
			var opens atomic.Int64
			d.watch = func() {
				if opens.Add(1)%500 == 0 {
					p.look()
				}
			}
			s := newService(b, d, func(o *Options) {
				o.Clock = func() time.Time { return time.UnixMilli(base).Add(25 * time.Hour) }
				o.CacheBytes = 256 << 20
			})
			for b.Loop() {
				errs := make(chan error)
				for i := range int64(100) {
					go func() {
						c, err := s.Open(b.Context(), d.stream,
							Request{Selector: store.ServerTimestamp,
								Start: base + i*dayMillis, End: base + i*dayMillis + length})
						if err == nil {
							err = c.WriteRange(b.Context(), io.Discard, 0, min(c.Size(), 64<<20))
							p.look()
							c.Close()
						}
						errs <- err
					}()
				}
				for range 100 {
					if err := <-errs; err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(p.most.Load())/(1<<20), "heap-MB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
