package fragments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/store"
	"weir/internal/store/cameratest"
)

// sink receives an answer of GetMedia, chunk by chunk.
type sink struct {
	mu     sync.Mutex
	b      bytes.Buffer
	chunks chan []byte // what came between two calls of Flush
	failed error       // of Write from now on
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(p)
	return len(p), s.failed
}

func (s *sink) Flush() error {
	s.mu.Lock()
	chunk := bytes.Clone(s.b.Bytes())
	s.b.Reset()
	s.mu.Unlock()
	s.chunks <- chunk
	return nil
}

func (s *sink) Sent(time.Duration) {}

// following is an answer of GetMedia that is being written.
type following struct {
	*rig
	sink *sink
	stop chan struct{}
	end  chan error
}

// follow begins an answer.
func (r *rig) follow(sel *api.StartSelector) *following {
	r.Helper()
	m, err := r.service.GetMedia(r.Context(), r.stream, &api.GetMediaInput{StartSelector: sel})
	if err != nil {
		r.Fatal(err)
	}
	f := &following{r, &sink{chunks: make(chan []byte)}, make(chan struct{}), make(chan error, 1)}
	go func() {
		defer m.Close()
		f.end <- m.Write(r.Context(), f.stop, f.sink)
	}()
	if first := <-f.sink.chunks; len(first) > 0 {
		r.Fatalf("the answer begins with %q", first)
	}
	return f
}

// next returns the next chunk.
func (f *following) next() *chunkRead {
	f.Helper()
	select {
	case data := <-f.sink.chunks:
		chunks := readChunks(f.T, data)
		if len(chunks) != 1 {
			f.Fatalf("%d chunks at once", len(chunks))
		}
		return chunks[0]
	case err := <-f.end:
		f.Fatalf("the answer has ended: %v", err)
	case <-time.After(time.Minute):
		f.Fatal("no chunk comes")
	}
	return nil
}

// expect reads the chunks of fragments.
func (f *following) expect(want ...store.FragmentInfo) {
	f.Helper()
	for _, i := range want {
		n := f.stream.FormatNumber(i.Number)
		c := f.next()
		if got := c.tag(tagFragmentNumber); got != n || c.tag(tagContinuation) != n ||
			!strings.HasSuffix(c.order, "CT") || !strings.HasPrefix(c.order, "HT") {
			f.Fatalf("chunk %s of %s with token %s, want %s", c.order, got, c.tag(tagContinuation),
				n)
		}
	}
}

// ends stops the answer, which must then end without an error.
func (f *following) ends() {
	f.Helper()
	close(f.stop)
	if err := <-f.end; err != nil {
		f.Fatal(err)
	}
}

// Each selector starts where the service does, and every answer continues with new fragments.
func TestGetMediaSelectors(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	x.camera.Time -= time.Hour.Milliseconds()
	var sent []store.FragmentInfo
	for range 3 {
		sent = append(sent, x.camera.Send())
	}
	x.camera.Time += 10_000 // a pause, on both clocks
	x.store.Sleep(10 * time.Second)
	for range 2 {
		sent = append(sent, x.camera.Send())
	}
	number := x.stream.FormatNumber(sent[1].Number)
	moment := func(kind api.StartSelectorType, at int64) *api.StartSelector {
		ts := api.Timestamp(at)
		return &api.StartSelector{StartSelectorType: kind, StartTimestamp: &ts}
	}
	const server, producer = api.StartServerTimestamp, api.StartProducerTimestamp
	cases := []struct {
		sel  *api.StartSelector
		from int
	}{
		{&api.StartSelector{StartSelectorType: api.StartEarliest}, 0},
		{&api.StartSelector{StartSelectorType: api.StartNow}, 4},
		{&api.StartSelector{StartSelectorType: api.StartFragmentNumber,
			AfterFragmentNumber: number}, 2},
		{&api.StartSelector{StartSelectorType: api.StartFragmentNumber,
			AfterFragmentNumber: x.stream.FormatNumber(sent[2].Number + 7)}, 3}, // of no fragment
		{&api.StartSelector{StartSelectorType: api.StartContinuationToken,
			ContinuationToken: number}, 2},
		{moment(server, 0), 0},
		{moment(server, sent[1].ServerTimestamp), 1},
		{moment(server, sent[1].ServerTimestamp+1999), 1},
		{moment(server, sent[2].ServerTimestamp+2000), 3}, // in the pause
		{moment(server, sent[4].ServerTimestamp+999_999), 5},
		{moment(producer, sent[0].ProducerTimestamp), 0},
		{moment(producer, sent[3].ProducerTimestamp-1), 3},
		{moment(producer, sent[3].ProducerTimestamp+1), 3},
	}
	var all []*following
	for _, c := range cases {
		f := x.follow(c.sel)
		f.expect(sent[c.from:]...)
		all = append(all, f)
	}
	last := x.camera.Send()
	for _, f := range all {
		f.expect(last)
		f.ends()
	}
	if x.store.OpenNow() != 0 {
		t.Errorf("%d fragments are still open", x.store.OpenNow())
	}
}

// An answer can begin before the stream's first fragment, and follows it from there.
// MillisBehindNow is the age of a fragment.
func TestGetMediaOfASilentStream(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	var all []*following
	ts := api.Timestamp(x.store.Clock().UnixMilli())
	for _, sel := range []*api.StartSelector{{StartSelectorType: api.StartNow},
		{StartSelectorType: api.StartEarliest},
		{StartSelectorType: api.StartServerTimestamp, StartTimestamp: &ts}} {
		all = append(all, x.follow(sel))
	}
	info := x.camera.Send()
	for _, f := range all {
		c := f.next()
		if c.tag(tagFragmentNumber) != x.stream.FormatNumber(info.Number) {
			t.Errorf("chunk of %s", c.tag(tagFragmentNumber))
		}
		// the camera's clock goes on
		if late := c.tag(tagMillisBehindNow); late != "0" && late != "2000" {
			t.Errorf("behind by %s ms", late)
		}
		f.ends()
	}
}

// Numbers rise, and no fragment comes twice. A fragment that is stored after one with a greater
// number was sent is left out. One that replaces another comes with its own number.
func TestGetMediaNumbersRise(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	first := x.camera.Send()
	f := x.follow(&api.StartSelector{StartSelectorType: api.StartEarliest})
	f.expect(first)
	late := x.camera.NextNumber()
	second := x.camera.Send()
	f.expect(second)
	x.store.Commit(x.camera.Record(late), 0)
	third := x.camera.Send()
	again := x.store.Commit(x.camera.Record(x.camera.NextNumber()), second.Number)
	fourth := x.camera.Send()
	f.expect(third, again, fourth)
	f.ends()
}

// inFlight is one number in flight.
type inFlight struct {
	mu      sync.Mutex
	number  store.Number
	changed chan struct{} // closed when it leaves
}

func (p *inFlight) Lowest(_ store.StreamID, after store.Number) (store.Number, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.number <= after {
		return 0, nil
	}
	return p.number, p.changed
}

func (p *inFlight) set(n store.Number) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed != nil {
		close(p.changed)
	}
	p.number, p.changed = n, make(chan struct{})
}

// A fragment waits for one with a lower number that another producer is sending. It is sent after
// that one, when that one is given up, or when it has waited long enough.
func TestGetMediaHoldsBack(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	pending := &inFlight{}
	x.service.pending, x.service.holdBack = pending, time.Hour
	first := x.camera.Send()
	f := x.follow(&api.StartSelector{StartSelectorType: api.StartEarliest})
	f.expect(first)

	late := x.camera.NextNumber()
	pending.set(late)
	second := x.camera.Send()
	info := x.store.Commit(x.camera.Record(late), 0)
	pending.set(0)
	f.expect(info, second)

	pending.set(x.camera.NextNumber())
	third := x.camera.Send()
	pending.set(0) // and nothing was stored
	f.expect(third)
	f.ends()

	x.service.holdBack = time.Millisecond
	lost := x.camera.NextNumber()
	pending.set(lost)
	fourth := x.camera.Send()
	f = x.follow(&api.StartSelector{StartSelectorType: api.StartContinuationToken,
		ContinuationToken: x.stream.FormatNumber(third.Number)})
	f.expect(fourth, x.camera.Send())
	f.ends()
}

// A fragment that is deleted during an answer is left out, a damaged one is reported, and the
// answer goes on. It ends when the stream is deleted.
func TestGetMediaThroughLosses(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	var sent []store.FragmentInfo
	for range 4 {
		sent = append(sent, x.camera.Send())
	}
	x.store.Lose(sent[1].Number)
	x.store.Fail(sent[2].Number, cameratest.Fails(store.ErrCorrupt))
	f := x.follow(&api.StartSelector{StartSelectorType: api.StartEarliest})
	f.expect(sent[0])
	c := f.next()
	if c.order != "HT" || c.tag(tagFragmentNumber) != x.stream.FormatNumber(sent[2].Number) ||
		c.tag(tagErrorID) != "5000" || c.tag(tagErrorCode) != "INTERNAL_ERROR" {
		t.Errorf("a damaged fragment is %s %v", c.order, c.tags)
	}
	f.expect(sent[3])
	if err := x.store.DeleteStream(t.Context(), x.stream.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := <-f.end; err != nil {
		t.Errorf("the stream was deleted: %v", err)
	}
}

func TestGetMediaLimits(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	x.service = New(Options{Store: x.store, Limits: Limits{2, 4}, Clock: x.store.Clock})
	in := &api.GetMediaInput{StartSelector: &api.StartSelector{StartSelectorType: api.StartNow}}
	begin := func(stream store.Stream) (*MediaStream, error) {
		return x.service.GetMedia(t.Context(), stream, in)
	}
	a, err := begin(x.stream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begin(x.stream); err != nil {
		t.Fatal(err)
	}
	if _, err := begin(x.stream); !errors.Is(err, &api.Error{
		Code: api.ConnectionLimitExceededException}) {
		t.Errorf("a third connection: %v", err)
	}
	a.Close()
	a.Close() // only the first call counts
	if _, err := begin(x.stream); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	if _, err := begin(x.stream); !errors.Is(err, &api.Error{
		Code: api.ClientLimitExceededException}) {
		t.Errorf("a fifth call in a second: %v", err)
	}
	if _, err := begin(x.another()); err != nil {
		t.Errorf("another stream: %v", err)
	}
	for _, sel := range []*api.StartSelector{
		{StartSelectorType: api.StartFragmentNumber, AfterFragmentNumber: "7"},
		{StartSelectorType: api.StartContinuationToken, ContinuationToken: "x"},
	} {
		x.store.Sleep(time.Second)
		_, err := x.service.GetMedia(t.Context(), x.stream, &api.GetMediaInput{StartSelector: sel})
		if !errors.Is(err, &api.Error{Code: api.InvalidArgumentException}) {
			t.Errorf("%+v: %v", sel, err)
		}
	}
}

// When the client has left, the answer stops, with an error.
func TestGetMediaOfAClientThatLeft(t *testing.T) {
	t.Parallel()
	x := newRig(t, cameratest.Video())
	ctx, cancel := context.WithCancel(t.Context())
	m, err := x.service.GetMedia(ctx, x.stream, &api.GetMediaInput{
		StartSelector: &api.StartSelector{StartSelectorType: api.StartNow}})
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	s := &sink{chunks: make(chan []byte, 1)}
	go func() { end <- m.Write(ctx, nil, s) }()
	<-s.chunks
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Errorf("while nothing comes: %v", err)
	}
	broken := fmt.Errorf("broken pipe")
	s.failed = broken
	x.camera.Send()
	if err := m.Write(t.Context(), nil, s); !errors.Is(err, broken) {
		t.Errorf("while it is written to: %v", err)
	}
}

// A connection that ends makes room for one other, however often its end is told.
func TestConnectionsOfAStreamAreCounted(t *testing.T) {
	var r readers
	enter := func(want bool) (leave func()) {
		t.Helper()
		leave, ok := r.enter("cam", 3)
		if ok != want {
			t.Errorf("a connection beside %d may enter: %t", r.counts["cam"], ok)
		}
		return leave
	}
	enter(true)
	leave := enter(true)
	enter(true)
	enter(false)
	leave()
	leave()
	enter(true)
	enter(false)
	if _, ok := r.enter("another", 3); !ok {
		t.Error("streams share a limit")
	}
}
