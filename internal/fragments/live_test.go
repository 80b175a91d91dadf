package fragments

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/api"
	"weir/internal/ingest"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// liveRig is a rig that receives its fragments with package ingest.
type liveRig struct {
	*rig
	ingest  ingest.Options
	metrics *prometheus.Registry
	last    store.Number // what number returned last
}

func newLiveRig(t *testing.T, edge live.Options) *liveRig {
	t.Helper()
	reg := prometheus.NewRegistry()
	var err error
	if edge.Metrics, err = live.NewMetrics(reg); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, cameratest.Video(), cameratest.Audio())
	x := &liveRig{rig: r, metrics: reg, ingest: ingest.Options{Stream: r.stream, Store: r.store,
		TimecodeType: api.TimecodeAbsolute, Clock: r.store.Clock, Memory: ingest.NewMemory(0),
		Resends: ingest.NewResends(r.store.Clock), Numbers: ingest.NewNumbers(),
		Edge: live.New(edge)}}
	r.service = New(Options{Store: r.store, Clock: r.store.Clock, Pending: x.ingest.Numbers,
		Edge: x.ingest.Edge})
	return x
}

// metric returns the value of a metric of the live edge; of a histogram, the number of
// observations.
func (x *liveRig) metric(name string) uint64 {
	x.Helper()
	families, err := x.metrics.Gather()
	if err != nil {
		x.Fatal(err)
	}
	for _, f := range families {
		if m := f.GetMetric()[0]; f.GetName() == name {
			return m.GetHistogram().GetSampleCount() + uint64(m.GetCounter().GetValue())
		}
	}
	x.Fatalf("no metric %s", name)
	return 0
}

// connection is a producer's connection.
type connection struct {
	*mkv.Writer
	t    *testing.T
	body *io.PipeWriter
	end  chan error
}

type noAcks struct{}

func (noAcks) WriteAck([]byte) error { return nil }

// connect begins the document of a producer that resends what was cut off.
func (x *liveRig) connect() *connection {
	x.Helper()
	body, in := io.Pipe()
	c := &connection{mkv.NewWriter(in), x.T, in, make(chan error, 1)}
	go func() { c.end <- ingest.New(x.ingest).Run(context.Background(), body, noAcks{}) }()
	c.check(c.WriteHeader(mkv.Header{Tracks: []media.Track{cameratest.Video(), cameratest.Audio()},
		MuxingApp: "Kinesis Video SDK 1.1.0", WritingApp: "test"}))
	return c
}

func (c *connection) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *connection) cluster(at int64) { c.t.Helper(); c.check(c.WriteCluster(at)) }

func (c *connection) frame(track int, at int64, data string) {
	c.t.Helper()
	c.check(c.WriteFrame(track, at, true, []byte(data)))
}

// close ends the body, properly or in the middle of an element.
func (c *connection) close(err error) {
	if err != nil {
		c.body.Write([]byte{0xa3})
	}
	c.body.CloseWithError(err)
	<-c.end
}

// reader is a client of GetMedia that reads only when it asks for more.
type reader struct {
	*mkv.Reader
	t    *testing.T
	pipe *io.PipeReader
}

type pipeSink struct{ *io.PipeWriter }

func (pipeSink) Flush() error       { return nil }
func (pipeSink) Sent(time.Duration) {}

func (x *liveRig) read() *reader {
	x.Helper()
	m, err := x.service.GetMedia(x.Context(), x.stream, &api.GetMediaInput{
		StartSelector: &api.StartSelector{StartSelectorType: api.StartNow}})
	if err != nil {
		x.Fatal(err)
	}
	pipe, out := io.Pipe()
	stop := make(chan struct{})
	end := make(chan error, 1)
	go func() {
		defer m.Close()
		end <- m.Write(context.Background(), stop, pipeSink{out})
		out.Close()
	}()
	x.Cleanup(func() {
		close(stop)
		io.Copy(io.Discard, pipe)
		if err := <-end; err != nil {
			x.Errorf("the answer ends with %v", err)
		}
	})
	return &reader{mkv.NewReader(pipe, mkv.DefaultLimits()), x.T, pipe}
}

// next describes what comes next: a header, important tags, a cluster, a frame with its time.
func (r *reader) next() string {
	r.t.Helper()
	for {
		ev, err := r.Next()
		if err != nil {
			r.t.Fatal(err)
		}
		switch ev.Kind {
		case mkv.DocumentStart:
			return "header"
		case mkv.TagsEvent:
			var tags []string
			for _, t := range ev.Tags {
				switch t.Name {
				case tagFragmentNumber:
					tags = append(tags, "number "+t.Value)
				case tagContinuation:
					tags = append(tags, "token "+t.Value)
				case tagServerTimestamp, tagProducerTimestamp, tagMillisBehindNow:
				default:
					tags = append(tags, t.Name+"="+t.Value)
				}
			}
			return strings.Join(tags, " ")
		case mkv.ClusterStart:
			return fmt.Sprint("cluster ", ev.Timecode)
		case mkv.Frame:
			data, err := r.AppendPayload(nil)
			if err != nil {
				r.t.Fatal(err)
			}
			if len(data) > 20 {
				data = fmt.Appendf(nil, "%d bytes", len(data))
			}
			return fmt.Sprintf("%d %d %s", ev.Track, ev.Timecode, data)
		}
	}
}

func (r *reader) expect(want ...string) {
	r.t.Helper()
	for _, w := range want {
		if got := r.next(); got != w {
			r.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

// numbers returns the numbers of the stored fragments.
func (x *liveRig) numbers() (out []string) {
	x.Helper()
	list, err := x.store.List(x.Context(), x.stream.ID, store.Query{})
	if err != nil {
		x.Fatal(err)
	}
	for _, f := range list {
		out = append(out, x.stream.FormatNumber(f.Number))
	}
	return out
}

// number waits for the next fragment that is received, and returns its number.
func (x *liveRig) number() string {
	w := x.ingest.Edge.Follow(x.stream.ID)
	defer w.Close()
	for {
		fragments, changed := w.Fragments()
		if n := len(fragments); n > 0 && fragments[n-1].Number > x.last {
			x.last = fragments[n-1].Number
			return x.stream.FormatNumber(x.last)
		}
		<-changed
	}
}

// begun returns a reader that has the first frame of a fragment, its producer, and its number.
func (x *liveRig) begun() (r *reader, p *connection, number string) {
	r, p = x.read(), x.connect()
	p.cluster(moment)
	number = x.number()
	p.frame(1, moment, "v0")
	r.expect("header", "number "+number, fmt.Sprint("cluster ", moment),
		fmt.Sprint("1 ", moment, " v0"))
	return r, p, number
}

const moment = int64(1_699_999_990_000)

// Each frame reaches the reader before the next one is sent. The tags that the fragment got at its
// end come after it.
func TestGetMediaFrameByFrame(t *testing.T) {
	t.Parallel()
	x := newLiveRig(t, live.Options{})
	r, p := x.read(), x.connect()
	var number string
	for k := range int64(3) {
		at, before := moment+1000*k, number
		p.cluster(at)
		number = x.number()
		for i := range int64(5) {
			p.frame(1, at+40*i, fmt.Sprint("v", i))
			if i == 0 && k > 0 {
				r.expect("token " + before)
			}
			if i == 0 {
				r.expect("header", "number "+number, fmt.Sprint("cluster ", at))
			}
			r.expect(fmt.Sprint("1 ", at+40*i, " v", i))
			p.frame(2, at+40*i+3, fmt.Sprint("a", i))
			r.expect(fmt.Sprint("2 ", at+40*i+3, " a", i))
		}
		p.frame(1, at+200, strings.Repeat("x", 3*directBytes))
		r.expect(fmt.Sprint("1 ", at+200, " ", 3*directBytes, " bytes"))
	}
	p.check(p.WriteTags([]media.Tag{{Name: "place", Value: "north"},
		{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}))
	r.expect("place=north", "token "+number)
	p.close(nil)
	if n := x.metric("weir_live_frame_seconds"); n != 33 {
		t.Errorf("the delivery of %d frames was measured, of 33", n)
	}
}

// The chunk of a fragment that breaks off ends early: no token follows, the fragment is not listed,
// and the next one has a greater number.
func TestGetMediaOfWhatBreaksOff(t *testing.T) {
	t.Parallel()
	x := newLiveRig(t, live.Options{})
	r, p, first := x.begun()
	p.close(io.ErrUnexpectedEOF)
	p = x.connect()
	p.cluster(moment)
	second := x.number()
	p.frame(1, moment, "v0")
	r.expect("header", "number "+second, fmt.Sprint("cluster ", moment),
		fmt.Sprint("1 ", moment, " v0"))
	p.frame(1, moment+40, "v1")
	r.expect(fmt.Sprint("1 ", moment+40, " v1"))
	p.close(nil)
	if second <= first {
		t.Errorf("%s comes after %s", second, first)
	}
}

// A resend is sent too, and its chunk ends early: the store has the fragment under its first
// number.
func TestGetMediaOfAResend(t *testing.T) {
	t.Parallel()
	x := newLiveRig(t, live.Options{})
	r := x.read()
	for i := range 2 {
		p := x.connect()
		p.cluster(moment)
		number := x.number()
		p.frame(1, moment, "v0")
		r.expect("header", "number "+number, fmt.Sprint("cluster ", moment),
			fmt.Sprint("1 ", moment, " v0"))
		p.check(p.WriteTags([]media.Tag{{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}))
		if i == 0 {
			r.expect("token " + number)
		}
		p.close(os.ErrDeadlineExceeded)
	}
	if listed := x.numbers(); len(listed) != 1 {
		t.Errorf("listed are %v", listed)
	}
	p := x.connect()
	p.cluster(moment + 1000)
	p.frame(1, moment+1000, "v0")
	r.expect("header")
	p.close(nil)
}

// A reader that is too slow for the live edge gets the rest of the fragment from the store.
func TestGetMediaOfASlowReader(t *testing.T) {
	t.Parallel()
	x := newLiveRig(t, live.Options{Linger: time.Nanosecond})
	r, p := x.read(), x.connect()
	p.cluster(moment)
	number := x.number()
	p.frame(1, moment, "v0")
	p.frame(2, moment, "a0")
	r.expect("header", "number "+number, fmt.Sprint("cluster ", moment))
	w := x.ingest.Edge.Follow(x.stream.ID)
	defer w.Close()
	for i := range int64(20) {
		p.frame(1, moment+40+40*i, fmt.Sprint("v", i+1))
		p.frame(2, moment+40+40*i, fmt.Sprint("a", i+1))
	}
	p.check(p.WriteTags([]media.Tag{{Name: "place", Value: "north"},
		{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}))
	for {
		fragments, changed := w.Fragments()
		if len(fragments) == 0 {
			break // the edge has dropped it
		}
		<-changed
	}
	var got [3][]string
	for {
		what := r.next()
		if strings.HasPrefix(what, "place") {
			break
		}
		var track int
		var at int64
		var data string
		fmt.Sscan(what, &track, &at, &data)
		got[track] = append(got[track], data)
	}
	r.expect("token " + number)
	if n := x.metric("weir_live_cut_off_total"); n != 1 {
		t.Errorf("%d readers were cut off", n)
	}
	for i := range 21 {
		if len(got[1]) != 21 || got[1][i] != fmt.Sprint("v", i) || len(got[2]) != 21 ||
			got[2][i] != fmt.Sprint("a", i) {
			t.Fatalf("frames are %v", got)
		}
	}
	p.close(nil)
}

// Two producers of a stream: the fragment of the lower number comes first, frame by frame,
// whichever ends first.
func TestGetMediaOfTwoProducersFrameByFrame(t *testing.T) {
	t.Parallel()
	x := newLiveRig(t, live.Options{})
	r, p, first := x.begun()
	q := x.connect()
	q.cluster(moment + 10)
	q.frame(1, moment+10, "w0")
	q.close(nil)
	p.frame(1, moment+40, "v1")
	r.expect(fmt.Sprint("1 ", moment+40, " v1"))
	p.close(nil)
	r.expect("token " + first)
	listed := x.numbers()
	if !slices.IsSorted(listed) || len(listed) != 2 {
		t.Fatalf("listed are %v", listed)
	}
	r.expect("header", "number "+listed[1], fmt.Sprint("cluster ", moment+10),
		fmt.Sprint("1 ", moment+10, " w0"), "token "+listed[1])
}

// A producer that stops in mid-fragment delays others for a while. Then the chunk of its fragment
// ends early.
func TestGetMediaOfAStalledProducer(t *testing.T) {
	t.Parallel()
	x := newLiveRig(t, live.Options{})
	x.service.holdBack = time.Millisecond
	r, p, first := x.begun()
	for i := range int64(3) {
		q := x.connect()
		at := moment + 1000 + i
		q.cluster(at)
		q.frame(1, at, "w")
		q.close(nil)
		listed := x.numbers()
		number := listed[len(listed)-1]
		r.expect("header", "number "+number, fmt.Sprint("cluster ", at),
			fmt.Sprint("1 ", at, " w"), "token "+number)
	}
	p.frame(1, moment+40, "v1")
	p.close(nil) // it is stored and listed, but no longer sent
	q := x.connect()
	q.cluster(moment + 2000)
	q.frame(1, moment+2000, "w")
	r.expect("header", "number "+x.number())
	q.close(nil)
	if listed := x.numbers(); len(listed) != 5 || !slices.Contains(listed, first) {
		t.Errorf("listed are %v", listed)
	}
}
