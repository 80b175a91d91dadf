package relay

import (
	"bufio"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// incoming is a fragment that another node receives, as far as it has come. It outlives its
// connection: the next connection sends it from the start again, and what is here already is
// skipped.
type incoming struct {
	number   store.Number
	fragment *live.Fragment // nil: the edge shows enough already
	numbered func()         // takes its number out of Numbers
	tracks   []incomingTrack
	taken    int64 // of the budget
	whole    bool
	cutOff   bool // no more of it will come
	here     bool // it was announced on the current connection
}

type incomingTrack struct {
	samples []media.Sample
	payload []byte
	seen    int // blocks that came on the current connection
	draft   *draft
}

// draft is the media.Draft of a track: the frames that are final at the node that receives it.
type draft struct {
	mu  sync.Mutex
	run media.Run // frames may be added in place; those that are there do not change
}

// Final implements media.Draft. It returns whole access units whose blocks are all in samples.
func (d *draft) Final(samples []media.Sample) media.Run {
	d.mu.Lock()
	defer d.mu.Unlock()
	run := d.run
	if n := len(samples); n < len(run.Frames) { // more have come since they were looked at
		for n > 0 && run.Frames[n].Marks&media.Joined != 0 {
			n--
		}
		run.Frames = run.Frames[:n]
	}
	return run
}

// budget is the memory for fragments that come from other nodes.
type budget struct{ left atomic.Int64 }

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.left.Add(n) }

// frameCost is how many bytes a frame takes besides its payload: its rows in the tables of samples
// and frames.
const frameCost = 64

// maxFragments bounds the fragments on a connection that have not ended. A producer has few in
// flight, and a stream has few producers at a time.
const maxFragments = 64

// feed handles the messages of a connection until it ends.
func (l *link) feed(ctx context.Context, r *bufio.Reader) error {
	for {
		k, length, err := readHead(r)
		if err != nil {
			return err
		}
		if k == kindBlock {
			err = l.block(r, length)
		} else {
			err = l.message(ctx, r, k, length)
		}
		if err != nil {
			return err
		}
	}
}

// message handles any message except a block.
func (l *link) message(ctx context.Context, r *bufio.Reader, k kind, length int) error {
	if cap(l.buf) < length {
		l.buf = make([]byte, length)
	}
	body := l.buf[:length]
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	switch k {
	case kindBegin:
		h, err := readBegin(body)
		if err != nil {
			return err
		}
		return l.begin(h)
	case kindFinal:
		v, err := readFinal(body)
		if err != nil {
			return err
		}
		return l.final(&v)
	case kindWhole:
		n, differs, f, crc, err := readWhole(body)
		if err != nil {
			return err
		}
		return l.whole(n, differs, f, crc)
	case kindEnd:
		v, err := readEnd(body)
		if err != nil {
			return err
		}
		l.end(&v)
	case kindCutOff:
		n, err := readNumber(body)
		if err != nil {
			return err
		}
		if f := l.incoming[n]; f != nil {
			l.lose(f)
		}
	case kindReady:
		l.caughtUp()
		l.look(ctx, true)
	case kindIdle:
		l.look(ctx, true)
	}
	return nil
}

func (l *link) begin(h live.Head) error {
	if f := l.incoming[h.Number]; f != nil {
		if f.here || len(f.tracks) != len(h.Tracks) {
			return fmt.Errorf("%w: fragment %d begins twice", errMessage, h.Number)
		}
		f.here = true
		for i := range f.tracks {
			f.tracks[i].seen = 0
		}
		return nil
	}
	if len(l.incoming) >= maxFragments {
		return fmt.Errorf("%w: %d fragments at a time", errMessage, len(l.incoming))
	}
	f := &incoming{number: h.Number, here: true, tracks: make([]incomingTrack, len(h.Tracks))}
	for i := range f.tracks {
		d := &draft{run: media.Run{Track: h.Tracks[i].Number}}
		f.tracks[i].draft = d
		h.Drafts = append(h.Drafts, d)
	}
	// Before it is shown: GetMedia looks for the fragments whose numbers are in flight.
	f.numbered = l.relay.o.Numbers.Add(l.stream, h.Number)
	f.fragment = l.relay.o.Edge.Bring(l.stream, h)
	l.incoming[h.Number] = f
	return nil
}

// payloadStep is the most memory that is allocated before the payload for it has arrived.
const payloadStep = 256 << 10

// block handles a block, whose payload must still be read.
func (l *link) block(r *bufio.Reader, length int) error {
	peeked, err := r.Peek(min(length, maxBlockHead))
	if err != nil {
		return err
	}
	v, head, err := readBlock(peeked, length)
	if err != nil {
		return err
	}
	if _, err := r.Discard(head); err != nil {
		return err
	}
	size := length - head
	f := l.incoming[v.number]
	if f == nil || f.fragment == nil || f.cutOff {
		return discard(r, size)
	}
	if v.track >= len(f.tracks) {
		return fmt.Errorf("%w: block of track %d", errMessage, v.track)
	}
	t := &f.tracks[v.track]
	if t.seen++; t.seen <= len(t.samples) { // it came over the connection before
		return discard(r, size)
	}
	if f.whole {
		return fmt.Errorf("%w: block of track %d after the last", errMessage, v.track)
	}
	if !l.room(f, int64(size)+frameCost) {
		l.relay.o.Metrics.errors.WithLabelValues(errorMemory).Inc()
		l.lose(f)
		return discard(r, size)
	}
	start := len(t.payload)
	payload := t.payload
	for rest := size; rest > 0; {
		n := min(rest, payloadStep)
		at := len(payload)
		payload = append(payload, make([]byte, n)...)
		if _, err := io.ReadFull(r, payload[at:]); err != nil {
			t.payload = payload[:start]
			return err
		}
		rest -= n
	}
	t.payload = payload
	t.samples = append(t.samples, v.sample)
	f.fragment.Add(v.track, t.samples, t.payload, time.Now())
	return nil
}

func discard(r *bufio.Reader, n int) error {
	_, err := r.Discard(n)
	return err
}

// room reserves memory for a fragment.
func (l *link) room(f *incoming, n int64) bool {
	if !l.relay.budget.take(n) {
		return false
	}
	f.taken += n
	return true
}

func (l *link) final(v *final) error {
	f := l.incoming[v.number]
	if f == nil || f.fragment == nil || f.cutOff || f.whole {
		return nil
	}
	if v.track >= len(f.tracks) {
		return fmt.Errorf("%w: frames of track %d", errMessage, v.track)
	}
	t := &f.tracks[v.track]
	d := t.draft
	d.mu.Lock()
	defer d.mu.Unlock()
	have := len(d.run.Frames)
	if v.from > have || have > 0 && v.run.BaseDecodeTime != d.run.BaseDecodeTime ||
		v.from+len(v.run.Frames) > len(t.samples) {
		return fmt.Errorf("%w: frames of track %d that do not follow", errMessage, v.track)
	}
	for i, frame := range v.run.Frames {
		if frame.Size != t.samples[v.from+i].Size {
			return fmt.Errorf("%w: frame of another size than its block", errMessage)
		}
	}
	if more := have - v.from; more < len(v.run.Frames) {
		d.run.BaseDecodeTime = v.run.BaseDecodeTime
		d.run.Frames = append(d.run.Frames, v.run.Frames[more:]...)
	}
	f.fragment.Touch()
	return nil
}

// whole handles the head of a fragment's record, and checks it against the blocks that came.
func (l *link) whole(n store.Number, differs bool, as *media.Fragment, crc uint32) error {
	f := l.incoming[n]
	if f == nil || f.fragment == nil || f.cutOff || f.whole {
		return nil
	}
	var sum uint32
	runs := 0
	for i := range f.tracks {
		t := &f.tracks[i]
		if len(t.samples) == 0 {
			continue
		}
		at := as.RunOf(f.fragment.Tracks[i].Number)
		if at != runs || len(as.Runs[at].Frames) != len(t.samples) ||
			as.Runs[at].Size() != int64(len(t.payload)) {
			return fmt.Errorf("%w: fragment %d is not of its blocks", errMessage, n)
		}
		sum = crc32.Update(sum, record.Castagnoli, t.payload)
		runs++
	}
	if runs != len(as.Runs) || sum != crc {
		return fmt.Errorf("%w: fragment %d is not of its blocks", errMessage, n)
	}
	f.whole = true
	if differs {
		f.fragment.Differ()
	}
	f.fragment.Whole(as)
	return nil
}

// end handles the end of a fragment.
func (l *link) end(v *ending) {
	if f := l.incoming[v.number]; f != nil {
		l.finish(f, v.end)
	}
}

// lose keeps a fragment whose rest will not come until it is known how it ended.
func (l *link) lose(f *incoming) {
	if f.cutOff || f.fragment == nil {
		return
	}
	f.cutOff = true
	f.fragment.CutOff()
	l.forget(f)
}

// forget returns the memory that a fragment has reserved; readers may still hold it.
func (l *link) forget(f *incoming) (held int64) {
	for i := range f.tracks {
		t := &f.tracks[i]
		held += int64(cap(t.payload))
		t.samples, t.payload = nil, nil
	}
	l.relay.budget.give(f.taken)
	f.taken = 0
	return held
}

// finish ends a fragment.
func (l *link) finish(f *incoming, end live.End) {
	delete(l.incoming, f.number)
	if end.Stored { // whoever sees the end looks for the fragment in the store
		l.relay.o.Nodes.Committed(l.stream, end.Info.Sequence)
	}
	if f.fragment != nil {
		if end.Stored && !f.whole && !f.cutOff {
			f.fragment.CutOff()
		}
		if end.Stored {
			f.fragment.Stored(end.Info)
		} else {
			f.fragment.BrokenOff()
		}
		f.fragment.Release(l.forget(f), func() {}) // they are not used again
	}
	f.numbered() // after the end, as in ingest
}
