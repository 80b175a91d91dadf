package relay

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"weir/internal/connections"
	"weir/internal/live"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/record"
)

// Path is where nodes follow a stream of each other: GET, with the stream's ID as streamParameter.
const (
	Path            = "/node/live"
	streamParameter = "stream"
)

// ServeHTTP answers a call of another node with what this one receives of a stream, until that node
// leaves, reads nothing for a while, or this one stops. Strangers get 401, or 426 (RFC 9110 section
// 15.5.22) for another version of the calls, and cost no more than the MAC of their header.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	id := store.StreamID(req.URL.Query().Get(streamParameter))
	c, err := readCall(req.Header.Get("Authorization"), id, r.o.Key)
	switch {
	case errors.Is(err, errVersion):
		http.Error(w, err.Error(), http.StatusUpgradeRequired)
		return
	case err != nil || !id.Valid() || !r.nonces.use(c, time.Now()):
		http.Error(w, errCall.Error(), http.StatusUnauthorized)
		return
	}
	connections.Of(req).Vouch()
	if c.to != r.o.Nodes.Node() { // another process has this address now
		http.Error(w, "another node", http.StatusMisdirectedRequest)
		return
	}
	nonce := newNonce()
	w.Header().Set(nonceHeader, base64url.EncodeToString(nonce))
	w.Header().Set("Content-Type", "application/octet-stream")
	answer := &answer{relay: r, w: w, control: http.NewResponseController(w)}
	s := &sender{relay: r, follower: r.o.Edge.FollowOwn(id), shown: map[store.Number]*shown{},
		answer: answer, w: bufio.NewWriterSize(
			&sealer{w: answer, aead: answerCipher(r.o.Key, c, nonce)}, pieceSize)}
	defer s.close()
	r.o.Metrics.readers.Inc()
	defer r.o.Metrics.readers.Dec()
	if err = s.run(req.Context()); err == nil {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.o.Metrics.cutOff.Inc()
	}
	r.log.Debug("a node can no longer be told of a stream", "stream", id, "node", c.from,
		"error", err)
}

// answer is the body of an answer. Each write must end within Options.silence.
type answer struct {
	relay   *Relay
	w       http.ResponseWriter
	control *http.ResponseController
}

func (a *answer) Write(p []byte) (int, error) {
	// only writers of tests have no deadlines
	_ = a.control.SetWriteDeadline(time.Now().Add(a.relay.o.silence))
	n, err := a.w.Write(p)
	a.relay.o.Metrics.sent.Add(float64(n))
	return n, err
}

func (a *answer) flush() error {
	_ = a.control.SetWriteDeadline(time.Now().Add(a.relay.o.silence))
	return a.control.Flush()
}

// sender sends one stream to one node.
type sender struct {
	relay    *Relay
	follower *live.Follower
	answer   *answer
	w        *bufio.Writer
	shown    map[store.Number]*shown
	buf      []byte
}

// shown is how much of a fragment the other node has.
type shown struct {
	fragment *live.Fragment
	hold     *live.Hold // nil: it is over
	blocks   int        // of all tracks
	tracks   []shownTrack
	whole    bool
}

type shownTrack struct{ blocks, bytes, final int }

func (s *sender) close() {
	for _, f := range s.shown {
		f.release()
	}
	s.follower.Close()
}

func (f *shown) release() {
	if f.hold != nil {
		f.hold.Release()
		f.hold = nil
	}
}

// run sends until ctx ends, or until the relay stops and no fragment is coming in.
func (s *sender) run(ctx context.Context) error {
	idle := time.NewTicker(s.relay.o.silence / 3)
	defer idle.Stop()
	stopping := s.relay.stopping
	ready := false
	for {
		fragments, changed := s.follower.Fragments()
		going, err := s.tell(fragments)
		if err == nil && !ready {
			ready = true
			err = s.message(kindReady, nil)
		}
		if err == nil {
			err = s.flush()
		}
		if err != nil {
			return err
		}
		if stopping == nil && !going {
			return nil
		}
		select {
		case <-changed:
		case <-idle.C:
			if err := s.message(kindIdle, nil); err != nil {
				return err
			}
		case <-stopping:
			stopping = nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *sender) flush() error {
	if s.w.Buffered() == 0 {
		return nil
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	return s.answer.flush()
}

// tell sends what is new in the fragments. going says that one of them has not ended.
func (s *sender) tell(fragments []*live.Fragment) (going bool, err error) {
	known := make(map[store.Number]bool, len(fragments))
	for _, f := range fragments {
		known[f.Number] = true
		of := s.shown[f.Number]
		if of == nil || of.fragment != f {
			if of, err = s.begin(f); err != nil {
				return false, err
			}
			if of == nil {
				continue
			}
		}
		if of.hold == nil {
			continue
		}
		ended, err := s.more(of)
		if err != nil {
			return false, err
		}
		going = going || !ended
	}
	for n, of := range s.shown {
		if known[n] {
			continue
		}
		if of.hold != nil { // its end was not seen, because the edge dropped it too early
			if err := s.cutOff(of); err != nil {
				return false, err
			}
		}
		delete(s.shown, n)
	}
	return going, nil
}

// begin announces a fragment. It returns nil if the fragment cannot be read.
func (s *sender) begin(f *live.Fragment) (*shown, error) {
	hold := f.Hold()
	if hold == nil {
		return nil, nil
	}
	of := &shown{fragment: f, hold: hold, tracks: make([]shownTrack, len(f.Tracks))}
	s.shown[f.Number] = of
	s.buf = appendBegin(s.buf[:0], &f.Head)
	if len(s.buf) > maxMessage {
		of.release()
		return of, nil
	}
	return of, s.message(kindBegin, s.buf)
}

// more sends what has come of a fragment.
func (s *sender) more(of *shown) (ended bool, err error) {
	f := of.fragment
	end, ended := f.End() // before State, which is then final
	state, ok := of.hold.State()
	if !ok {
		err := s.cutOff(of)
		if err == nil && ended {
			err = s.end(f.Number, end)
		}
		return ended, err
	}
	for ; of.blocks < len(state.Order); of.blocks++ {
		if err := s.block(of, &state, int(state.Order[of.blocks])); err != nil {
			return false, err
		}
	}
	if state.Whole == nil || state.Differs {
		for i := range state.Tracks {
			if err := s.final(of, i, &state.Tracks[i].Final); err != nil {
				return false, err
			}
		}
	}
	if state.Whole != nil && !of.whole {
		of.whole = true
		if err := s.whole(of, &state); err != nil {
			return false, err
		}
	}
	if ended {
		of.release()
		err = s.end(f.Number, end)
	}
	return ended, err
}

func (s *sender) cutOff(of *shown) error {
	of.release()
	s.buf = appendNumber(s.buf[:0], of.fragment.Number)
	return s.message(kindCutOff, s.buf)
}

func (s *sender) end(n store.Number, end live.End) error {
	s.buf = appendEnd(s.buf[:0], &ending{n, end})
	return s.message(kindEnd, s.buf)
}

// block sends the next block of a track.
func (s *sender) block(of *shown, state *live.State, track int) error {
	t, from := &of.tracks[track], &state.Tracks[track]
	sample := from.Samples[t.blocks]
	payload := from.Payload[t.bytes:][:sample.Size]
	t.blocks++
	t.bytes += len(payload)
	s.buf = appendBlock(s.buf[:0], &block{of.fragment.Number, track, sample})
	var head [16]byte
	if _, err := s.w.Write(appendHead(head[:0], kindBlock, len(s.buf)+len(payload))); err != nil {
		return err
	}
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	_, err := s.w.Write(payload)
	return err
}

// final sends the frames of a track that have become final.
func (s *sender) final(of *shown, track int, run *media.Run) error {
	t := &of.tracks[track]
	if len(run.Frames) <= t.final {
		return nil
	}
	s.buf = appendFinal(s.buf[:0], &final{of.fragment.Number, track, t.final,
		media.Run{BaseDecodeTime: run.BaseDecodeTime, Frames: run.Frames[t.final:]}})
	t.final = len(run.Frames)
	return s.message(kindFinal, s.buf)
}

// whole sends the head of the fragment's record.
func (s *sender) whole(of *shown, state *live.State) error {
	rec := &store.Record{Number: of.fragment.Number, Fragment: *state.Whole}
	for i := range rec.Runs {
		for k := range of.fragment.Tracks {
			if of.fragment.Tracks[k].Number == rec.Runs[i].Track {
				rec.Payload = append(rec.Payload, state.Tracks[k].Payload)
			}
		}
	}
	head, _, err := record.EncodeFragment(rec, 0)
	if err == nil {
		s.buf = appendWhole(s.buf[:0], rec.Number, state.Differs, head)
	}
	if err != nil || len(s.buf) > maxMessage { // it will not be stored
		return s.cutOff(of)
	}
	return s.message(kindWhole, s.buf)
}

func (s *sender) message(k kind, body []byte) error {
	if uint64(len(body)) > k.limit() {
		return errMessage
	}
	var head [16]byte
	if _, err := s.w.Write(appendHead(head[:0], k, len(body))); err != nil {
		return err
	}
	_, err := s.w.Write(body)
	return err
}
