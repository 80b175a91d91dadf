package ingest

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"weir/internal/live"
	"weir/internal/store"
)

// await returns the state of a fragment as soon as it is what the test wants.
func await(t *testing.T, w *live.Follower, h *live.Hold, wanted func(live.State) bool) live.State {
	t.Helper()
	for {
		_, changed := w.Fragments()
		s, ok := h.State()
		if !ok {
			t.Fatal("cut off")
		}
		if wanted(s) {
			return s
		}
		<-changed
	}
}

// newest holds a fragment as soon as there is one with a greater number.
func newest(t *testing.T, w *live.Follower, after store.Number) *live.Hold {
	t.Helper()
	for {
		fragments, changed := w.Fragments()
		if n := len(fragments); n > 0 && fragments[n-1].Number > after {
			h := fragments[n-1].Hold()
			if h == nil {
				t.Fatal("cannot be held")
			}
			return h
		}
		<-changed
	}
}

func ended(t *testing.T, w *live.Follower, f *live.Fragment) live.End {
	t.Helper()
	for {
		_, changed := w.Fragments()
		if end, ok := f.End(); ok {
			return end
		}
		<-changed
	}
}

// piped starts a connection whose body is what is written to in. running gets the error of its Run.
func piped(t *testing.T, o Options) (in *io.PipeWriter, running <-chan error) {
	body, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := run(t, o, body)
		done <- err
	}()
	return in, done
}

// TestFollowerSeesFramesAsTheyArrive feeds a body block by block: each must be seen before the next
// one is sent.
func TestFollowerSeesFramesAsTheyArrive(t *testing.T) {
	s := newStore()
	o := absolute(s)
	o.Edge = live.New(live.Options{})
	w := o.Edge.Follow(o.Stream.ID)
	defer w.Close()
	in, running := piped(t, o)
	video := videoTrack
	video.CodecPrivate = avcC
	b := build(t).header("other", video, audioTrack)
	send := func() {
		if _, err := in.Write(b.Bytes()); err != nil {
			t.Error(err)
		}
		b.Reset()
	}
	b.cluster(epoch)
	send()
	h := newest(t, w, 0)
	var sent [2][]byte
	var finals [2]int
	for i := range 30 {
		track := i % 3 / 2 // two of video, one of sound
		data := picture(100+i, i == 0)
		if track == 1 {
			data = strings.Repeat("a", i)
		}
		b.frame(1+track, epoch+int64(i)*15, data)
		sent[track] = append(sent[track], data...)
		send()
		state := await(t, w, h, func(s live.State) bool { return len(s.Order) == i+1 })
		for k := range sent {
			if got := &state.Tracks[k]; !bytes.Equal(got.Payload, sent[k]) {
				t.Fatalf("block %d: payload of track %d is not what was sent", i, k)
			} else {
				finals[k] = len(got.Final.Frames)
			}
		}
	}
	if finals[0] < 18 || finals[1] < 8 {
		t.Errorf("%v frames are final of 20 and 10", finals)
	}
	before, _ := h.State()
	b.cluster(epoch + 450)
	send()
	end := ended(t, w, h.Fragment())
	if !end.Stored || end.Differs || end.Info.Number != h.Fragment().Number {
		t.Errorf("end of a whole fragment: %+v", end)
	}
	rec := s.all()[0]
	for k, run := range rec.Runs {
		n := len(before.Tracks[k].Final.Frames)
		if !slices.Equal(before.Tracks[k].Final.Frames, run.Frames[:n]) ||
			before.Tracks[k].Final.BaseDecodeTime != run.BaseDecodeTime {
			t.Errorf("track %d: final were %+v, stored are %+v", k, before.Tracks[k].Final, run)
		}
	}
	second := newest(t, w, h.Fragment().Number)
	b.frame(1, epoch+450, picture(100, true))
	send()
	await(t, w, second, func(s live.State) bool { return len(s.Order) == 1 })
	in.Write([]byte{0xa3})
	in.CloseWithError(io.ErrUnexpectedEOF)
	if end := ended(t, w, second.Fragment()); !end.Stored || !s.all()[1].Partial {
		t.Errorf("end of a lonely producer's fragment: %+v", end)
	}
	h.Release()
	second.Release()
	wantError(t, <-running, 4000)
}

// TestFragmentThatIsGivenUpBreaksOff: the SDK will send it again.
func TestFragmentThatIsGivenUpBreaksOff(t *testing.T) {
	o := absolute(newStore())
	o.Edge = live.New(live.Options{})
	w := o.Edge.Follow(o.Stream.ID)
	defer w.Close()
	b := build(t).header(sdk).gop(epoch, 2)
	if _, err := run(t, o, lost(append(b.Bytes(), 0xa3))); err == nil {
		t.Fatal("no error")
	}
	fragments, _ := w.Fragments()
	if len(fragments) != 1 {
		t.Fatalf("%d fragments", len(fragments))
	}
	if end, ok := fragments[0].End(); !ok || end.Stored {
		t.Errorf("end %+v, %v", end, ok)
	}
}

// TestResendEndsUnderAnotherNumber: followers have seen a fragment that is in the store under its
// first number.
func TestResendEndsUnderAnotherNumber(t *testing.T) {
	s := newStore()
	b := build(t).header(sdk).gop(epoch, 2).end()
	o := absolute(s)
	o.Edge = live.New(live.Options{})
	w := o.Edge.Follow(o.Stream.ID)
	defer w.Close()
	for range 2 {
		if _, err := run(t, o, b.reader()); err != nil {
			t.Fatal(err)
		}
	}
	fragments, _ := w.Fragments()
	if len(fragments) != 2 {
		t.Fatalf("%d fragments", len(fragments))
	}
	for i, f := range fragments {
		if end, ok := f.End(); !ok || end.Stored != (i == 0) || end.Info.Number != 1 {
			t.Errorf("end %d: %+v", i, end)
		}
	}
}

// TestSlowFollowerNeverReadsAnotherFragment holds a fragment while others go through the same
// buffers.
func TestSlowFollowerNeverReadsAnotherFragment(t *testing.T) {
	o := absolute(newStore())
	o.Edge = live.New(live.Options{PerStream: 64})
	w := o.Edge.Follow(o.Stream.ID)
	defer w.Close()
	in, running := piped(t, o)
	b := build(t).header(sdk)
	big := strings.Repeat("first", 3000)
	b.cluster(epoch).frame(1, epoch, big)
	in.Write(b.Bytes())
	h := newest(t, w, 0)
	state := await(t, w, h, func(s live.State) bool { return len(s.Order) == 1 })
	b.Reset()
	// The buffer grows, and later ones are of any size.
	b.frame(1, epoch+40, strings.Repeat("grown", 30_000))
	for i := range int64(40) {
		at := epoch + 1000*(i+1)
		b.cluster(at).frame(1, at, strings.Repeat("other", 1<<(i%16)))
	}
	b.end()
	in.Write(b.Bytes())
	in.Close()
	if err := <-running; err != nil {
		t.Fatal(err)
	}
	if string(state.Tracks[0].Payload) != big {
		t.Error("what a follower reads has changed")
	}
	if later, ok := h.State(); !ok || !strings.HasPrefix(string(later.Tracks[0].Payload), big) {
		t.Error("what a follower reads after the end is not the fragment")
	}
	h.Release()
}

// The buffer of a fragment that somebody followed is used again, as soon as nobody reads it.
func TestBuffersThatWereFollowedAreUsedAgain(t *testing.T) {
	o := absolute(newStore())
	o.Edge, o.Memory, o.Numbers = live.New(live.Options{}), NewMemory(0), NewNumbers()
	w := o.Edge.Follow(o.Stream.ID)
	defer w.Close()
	const size = 1 << 14
	pool := &o.Memory.pools[sizeClass(size)]
	// A pool may lose what it is given: in a collection, and at random with the race detector.
	for n := range int64(50) {
		in, running := piped(t, o)
		at := epoch + 1000*n
		in.Write(build(t).header(sdk).cluster(at).frame(1, at, strings.Repeat("x", size)).Bytes())
		h := newest(t, w, store.Number(n))
		read := await(t, w, h, func(s live.State) bool { return len(s.Order) == 1 })
		in.Write(build(t).end().Bytes())
		in.Close()
		if err := <-running; err != nil {
			t.Fatal(err)
		}
		if pool.Get() != nil {
			t.Fatal("a buffer that is read may be used again")
		}
		h.Release()
		if b, ok := pool.Get().(*[]byte); ok {
			if &(*b)[0] != &read.Tracks[0].Payload[0] {
				t.Error("another buffer was given back")
			}
			return
		}
	}
	t.Error("no buffer is used again")
}

// A buffer that somebody reads is lost when it grows. So it grows once, to what the fragment before
// took.
func TestFollowedBuffersGrowOnce(t *testing.T) {
	o := absolute(newStore())
	o.Edge = live.New(live.Options{})
	w := o.Edge.Follow(o.Stream.ID)
	defer w.Close()
	in, running := piped(t, o)
	b := build(t).header(sdk)
	const frames = 40
	var after store.Number
	for n := range int64(2) {
		at := epoch + 1000*n
		b.cluster(at)
		var h *live.Hold
		buffers := map[*byte]bool{}
		for i := range int64(frames) {
			b.frame(1, at+20*i, strings.Repeat("x", 10_000))
			in.Write(b.Bytes())
			b.Reset()
			if h == nil {
				h = newest(t, w, after)
			}
			s := await(t, w, h, func(s live.State) bool { return len(s.Order) == int(i+1) })
			buffers[&s.Tracks[0].Payload[0]] = true
		}
		if n == 1 && len(buffers) > 2 {
			t.Errorf("%d bytes went through %d buffers", frames*10_000, len(buffers))
		}
		after = h.Fragment().Number
		h.Release()
	}
	in.Write(b.end().Bytes())
	in.Close()
	if err := <-running; err != nil {
		t.Fatal(err)
	}
}
