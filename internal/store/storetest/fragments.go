package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"weir/internal/store"
)

func testAppend(h *harness) {
	st := h.create("cam", 24)
	rec := h.numbered(st.ID)
	rec.Partial = true
	want := *rec
	want.Payload = [][]byte{bytes.Clone(rec.Payload[0]), bytes.Clone(rec.Payload[1])}
	f, err := h.store.Append(h.ctx, st.ID, rec)
	h.must(err)
	if !reflect.DeepEqual(&want, rec) {
		h.Fatal("Append changed the record")
	}
	if f.Sequence != 1 || f.Number != rec.Number || !f.Partial || len(f.Spans) != 2 ||
		f.ServerTimestamp != rec.ServerTimestamp || f.ProducerTimestamp != rec.ProducerTimestamp ||
		f.Size() != int64(len(rec.Payload[0])+len(rec.Payload[1])) ||
		!reflect.DeepEqual(f.Spans, store.SpansOf(&rec.Fragment)) {
		h.Fatalf("appended as %+v", f)
	}
	if f.Location.Volume == "" || f.Location.Length < f.Location.MetaLength+f.Size() {
		h.Fatalf("appended at %+v", f.Location)
	}
	_, err = h.store.Append(h.ctx, st.ID, rec)
	h.wantErr(err, store.ErrExists)
	for _, p := range rec.Payload {
		clear(p) // the caller's again
	}
	h.always(func() {
		h.wantList(st.ID, store.Query{}, f)
		m, err := h.store.Open(h.ctx, st.ID, f)
		h.must(err)
		if !reflect.DeepEqual(m.Fragment(), &want.Fragment) {
			h.Fatalf("opened as %+v, want %+v", m.Fragment(), want.Fragment)
		}
		for _, run := range []int{1, 0, 1} {
			p, err := m.Payload(run)
			h.must(err)
			h.wantRange(p, want.Payload[run])
			h.wantRange(p.Slice(7, 90), want.Payload[run][7:97])
		}
		for _, run := range []int{-1, 2} {
			if _, err := m.Payload(run); err == nil {
				h.Fatalf("run %d, which is not there, has a payload", run)
			}
		}
		h.must(m.Close())
	})
	_, err = h.store.Fragment(h.ctx, st.ID, 77)
	h.wantErr(err, store.ErrNotFound)
	_, err = h.store.List(h.ctx, nobody, store.Query{})
	h.wantErr(err, store.ErrNotFound)
}

// wantRange compares a range with its bytes, read in every way.
func (h *harness) wantRange(r store.Range, want []byte) {
	h.Helper()
	for range 2 {
		if got, err := ReadRange(r); err != nil || !bytes.Equal(got, want) {
			h.Fatalf("wrote %d bytes, %v, want %d", len(got), err, len(want))
		}
	}
	b := make([]byte, len(want)+1)
	n, err := r.ReadAt(b, 1)
	if err != io.EOF || !bytes.Equal(b[:n], want[1:]) {
		h.Fatalf("read %d bytes from the second on, %v, want %d", n, err, len(want)-1)
	}
	if n, err := r.ReadAt(b[:3], 5); n != 3 || err != nil || !bytes.Equal(b[:3], want[5:8]) {
		h.Fatalf("read %d bytes in the middle, %v", n, err)
	}
}

// Equal tracks have one set, also those of fragments that are only in memory.
func testTrackSets(h *harness) {
	h.trackSets(h.create("cam", 24))
	h.trackSets(h.create("fleeting", 0))
}

func (h *harness) trackSets(st store.Stream) {
	a, b := h.record(), h.append(st.ID)
	a.Tracks[0].CodecPrivate = []byte{9}
	var err error
	a.Number, err = h.store.NextNumber(h.ctx, st.ID)
	h.must(err)
	f, err := h.store.Append(h.ctx, st.ID, a)
	h.must(err)
	if f.TrackSet == b.TrackSet {
		h.Fatal("different tracks have one set")
	}
	h.always(func() {
		if again := h.append(st.ID); again.TrackSet != b.TrackSet {
			h.Fatal("equal tracks have two sets")
		}
		tracks, err := h.store.TrackSet(h.ctx, st.ID, f.TrackSet)
		h.must(err)
		if !reflect.DeepEqual(tracks, a.Tracks) {
			h.Fatalf("track set is %+v", tracks)
		}
		_, err = h.store.TrackSet(h.ctx, st.ID, 77)
		h.wantErr(err, store.ErrNotFound)
		_, err = h.store.TrackSet(h.ctx, nobody, f.TrackSet)
		h.wantErr(err, store.ErrNotFound)
	})
}

func testBadRecords(h *harness) {
	st := h.create("cam", 24)
	for name, spoil := range map[string]func(*store.Record){
		"no number":         func(r *store.Record) { r.Number = 0 },
		"payload missing":   func(r *store.Record) { r.Payload = r.Payload[:1] },
		"payload too short": func(r *store.Record) { r.Payload[1] = r.Payload[1][1:] },
		"no frames":         func(r *store.Record) { r.Runs[0].Frames, r.Payload[0] = nil, nil },
		"undeclared track":  func(r *store.Record) { r.Runs[0].Track = 9 },
	} {
		rec := h.numbered(st.ID)
		spoil(rec)
		if _, err := h.store.Append(h.ctx, st.ID, rec); err == nil {
			h.Fatalf("%s: appended", name)
		}
	}
	h.wantList(st.ID, store.Query{})
	if f := h.append(st.ID); f.Sequence != 1 {
		h.Fatalf("what was refused has a sequence: %+v", f)
	}
}

func testCancelled(h *harness) {
	st := h.create("cam", 24)
	a := h.append(st.ID)
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	_, err := h.store.Append(ctx, st.ID, h.numbered(st.ID))
	h.wantErr(err, context.Canceled)
	b := h.append(st.ID)
	h.wantList(st.ID, store.Query{}, a, b)
}

// testList compares List with a slow model of it, on fragments whose orders all differ.
func testList(h *harness) {
	st, other := h.create("cam", 24), h.create("other", 24)
	r := rand.New(rand.NewPCG(1, 1))
	base := h.clock.Now().UnixMilli()
	record := func() *store.Record {
		rec := h.numbered(st.ID)
		rec.ServerTimestamp = base + r.Int64N(20)*1000
		rec.ProducerTimestamp = base + r.Int64N(20)*1000
		return rec
	}
	var recs []*store.Record
	for range 60 {
		recs = append(recs, record())
	}
	r.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
	var all []store.FragmentInfo
	sequence := int64(0)
	add := func(f store.FragmentInfo, err error) {
		h.Helper()
		h.must(err)
		if sequence++; f.Sequence != sequence {
			h.Fatalf("commit %d has sequence %d", sequence, f.Sequence)
		}
		all = append(all, f)
	}
	for i, rec := range recs {
		add(h.store.Append(h.ctx, st.ID, rec))
		if i%7 == 0 {
			h.append(other.ID)
		}
		if r.IntN(9) == 0 {
			h.settle()
		}
		if r.IntN(10) == 0 {
			n := r.IntN(len(all))
			old := all[n].Number
			all = slices.Delete(all, n, n+1)
			add(h.store.Replace(h.ctx, st.ID, old, record()))
		}
	}
	// Every combination of a query's fields, twice with different values.
	const bounds = 5 // each is set or not
	for i := range 2 * 2 * 3 << bounds {
		has := func(bit int) bool { return i>>bit&1 == 1 }
		q := store.Query{Order: store.Order(i >> bounds / 2 % 3)}
		span := store.TimeRange{Clock: store.TimestampKind(i >> bounds % 2),
			Start: math.MinInt64, End: math.MaxInt64}
		if has(0) || has(1) {
			q.Range = &span
		}
		if has(0) {
			span.Start = base + r.Int64N(22)*1000 - 1000
		}
		if has(1) {
			span.End = base + r.Int64N(22)*1000 - 1000
		}
		if has(2) {
			q.AfterSequence = r.Int64N(62)
		}
		if has(3) {
			q.After = all[r.IntN(len(all))].Number
		}
		if has(4) {
			q.Limit = 1 + r.IntN(70)
		}
		if got, want := h.list(st.ID, q), slowList(all, q); !slices.EqualFunc(got, want, same) {
			h.Fatalf("query %+v: got %v, want %v", q, numbers(got), numbers(want))
		}
	}
	h.always(func() { h.wantList(st.ID, store.Query{}, slowList(all, store.Query{})...) })
	for _, f := range all {
		_, err := ReadPayload(h.ctx, h.store, st.ID, f)
		h.must(err)
	}
}

func slowList(all []store.FragmentInfo, q store.Query) []store.FragmentInfo {
	var list []store.FragmentInfo
	for _, f := range all {
		in := true
		if q.Range != nil {
			ts := f.ServerTimestamp
			if q.Range.Clock == store.ProducerTimestamp {
				ts = f.ProducerTimestamp
			}
			in = ts >= q.Range.Start && ts <= q.Range.End
		}
		after := f.Number > q.After
		if q.Order == store.ByNumberNewest {
			after = f.Number < q.After || q.After == 0
		}
		if in && f.Sequence > q.AfterSequence && after {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b store.FragmentInfo) int {
		switch q.Order {
		case store.ByNumberNewest:
			return cmp.Compare(b.Number, a.Number)
		case store.BySequence:
			return cmp.Compare(a.Sequence, b.Sequence)
		}
		return cmp.Compare(a.Number, b.Number)
	})
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list
}

func testNumbers(h *harness) {
	st := h.create("cam", 24)
	var last store.Number
	next := func() {
		h.Helper()
		n, err := h.store.NextNumber(h.ctx, st.ID)
		h.must(err)
		if n <= last {
			h.Fatalf("number %d came after %d", n, last)
		}
		last = n
		if got, err := st.ParseNumber(st.FormatNumber(n)); err != nil || got != n {
			h.Fatalf("number %d reads as %d, %v", n, got, err)
		}
	}
	next()
	next()
	h.clock.Add(-time.Hour)
	next()
	last = h.append(st.ID).Number
	h.clock.Add(-time.Hour)
	h.kill() // what was stored counts, whatever the clock says
	next()
	h.clock.Add(3 * time.Hour)
	next()
	_, err := h.store.NextNumber(h.ctx, nobody)
	h.wantErr(err, store.ErrNotFound)
}

func testReplace(h *harness) {
	st := h.create("cam", 24)
	a, b := h.append(st.ID), h.append(st.ID)
	m, err := h.store.Open(h.ctx, st.ID, a)
	h.must(err)
	c := h.replace(st.ID, a.Number)
	if c.Sequence != 3 {
		h.Fatalf("replacement has sequence %d", c.Sequence)
	}
	p, err := m.Payload(1)
	h.must(err)
	if data, err := ReadRange(p); err != nil || len(data) != int(a.Spans[1].Size) {
		h.Fatalf("read %d bytes of an open fragment: %v", len(data), err)
	}
	h.must(m.Close())
	h.always(func() {
		h.wantList(st.ID, store.Query{}, b, c)
		h.wantHidden(st.ID, a)
	})
	d := h.replace(st.ID, a.Number) // gone already: an append
	e := h.replace(st.ID, b.Number)
	h.kill()
	h.always(func() {
		h.wantList(st.ID, store.Query{}, c, d, e)
		h.wantList(st.ID, store.Query{Order: store.BySequence, AfterSequence: 3}, d, e)
		h.wantList(st.ID, store.Query{Order: store.ByNumberNewest, Limit: 2}, e, d)
		h.wantHidden(st.ID, a, b)
	})
	rec := h.numbered(st.ID)
	for _, old := range []store.Number{0, rec.Number} {
		if _, err := h.store.Replace(h.ctx, st.ID, old, rec); err == nil {
			h.Fatalf("%d is replaced by %d", old, rec.Number)
		}
	}
}

// testProducers appends from many goroutines. Each sees its own fragments at once; each stream has
// one order.
func testProducers(h *harness) {
	const streams, producers, each = 3, 2, 15
	ids := make([]store.StreamID, streams)
	for i := range ids {
		ids[i] = h.create(fmt.Sprint("cam", i), 24).ID
	}
	var wg sync.WaitGroup
	for i := range streams * producers {
		id := ids[i%streams]
		wg.Go(func() {
			for j := range each {
				f, err := Append(h.ctx, h.store, id, Record(h.clock, uint64(i*1000+j), 2000))
				if err != nil {
					h.Error(err)
					return
				}
				q := store.Query{AfterSequence: f.Sequence - 1, Order: store.BySequence, Limit: 1}
				l, err := h.store.List(h.ctx, id, q)
				if err != nil || len(l) != 1 || l[0].Number != f.Number {
					h.Errorf("fragment %d is not listed after its append: %v %v",
						f.Number, numbers(l), err)
				}
			}
		})
	}
	wg.Wait()
	h.kill()
	for _, id := range ids {
		list := h.list(id, store.Query{Order: store.BySequence})
		if len(list) != producers*each {
			h.Fatalf("%d fragments, want %d", len(list), producers*each)
		}
		for i, f := range list {
			if f.Sequence != int64(i+1) {
				h.Fatalf("fragment %d of the stream has sequence %d", i+1, f.Sequence)
			}
		}
	}
}
