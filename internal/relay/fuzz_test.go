package relay

import (
	"bufio"
	"bytes"
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// message is a whole message.
func message(k kind, body []byte) []byte { return append(appendHead(nil, k, len(body)), body...) }

// conversation returns the messages about a fragment of two tracks.
func conversation() []byte {
	head := live.Head{Number: 5, ProducerTimestamp: 1, ServerTimestamp: 2, Timecode: 3,
		Tracks: []media.Track{{Number: 1, Kind: media.Video}, {Number: 2, Kind: media.Audio}},
		Tags:   []media.Tag{{Name: "a", Value: "b"}}, Header: []byte("header")}
	var out []byte
	say := func(k kind, body []byte) { out = append(out, message(k, body)...) }
	say(kindBegin, appendBegin(nil, &head))
	rec := &store.Record{Number: 5, Fragment: media.Fragment{Tracks: head.Tracks}}
	for i, text := range []string{"pictures", "sound"} {
		sample := media.Sample{Time: int64(i) - 1, Key: i == 0, Content: media.Content(i)}
		say(kindBlock, append(appendBlock(nil, &block{5, i, sample}), text...))
		run := media.Run{Track: i + 1, BaseDecodeTime: -7, Frames: []media.Frame{{Duration: 3,
			CompositionOffset: -2, Size: uint32(len(text)), Key: true, Marks: media.Open}}}
		say(kindFinal, appendFinal(nil, &final{5, i, 0, run}))
		rec.Runs, rec.Payload = append(rec.Runs, run), append(rec.Payload, []byte(text))
	}
	whole, _, err := record.EncodeFragment(rec, 0)
	if err != nil {
		panic(err)
	}
	say(kindReady, nil)
	say(99, []byte("of another time"))
	say(kindWhole, appendWhole(nil, 5, false, whole))
	say(kindEnd, appendEnd(nil, &ending{5, live.End{Stored: true, Info: store.FragmentInfo{
		Number: 5, Sequence: 9, PayloadCRC: math.MaxUint32, Location: store.Location{
			Volume: "o", Offset: 1, Length: 2, MetaLength: 3},
		Spans: []store.Span{{Track: 1, Frames: 1}}}}}))
	say(kindBegin, appendBegin(nil, &live.Head{Number: 6, Tracks: head.Tracks}))
	say(kindCutOff, appendNumber(nil, 6))
	say(kindEnd, appendEnd(nil, &ending{6, live.End{}}))
	say(kindIdle, nil)
	return out
}

// hears feeds a node the messages of another, and returns what its followers see.
func hears(text []byte, memory int64) (r *Relay, l *link, w *live.Follower, err error) {
	s := newSite()
	n := &node{site: s, id: "me", numbers: numbers{in: map[store.Number]int{}}}
	r = New(Options{Nodes: n, Edge: live.New(live.Options{Linger: time.Hour}),
		Numbers: &n.numbers, Key: s.key, Memory: memory})
	w = r.o.Edge.Follow(camera)
	l = &link{relay: r, stream: camera, ready: make(chan struct{}),
		incoming: map[store.Number]*incoming{}}
	return r, l, w, l.feed(context.Background(), bufio.NewReader(bytes.NewReader(text)))
}

// Whatever another node sends, what followers see is consistent, and all memory is returned.
func FuzzFeed(f *testing.F) {
	whole := conversation()
	f.Add(whole)
	for _, at := range []int{1, 20, 60, 100, len(whole) / 2} {
		f.Add(whole[:at])
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x15
		f.Add(damaged)
	}
	f.Add(message(kindBlock, bytes.Repeat([]byte{0xff}, 70)))
	f.Add([]byte{byte(kindBlock), 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, text []byte) {
		const memory = 1 << 20
		r, l, w, err := hears(text, memory)
		if err == nil {
			t.Fatal("a connection without an end")
		}
		fragments, _ := w.Fragments()
		for _, shown := range fragments {
			hold := shown.Hold()
			if hold == nil {
				continue
			}
			if state, ok := hold.State(); ok {
				holdTo(t, &state)
			}
			hold.Release()
		}
		for _, f := range l.incoming {
			l.finish(f, live.End{})
		}
		if left := r.budget.left.Load(); left != memory {
			t.Fatalf("%d bytes are not given back", memory-left)
		}
	})
}

// holdTo checks what readers of a state rely on.
func holdTo(t *testing.T, s *live.State) {
	t.Helper()
	count := make([]int, len(s.Tracks))
	for _, track := range s.Order {
		count[track]++
	}
	for i := range s.Tracks {
		track := &s.Tracks[i]
		var size int64
		for _, sample := range track.Samples {
			size += int64(sample.Size)
		}
		if count[i] != len(track.Samples) || size != int64(len(track.Payload)) {
			t.Fatalf("%d blocks in order, %d samples of %d bytes, payload of %d", count[i],
				len(track.Samples), size, len(track.Payload))
		}
		if n := len(track.Final.Frames); n > len(track.Samples) {
			t.Fatalf("%d frames of %d blocks are final", n, len(track.Samples))
		}
		for k, frame := range track.Final.Frames {
			if frame.Size != track.Samples[k].Size {
				t.Fatal("a frame is not of its block")
			}
		}
	}
}

// All kinds of messages are understood.
func TestConversation(t *testing.T) {
	r, l, w, _ := hears(conversation(), 0)
	fragments, _ := w.Fragments()
	if len(l.incoming) != 0 || len(fragments) != 2 {
		t.Fatalf("%d fragments are shown, %d go on", len(fragments), len(l.incoming))
	}
	end, _ := fragments[0].End()
	if want := (store.Location{Volume: "o", Offset: 1, Length: 2, MetaLength: 3}); !end.Stored ||
		end.Info.Location != want || end.Info.PayloadCRC != math.MaxUint32 {
		t.Errorf("the end is %+v", end)
	}
	if end, over := fragments[1].End(); !over || end.Stored {
		t.Error("what was cut off and broke off is stored")
	}
	if left := r.budget.left.Load(); left != r.o.Memory {
		t.Errorf("%d bytes are not given back", r.o.Memory-left)
	}
}

// A fragment for which there is no memory is cut off, and the rest of it is skipped.
func TestNoMemory(t *testing.T) {
	r, l, w, _ := hears(conversation(), 100)
	fragments, _ := w.Fragments()
	end, over := fragments[0].End()
	if len(l.incoming) != 0 || !over || !end.Stored {
		t.Errorf("the end is %+v", end)
	}
	if fragments[0].Hold() != nil {
		t.Error("it can be read still")
	}
	if left := r.budget.left.Load(); left != 100 {
		t.Errorf("%d bytes are left of 100", left)
	}
}
