package ingest

import (
	"context"
	"time"

	"weir/internal/api"
)

// takeMemory takes bytes for the fragment at hand.
func (s *Session) takeMemory(ctx context.Context, n int64) error {
	err := s.o.Memory.take(ctx, s.claim, n, s.o.Limits.MemoryWait)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fail(s.unfinished(), api.AckInternalError, err)
}

func (s *Session) giveMemory(n int64) {
	s.o.Memory.settle(s.claim, n)
	s.o.Memory.give(s.claim.owner, n)
}

// budget is what the reader takes of Memory.
type budget struct {
	s   *Session
	ctx context.Context // of the session's reading
}

func (b budget) Take(n int64) error {
	if n < 0 {
		b.s.giveMemory(-n)
		return nil
	}
	return b.s.takeMemory(b.ctx, n)
}

func (b budget) Room(buf []byte, n int) []byte { return b.s.o.Memory.room(buf, n) }
func (b budget) Recycle(buf []byte)            { b.s.o.Memory.recycle(buf) }

// piece is a fragment, what follows one that is whole and waits for the next, or the header of a
// document while it comes in; the zero value is none of these.
type piece struct {
	began time.Time
	at    int64 // bytes of the body before it
}

func (s *Session) newPiece(now time.Time) piece { return piece{began: now, at: s.source.read} }

// checkPace refuses what comes in too slowly: it would hold its memory for as long as its producer likes.
func (s *Session) checkPace(now time.Time) error {
	if s.piece.began.IsZero() {
		return nil
	}
	l, took := &s.o.Limits, now.Sub(s.piece.began)
	if took <= l.Patience {
		return nil
	}
	if rate := float64(s.source.read-s.piece.at) / took.Seconds(); took > l.FragmentTime || rate < float64(l.Rate) {
		f, id := s.unfinished(), api.AckMaxFragmentDuration
		if f == nil {
			id = api.AckStreamReadError // the header of a document, or what follows a whole fragment
		}
		return failf(f, id, "coming in for %v, at %.0f bytes a second", took.Round(time.Second), rate)
	}
	return nil
}
