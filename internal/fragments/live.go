package fragments

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/mkv"
	"weir/internal/store"
)

// directBytes is the size from which a frame is written without being copied.
const directBytes = 16 << 10

// shown holds the fragment with a number if it can be sent frame by frame: it is being received,
// and its first frame has come. Otherwise it returns nil.
func (m *MediaStream) shown(n store.Number) *live.Hold {
	if n <= m.after {
		return nil
	}
	fragments, _ := m.follower.Fragments()
	i := slices.IndexFunc(fragments, func(f *live.Fragment) bool { return f.Number == n })
	if i < 0 {
		return nil
	}
	if _, ended := fragments[i].End(); ended {
		return nil
	}
	h := fragments[i].Hold()
	if h == nil {
		return nil
	}
	if s, ok := h.State(); !ok || len(s.Order) == 0 {
		h.Release()
		return nil
	}
	return h
}

// ready reports whether a fragment can be sent frame by frame after everything that is stored.
func (m *MediaStream) ready() bool {
	if m.service.pending == nil {
		return false
	}
	lowest, _ := m.service.pending.Lowest(m.stream.ID, m.after)
	h := m.shown(lowest)
	if h != nil {
		h.Release()
	}
	return h != nil
}

// liveChunk is the chunk of a fragment that is being received.
type liveChunk struct {
	*chunkWriter
	hold   *live.Hold
	info   store.FragmentInfo // as far as it is known
	start  int64              // of the cluster, nanoseconds since the Unix epoch
	blocks int                // written, of all tracks
	tracks []liveTrack
	overdue
}

// liveTrack is how much of a track was written.
type liveTrack struct {
	blocks int
	bytes  int
	time   int64 // of the last block, nanoseconds since the Unix epoch
}

// overdue is how long a fragment with a greater number may still wait.
type overdue struct {
	at    time.Time // when it has waited for long enough; zero: there is none
	timer *time.Timer
}

// live writes the chunk of a held fragment, block by block as they come, and releases it. If the
// fragment gets stored, the chunk ends like any other; what a slow reader has missed comes from the
// store. If it does not, or takes too long while others wait, the chunk ends after the last block,
// without the tags that follow a cluster.
func (m *MediaStream) live(ctx context.Context, c *chunkWriter, w MediaSink, h *live.Hold) error {
	defer h.Release()
	f := h.Fragment()
	m.after = f.Number
	l := &liveChunk{chunkWriter: c, hold: h, tracks: make([]liveTrack, len(f.Tracks)),
		info: store.FragmentInfo{Number: f.Number, ServerTimestamp: f.ServerTimestamp,
			ProducerTimestamp: f.ProducerTimestamp}}
	if err := l.begin(f); err != nil {
		return err
	}
	defer func() { l.stop() }()
	for {
		fragments, changed := m.follower.Fragments()
		end, ended := f.End() // before State, which is then final
		state, ok := h.State()
		if ok {
			if err := l.more(&state, w); err != nil {
				return err
			}
		}
		switch {
		case ended && !end.Stored, !ended && l.tooLong(fragments, m.service.holdBack):
			return nil
		case ended:
			l.info = end.Info
			return m.ended(ctx, l, w, &state, ok)
		}
		select {
		case <-changed:
		case <-l.wait():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin writes what precedes the blocks.
func (l *liveChunk) begin(f *live.Fragment) error {
	err := l.document(&media.Fragment{Header: f.Header, Tracks: f.Tracks})
	if err != nil {
		return err
	}
	head := l.chunkWriter.start(&l.info)
	if len(f.Tags) > 0 {
		head = mkv.AppendTags(head, f.Tags)
	}
	l.open()
	defer l.close()
	head = l.chunkWriter.begin(head, f.ProducerTimestamp)
	l.start = l.first * l.doc.TimestampScale
	if err := l.write(head); err != nil {
		return err
	}
	return l.flush()
}

// more writes the blocks that have come since the last call.
func (l *liveChunk) more(s *live.State, w MediaSink) error {
	if l.blocks == len(s.Order) {
		return nil
	}
	l.open()
	defer l.close()
	for ; l.blocks < len(s.Order); l.blocks++ {
		if err := l.block(s, int(s.Order[l.blocks])); err != nil {
			return err
		}
	}
	if err := l.flush(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	now := time.Now()
	for i := range l.tracks {
		l.hold.Delivered(i, l.tracks[i].blocks, now)
	}
	return nil
}

// block writes the next block of a track.
func (l *liveChunk) block(s *live.State, track int) error {
	t, from := &l.tracks[track], &s.Tracks[track]
	sample := &from.Samples[t.blocks]
	data := from.Payload[t.bytes:][:sample.Size]
	t.blocks++
	t.bytes += len(data)
	if sample.Time != media.NoTime {
		t.time = sample.Time
	} else if t.blocks == 1 {
		t.time = l.start
	}
	about := &l.hold.Fragment().Tracks[track]
	key := about.Kind != media.Video || sample.Key
	if sample.Content.Known() {
		key = sample.Content.Sync()
	}
	rel := math.Round(float64(t.time-l.start) / float64(l.doc.TimestampScale))
	if err := l.chunkWriter.block(about.Number, int64(rel), key, len(data)); err != nil {
		return err
	}
	if len(data) < directBytes {
		return l.write(data)
	}
	if err := l.flush(); err != nil {
		return err
	}
	_, err := l.w.Write(data)
	return err
}

// ended writes the rest of the chunk of a fragment that is stored now. Blocks that were not written
// come from the store: there may be some if the reader was cut off (ok is false), or if the
// fragment broke off and was stored as a partial one.
func (m *MediaStream) ended(ctx context.Context, l *liveChunk, w MediaSink, state *live.State,
	ok bool) error {
	f := l.hold.Fragment()
	l.open()
	defer l.close()
	var tags []media.Tag
	if ok && state.Whole != nil {
		tags = state.Whole.Tags
	} else {
		stored, err := l.missing(ctx)
		if errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrCorrupt) {
			return l.flush()
		}
		if err != nil {
			return err
		}
		tags = stored
	}
	var tail []byte
	if len(tags) > len(f.Tags) {
		tail = mkv.AppendTags(tail, tags[len(f.Tags):])
	}
	if err := l.write(append(tail, l.end(&l.info)...)); err != nil {
		return err
	}
	if err := l.flush(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w.Sent(m.service.clock().Sub(time.UnixMilli(f.ServerTimestamp)))
	return nil
}

// missing writes the blocks that were not written yet, from the store. It returns the fragment's
// tags.
func (l *liveChunk) missing(ctx context.Context) ([]media.Tag, error) {
	m, err := l.service.store.Open(ctx, l.stream.ID, l.info)
	if err != nil {
		return nil, err
	}
	defer m.Close() // it is only read from: nothing can be lost
	fragment := m.Fragment()
	runs := make([]runReader, len(fragment.Runs))
	for i := range runs {
		payload, err := m.Payload(i)
		if err != nil {
			return nil, err
		}
		runs[i] = newRunReader(fragment, i, payload)
		for k := range l.tracks {
			if l.hold.Fragment().Tracks[k].Number == runs[i].run.Track {
				runs[i].skip(l.tracks[k].blocks)
			}
		}
	}
	return fragment.Tags, l.frames(runs)
}

// tooLong reports whether a fragment with a greater number has been stored for holdBack.
func (l *liveChunk) tooLong(fragments []*live.Fragment, holdBack time.Duration) bool {
	if !l.at.IsZero() {
		return !time.Now().Before(l.at)
	}
	for _, f := range fragments {
		if end, ok := f.End(); ok && end.Stored && f.Number > l.info.Number {
			l.at = time.Now().Add(holdBack)
			l.timer = time.NewTimer(holdBack)
			return holdBack <= 0
		}
	}
	return false
}

// wait returns a channel that receives when a fragment has waited for long enough.
func (o *overdue) wait() <-chan time.Time {
	if o.timer == nil {
		return nil
	}
	return o.timer.C
}

func (o *overdue) stop() {
	if o.timer != nil {
		o.timer.Stop()
	}
}
