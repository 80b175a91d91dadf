package ingest

import (
	"context"
	"errors"
	"sync"

	"weir/internal/api"
	"weir/internal/store"
)

// job is a fragment to be made durable.
type job struct {
	fragment    *fragment
	record      *store.Record
	acknowledge bool // RECEIVED and PERSISTED when it is
}

// committer makes fragments durable one after the other, in the order in which they came, so that commit order is ingest order
// within a connection.
type committer struct {
	s       *Session
	running context.Context // ends with the session
	stop    context.CancelCauseFunc
	jobs    chan job // sends never block for good: after a failure jobs are taken and thrown away
	done    chan struct{}
	told    sync.WaitGroup // the ERROR of a failure is on its way

	// Of the committing goroutine until done is closed.
	failed error
}

// newCommitter starts the goroutine. ctx is for the store's calls and must not end when the connection does, for what was
// received shall be stored; stop ends reading, and with it running.
func newCommitter(ctx, running context.Context, s *Session, stop context.CancelCauseFunc) *committer {
	c := &committer{s: s, running: running, stop: stop, done: make(chan struct{})}
	c.jobs = make(chan job, max(s.o.Limits.InFlight-1, 0)) // one more is being worked at
	go c.run(ctx)
	return c
}

// close waits for the jobs in flight and returns the failure of one.
func (c *committer) close() error {
	close(c.jobs)
	<-c.done
	c.told.Wait()
	return c.failed
}

func (c *committer) run(ctx context.Context) {
	defer close(c.done)
	for j := range c.jobs {
		if c.failed != nil {
			c.s.became(resultDropped)
		} else if err := c.commit(ctx, j); err != nil {
			c.s.became(resultDropped)
			c.fail(err)
		}
		j.fragment.release(c.s.o.Memory, c.s.claim.owner)
	}
}

// fail ends the session: the producer must learn of it when its time has come, not when it next sends something.
func (c *committer) fail(err *Error) {
	c.failed = err
	c.s.failing.Store(true)
	c.told.Go(func() {
		c.s.tell(c.running, err, c.s.o.Hold(err))
		c.stop(err)
	})
}

// commit stores one fragment and acknowledges it.
func (c *committer) commit(ctx context.Context, j job) *Error {
	s, f := c.s, j.fragment
	info, result, err := s.save(ctx, j)
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotFound):
		return fail(f, api.AckStreamDeleted, err)
	default:
		return fail(f, api.AckArchivalError, err)
	}
	now := s.o.Clock()
	s.became(result)
	if result != resultResent {
		s.o.Stored()
	}
	s.o.Metrics.persist.Observe(now.Sub(f.received).Seconds())
	if !j.acknowledge {
		return nil
	}
	// Not before: after some errors the SDK resends no fragment that it has RECEIVED of (DESIGN.md).
	s.put(ack{kind: ackReceived, number: f.number, timecode: f.timecode, since: f.received.UnixNano()})
	// A stream with retention 0 keeps fragments in memory, which is not PERSISTED; such a fragment has no volume.
	if info.Location.Volume != "" {
		s.put(ack{kind: ackPersisted, number: info.Number, timecode: f.timecode, since: f.received.UnixNano()})
	}
	return nil
}

// save stores the fragment, or finds it stored already.
func (s *Session) save(ctx context.Context, j job) (store.FragmentInfo, string, error) {
	id, rec := s.o.Stream.ID, j.record
	key := place{stream: id, at: rec.ProducerTimestamp}
	if s.o.TimecodeType == api.TimecodeRelative {
		key = place{stream: id, uid: j.fragment.doc.uid, at: rec.Timecode}
	}
	// Producers reconnect within milliseconds, while the fragments of the old connection are still on their way to the disk.
	defer s.o.Resends.hold(key)()

	info, result, err := s.place(ctx, key, rec)
	if err == nil && key.uid != "" {
		s.o.Resends.add(id, saved{from: &s.origin, uid: key.uid, timecode: key.at, number: info.Number})
	}
	return info, result, err
}

// place stores a fragment whose place is held, unless that is where it is already.
func (s *Session) place(ctx context.Context, key place, rec *store.Record) (store.FragmentInfo, string, error) {
	id := s.o.Stream.ID
	for _, old := range s.possibleResends(ctx, key, rec) {
		switch s.compare(ctx, &old, rec) {
		case stored:
			return old, resultResent, nil
		case extends:
			info, err := s.o.Store.Replace(ctx, id, old.Number, rec)
			if !errors.Is(err, store.ErrNotFound) {
				return info, resultReplaced, err
			}
			// The old one has left in the meantime (retention), or the stream was deleted, which Append tells.
		}
	}
	info, err := s.o.Store.Append(ctx, id, rec)
	if rec.Partial {
		return info, resultPartial, err
	}
	return info, resultStored, err
}
