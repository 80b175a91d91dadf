package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/store"
)

func testStreams(h *harness) {
	a, err := h.store.CreateStream(h.ctx, store.Stream{Name: "a.1", RetentionHours: 24, DeviceName: "d", MediaType: "video/h264",
		KMSKeyID: "k", StorageTier: "HOT", Tags: map[string]string{"site": "north"}})
	h.must(err)
	if !a.ID.Valid() || len(a.Version) != 20 || a.CreatedMillis != h.clock.Now().UnixMilli() || a.NumberTag == 0 {
		h.Fatalf("stream is not filled: %+v", a)
	}
	_, err = h.store.CreateStream(h.ctx, store.Stream{Name: "a.1"})
	h.wantErr(err, store.ErrExists)
	for _, name := range []string{"b", "a.3", "A", "a_", "a.2"} {
		h.create(name, 0)
	}
	for range 2 {
		got, err := h.store.Stream(h.ctx, "a.1")
		h.must(err)
		if !reflect.DeepEqual(got, a) {
			h.Fatalf("got %+v, want %+v", got, a)
		}
		h.reopen()
	}
	names := func(prefix, after string, limit int) string {
		list, err := h.store.ListStreams(h.ctx, prefix, after, limit)
		h.must(err)
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"", "", 0, "A a.1 a.2 a.3 a_ b"},
		{"a.", "", 2, "a.1 a.2"},
		{"a.", "a.2", 2, "a.3"},
		{"a", "a.3", 0, "a_"},
		{"c", "", 0, ""},
	} {
		if got := names(c.prefix, c.after, c.limit); got != c.want {
			h.Fatalf("streams of prefix %q after %q: got %q, want %q", c.prefix, c.after, got, c.want)
		}
	}

	updated, err := h.store.UpdateStream(h.ctx, a.ID, a.Version, func(s *store.Stream) error {
		s.RetentionHours, s.Name, s.NumberTag = 48, "other", 1
		return nil
	})
	h.must(err)
	if updated.Version == a.Version || updated.RetentionHours != 48 || updated.Name != "a.1" || updated.NumberTag != a.NumberTag {
		h.Fatalf("updated to %+v", updated)
	}
	_, err = h.store.UpdateStream(h.ctx, a.ID, a.Version, func(*store.Stream) error { return nil })
	h.wantErr(err, store.ErrVersion)
	refused := errors.New("refused")
	_, err = h.store.UpdateStream(h.ctx, a.ID, "", func(s *store.Stream) error { s.RetentionHours = 1; return refused })
	h.wantErr(err, refused)
	h.must(h.store.TagStream(h.ctx, a.ID, func(tags map[string]string) error {
		tags["floor"] = "2"
		delete(tags, "site")
		return nil
	}))
	got, err := h.store.StreamByID(h.ctx, a.ID)
	h.must(err)
	if got.Version != updated.Version || got.RetentionHours != 48 || len(got.Tags) != 1 || got.Tags["floor"] != "2" {
		h.Fatalf("after tagging: %+v", got)
	}
	_, err = h.store.Stream(h.ctx, "none")
	h.wantErr(err, store.ErrNotFound)
	_, err = h.store.UpdateStream(h.ctx, "0123456789abcdef0123456789abcdef", "", func(*store.Stream) error { return nil })
	h.wantErr(err, store.ErrNotFound)
}

func testAppend(h *harness) {
	st := h.create("cam", 24)
	rec := h.record()
	rec.Partial = true
	before := *rec
	f, err := Append(h.ctx, h.store, st.ID, rec)
	h.must(err)
	before.Number = rec.Number
	if !reflect.DeepEqual(&before, rec) {
		h.Fatal("Append changed the record")
	}
	if f.Sequence != 1 || f.Number != rec.Number || !f.Partial || f.ServerTimestamp != rec.ServerTimestamp || len(f.Spans) != 2 ||
		f.Size() != int64(len(rec.Payload[0])+len(rec.Payload[1])) || f.Span(2).Frames != 20 || !f.Span(1).KeyStart ||
		f.Span(1).FirstSize != int64(rec.Runs[0].Frames[0].Size) || f.Span(1).Traits != rec.Runs[0].Traits() || f.Span(3) != nil {
		h.Fatalf("appended as %+v", f)
	}
	_, err = h.store.Append(h.ctx, st.ID, rec)
	h.wantErr(err, store.ErrExists)
	for range 2 {
		list := h.list(st.ID, store.Query{})
		if len(list) != 1 || !reflect.DeepEqual(list[0], f) {
			h.Fatalf("listed as %+v, want %+v", list, f)
		}
		one, err := h.store.Fragment(h.ctx, st.ID, f.Number)
		h.must(err)
		if !reflect.DeepEqual(one, f) {
			h.Fatalf("found as %+v, want %+v", one, f)
		}
		m, err := h.store.Open(h.ctx, st.ID, f)
		h.must(err)
		if !reflect.DeepEqual(m.Fragment(), &rec.Fragment) {
			h.Fatalf("opened as %+v, want %+v", m.Fragment(), rec.Fragment)
		}
		for _, run := range []int{1, 0, 1} {
			p, err := m.Payload(run)
			h.must(err)
			b, err := ReadRange(p)
			h.must(err)
			if !bytes.Equal(b, rec.Payload[run]) {
				h.Fatalf("payload of run %d is another", run)
			}
			b = make([]byte, len(rec.Payload[run])+1)
			n, err := p.ReadAt(b, 1)
			if err != io.EOF || !bytes.Equal(b[:n], rec.Payload[run][1:]) {
				h.Fatalf("payload of run %d from its second byte: %d bytes, %v", run, n, err)
			}
		}
		if _, err := m.Payload(2); err == nil {
			h.Fatal("a run that is not there has a payload")
		}
		h.must(m.Close())
		tracks, err := h.store.TrackSet(h.ctx, st.ID, f.TrackSet)
		h.must(err)
		if !reflect.DeepEqual(tracks, rec.Tracks) {
			h.Fatalf("track set is %+v", tracks)
		}
		h.reopen()
	}
	// The same tracks are the same set, other tracks another.
	if same := h.append(st.ID); same.TrackSet != f.TrackSet {
		h.Fatal("equal tracks have two sets")
	}
	other := h.record()
	other.Tracks[0].CodecPrivate = []byte{9}
	g, err := Append(h.ctx, h.store, st.ID, other)
	h.must(err)
	if g.TrackSet == f.TrackSet {
		h.Fatal("different tracks have one set")
	}
	_, err = h.store.TrackSet(h.ctx, st.ID, 77)
	h.wantErr(err, store.ErrNotFound)
	_, err = h.store.Fragment(h.ctx, st.ID, 77)
	h.wantErr(err, store.ErrNotFound)
}

// testList compares List with a slow model of it, on fragments whose orders all differ: rows only, rows and sealed volumes,
// sealed volumes only.
func testList(h *harness) {
	for _, sealing := range []int{0, 9, 3} { // a volume of about so many fragments; 0: one, not sealed
		testListSealed(h, sealing)
	}
}

func testListSealed(h *harness, sealing int) {
	st := h.create(fmt.Sprint("cam", sealing), 24)
	other := h.create(fmt.Sprint("other", sealing), 24)
	r := rand.New(rand.NewPCG(1, uint64(sealing)))
	base := h.clock.Now().UnixMilli()
	var recs []*store.Record
	for range 60 {
		rec := h.record()
		var err error
		rec.Number, err = h.store.NextNumber(h.ctx, st.ID)
		h.must(err)
		rec.ServerTimestamp = base + r.Int64N(20)*1000
		rec.ProducerTimestamp = base + r.Int64N(20)*1000
		recs = append(recs, rec)
	}
	r.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
	var all []store.FragmentInfo
	for i, rec := range recs {
		f, err := h.store.Append(h.ctx, st.ID, rec)
		h.must(err)
		if sealing == 0 && f.Sequence != int64(i+1) {
			h.Fatalf("append %d has sequence %d", i+1, f.Sequence)
		}
		all = append(all, f)
		if i%7 == 0 {
			h.append(other.ID)
		}
		if sealing > 0 && r.IntN(sealing) == 0 {
			h.must(h.volumes.Roll(h.ctx, st.ID)) // the next fragment closes it
		}
		if sealing > 0 && r.IntN(3*sealing) == 0 {
			h.must(h.store.Sweep(h.ctx))
		}
		if sealing > 0 && r.IntN(10) == 0 {
			n := r.IntN(len(all))
			rec := h.record()
			rec.Number, err = h.store.NextNumber(h.ctx, st.ID)
			h.must(err)
			rec.ServerTimestamp, rec.ProducerTimestamp = base+r.Int64N(20)*1000, base+r.Int64N(20)*1000
			f, err := h.store.Replace(h.ctx, st.ID, all[n].Number, rec)
			h.must(err)
			all = append(slices.Delete(all, n, n+1), f)
		}
	}
	if sealing == 3 {
		h.reopen()
		h.must(h.store.Sweep(h.ctx))
	}
	// Every combination of what a query may have, three times with other values.
	const bounds = 5 // each is set or not
	for i := range 3 * 2 * 3 << bounds {
		has := func(bit int) bool { return i>>bit&1 == 1 }
		q := store.Query{Timestamp: store.TimestampKind(i >> bounds % 2), Order: store.Order(i >> bounds / 2 % 3)}
		if has(0) {
			q.Start = base + r.Int64N(22)*1000 - 1000
		}
		if has(1) {
			q.End = base + r.Int64N(22)*1000 - 1000
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
		got := h.list(st.ID, q)
		if want := slowList(all, q); !slices.EqualFunc(got, want, func(a, b store.FragmentInfo) bool { return reflect.DeepEqual(a, b) }) {
			h.Fatalf("query %+v: got %v, want %v", q, numbers(got), numbers(want))
		}
		one := all[r.IntN(len(all))]
		if f, err := h.store.Fragment(h.ctx, st.ID, one.Number); err != nil || !reflect.DeepEqual(f, one) {
			h.Fatalf("found %+v, %v, want %+v", f, err, one)
		}
	}
	for _, f := range all {
		if _, err := ReadPayload(h.ctx, h.store, st.ID, f); err != nil {
			h.Fatal(err)
		}
	}
	_, err := h.store.List(h.ctx, "0123456789abcdef0123456789abcdef", store.Query{})
	h.wantErr(err, store.ErrNotFound)
}

func slowList(all []store.FragmentInfo, q store.Query) []store.FragmentInfo {
	var list []store.FragmentInfo
	for _, f := range all {
		ts := f.ServerTimestamp
		if q.Timestamp == store.ProducerTimestamp {
			ts = f.ProducerTimestamp
		}
		after := f.Number > q.After
		if q.Order == store.ByNumberNewest {
			after = f.Number < q.After || q.After == 0
		}
		if ts >= q.Start && (q.End == 0 || ts <= q.End) && f.Sequence > q.AfterSequence && after {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b store.FragmentInfo) int {
		switch q.Order {
		case store.ByNumberNewest:
			return int(b.Number - a.Number)
		case store.BySequence:
			return int(a.Sequence - b.Sequence)
		}
		return int(a.Number - b.Number)
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
	h.crash()
	next()
	h.clock.Add(3 * time.Hour)
	next()
}

func testReplace(h *harness) {
	st := h.create("cam", 24)
	a, b := h.append(st.ID), h.append(st.ID)
	rec := h.record()
	var err error
	rec.Number, err = h.store.NextNumber(h.ctx, st.ID)
	h.must(err)
	c, err := h.store.Replace(h.ctx, st.ID, a.Number, rec)
	h.must(err)
	if c.Sequence != 3 {
		h.Fatalf("replacement has sequence %d", c.Sequence)
	}
	h.wantNumbers(h.list(st.ID, store.Query{}), b, c)
	_, err = h.store.Fragment(h.ctx, st.ID, a.Number)
	h.wantErr(err, store.ErrNotFound)
	rec = h.record()
	rec.Number, err = h.store.NextNumber(h.ctx, st.ID)
	h.must(err)
	d, err := h.store.Replace(h.ctx, st.ID, a.Number, rec) // gone already: an append
	h.must(err)
	h.crash()
	h.wantNumbers(h.list(st.ID, store.Query{}), b, c, d)
}

func testRetention(h *harness) {
	st := h.create("cam", 2)
	long := h.create("long", 100)
	var all []store.FragmentInfo
	for range 10 {
		all = append(all, h.append(st.ID))
		h.append(long.ID)
		h.clock.Add(20 * time.Minute)
	}
	// All hides what is past two hours without a sweep: 3 h 20 min went by since the first.
	visible := func() []store.FragmentInfo {
		cut := h.clock.Now().Add(-2 * time.Hour).UnixMilli()
		var l []store.FragmentInfo
		for _, f := range all {
			if f.ServerTimestamp >= cut {
				l = append(l, f)
			}
		}
		return l
	}
	if n := len(visible()); n == 0 || n == 10 {
		h.Fatalf("%d fragments are visible", n)
	}
	h.wantNumbers(h.list(st.ID, store.Query{}), visible()...)
	h.wantNumbers(h.list(st.ID, store.Query{Order: store.BySequence}), visible()...)
	_, err := h.store.Open(h.ctx, st.ID, all[0])
	h.wantErr(err, store.ErrGone)
	_, err = h.store.Fragment(h.ctx, st.ID, all[0].Number)
	h.wantErr(err, store.ErrNotFound)

	// Volumes go whole, those that hold nothing else; what is in the same volume as something visible goes with it.
	gone := 0
	for _, f := range all {
		if !slices.ContainsFunc(visible(), func(v store.FragmentInfo) bool { return v.Location.Volume == f.Location.Volume }) {
			gone++
		}
	}
	was := h.check()
	h.must(h.store.Sweep(h.ctx))
	is := h.check()
	if gone == 0 || is.Fragments != was.Fragments-gone || is.Volumes >= was.Volumes {
		h.Fatalf("a sweep made %+v of %+v, %d should be gone", is, was, gone)
	}
	h.wantNumbers(h.list(st.ID, store.Query{}), visible()...)

	// A shorter retention hides at once; what was being read is read to its end.
	newest := all[9]
	m, err := h.store.Open(h.ctx, st.ID, newest)
	h.must(err)
	_, err = h.store.UpdateStream(h.ctx, st.ID, "", func(s *store.Stream) error { s.RetentionHours = 1; return nil })
	h.must(err)
	h.clock.Add(50 * time.Minute)
	h.wantNumbers(h.list(st.ID, store.Query{}))
	_, err = h.store.Open(h.ctx, st.ID, newest)
	h.wantErr(err, store.ErrGone)
	h.must(h.store.Sweep(h.ctx))
	h.must(h.store.Sweep(h.ctx))
	if r := h.check(); r.Fragments != 10 { // those of the other stream
		h.Fatalf("after the last sweep: %+v", r)
	}
	p, err := m.Payload(1)
	h.must(err)
	if b, err := ReadRange(p); err != nil || len(b) != int(newest.Spans[1].Size) {
		h.Fatalf("read %d bytes of an open fragment: %v", len(b), err)
	}
	h.must(m.Close())
	// Orders go on behind what was swept, over a restart too.
	h.reopen()
	if f := h.append(st.ID); f.Sequence != 11 || f.Number <= newest.Number {
		h.Fatalf("after everything was swept: %+v", f)
	}
}

func testMemory(h *harness) {
	st := h.create("cam", 0)
	rec := h.record()
	a, err := Append(h.ctx, h.store, st.ID, rec)
	h.must(err)
	want := bytes.Clone(rec.Payload[0])
	clear(rec.Payload[0]) // the caller's again
	if a.Location.Volume != "" || a.Sequence != 1 {
		h.Fatalf("appended as %+v", a)
	}
	if p, err := ReadPayload(h.ctx, h.store, st.ID, a); err != nil || !bytes.Equal(p[0], want) {
		h.Fatalf("payload in memory is another: %v", err)
	}
	_, err = h.store.Append(h.ctx, st.ID, rec)
	h.wantErr(err, store.ErrExists)
	b := h.append(st.ID)
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b)
	h.wantNumbers(h.list(st.ID, store.Query{Order: store.ByNumberNewest, Limit: 1}), b)
	if r := h.check(); r.Fragments != 0 || r.Volumes != 0 {
		h.Fatalf("memory is on disk: %+v", r)
	}
	// Retention from here on: new fragments are durable, sequences go on, old ones stay while they are in memory.
	_, err = h.store.UpdateStream(h.ctx, st.ID, "", func(s *store.Stream) error { s.RetentionHours = 1; return nil })
	h.must(err)
	c := h.append(st.ID)
	if c.Sequence != 3 || c.Location.Volume == "" {
		h.Fatalf("with retention: %+v", c)
	}
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b, c)
	h.wantNumbers(h.list(st.ID, store.Query{Order: store.BySequence, AfterSequence: 1, Limit: 1}), b)
	rec = h.record()
	rec.Number, err = h.store.NextNumber(h.ctx, st.ID)
	h.must(err)
	d, err := h.store.Replace(h.ctx, st.ID, b.Number, rec)
	h.must(err)
	h.wantNumbers(h.list(st.ID, store.Query{}), a, c, d)
	h.clock.Add(6 * time.Minute)
	h.wantNumbers(h.list(st.ID, store.Query{}), c, d)
	_, err = h.store.Open(h.ctx, st.ID, a)
	h.wantErr(err, store.ErrGone)
	// And back: what is stored is hidden at once.
	_, err = h.store.UpdateStream(h.ctx, st.ID, "", func(s *store.Stream) error { s.RetentionHours = 0; return nil })
	h.must(err)
	h.wantNumbers(h.list(st.ID, store.Query{}))
	e := h.append(st.ID)
	if e.Sequence != 5 || e.Location.Volume != "" {
		h.Fatalf("without retention: %+v", e)
	}
	// The bytes are bounded: 100,000 here.
	var newest store.FragmentInfo
	for range 100 {
		newest = h.append(st.ID)
		h.clock.Add(-2 * time.Second)
	}
	list := h.list(st.ID, store.Query{})
	var size int64
	for i := range list {
		size += list[i].Location.Length
	}
	if size > 100_000 || len(list) < 5 || list[len(list)-1].Number != newest.Number {
		h.Fatalf("%d fragments of %d bytes are in memory", len(list), size)
	}
	h.crash()
	h.wantNumbers(h.list(st.ID, store.Query{}))
	// What was deleted by a shorter retention does not come back with a longer one, although no sweep came in between.
	_, err = h.store.UpdateStream(h.ctx, st.ID, "", func(s *store.Stream) error { s.RetentionHours = 2; return nil })
	h.must(err)
	h.wantNumbers(h.list(st.ID, store.Query{}))
	h.append(st.ID)
	for _, hours := range []int{0, 2} {
		_, err = h.store.UpdateStream(h.ctx, st.ID, "", func(s *store.Stream) error { s.RetentionHours = hours; return nil })
		h.must(err)
	}
	h.wantNumbers(h.list(st.ID, store.Query{}))
	last := h.append(st.ID)
	h.wantNumbers(h.list(st.ID, store.Query{}), last)
}

func testDelete(h *harness) {
	st := h.create("cam", 24)
	h.must(func() error {
		_, err := h.store.OpenSession(h.ctx, store.Session{ID: "s", Stream: st.ID, ExpiresMillis: 1 << 60}, 0)
		return err
	}())
	f := h.append(st.ID)
	h.append(st.ID)
	m, err := h.store.Open(h.ctx, st.ID, f)
	h.must(err)
	h.wantErr(h.store.DeleteStream(h.ctx, st.ID, "another"), store.ErrVersion)
	h.must(h.store.DeleteStream(h.ctx, st.ID, st.Version))
	again := h.create("cam", 24)
	gone := func() {
		h.Helper()
		_, err := h.store.List(h.ctx, st.ID, store.Query{})
		h.wantErr(err, store.ErrNotFound)
		_, err = Append(h.ctx, h.store, st.ID, h.record())
		h.wantErr(err, store.ErrNotFound)
		_, err = h.store.Open(h.ctx, st.ID, f)
		h.wantErr(err, store.ErrGone)
		_, err = h.store.StreamByID(h.ctx, st.ID)
		h.wantErr(err, store.ErrNotFound)
		_, err = h.store.Session(h.ctx, "s")
		h.wantErr(err, store.ErrNotFound)
		h.wantErr(h.store.DeleteStream(h.ctx, st.ID, ""), store.ErrNotFound)
		h.wantNumbers(h.list(again.ID, store.Query{}))
	}
	gone()
	h.crash()
	gone()
	h.must(h.store.Sweep(h.ctx))
	gone()
	p, err := m.Payload(0)
	h.must(err)
	if b, err := ReadRange(p); err != nil || len(b) != int(f.Spans[0].Size) {
		h.Fatalf("read %d bytes of an open fragment: %v", len(b), err)
	}
	h.must(m.Close())
	if r := h.check(); r.Volumes != 0 || r.Unknown != 0 || r.Streams != 1 {
		h.Fatalf("after the deletion: %+v", r)
	}
}

func testSessions(h *harness) {
	st, other := h.create("cam", 24), h.create("other", 24)
	now := h.clock.Now().UnixMilli()
	session := func(id string, stream store.StreamID, created int64) store.Session {
		return store.Session{ID: id, Stream: stream, CreatedMillis: now + created, ExpiresMillis: now + 60_000, Parameters: []byte("p" + id)}
	}
	open := func(s store.Session, limit int, want ...string) {
		h.Helper()
		closed, err := h.store.OpenSession(h.ctx, s, limit)
		h.must(err)
		if !slices.Equal(closed, want) {
			h.Fatalf("opening %q closed %q, want %q", s.ID, closed, want)
		}
	}
	open(session("b", st.ID, 2), 2)
	open(session("x", other.ID, 0), 2)
	open(session("a", st.ID, 1), 2)
	open(session("c", st.ID, 3), 2, "a") // the earliest created, not the first opened
	open(session("d", st.ID, 0), 2, "b") // never the new one
	_, err := h.store.OpenSession(h.ctx, session("d", st.ID, 0), 2)
	h.wantErr(err, store.ErrExists)
	_, err = h.store.OpenSession(h.ctx, session("e", "0123456789abcdef0123456789abcdef", 0), 2)
	h.wantErr(err, store.ErrNotFound)
	many := h.create("many", 24)
	for i, id := range []string{"m9", "m1", "m7", "m3", "m5"} { // in the same millisecond the order of opening counts, not the IDs'
		var want []string
		if i > 2 {
			want = []string{[]string{"m9", "m1"}[i-3]}
		}
		open(session(id, many.ID, 0), 3, want...)
	}
	kinds := h.create("kinds", 24) // are counted apart
	kind := func(id string, kind uint8, created int64) store.Session {
		s := session(id, kinds.ID, created)
		s.Kind = kind
		return s
	}
	open(kind("k1", 0, 0), 2)
	open(kind("k2", 1, 1), 2)
	open(kind("k3", 1, 2), 2)
	open(kind("k4", 0, 3), 2)
	open(kind("k5", 1, 4), 2, "k2")
	open(kind("k6", 0, 5), 2, "k1")
	h.must(h.store.Checkpoint(h.ctx, "c", []byte("far")))
	h.wantErr(h.store.Checkpoint(h.ctx, "a", nil), store.ErrNotFound)
	h.wantErr(h.store.Checkpoint(h.ctx, "nobody", nil), store.ErrNotFound)
	h.reopen()
	got, err := h.store.Session(h.ctx, "c")
	h.must(err)
	want := session("c", st.ID, 3)
	want.Checkpoint = []byte("far")
	if !reflect.DeepEqual(got, want) {
		h.Fatalf("got %+v, want %+v", got, want)
	}
	got, err = h.store.Session(h.ctx, "k5")
	h.must(err)
	if want := kind("k5", 1, 4); !reflect.DeepEqual(got, want) {
		h.Fatalf("got %+v, want %+v", got, want)
	}
	_, err = h.store.Session(h.ctx, "a") // closed
	h.wantErr(err, store.ErrNotFound)
	_, err = h.store.Session(h.ctx, "nobody")
	h.wantErr(err, store.ErrNotFound)
	h.clock.Add(time.Minute)
	_, err = h.store.Session(h.ctx, "c") // over
	h.wantErr(err, store.ErrNotFound)
	late := session("f", st.ID, 60_000)
	late.ExpiresMillis += 60_000
	open(late, 1) // the expired ones do not count
	h.clock.Add(25 * time.Hour)
	h.must(h.store.Sweep(h.ctx))
	_, err = h.store.Session(h.ctx, "f")
	h.wantErr(err, store.ErrNotFound)
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
		rec := h.record()
		rec.Number = 1
		spoil(rec)
		if _, err := h.store.Append(h.ctx, st.ID, rec); err == nil {
			h.Fatalf("%s: appended", name)
		}
	}
	h.wantNumbers(h.list(st.ID, store.Query{}))
}

// testProducers appends from many at once, while others list and sweep.
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
				l, err := h.store.List(h.ctx, id, store.Query{AfterSequence: f.Sequence - 1, Order: store.BySequence, Limit: 1})
				if err != nil || len(l) != 1 || l[0].Number != f.Number {
					h.Errorf("fragment %d is not listed after its append: %v %v", f.Number, numbers(l), err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var sweeper sync.WaitGroup
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := h.store.Sweep(h.ctx); err != nil {
					h.Error(err)
					return
				}
			}
		}
	})
	wg.Wait()
	close(stop)
	sweeper.Wait()
	h.crash()
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

func testCancelled(h *harness) {
	st := h.create("cam", 24)
	a := h.append(st.ID)
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	rec := h.record()
	rec.Number = a.Number + 1
	_, err := h.store.Append(ctx, st.ID, rec)
	h.wantErr(err, context.Canceled)
	h.wantErr(h.store.Sweep(ctx), context.Canceled)
	h.check()
	b := h.append(st.ID)
	h.wantNumbers(h.list(st.ID, store.Query{}), a, b)
}
