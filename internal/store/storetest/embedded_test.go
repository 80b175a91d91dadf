package storetest_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"weir/internal/store"
	"weir/internal/store/blob"
	"weir/internal/store/index"
	"weir/internal/store/storetest"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	clock := storetest.NewClock()
	open := func() *store.Store {
		x, err := index.OpenSQLite(ctx, filepath.Join(dir, "index.db"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := blob.OpenVolumes(filepath.Join(dir, "volumes"), blob.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := store.New(ctx, store.Options{Index: x, Blobs: v, Clock: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	st, err := s.CreateStream(ctx, store.Stream{Name: "cam", RetentionHours: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		rec := storetest.Record(clock, uint64(i), 3000)
		f, err := storetest.Append(ctx, s, st.ID, rec)
		if err != nil {
			t.Fatal(err)
		}
		if f.Sequence != int64(i+1) {
			t.Fatal(f)
		}
		p, err := storetest.ReadPayload(ctx, s, st.ID, f)
		if err != nil || !bytes.Equal(p[1], rec.Payload[1]) {
			t.Fatal(err)
		}
	}
	for range 2 {
		for _, q := range []store.Query{{}, {Start: 1}, {Order: store.BySequence}, {AfterSequence: 1}, {Order: store.ByNumberNewest, Start: 5, Timestamp: store.ProducerTimestamp}} {
			l, err := s.List(ctx, st.ID, q)
			if err != nil || len(l) < 4 {
				t.Fatal(err, len(l))
			}
		}
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open()
	}
	s.Close()
}
