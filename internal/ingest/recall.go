package ingest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"weir/internal/mkv"
	"weir/internal/store"
)

// maxRecalled bounds how many records of a stream are opened to find what the process before this
// one stored.
const maxRecalled = 256

// recall adds to Resends what the process before this one stored in the stream, whose connections
// all broke off. It does so once for each stream, at the first fragment with RELATIVE timecodes.
func (c *Connection) recall(ctx context.Context) {
	r, id := c.o.Resends, c.o.Stream.ID
	from, to, due := r.recallable(id)
	if !due {
		return
	}
	records, err := c.o.Store.List(ctx, id, store.Query{
		Range: &store.TimeRange{Clock: store.ServerTimestamp,
			Start: from.UnixMilli(), End: to.UnixMilli()},
		Order: store.ByNumberNewest, Limit: maxRecalled,
	})
	if err != nil {
		c.cannotLook(err)
		return
	}
	r.recalled(id, c.unbroken(ctx, records))
}

// unbroken returns those of records, which are newest first, that may be resent. A producer's
// timecodes rise until its token is renewed, also across lost connections. A record before a fall
// therefore came on a connection that ended properly: equal media (silence) that comes later is
// new.
func (c *Connection) unbroken(ctx context.Context, records []store.FragmentInfo) []saved {
	var list []saved // newest first
	var before origin
	lowest := map[string]int64{} // timecode by SegmentUID
	var header []byte
	var uid string
	for i := range records {
		m, err := c.o.Store.Open(ctx, c.o.Stream.ID, records[i])
		if err != nil {
			continue // gone or damaged
		}
		f := m.Fragment()
		if header == nil || !bytes.Equal(header, f.Header) {
			header, uid = bytes.Clone(f.Header), segmentUID(f.Header)
		}
		timecode := f.Timecode
		_ = m.Close() // it was only read
		if low, seen := lowest[uid]; uid == "" || seen && timecode >= low {
			lowest[uid] = -1 // no timecode is below
			continue
		}
		lowest[uid] = timecode
		list = append(list, saved{
			from: &before, uid: uid, timecode: timecode, number: records[i].Number,
			at: records[i].ServerTimestamp,
		})
	}
	slices.Reverse(list)
	return list
}

// segmentUID returns the SegmentUUID in a producer's Matroska header, empty when it has none.
func segmentUID(header []byte) string {
	r := mkv.NewReader(bytes.NewReader(header), mkv.DefaultLimits())
	for {
		if _, err := r.Next(); err != nil {
			return string(r.SegmentUID())
		}
	}
}

// recallable returns the period in which an earlier process may have stored what is resent to the
// stream now. due is false if that is known already, or too long ago.
func (r *Resends) recallable(id store.StreamID) (from, to time.Time, due bool) {
	from = r.clock().Add(-store.ResendWindow)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[id]
	return from, r.started, from.Before(r.started) && (s == nil || !s.recalled)
}

// recalled puts what an earlier process stored before what this one did.
func (r *Resends) recalled(id store.StreamID, list []saved) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.of(id)
	if s.recalled {
		return
	}
	s.recalled = true
	s.list = append(list, s.list...)
}
