package index

import (
	"testing"

	"weir/internal/store"
)

// Marks and heads are written down now and then only; what the index tells is exact all the same,
// also after a start, when volumes change, and when the rows that told it are gone.
func TestHeadsAndMarks(t *testing.T) {
	path := t.TempDir() + "/index.db"
	x := open(t, path)
	if err := x.CreateStream(t.Context(), store.Stream{ID: streamID, Name: "cam"}); err != nil {
		t.Fatal(err)
	}
	volume, first := "/a.vol", store.Number(1)
	at, last := int64(0), int64(0) // the end of the volume and its greatest server timestamp
	check := func(n store.Number, state VolumeState) {
		t.Helper()
		h, err := x.HighWater(t.Context(), streamID)
		if err != nil || h.Number != n || h.Sequence != int64(n) {
			t.Fatalf("high-water mark %+v, want %d: %v", h, n, err)
		}
		hot, err := x.Hot(t.Context(), streamID, store.Query{}, 0)
		if err != nil || hot.HighWater != h {
			t.Fatalf("%+v, %v", hot.HighWater, err)
		}
		list, err := x.Volumes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := list[len(list)-1]
		if b.Name != string(streamID)+volume || b.State != state || b.Indexed != at ||
			b.LastServerTimestamp != last {
			t.Fatalf("%+v after fragment %d, want %d and %d", b, n, at, last)
		}
	}
	commit := func(n, replaces store.Number) error {
		t.Helper()
		f := fragment(n)
		f.Replaces = replaces
		f.Info.Location.Volume = string(streamID) + volume
		if n == first+20 {
			f.Info.ServerTimestamp += 1000 // a clock that stepped back
		}
		at = f.Info.Location.Offset + f.Info.Location.Length
		last = max(last, f.Info.ServerTimestamp)
		results, err := x.Commit(t.Context(), []NewFragment{f}, false)
		if err != nil {
			t.Fatal(err)
		}
		return results[0].Err
	}
	n := store.Number(0)
	for range 3*markEvery + 5 {
		n++
		if err := commit(n, 0); err != nil {
			t.Fatal(err)
		}
		check(n, VolumeOpen)
		if n%13 == 0 { // a start, at any distance from the last mark
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			x = open(t, path)
			check(n, VolumeOpen)
		}
	}
	// A fragment that goes was the greatest.
	if err := commit(n+1, n); err != nil {
		t.Fatal(err)
	}
	n++
	check(n, VolumeOpen)
	// Another volume closes this one as it is.
	closed := at
	volume, first, last = "/b.vol", n+1, 0
	for range 40 {
		n++
		if err := commit(n, 0); err != nil {
			t.Fatal(err)
		}
		check(n, VolumeOpen)
	}
	list, err := x.Volumes(t.Context())
	if err != nil || list[0].State != VolumeClosed || list[0].Indexed != closed ||
		list[0].LastServerTimestamp != 1021 {
		t.Fatalf("%+v, %v", list, err)
	}
	if err := x.CloseVolumes(t.Context(), []VolumeInfo{{Name: string(streamID) +
		volume}}); err != nil {
		t.Fatal(err)
	}
	check(n, VolumeClosed)
	// The rows go with the volumes, the high-water mark stays.
	if err := x.ForgetVolumes(t.Context(), []string{string(streamID) + "/a.vol"}); err != nil {
		t.Fatal(err)
	}
	check(n, VolumeClosed)
	if _, err := x.Expire(t.Context(), streamID, 1<<40, 10); err != nil {
		t.Fatal(err)
	}
	check(n, VolumeDoomed)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = open(t, path)
	volume, at, last, first = "/c.vol", 0, 0, n+1
	if err := commit(n+1, 0); err != nil {
		t.Fatal(err)
	}
	n++
	check(n, VolumeOpen)
	// The record of a number that is there already gets no row, and is not read again.
	f := fragment(n)
	f.Info.Location.Volume, f.Info.Location.Offset = string(streamID)+volume, at
	results, err := x.Commit(t.Context(), []NewFragment{f}, false)
	at += f.Info.Location.Length
	if err != nil || results[0].Err != store.ErrExists {
		t.Fatal(results, err)
	}
	check(n, VolumeOpen)
	// A stream that is deleted takes nothing.
	if err := x.DeleteStream(t.Context(), streamID,
		func(*store.Stream) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := commit(n+1, 0); err != store.ErrNotFound {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}
