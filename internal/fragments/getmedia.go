package fragments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/live"
	"weir/internal/store"
)

// mediaPage is how many rows GetMedia reads at a time while it is behind.
const mediaPage = 64

// holdBack is how long GetMedia holds a fragment back for one with a lower number that is in
// flight. Most fragments last some seconds, and those of two producers of a stream end in any
// order.
const holdBack = 5 * time.Second

// Pending knows the fragments that producers are sending now; *ingest.Numbers does.
type Pending interface {
	// Lowest returns the lowest number in flight that is greater than after, and a channel that is
	// closed when that may have changed. The channel is nil when there is no such number. The
	// fragment of a number that has left is in every later List, or never will be.
	Lowest(id store.StreamID, after store.Number) (lowest store.Number, changed <-chan struct{})
}

// MediaStream is an answer of GetMedia: the chunks of a stream from some fragment on, first those
// that are stored, then each that is being received.
type MediaStream struct {
	service  *Service
	stream   store.Stream
	after    store.Number // the last fragment that is sent or not asked for
	follower *live.Follower
	release  func()

	held  store.Number // the fragment that is held back; 0: none
	until time.Time    // when it is sent in any case

	away time.Time // since when the store has been out of reach; zero: it is not
}

// GetMedia begins an answer of GetMedia. The caller closes it. Errors are *api.Error:
// InvalidArgument, ClientLimitExceeded and ConnectionLimitExceeded.
func (s *Service) GetMedia(ctx context.Context, stream store.Stream, in *api.GetMediaInput) (
	*MediaStream, error) {
	if n := s.limits.CallsPerSecond; !s.calls.Allow(stream.ID, n, n, s.clock()) {
		return nil, api.Errorf(api.ClientLimitExceededException,
			"The stream allows %d calls of GetMedia per second.", n)
	}
	after, err := s.begin(ctx, &stream, in.StartSelector)
	if err != nil {
		return nil, err
	}
	release, ok := s.readers.enter(stream.ID, s.limits.ConnectionsPerStream)
	if !ok {
		return nil, api.Errorf(api.ConnectionLimitExceededException,
			"The stream allows %d connections of GetMedia at a time.",
			s.limits.ConnectionsPerStream)
	}
	return &MediaStream{service: s, stream: stream, after: after, release: release,
		follower: s.edge.Follow(stream.ID)}, nil
}

// Close ends the answer.
func (m *MediaStream) Close() {
	m.follower.Close()
	m.release()
}

// begin returns the number after which an answer begins.
func (s *Service) begin(ctx context.Context, stream *store.Stream, sel *api.StartSelector) (
	store.Number, error) {
	number := func(text, member string) (store.Number, error) {
		n, err := stream.ParseNumber(text)
		if err != nil {
			return 0, api.Errorf(api.InvalidArgumentException, "%s %s: %v.", member, text, err)
		}
		return n, nil
	}
	switch sel.StartSelectorType {
	case api.StartEarliest:
		return 0, nil
	case api.StartNow:
		return s.before(ctx, stream, store.Query{Order: store.ByNumberNewest}, nil)
	case api.StartFragmentNumber:
		return number(sel.AfterFragmentNumber, "AfterFragmentNumber")
	case api.StartContinuationToken:
		return number(sel.ContinuationToken, "ContinuationToken")
	}
	clock := store.ServerTimestamp
	if sel.StartSelectorType == api.StartProducerTimestamp {
		clock = store.ProducerTimestamp
	}
	return s.beginAt(ctx, stream, clock, int64(*sel.StartTimestamp))
}

// beginAt finds the fragment that contains a moment, or the first one that starts later. If neither
// is stored, the answer begins with the next fragment that will be.
func (s *Service) beginAt(ctx context.Context, stream *store.Stream, clock store.TimestampKind,
	at int64) (store.Number, error) {
	if at > 0 {
		scales := scales{service: s, stream: stream.ID}
		contains := func(f *store.FragmentInfo) (bool, error) {
			length, err := scales.longest(ctx, f, true)
			start := f.ServerTimestamp
			if clock == store.ProducerTimestamp {
				start = f.ProducerTimestamp
			}
			return start == at || start+length > at, err
		}
		n, err := s.before(ctx, stream, store.Query{
			Range: &store.TimeRange{Clock: clock, Start: math.MinInt64, End: at},
			Order: store.ByNumberNewest}, contains)
		if err != nil || n > 0 {
			return n, err
		}
	}
	n, err := s.before(ctx, stream, store.Query{
		Range: &store.TimeRange{Clock: clock, Start: at, End: math.MaxInt64}}, nil)
	if err != nil || n > 0 {
		return n, err
	}
	newest, err := s.before(ctx, stream, store.Query{Order: store.ByNumberNewest}, nil)
	if newest > 0 {
		newest++ // after it
	}
	return newest, err
}

// before returns the number before the first fragment of a query, 0 if there is none or it is not
// wanted.
func (s *Service) before(ctx context.Context, stream *store.Stream, q store.Query,
	wanted func(*store.FragmentInfo) (bool, error)) (store.Number, error) {
	q.Limit = 1
	found, err := s.store.List(ctx, stream.ID, q)
	if err != nil {
		return 0, fmt.Errorf("list fragments: %w", err)
	}
	if len(found) == 0 {
		return 0, nil
	}
	if wanted != nil {
		if ok, err := wanted(&found[0]); err != nil || !ok {
			return 0, err
		}
	}
	return found[0].Number - 1, nil
}

// MediaSink is where an answer of GetMedia goes.
type MediaSink interface {
	io.Writer
	// Flush sends what was written to the client. It is also called before the first chunk, and
	// within a chunk whenever frames have come.
	Flush() error
	// Sent is called for each chunk with how long ago its fragment arrived.
	Sent(behind time.Duration)
}

// Write writes chunks until stop is closed, the stream is deleted or ctx ends. For the first two it
// returns nil, after a whole chunk or between two frames of one that is being received. After an
// error the answer is cut short.
//
// Numbers rise from chunk to chunk (DESIGN.md, "GetMedia").
func (m *MediaStream) Write(ctx context.Context, stop <-chan struct{}, w MediaSink) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-waiting.Done():
		}
	}()
	if err := w.Flush(); err != nil {
		return err
	}
	c := &chunkWriter{service: m.service, stream: &m.stream, w: w}
	var changed <-chan struct{}
	for sequence := int64(-1); ; {
		newest, err := m.wait(waiting, sequence, changed)
		_, changed = m.follower.Fragments()
		if err == nil && (newest != sequence || m.ready()) {
			err = m.rest(waiting, c, w)
		}
		if m.waitsForStore(waiting, err) {
			sequence = -1 // look again at what is there
			continue
		}
		sequence = newest
		switch {
		case waiting.Err() != nil && ctx.Err() == nil, errors.Is(err, store.ErrNotFound):
			return nil // the server stops, or the stream is gone
		case err != nil:
			return fmt.Errorf("send media: %w", err)
		}
	}
}

// wait returns the newest commit sequence as soon as it is greater than after, or after itself when
// changed is closed.
func (m *MediaStream) wait(
	ctx context.Context, after int64, changed <-chan struct{},
) (int64, error) {
	either, cancel := context.WithCancel(ctx)
	defer cancel()
	if changed != nil {
		go func() {
			select {
			case <-changed:
				cancel()
			case <-either.Done():
			}
		}()
	}
	sequence, err := m.service.store.Wait(either, m.stream.ID, after)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return after, nil
	}
	if err != nil {
		err = &errUnwritten{err}
	}
	return sequence, err
}

// How long an answer waits for a store that is out of reach (as long as sessions of package cluster
// last), and how long it pauses before it tries again.
const (
	awayTime  = 5 * time.Minute
	awayPause = 250 * time.Millisecond
)

// isAway reports whether the store was out of reach before the first byte of a chunk was written,
// so that the chunk can still be sent later.
func isAway(err error) bool {
	var unwritten *errUnwritten
	return errors.As(err, &unwritten) && errors.Is(err, store.ErrAway)
}

// waitsForStore pauses after an error of a store that is out of reach, and returns true: try again.
// It returns false for other errors, and when the store has been out of reach for awayTime.
func (m *MediaStream) waitsForStore(ctx context.Context, err error) bool {
	if !isAway(err) {
		m.away = time.Time{}
		return false
	}
	if m.away.IsZero() {
		m.away = time.Now()
	}
	if ctx.Err() != nil || time.Since(m.away) > awayTime {
		return false
	}
	select {
	case <-time.After(awayPause):
	case <-ctx.Done():
	}
	return true
}

// rest writes what is stored after the last chunk, then what is being received.
func (m *MediaStream) rest(ctx context.Context, c *chunkWriter, w MediaSink) error {
	for {
		var lowest store.Number
		var changed <-chan struct{}
		if p := m.service.pending; p != nil { // before List, which has what leaves after this
			lowest, changed = p.Lowest(m.stream.ID, m.after)
		}
		page, err := m.service.store.List(ctx, m.stream.ID, store.Query{
			After: m.after, Order: store.ByNumber, Limit: mediaPage})
		if err != nil {
			return &errUnwritten{err}
		}
		more := len(page) == mediaPage
		for i := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			late := changed != nil && page[i].Number > lowest
			if late {
				more = true // List again
				if shown := m.shown(lowest); shown != nil {
					if err := m.live(ctx, c, w, shown); err != nil {
						return err
					}
					break
				}
				if waited, err := m.hold(ctx, page[i].Number, changed); err != nil {
					return err
				} else if waited {
					break
				}
			}
			if err := m.send(ctx, c, w, &page[i]); err != nil {
				return err
			}
			if late { // the number in flight may have left by now
				break
			}
		}
		if more {
			continue
		}
		shown := m.shown(lowest)
		if shown == nil {
			return nil
		}
		if err := m.live(ctx, c, w, shown); err != nil {
			return err
		}
	}
}

// hold holds a fragment back until changed is closed or the fragment's time is over. It returns
// false if that was over already.
func (m *MediaStream) hold(
	ctx context.Context, n store.Number, changed <-chan struct{},
) (bool, error) {
	if m.held != n {
		m.held, m.until = n, time.Now().Add(m.service.holdBack)
	}
	left := time.Until(m.until)
	if left <= 0 {
		return false, nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return true, nil
}

// send writes the chunk of a fragment, or of the error in its place.
func (m *MediaStream) send(ctx context.Context, c *chunkWriter, w MediaSink,
	f *store.FragmentInfo) error {
	err := c.fragment(ctx, f, true)
	if isAway(err) {
		return err
	}
	m.after = f.Number
	var unwritten *errUnwritten
	if errors.As(err, &unwritten) {
		switch {
		case errors.Is(err, store.ErrGone): // past retention, as those before it
			return nil
		case errors.Is(err, store.ErrCorrupt):
			err = c.failure(f.Number, errChunkInternal)
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return err
	}
	w.Sent(m.service.clock().Sub(time.UnixMilli(f.ServerTimestamp)))
	return nil
}

// readers counts the connections of GetMedia to each stream.
type readers struct {
	mu     sync.Mutex
	counts map[store.StreamID]int
}

// enter counts a connection, unless limit is reached (0: no limit).
func (r *readers) enter(id store.StreamID, limit int) (leave func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limit > 0 && r.counts[id] >= limit {
		return nil, false
	}
	if r.counts == nil {
		r.counts = make(map[store.StreamID]int)
	}
	r.counts[id]++
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.counts[id]--; r.counts[id] == 0 {
			delete(r.counts, id)
		}
	}), true
}
