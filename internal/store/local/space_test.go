package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/localtest"
	"weir/internal/store/local/volume"
	"weir/internal/store/storetest"
)

// The space that is kept free is not used, what is stored can be read, and fragments are stored
// again once there is space. The log warns before it happens, and says when it happens and when it
// is over, each once.
func TestMinFree(t *testing.T) {
	const keep = 100_000
	clock, disk := storetest.NewClock(), localtest.NewDisk(10*keep)
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	s := onDisk(t, disk, local.Options{Clock: clock.Now, MinFree: keep,
		Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: local.NewMetrics(registry)})
	cam := newStream(t, s, "cam", 24)
	var stored []store.FragmentInfo
	warned := 0
	for i := 0; ; i++ {
		f, err := storetest.Append(t.Context(), s, cam, storetest.Record(clock, uint64(i), 10_000))
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil || i > 1000 {
			t.Fatal(i, err)
		}
		stored = append(stored, f)
		if err := s.CheckSpace(t.Context()); err != nil {
			t.Fatal(err)
		}
		if warned == 0 && strings.Contains(log.String(), "nearly full") {
			warned = i
		}
	}
	free, _, err := disk.Space("/volumes")
	if err != nil || free < keep || free > keep+12_000 {
		t.Fatalf("%d bytes are free, %d are kept: %v", free, keep, err)
	}
	if warned == 0 || len(stored)-warned < 5 {
		t.Fatalf("warned at fragment %d of %d", warned, len(stored))
	}
	for range 3 {
		if _, err := storetest.Append(t.Context(), s, cam, storetest.Record(clock, 1,
			10_000)); !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
		if err := s.CheckSpace(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range stored {
		if _, err := storetest.ReadPayload(t.Context(), s, cam, f); err != nil {
			t.Fatal(err)
		}
	}
	disk.SetRoom(keep / 2) // somebody else takes more
	if err := s.CheckSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stopped, free := metric(t, registry, "weir_store_ingest_stopped"), metric(t, registry,
		"weir_store_free_bytes"); stopped != 1 || free != keep/2 {
		t.Fatalf("metrics: stopped %v, %v free", stopped, free)
	}
	disk.SetRoom(10 * keep)
	if _, err := storetest.Append(t.Context(), s, cam, storetest.Record(clock, 1,
		10_000)); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckSpace(t.Context()); err != nil {
		t.Fatal(err)
	}
	if metric(t, registry, "weir_store_ingest_stopped") != 0 {
		t.Fatal("the metrics say that fragments are refused")
	}
	for text, want := range map[string]int{"nearly full": 1, "disk is full": 1,
		"fragments are stored": 1} {
		if got := strings.Count(log.String(), text); got != want {
			t.Errorf("%q is said %d times:\n%s", text, got, &log)
		}
	}
}

// Like a recorder, the store deletes the oldest volumes of any stream to make room for new ones,
// but never one that is being written.
func TestDeleteOldest(t *testing.T) {
	const keep = 100_000
	clock, disk := storetest.NewClock(), localtest.NewDisk(6*keep)
	s := onDisk(t, disk, local.Options{Clock: clock.Now, MinFree: keep,
		WhenFull: local.DeleteOldest})
	old, cam := newStream(t, s, "old", 1000), newStream(t, s, "cam", 1000)
	add := func(id store.StreamID, seed int) store.FragmentInfo {
		t.Helper()
		clock.Add(time.Minute)
		f, err := storetest.Append(t.Context(), s, id, storetest.Record(clock, uint64(seed), 9000))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CheckSpace(t.Context()); err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := add(old, 0)
	// from now on it is remembered
	if f, err := s.Fragment(t.Context(), old, first.Number); err != nil {
		t.Fatal(err)
	} else if _, err := storetest.ReadPayload(t.Context(), s, old, f); err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		add(old, i)
	}
	var all []store.FragmentInfo
	for i := range 200 {
		all = append(all, add(cam, i))
	}
	l, err := s.List(t.Context(), old, store.Query{})
	if err != nil || len(l) > 3 { // its open volume
		t.Fatalf("%d fragments of the old stream are left: %v", len(l), err)
	}
	if _, err := s.Fragment(t.Context(), old, first.Number); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), old, first); !errors.Is(err, store.ErrGone) {
		t.Fatal(err)
	}
	l, err = s.List(t.Context(), cam, store.Query{})
	if err != nil || len(l) < 25 || len(l) > 60 {
		t.Fatalf("%d fragments are left: %v", len(l), err)
	}
	sameFragments(t, l, all[len(all)-len(l):])
	for _, f := range l {
		if _, err := storetest.ReadPayload(t.Context(), s, cam, f); err != nil {
			t.Fatal(err)
		}
	}
}

// spaceFragment is the size of the fragments whose space is measured.
const spaceFragment = 500_000

// fillMinutes appends so many fragments, one a minute.
func fillMinutes(t *testing.T, s *local.Store, clock *storetest.Clock, id store.StreamID, n int) {
	t.Helper()
	for i := range n {
		if _, err := storetest.Append(t.Context(), s, id, storetest.Record(clock, uint64(i),
			spaceFragment)); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Minute)
	}
}

// oldest wants a stream to list this fragment first.
func oldest(t *testing.T, when string, s *local.Store, id store.StreamID, want store.FragmentInfo) {
	t.Helper()
	if got, err := s.List(t.Context(), id, store.Query{Limit: 1}); err != nil || len(got) != 1 ||
		got[0].Number != want.Number {
		t.Fatalf("%s: %v, %v", when, got, err)
	}
}

// What is deleted, past retention, or beyond a retention that was shortened gives back its space,
// measured on the file system. The clock decides when; nobody calls Sweep.
func TestSpaceIsFreed(t *testing.T) {
	mount, own := small(t, 4<<30) // so that a volume is an hour
	clock := storetest.NewClock()
	dir := filepath.Join(mount, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := onMount(t, dir, local.Options{Clock: clock.Now, SweepInterval: 20 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	defer func() { stop(); <-done; closeStore(t, s) }()

	freed := func(what string, before int64, fragments int) {
		t.Helper()
		// the index takes a little
		eventually(t, 10*time.Second, what, func() bool {
			return before-used(t, mount, own) > int64(fragments)*spaceFragment*9/10
		})
	}
	empty := used(t, mount, own)
	gone := newStream(t, s, "gone", 24)
	fillMinutes(t, s, clock, gone, 10)
	full := used(t, mount, own)
	if full-empty < 10*spaceFragment {
		t.Fatalf("10 fragments take %d bytes", full-empty)
	}
	if err := s.DeleteStream(t.Context(), gone, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context(), gone, store.Query{}); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a deleted stream lists with %v", err)
	}
	freed("deleted", full, 10)

	// From half past nine on: the last ones are in the next hour, so in another volume.
	cam := newStream(t, s, "cam", 2)
	fillMinutes(t, s, clock, cam, 50)
	full = used(t, mount, own)
	l, err := s.List(t.Context(), cam, store.Query{})
	if err != nil || len(l) != 50 {
		t.Fatal(len(l), err)
	}
	lastOfHour := l[0]
	for _, f := range l {
		if f.Location.Volume == l[0].Location.Volume {
			lastOfHour = f
		}
	}
	// To the millisecond: the first fragment is still there at two hours, and gone right after.
	clock.Add(time.UnixMilli(l[0].ServerTimestamp).Add(2 * time.Hour).Sub(clock.Now()))
	oldest(t, "at the end of retention", s, cam, l[0])
	clock.Add(time.Millisecond)
	oldest(t, "past retention", s, cam, l[1])
	// A longer retention keeps what there is, but does not show again what was hidden a moment ago.
	retention := func(hours int) {
		t.Helper()
		if _, err := s.UpdateStream(t.Context(), cam, "",
			func(st *store.Stream) error { st.RetentionHours = hours; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	retention(3)
	if got, err := s.List(t.Context(), cam, store.Query{}); err != nil || len(got) < 49 {
		t.Fatalf("%d fragments with a longer retention, %v", len(got), err)
	}
	// The space is freed within the hour, once the last fragment of the volume is past it.
	clock.Add(time.UnixMilli(lastOfHour.ServerTimestamp).Add(3*time.Hour +
		time.Second).Sub(clock.Now()))
	freed("past retention", full, 20)
	full = used(t, mount, own)
	retention(1)
	freed("shorter retention", full, 19)
	if got, err := s.List(t.Context(), cam, store.Query{}); err != nil || len(got) != 0 {
		t.Fatalf("%d fragments are left, %v", len(got), err)
	}
}

// fillUp appends fragments of a size until the store is full, and returns them.
func fillUp(t *testing.T, s *local.Store, id store.StreamID, clock *storetest.Clock,
	size int) (stored []store.FragmentInfo) {
	t.Helper()
	for i := 0; ; i++ {
		f, err := storetest.Append(t.Context(), s, id, storetest.Record(clock, uint64(i), size))
		if errors.Is(err, store.ErrFull) {
			return stored
		}
		if err != nil || i > 1000 {
			t.Fatal(i, err)
		}
		stored = append(stored, f)
	}
}

// On a file system that is really full, producers are refused, nothing acknowledged suffers,
// retention still frees space, and then everything goes on. The index works because of the space
// that is kept free. When that limit is reached, sessions can be opened, but nothing is written for
// them: they end with the process.
func TestSessionsOfAFullDisk(t *testing.T) {
	const keep = 100_000
	clock, disk := storetest.NewClock(), localtest.NewDisk(3*keep)
	var log bytes.Buffer
	x, err := index.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := volume.Open("/volumes", volume.Options{FS: disk, MaxSize: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.New(t.Context(), local.Options{Index: x, Volumes: b, Clock: clock.Now,
		MinFree: keep, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	cam, other := newStream(t, s, "cam", 24), newStream(t, s, "other", 24)
	session := func(id string, stream store.StreamID) store.Session {
		return store.Session{ID: id, Stream: stream,
			ExpiresMillis: clock.Now().Add(time.Hour).UnixMilli(), Checkpoint: make([]byte, 50_000)}
	}
	open := func(id string, stream store.StreamID, want ...string) {
		t.Helper()
		if closed, err := s.OpenSession(t.Context(), session(id, stream), 2); err != nil ||
			!slices.Equal(closed, want) {
			t.Fatalf("opening %q closed %q, want %q: %v", id, closed, want, err)
		}
	}
	is := func(id string, want error) {
		t.Helper()
		if _, err := s.Session(t.Context(), id); !errors.Is(err, want) {
			t.Fatalf("session %q: %v, want %v", id, err, want)
		}
	}
	open("before", cam)
	fillUp(t, s, cam, clock, 10_000)
	for i := range 20 {
		id := fmt.Sprint("s", i)
		if i < 2 {
			open(id, cam)
		} else {
			open(id, cam, fmt.Sprint("s", i-2))
		}
		is(id, nil)
		if _, err := x.Session(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("session %q was written: %v", id, err)
		}
	}
	open("x", other)
	is("s17", store.ErrNotFound)
	is("before", nil)
	if err := s.Checkpoint(t.Context(), "before",
		make([]byte, 60_000)); !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	if err := s.Checkpoint(t.Context(), "s19", []byte("far")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Session(t.Context(), "s19"); err != nil || string(got.Checkpoint) != "far" {
		t.Fatal(string(got.Checkpoint), err)
	}
	if _, err := s.OpenSession(t.Context(), session("y", "0123456789abcdef0123456789abcdef"),
		2); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "kept in memory only"); n != 1 {
		t.Errorf("%d lines say that sessions are kept in memory only:\n%s", n, log.String())
	}
	// They go with their stream, and when they expire.
	if err := s.DeleteStream(t.Context(), other, ""); err != nil {
		t.Fatal(err)
	}
	is("x", store.ErrNotFound)
	clock.Add(time.Hour)
	is("s19", store.ErrNotFound)
}

func TestRealFullDisk(t *testing.T) {
	mount, own := small(t, 24<<20)
	if !own {
		t.Log("mount is not allowed: TestMinFree and TestEveryCallFails show the rest")
		return
	}
	clock := storetest.NewClock()
	e := embedded{dir: mount}
	x, b, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.New(t.Context(), local.Options{Index: x, Volumes: b, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	old, cam := newStream(t, s, "old", 24), newStream(t, s, "cam", 24)
	for i := range 20 {
		if _, err := storetest.Append(t.Context(), s, old, storetest.Record(clock, uint64(i),
			300_000)); err != nil {
			t.Fatal(err)
		}
	}
	stored := fillUp(t, s, cam, clock, 300_000)
	for range 5 { // until no byte is left for the index either
		if f, err := storetest.Append(t.Context(), s, cam, storetest.Record(clock, 77,
			3000)); err == nil {
			stored = append(stored, f)
		} else if !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
	}
	for _, f := range stored {
		if _, err := storetest.ReadPayload(t.Context(), s, cam, f); err != nil {
			t.Fatal(err)
		}
	}
	ballast := filepath.Join(mount, "volumes", string(old))
	entries, err := os.ReadDir(ballast)
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	// The operator makes room.
	for _, e := range entries {
		if err := os.Remove(filepath.Join(ballast, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Roll(t.Context(), old); err != nil { // as a restart would: it closes the file
		t.Fatal(err)
	}
	f, err := storetest.Append(t.Context(), s, cam, storetest.Record(clock, 1, 300_000))
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.List(t.Context(), cam, store.Query{Order: store.BySequence})
	if err != nil {
		t.Fatal(err)
	}
	sameFragments(t, l, append(stored, f))
}
