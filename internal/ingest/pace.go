package ingest

import (
	"context"
	"time"

	"weir/internal/api"
)

// takeMemory takes bytes for the current fragment.
func (c *Connection) takeMemory(ctx context.Context, n int64) error {
	err := c.o.Memory.take(ctx, c.claim, n, c.o.Limits.MemoryWait)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fail(c.unfinished(), api.AckInternalError, err)
}

func (c *Connection) giveMemory(n int64) {
	c.o.Memory.settle(c.claim, n)
	c.o.Memory.give(c.claim.owner, n)
}

// budget is what the reader takes of Memory.
type budget struct {
	conn *Connection
	ctx  context.Context // of the connection's reading
}

func (b budget) Take(n int64) error {
	if n < 0 {
		b.conn.giveMemory(-n)
		return nil
	}
	return b.conn.takeMemory(b.ctx, n)
}

func (b budget) RoomSize(buf []byte, n int) int { return roomSize(buf, n) }

func (b budget) Room(buf []byte, n int) []byte { return b.conn.o.Memory.room(buf, n) }
func (b budget) Recycle(buf []byte)            { b.conn.o.Memory.recycle(buf) }

// piece is what is being read: a fragment, what follows a whole one before the next begins, or the
// header of a document. The zero value is none of these.
type piece struct {
	began time.Time
	at    int64 // bytes of the body before it
}

func (c *Connection) newPiece(now time.Time) piece { return piece{began: now, at: c.source.read} }

// checkPace refuses what comes in too slowly: it would hold its memory for as long as its producer
// likes.
func (c *Connection) checkPace(now time.Time) error {
	if c.piece.began.IsZero() {
		return nil
	}
	l, took := &c.o.Limits, now.Sub(c.piece.began)
	if took <= l.Patience {
		return nil
	}
	if rate := float64(c.source.read-c.piece.at) / took.Seconds(); took > api.MaxFragmentTime ||
		rate < float64(l.Rate) {
		f, id := c.unfinished(), api.AckMaxFragmentDuration
		if f == nil {
			// the header of a document, or what follows a whole fragment
			id = api.AckStreamReadError
		}
		return failf(f, id, "coming in for %v, at %.0f bytes a second", took.Round(time.Second),
			rate)
	}
	return nil
}
