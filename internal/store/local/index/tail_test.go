package index

import (
	"testing"

	"weir/internal/store"
)

// marked is an index with one stream, and what the index must say of the newest volume.
type marked struct {
	*testing.T
	index    *SQLite
	path     string
	volume   string
	first    store.Number // of the volume
	at, last int64        // the end of the volume and its greatest server timestamp
}

// reopen closes the index and opens it as at a start.
func (m *marked) reopen() {
	m.Helper()
	if err := m.index.Close(); err != nil {
		m.Fatal(err)
	}
	m.index = open(m.T, m.path)
}

// begin puts what follows into another volume.
func (m *marked) begin(volume string, first store.Number) {
	m.volume, m.first, m.at, m.last = volume, first, 0, 0
}

// check wants the high-water mark to be n, and the newest volume to be as it was made.
func (m *marked) check(n store.Number, state VolumeState) {
	m.Helper()
	h, err := m.index.HighWater(m.Context(), streamID)
	if err != nil || h.Number != n || h.Sequence != int64(n) {
		m.Fatalf("high-water mark %+v, want %d: %v", h, n, err)
	}
	hot, err := m.index.Hot(m.Context(), streamID, store.Query{}, 0)
	if err != nil || hot.HighWater != h {
		m.Fatalf("%+v, %v", hot.HighWater, err)
	}
	list, err := m.index.Volumes(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	b := list[len(list)-1]
	if b.Name != string(streamID)+m.volume || b.State != state || b.Indexed != m.at ||
		b.LastServerTimestamp != m.last {
		m.Fatalf("%+v after fragment %d, want %d and %d", b, n, m.at, m.last)
	}
}

// commit commits a fragment, which replaces another one unless that is 0.
func (m *marked) commit(n, replaces store.Number) error {
	m.Helper()
	f := fragment(n)
	f.Replaces = replaces
	f.Info.Location.Volume = string(streamID) + m.volume
	if n == m.first+20 {
		f.Info.ServerTimestamp += 1000 // a clock that stepped back
	}
	m.at = f.Info.Location.Offset + f.Info.Location.Length
	m.last = max(m.last, f.Info.ServerTimestamp)
	results, err := m.index.Commit(m.Context(), []NewFragment{f}, false)
	if err != nil {
		m.Fatal(err)
	}
	return results[0].Err
}

// next commits a fragment and checks.
func (m *marked) next(n, replaces store.Number) {
	m.Helper()
	if err := m.commit(n, replaces); err != nil {
		m.Fatal(err)
	}
	m.check(n, VolumeOpen)
}

// Marks and heads are only written now and then. The index is still exact: after a start, when
// volumes change, and when the rows that it goes by are gone.
func TestHeadsAndMarks(t *testing.T) {
	path := t.TempDir() + "/index.db"
	m := &marked{T: t, index: open(t, path), path: path}
	if err := m.index.CreateStream(t.Context(),
		store.Stream{ID: streamID, Name: "cam"}); err != nil {
		t.Fatal(err)
	}
	m.begin("/a.vol", 1)
	n := store.Number(0)
	for range 3*markEvery + 5 {
		n++
		m.next(n, 0)
		if n%13 == 0 { // a start, at any distance from the last mark
			m.reopen()
			m.check(n, VolumeOpen)
		}
	}
	// The greatest fragment goes.
	m.next(n+1, n)
	n++
	// Another volume closes this one.
	closed := m.at
	m.volume, m.first, m.last = "/b.vol", n+1, 0
	for range 40 {
		n++
		m.next(n, 0)
	}
	list, err := m.index.Volumes(t.Context())
	if err != nil || list[0].State != VolumeClosed || list[0].Indexed != closed ||
		list[0].LastServerTimestamp != 1021 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := m.index.CloseVolumes(t.Context(),
		[]VolumeInfo{{Name: string(streamID) + m.volume}}); err != nil {
		t.Fatal(err)
	}
	m.check(n, VolumeClosed)
	testMarksWithoutRows(m, n)
	if err := m.index.Close(); err != nil {
		t.Fatal(err)
	}
}

// testMarksWithoutRows continues when the rows go with their volumes: the high-water mark stays.
func testMarksWithoutRows(m *marked, n store.Number) {
	ctx := m.Context()
	if err := m.index.ForgetVolumes(ctx, []string{string(streamID) + "/a.vol"}); err != nil {
		m.Fatal(err)
	}
	m.check(n, VolumeClosed)
	if _, err := m.index.Expire(ctx, streamID, 1<<40, 10); err != nil {
		m.Fatal(err)
	}
	m.check(n, VolumeDoomed)
	m.reopen()
	n++
	m.begin("/c.vol", n)
	m.next(n, 0)
	// A record with a number that exists gets no row, and is not read again.
	f := fragment(n)
	f.Info.Location.Volume, f.Info.Location.Offset = string(streamID)+m.volume, m.at
	results, err := m.index.Commit(ctx, []NewFragment{f}, false)
	m.at += f.Info.Location.Length
	if err != nil || results[0].Err != store.ErrExists {
		m.Fatal(results, err)
	}
	m.check(n, VolumeOpen)
	// A stream that is deleted takes nothing.
	if err := m.index.DeleteStream(ctx, streamID,
		func(*store.Stream) error { return nil }); err != nil {
		m.Fatal(err)
	}
	if err := m.commit(n+1, 0); err != store.ErrNotFound {
		m.Fatal(err)
	}
}
