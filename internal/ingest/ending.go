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

// finish decides what becomes of the fragment at hand when reading has ended, and what the session's result is.
func (s *Session) finish(ctx context.Context, err error) error {
	var told *Error
	if errors.As(err, &told) {
		return s.giveUp(err)
	}
	var bad *mkv.Error
	if errors.As(err, &bad) {
		return s.giveUp(matroskaError(s.unfinished(), bad))
	}
	ended := s.source.err
	switch {
	case err == io.EOF:
		if s.cur == nil || s.cur.complete {
			return s.endFragment(media.NoTime, true)
		}
		// The SDK ends a body like this when it starts over, and sends the fragment again: PERSISTED would make it free
		// what it has not sent. Everyone else has nothing more to send.
		return s.keep(!s.cur.doc.resends)
	case ctx.Err() != nil:
		return s.interrupted(context.Cause(ctx))
	case s.source.wasStopped():
		return s.interrupted(ErrDrained)
	case ended == io.EOF:
		e := failf(s.unfinished(), api.AckStreamReadError, "body ends inside an element")
		return s.giveUp(e)
	case s.reader.EndedBetween() && (errors.Is(ended, io.ErrUnexpectedEOF) || errors.Is(ended, syscall.ECONNRESET)) &&
		(s.unfinished() == nil || s.lonely()):
		// kvssink closes an idle connection like this, embedded-C every one. Whether acknowledgements got lost with it cannot be
		// known, so its fragments may be resent.
		s.count(func(sum *Summary) { sum.Unended = true })
		if s.unfinished() != nil {
			return s.keep(true)
		}
		return s.endFragment(media.NoTime, true)
	case errors.Is(ended, os.ErrDeadlineExceeded):
		if s.unfinished() == nil {
			return firstError(s.endFragment(media.NoTime, true), ErrIdle)
		}
		if s.lonely() {
			return firstError(s.keep(true), ErrIdle)
		}
		return s.giveUp(failf(s.cur, api.AckStreamReadError, "%w", ErrIdle))
	}
	return s.interrupted(fail(nil, api.AckStreamReadError, err))
}

// giveUp drops an unfinished fragment and stores a finished one, then ends with err.
func (s *Session) giveUp(err error) error {
	if s.unfinished() != nil {
		s.drop()
	}
	s.pending = nil // the tags of a cluster that will not come
	return firstError(s.endFragment(media.NoTime, false), err)
}

// interrupted ends a session whose connection is gone, or that must stop: what may never be sent again is kept.
func (s *Session) interrupted(err error) error {
	if s.unfinished() != nil && s.lonely() {
		return firstError(s.keep(false), err)
	}
	return s.giveUp(err)
}

// lonely says that the current fragment's producer is one of those that neither mark the end of a fragment nor end the body
// and resend nothing (embedded-C, docs/reference/producers.md, "End of a stream"), so that the frames so far are all that
// there will ever be.
func (s *Session) lonely() bool {
	return s.cur != nil && !s.cur.doc.resends && !s.marked
}

// keep stores the frames so far as a partial fragment.
func (s *Session) keep(acknowledge bool) error {
	if s.cur.frames == 0 {
		s.drop()
		return nil
	}
	s.pending = nil
	return s.hand(media.NoTime, true, acknowledge)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// tell acknowledges an ERROR after the time for which it is held back, or when the session must end.
func (s *Session) tell(ctx context.Context, e *Error, hold time.Duration) {
	if hold > 0 {
		timer := time.NewTimer(hold)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.o.Drain:
		case <-ctx.Done():
		}
	}
	s.acks.put(ack{kind: ackError, errorID: e.ID, number: e.Number, timecode: e.Timecode})
}

// startIdleAcks sends IDLE while nothing comes. The function that it returns ends that.
func (s *Session) startIdleAcks() (stop func()) {
	every := s.o.Limits.IdleAck
	done := make(chan struct{})
	ended := make(chan struct{})
	ticker := time.NewTicker(every)
	go func() {
		defer close(ended)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if s.o.Clock().UnixNano()-s.source.last.Load() >= int64(every) {
					s.put(ack{kind: ackIdle})
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

// awaitDrain drains the source when Options.Drain is closed. The function that it returns ends the waiting.
func (s *Session) awaitDrain() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-s.o.Drain:
			s.source.drain()
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// linger reads on for the time d: while an ERROR is held back, and for a moment after the last acknowledgement, so that the
// producer reads it. Closing a connection with unread bytes resets it, and a reset may overtake what was sent. It returns at
// once; wait returns when reading is over.
func (s *Session) linger(body io.Reader, d time.Duration) (wait func()) {
	if s.o.Connection == nil || !s.source.readable() || s.o.Connection.SetReadDeadline(s.o.Clock().Add(d)) != nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.CopyN(io.Discard, body, lingerBytes) // how it ends does not matter
	}()
	return func() { <-done }
}

// drainAcks waits until the acknowledgements have left, or cannot.
func (s *Session) drainAcks() {
	if s.o.Connection != nil {
		if err := s.o.Connection.SetWriteDeadline(s.o.Clock().Add(s.o.Limits.AckDrain)); err != nil {
			s.o.Logger.Debug("cannot set the write deadline", "error", err)
		}
	}
	<-s.acks.done
}
