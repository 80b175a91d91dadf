package live

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/media"
	"weir/internal/store"
)

const camera = store.StreamID("00000000000000000000000000000001")

// allButLast is a draft that calls every sample but the newest final: each lasts a tick.
type allButLast struct{ track int }

func (d allButLast) Final(samples []media.Sample) media.Run {
	run := media.Run{Track: d.track, BaseDecodeTime: samples[0].Time}
	for _, s := range samples[:len(samples)-1] {
		run.Frames = append(run.Frames, media.Frame{Duration: 1, Size: s.Size})
	}
	return run
}

// producer is ingest's side of a fragment with one track.
type producer struct {
	*Fragment
	samples []media.Sample
	payload []byte
	freed   int // how often the payload was given back
}

func begin(e *Edge, n store.Number) *producer {
	return &producer{Fragment: e.Begin(camera, Head{Number: n,
		Tracks: []media.Track{{Number: 1, Kind: media.Video}},
		Drafts: []media.Draft{allButLast{1}}})}
}

func (p *producer) block(text string) {
	p.samples = append(p.samples, media.Sample{Time: 7, Size: uint32(len(text))})
	p.payload = append(p.payload, text...)
	p.Add(0, p.samples, p.payload, time.Now())
}

// frames makes the fragment as it is stored: each of its frames lasts so many ticks.
func (p *producer) frames(last uint32) *media.Fragment {
	run := media.Run{Track: 1, BaseDecodeTime: 7}
	for _, s := range p.samples {
		run.Frames = append(run.Frames, media.Frame{Duration: last, Size: s.Size})
	}
	return &media.Fragment{Tracks: p.Tracks, Runs: []media.Run{run}}
}

func (p *producer) store() {
	p.Whole(p.frames(1))
	p.Stored(store.FragmentInfo{Number: p.Number})
	p.release()
}

// release ends the producer's use of the payload. When the payload may be used again, it is
// overwritten: a reader who still reads it then sees that, and so does the race detector.
func (p *producer) release() {
	p.Release(int64(cap(p.payload)), func() {
		for i := range p.payload {
			p.payload[i] = '!'
		}
		p.freed++
	})
}

func numbers(w *Follower) []store.Number {
	var out []store.Number
	fragments, _ := w.Fragments()
	for _, f := range fragments {
		out = append(out, f.Number)
	}
	return out
}

// hold holds the only fragment of a stream.
func hold(t *testing.T, w *Follower) *Hold {
	t.Helper()
	fragments, _ := w.Fragments()
	if len(fragments) != 1 {
		t.Fatalf("%d fragments", len(fragments))
	}
	h := fragments[0].Hold()
	if h == nil {
		t.Fatal("cannot be held")
	}
	return h
}

func state(t *testing.T, h *Hold) State {
	t.Helper()
	s, ok := h.State()
	if !ok {
		t.Fatal("cut off")
	}
	return s
}

// metrics returns registered metrics, and a function that returns the value of one.
func metrics(t *testing.T) (*Metrics, func(name string) float64) {
	t.Helper()
	reg := prometheus.NewRegistry()
	m, err := NewMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	return m, func(name string) float64 {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				m := f.GetMetric()[0]
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() +
					float64(m.GetHistogram().GetSampleCount())
			}
		}
		t.Fatalf("no metric %s", name)
		return 0
	}
}

func TestDeliveryIsMeasuredOncePerBlock(t *testing.T) {
	m, read := metrics(t)
	e := New(Options{Metrics: m})
	w := e.Follow(camera)
	defer w.Close()
	p := begin(e, 1)
	h := hold(t, w)
	defer h.Release()
	p.block("a")
	p.block("b")
	p.block("c")
	for _, blocks := range []int{2, 1, 2, 3, 9} {
		h.Delivered(0, blocks, time.Now())
	}
	if n := read("weir_live_frame_seconds"); n != 3 {
		t.Errorf("%v deliveries of 3 blocks are measured", n)
	}
	p.BrokenOff()
}

func TestFragmentsOfTwoProducersAreShownByNumber(t *testing.T) {
	e := New(Options{})
	w := e.Follow(camera)
	defer w.Close()
	first, third, second := begin(e, 1), begin(e, 3), begin(e, 2)
	if got := numbers(w); !slices.Equal(got, []store.Number{1, 2, 3}) {
		t.Errorf("shown %v", got)
	}
	for _, p := range []*producer{first, second, third} {
		p.BrokenOff()
	}
}

func TestFollowerSeesEachBlockAndWhatIsFinal(t *testing.T) {
	e := New(Options{})
	w := e.Follow(camera)
	defer w.Close()
	p := begin(e, 1)
	h := hold(t, w)
	defer h.Release()
	for i, text := range []string{"ab", "", "cde"} {
		_, changed := w.Fragments()
		p.block(text)
		<-changed
		s := state(t, h)
		if n := len(s.Tracks[0].Samples); n != i+1 || len(s.Order) != i+1 {
			t.Errorf("%d blocks of %d are shown", n, i+1)
		}
		if n := len(s.Tracks[0].Final.Frames); n != i {
			t.Errorf("%d frames are final of %d blocks", n, i+1)
		}
	}
	if got := state(t, h).Tracks[0].Payload; string(got) != "abcde" {
		t.Errorf("payload %q", got)
	}
	_, changed := w.Fragments()
	if at := h.Fragment().Latest(0); at != 7 || h.Fragment().IsWhole() {
		t.Errorf("latest %d, whole %v", at, h.Fragment().IsWhole())
	}
	p.Whole(p.frames(1))
	<-changed
	if !h.Fragment().IsWhole() {
		t.Error("not whole")
	}
	if s := state(t, h); len(s.Tracks[0].Final.Frames) != 3 || s.Whole == nil || s.Differs {
		t.Errorf("of the whole fragment: %+v", s)
	}
	_, changed = w.Fragments()
	p.Stored(store.FragmentInfo{Number: 1, Sequence: 5})
	<-changed
	if end, ok := h.Fragment().End(); !ok || !end.Stored || end.Info.Sequence != 5 || end.Differs {
		t.Errorf("end %+v", end)
	}
}

func TestEndTellsThatWhatWasFinalIsNotWhatIsStored(t *testing.T) {
	e := New(Options{})
	w := e.Follow(camera)
	defer w.Close()
	p := begin(e, 1)
	h := hold(t, w)
	defer h.Release()
	p.block("a")
	p.block("b")
	said := state(t, h).Tracks[0].Final.Frames
	p.Whole(p.frames(2))
	if s := state(t, h); !s.Differs || !slices.Equal(s.Tracks[0].Final.Frames, said) {
		t.Errorf("after it was whole: %+v", s)
	}
	p.Stored(store.FragmentInfo{Number: 1})
	if end, _ := h.Fragment().End(); !end.Stored || !end.Differs {
		t.Errorf("end %+v", end)
	}
}

func TestResendIsNotStoredUnderItsNumber(t *testing.T) {
	e := New(Options{})
	w := e.Follow(camera)
	defer w.Close()
	p := begin(e, 2)
	p.Stored(store.FragmentInfo{Number: 1})
	fragments, _ := w.Fragments()
	if end, ok := fragments[0].End(); !ok || end.Stored {
		t.Errorf("end %+v", end)
	}
}

func TestEndIsShownForAWhileToThoseWhoFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Linger: time.Second})
		begin(e, 1).store()
		w := e.Follow(camera)
		defer w.Close()
		if got := numbers(w); len(got) > 0 {
			t.Errorf("%v ended before anybody followed", got)
		}
		begin(e, 2).store()
		time.Sleep(time.Second - 1)
		if got := numbers(w); !slices.Equal(got, []store.Number{2}) {
			t.Errorf("shown before its time is over: %v", got)
		}
		time.Sleep(2 * time.Nanosecond)
		if got := numbers(w); len(got) > 0 {
			t.Errorf("shown after its time is over: %v", got)
		}
	})
}

func TestSlowReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, read := metrics(t)
		e := New(Options{Linger: time.Second, Metrics: m})
		w := e.Follow(camera)
		defer w.Close()
		p := begin(e, 1)
		p.block("abc")
		h := hold(t, w)
		p.store()
		if _, ok := h.State(); !ok {
			t.Error("cut off at once")
		}
		time.Sleep(time.Second + 1)
		if _, ok := h.State(); ok {
			t.Error("reads on, long after the end")
		}
		h.Release()
		if p.freed != 0 {
			t.Error("what a reader was cut off from is used again")
		}
		if n := read("weir_live_cut_off_total"); n != 1 || e.held != 0 {
			t.Errorf("%v cut off, %d bytes held", n, e.held)
		}
	})
}

func TestBoundsHold(t *testing.T) {
	e := New(Options{PerStream: 2, Fragments: 3, Held: 100})
	w := e.Follow(camera)
	defer w.Close()
	p := begin(e, 1)
	p.block("abc")
	slow := hold(t, w)
	p.Whole(p.frames(1))
	p.Stored(store.FragmentInfo{Number: 1})
	p.Release(101, func() {})
	second := begin(e, 2)
	if second.Hold() != nil {
		t.Error("held, although too much that has ended is held")
	}
	slow.Release()
	h := second.Hold()
	if h == nil {
		t.Fatal("not held, although nothing else is")
	}
	h.Release()
	if begin(e, 3); !slices.Equal(numbers(w), []store.Number{2, 3}) {
		t.Errorf("what has ended makes no room: %v", numbers(w))
	}
	if p := begin(e, 4); p.Fragment != nil {
		t.Error("a third fragment is shown")
	}
	e.Begin("00000000000000000000000000000002", Head{Number: 1})
	if f := e.Begin("00000000000000000000000000000003", Head{Number: 1}); f != nil {
		t.Error("a fourth fragment in all is shown")
	}
}

// A camera that comes back again and again, from connections that die in silence, finds a place.
func TestSilentFragmentsMakeRoom(t *testing.T) {
	e := New(Options{PerStream: 2})
	w := e.Follow(camera)
	defer w.Close()
	came := time.Now()
	at := func(n store.Number, later time.Duration) *Fragment {
		return e.Begin(camera, Head{Number: n, ServerTimestamp: came.Add(later).UnixMilli(),
			Tracks: []media.Track{{Number: 1}}})
	}
	silent, sends := at(1, 0), at(2, 0)
	if at(3, silence/2) != nil {
		t.Error("more are shown than may be")
	}
	sends.Add(0, make([]media.Sample, 1), nil, came.Add(silence))
	if at(4, silence+time.Second) == nil {
		t.Error("a silent fragment makes no room")
	}
	if got := numbers(w); !slices.Equal(got, []store.Number{2, 4}) {
		t.Errorf("%v are shown", got)
	}
	silent.Add(0, make([]media.Sample, 1), nil, came) // it is received all the same
	silent.BrokenOff()
	if at(5, silence+2*time.Second) != nil {
		t.Error("one that sends has made room")
	}
}

func TestNilKnowsNothing(t *testing.T) {
	var e *Edge
	p := e.Begin(camera, Head{})
	if p != nil {
		t.Fatal("shown by nobody")
	}
	p.Add(0, nil, nil, time.Now())
	p.Whole(nil)
	p.Stored(store.FragmentInfo{})
	p.BrokenOff()
	freed := false
	if p.Release(1, func() { freed = true }); !p.Move(0, nil) || !freed {
		t.Error("buffers may not be used again")
	}
	w := e.Follow(camera)
	defer w.Close()
	if f, changed := w.Fragments(); len(f) > 0 || changed != nil {
		t.Error("shows something")
	}
}

// A producer that sends in real time has no bursts. One that sends fragment by fragment has bursts
// as long as its fragments, and one whose sound comes late has bursts as long as that delay. A
// pause in one fragment says little.
func TestBurstTellsHowUnevenlyFramesCome(t *testing.T) {
	e := New(Options{Fragments: 2})
	now := time.Now()
	sendAll := func(id store.StreamID, n store.Number, tracks ...[]time.Duration) {
		f := e.Begin(id, Head{Number: n, Tracks: []media.Track{{Kind: media.Video},
			{Kind: media.Audio}, {}}[:len(tracks)]})
		for track, arrivals := range tracks {
			var samples []media.Sample
			for i, at := range arrivals {
				samples = append(samples, media.Sample{
					Time: now.Add(time.Duration(i) * 100 * time.Millisecond).UnixNano()})
				f.Add(track, samples, nil, now.Add(at))
			}
		}
		f.Whole(&media.Fragment{})
		f.Stored(store.FragmentInfo{Number: n})
	}
	send := func(id store.StreamID, n store.Number, arrivals ...time.Duration) {
		sendAll(id, n, arrivals)
	}
	const ms = time.Millisecond
	if d := e.Burst(camera); d != 0 {
		t.Errorf("%v of a stream that nothing is known of", d)
	}
	send(camera, 1, 0, 0, 0)
	if d := e.Burst(camera); d != 200*ms {
		t.Errorf("%v of a fragment that came at once", d)
	}
	send(camera, 2, 5*ms, 110*ms, 200*ms)
	send(camera, 3, 0, 900*ms, 910*ms)
	if d := e.Burst(camera); d != 10*ms {
		t.Errorf("%v after a pause", d)
	}
	for n := range store.Number(2) {
		sendAll(camera, 4+n, []time.Duration{0, 100 * ms}, []time.Duration{300 * ms, 400 * ms},
			[]time.Duration{5000 * ms, 0})
	}
	if d := e.Burst(camera); d != 300*ms {
		t.Errorf("%v with sound that comes 300 ms later than its pictures", d)
	}
	for i := range 5 {
		send(store.StreamID(fmt.Sprint(i)), 1, 0)
	}
	if n := len(e.bursts); n > 2 {
		t.Errorf("%d streams are remembered", n)
	}
}

func TestEverythingIsForgotten(t *testing.T) {
	m, read := metrics(t)
	e := New(Options{Metrics: m})
	w := e.Follow(camera)
	if n := read("weir_live_followers"); n != 1 {
		t.Errorf("%v followers of one", n)
	}
	p := begin(e, 1)
	w.Close()
	w.Close()
	p.store()
	if len(e.streams) > 0 || e.shown != 0 || e.held != 0 {
		t.Errorf("%d streams, %d fragments, %d bytes are left", len(e.streams), e.shown, e.held)
	}
	if n := read("weir_live_followers"); n != 0 {
		t.Errorf("%v followers are left", n)
	}
}

// TestReadersReadWhileIngestWrites is for the race detector: followers read while ingest writes.
func TestReadersReadWhileIngestWrites(t *testing.T) {
	e := New(Options{})
	w := e.Follow(camera)
	defer w.Close()
	const blocks = 200
	var want bytes.Buffer
	for i := range blocks {
		fmt.Fprintf(&want, "block %d;", i)
	}
	p := begin(e, 1)
	var readers sync.WaitGroup
	for range 4 {
		h := hold(t, w)
		readers.Go(func() {
			defer h.Release()
			for {
				_, changed := w.Fragments()
				s, ok := h.State()
				if !ok {
					t.Error("cut off")
					return
				}
				got := s.Tracks[0].Payload
				if !bytes.HasPrefix(want.Bytes(), got) {
					t.Errorf("read %q", got)
					return
				}
				if len(s.Tracks[0].Samples) == blocks {
					return
				}
				<-changed
			}
		})
	}
	p.payload = make([]byte, 0, 16)
	for i := range blocks {
		text := fmt.Sprintf("block %d;", i)
		if old := p.payload; len(old)+len(text) > cap(old) {
			p.payload = append(make([]byte, 0, 2*cap(old)+len(text)), old...)
			if p.Move(0, p.payload) {
				clear(old[:cap(old)])
			}
		}
		p.block(text)
	}
	readers.Wait()
	p.BrokenOff()
}
