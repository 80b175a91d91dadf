package ingest

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
)

// finish stores or drops the current fragment after reading has ended, and returns the connection's
// result.
func (c *Connection) finish(ctx context.Context, err error) error {
	var told *Error
	if errors.As(err, &told) {
		return c.giveUp(err)
	}
	var bad *mkv.Error
	if errors.As(err, &bad) {
		return c.giveUp(matroskaError(c.unfinished(), bad))
	}
	ended := c.source.err
	switch {
	case err == io.EOF:
		if c.cur == nil || c.cur.complete {
			return c.endFragment(media.NoTime, true)
		}
		// The SDK ends a body like this when it starts over, and sends the fragment again:
		// PERSISTED would make it free what it has not sent. Everyone else has nothing more to
		// send.
		return c.keep(!c.cur.doc.resends)
	case ctx.Err() != nil:
		return c.interrupted(context.Cause(ctx))
	case c.source.wasStopped():
		return c.interrupted(ErrDrained)
	case ended == io.EOF:
		e := failf(c.unfinished(), api.AckStreamReadError, "body ends inside an element")
		return c.giveUp(e)
	case c.reader.EndedBetween() &&
		(errors.Is(ended, io.ErrUnexpectedEOF) || errors.Is(ended, syscall.ECONNRESET)) &&
		(c.unfinished() == nil || c.lonely()):
		// kvssink closes an idle connection like this, embedded-C every one. Acknowledgements may
		// have been lost with it, so its fragments may be resent.
		c.count(func(sum *Summary) { sum.Unended = true })
		if c.unfinished() != nil {
			return c.keep(true)
		}
		return c.endFragment(media.NoTime, true)
	case errors.Is(ended, os.ErrDeadlineExceeded):
		if c.unfinished() == nil {
			return firstError(c.endFragment(media.NoTime, true), ErrIdle)
		}
		if c.lonely() {
			return firstError(c.keep(true), ErrIdle)
		}
		return c.giveUp(failf(c.cur, api.AckStreamReadError, "%w", ErrIdle))
	}
	return c.interrupted(fail(nil, api.AckStreamReadError, err))
}

// giveUp drops an unfinished fragment and stores a finished one, then ends with err.
func (c *Connection) giveUp(err error) error {
	if c.unfinished() != nil {
		c.drop()
	}
	c.pending, c.wants = nil, Wants{} // the tags of a cluster that will not come
	return firstError(c.endFragment(media.NoTime, false), err)
}

// interrupted ends a connection that is gone or must stop. It keeps frames that may never be sent
// again.
func (c *Connection) interrupted(err error) error {
	if c.unfinished() != nil && c.lonely() {
		return firstError(c.keep(false), err)
	}
	return c.giveUp(err)
}

// lonely reports whether the frames so far are all that will ever come of the current fragment.
// Some producers mark neither the end of a fragment nor the end of the body, and resend nothing
// (embedded-C, docs/reference/producers.md, "End of a stream").
func (c *Connection) lonely() bool {
	return c.cur != nil && !c.cur.doc.resends && !c.marked
}

// keep stores the frames so far as a partial fragment.
func (c *Connection) keep(acknowledge bool) error {
	if c.cur.frames == 0 {
		c.drop()
		return nil
	}
	c.pending, c.wants = nil, Wants{}
	return c.hand(media.NoTime, true, acknowledge)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// tell queues an ERROR acknowledgement after the time for which it is held back, or as soon as the
// connection must end.
func (c *Connection) tell(ctx context.Context, e *Error, hold time.Duration) {
	if hold > 0 {
		timer := time.NewTimer(hold)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.o.Drain:
		case <-ctx.Done():
		}
	}
	c.acks.put(ack{kind: ackError, errorID: e.ID, number: e.Number, timecode: e.Timecode})
}

// startIdleAcks sends IDLE while nothing comes, until stop is called.
func (c *Connection) startIdleAcks() (stop func()) {
	every := c.o.Limits.IdleAck
	done := make(chan struct{})
	ended := make(chan struct{})
	ticker := time.NewTicker(every)
	go func() {
		defer close(ended)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if c.o.Clock().UnixNano()-c.source.last.Load() >= int64(every) {
					c.put(ack{kind: ackIdle})
				}
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// awaitDrain drains the source when Options.Drain is closed, unless stop was called before.
func (c *Connection) awaitDrain() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-c.o.Drain:
			c.source.drain()
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// linger reads on for d: while an ERROR is held back, and for a moment after the last
// acknowledgement, so that the producer gets it. Closing a connection with unread bytes resets it,
// and a reset may overtake what was sent. It returns at once; wait returns when reading is over.
func (c *Connection) linger(body io.Reader, d time.Duration) (wait func()) {
	if c.o.Deadlines == nil || !c.source.readable() ||
		c.o.Deadlines.SetReadDeadline(c.o.Clock().Add(d)) != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.CopyN(io.Discard, body, lingerBytes) // how it ends does not matter
	}()
	return func() { <-done }
}

// drainAcks waits until all acknowledgements are sent, or cannot be.
func (c *Connection) drainAcks() {
	if c.o.Deadlines != nil {
		if err := c.o.Deadlines.SetWriteDeadline(c.o.Clock().Add(ackDrain)); err != nil {
			c.o.Logger.Debug("cannot set the write deadline", "error", err)
		}
	}
	<-c.acks.done
}
