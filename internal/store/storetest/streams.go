package storetest

import (
	"errors"
	"maps"
	"reflect"
	"strings"

	"weir/internal/store"
)

// nobody is the ID of no stream.
const nobody store.StreamID = "0123456789abcdef0123456789abcdef"

func testStreams(h *harness) {
	a, err := h.store.CreateStream(h.ctx, store.Stream{
		Name: "a.1", RetentionHours: 24, DeviceName: "d", MediaType: "video/h264", KMSKeyID: "k",
		StorageTier: "HOT", Settings: `{"a":1}`, Tags: map[string]string{"site": "north"},
	})
	h.must(err)
	if !a.ID.Valid() || len(a.Version) != 20 || a.NumberTag == 0 ||
		a.CreatedMillis != h.clock.Now().UnixMilli() {
		h.Fatalf("stream is not filled: %+v", a)
	}
	_, err = h.store.CreateStream(h.ctx, store.Stream{Name: "a.1"})
	h.wantErr(err, store.ErrExists)
	for _, name := range []string{"b", "a.3", "A", "a_", "a.2"} {
		if s := h.create(name, 0); s.Tags == nil || s.ID == a.ID {
			h.Fatalf("stream %s is %+v", name, s)
		}
	}
	h.always(func() {
		byName, err := h.store.Stream(h.ctx, "a.1")
		h.must(err)
		byID, err := h.store.StreamByID(h.ctx, a.ID)
		h.must(err)
		if !reflect.DeepEqual(byName, a) || !reflect.DeepEqual(byID, a) {
			h.Fatalf("got %+v and %+v, want %+v", byName, byID, a)
		}
	})
	_, err = h.store.Stream(h.ctx, "none")
	h.wantErr(err, store.ErrNotFound)
	_, err = h.store.StreamByID(h.ctx, nobody)
	h.wantErr(err, store.ErrNotFound)
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
		list, err := h.store.ListStreams(h.ctx, c.prefix, c.after, c.limit)
		h.must(err)
		var names []string
		for _, s := range list {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			h.Fatalf("%d streams of prefix %q after %q: got %q, want %q",
				c.limit, c.prefix, c.after, got, c.want)
		}
	}
}

func testStreamChanges(h *harness) {
	st, err := h.store.CreateStream(h.ctx, store.Stream{
		Name: "cam", RetentionHours: 24, Tags: map[string]string{"site": "north"},
	})
	h.must(err)
	updated, err := h.store.UpdateStream(h.ctx, st.ID, st.Version, func(s *store.Stream) error {
		s.ID, s.Name, s.CreatedMillis, s.Version, s.NumberTag = nobody, "other", 1, "1", 1
		s.RetentionHours, s.DeviceName = 48, "d"
		return nil
	})
	h.must(err)
	want := st
	want.RetentionHours, want.DeviceName, want.Version = 48, "d", updated.Version
	if !reflect.DeepEqual(updated, want) || updated.Version == st.Version ||
		len(updated.Version) != 20 {
		h.Fatalf("%+v is updated to %+v", st, updated)
	}
	nothing := func(*store.Stream) error { return nil }
	_, err = h.store.UpdateStream(h.ctx, st.ID, st.Version, nothing)
	h.wantErr(err, store.ErrVersion)
	_, err = h.store.UpdateStream(h.ctx, nobody, "", nothing)
	h.wantErr(err, store.ErrNotFound)
	refused := errors.New("refused")
	_, err = h.store.UpdateStream(h.ctx, st.ID, "", func(s *store.Stream) error {
		s.RetentionHours, s.Tags["site"] = 1, "south"
		return refused
	})
	h.wantErr(err, refused)
	h.wantErr(h.store.TagStream(h.ctx, st.ID, func(tags map[string]string) error {
		delete(tags, "site")
		return refused
	}), refused)
	h.must(h.store.TagStream(h.ctx, st.ID, func(tags map[string]string) error {
		tags["floor"] = "2"
		return nil
	}))
	h.wantErr(h.store.TagStream(h.ctx, nobody, func(map[string]string) error { return nil }),
		store.ErrNotFound)
	want.Tags = map[string]string{"site": "north", "floor": "2"}
	h.always(func() {
		got, err := h.store.Stream(h.ctx, "cam")
		h.must(err)
		if !reflect.DeepEqual(got, want) {
			h.Fatalf("got %+v, want %+v", got, want)
		}
		maps.Copy(got.Tags, map[string]string{"mine": "1"}) // no business of the store
	})
}

func testDelete(h *harness) {
	st, other := h.create("cam", 24), h.create("other", 24)
	for _, s := range []store.Stream{st, other} {
		_, err := h.store.OpenSession(h.ctx, store.Session{
			ID: s.Name, Stream: s.ID, ExpiresMillis: 1 << 60,
		}, 0)
		h.must(err)
	}
	f, kept := h.append(st.ID), h.append(other.ID)
	h.settle()
	h.append(st.ID)
	m, err := h.store.Open(h.ctx, st.ID, f)
	h.must(err)
	h.wantErr(h.store.DeleteStream(h.ctx, st.ID, "another"), store.ErrVersion)
	h.must(h.store.DeleteStream(h.ctx, st.ID, st.Version))
	h.wantErr(h.store.DeleteStream(h.ctx, nobody, ""), store.ErrNotFound)
	again := h.create("cam", 24)
	gone := func() {
		h.Helper()
		_, err := h.store.List(h.ctx, st.ID, store.Query{})
		h.wantErr(err, store.ErrNotFound)
		_, err = h.store.NextNumber(h.ctx, st.ID)
		h.wantErr(err, store.ErrNotFound)
		rec := h.record()
		rec.Number = f.Number + 1
		_, err = h.store.Append(h.ctx, st.ID, rec)
		h.wantErr(err, store.ErrNotFound)
		h.wantGone(st.ID, f)
		_, err = h.store.TrackSet(h.ctx, st.ID, f.TrackSet)
		h.wantErr(err, store.ErrNotFound)
		_, err = h.store.StreamByID(h.ctx, st.ID)
		h.wantErr(err, store.ErrNotFound)
		_, err = h.store.Session(h.ctx, "cam")
		h.wantErr(err, store.ErrNotFound)
		_, err = h.store.Session(h.ctx, "other")
		h.must(err)
		h.wantErr(h.store.DeleteStream(h.ctx, st.ID, ""), store.ErrNotFound)
		h.wantList(again.ID, store.Query{})
		h.wantList(other.ID, store.Query{}, kept)
	}
	gone()
	p, err := m.Payload(0)
	h.must(err)
	if b, err := ReadRange(p); err != nil || len(b) != int(f.Spans[0].Size) {
		h.Fatalf("read %d bytes of an open fragment: %v", len(b), err)
	}
	h.must(m.Close())
	h.kill()
	gone()
	h.settle()
	gone()
}
