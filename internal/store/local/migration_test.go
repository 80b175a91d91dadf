package local_test

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local"
)

// A data directory with the first schema, whose rows had less about a fragment, is upgraded: its
// rows are made again from the volumes.
func TestSpansOfTheFirstSchemaAreMadeAgain(t *testing.T) {
	e := &embedded{dir: t.TempDir()}
	reopen := func() *local.Store {
		x, v, err := e.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := local.New(t.Context(), local.Options{Index: x, Volumes: v})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := reopen()
	stream, err := s.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 87_600})
	if err != nil {
		t.Fatal(err)
	}
	var want []store.FragmentInfo
	for i := range 3 {
		rec := &store.Record{Payload: [][]byte{{1, 2, 3}}}
		if rec.Number, err = s.NextNumber(t.Context(), stream.ID); err != nil {
			t.Fatal(err)
		}
		rec.ServerTimestamp = 1_900_000_000_000 + int64(i)
		rec.Tracks = []media.Track{{Number: 1, Kind: media.Video, Timescale: 90000}}
		rec.Runs = []media.Run{{Track: 1, Frames: []media.Frame{{Duration: 5, Size: 2, Key: true},
			{Duration: 5, Size: 1, CompositionOffset: -5}}}}
		f, err := s.Append(t.Context(), stream.ID, rec)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, f)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	db, err := sql.Open("sqlite", filepath.Join(e.dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`ALTER TABLE sessions DROP COLUMN principal`, `ALTER TABLE sessions DROP COLUMN address`,
		`DROP TABLE documents`, `DROP TABLE document_revision`,
		`ALTER TABLE streams DROP COLUMN settings`, `DROP TABLE reserve`, `DROP TABLE clock`, `DROP INDEX sessions_kind`,
		`ALTER TABLE sessions DROP COLUMN kind`,
		`DROP TABLE session_totals`, `DROP INDEX sessions_opened`, `DROP INDEX sessions_over`,
		`ALTER TABLE sessions DROP COLUMN opened`,
		`ALTER TABLE sessions ADD COLUMN closed SMALLINT NOT NULL DEFAULT 0`,
		`CREATE INDEX sessions_stream ON sessions (stream, created_ms)`, `DROP TABLE sealed`,
		`DROP TABLE gone`, `DROP TABLE replaced`, `DROP INDEX blobs_state`,
		`CREATE INDEX fragments_producer ON fragments (stream, producer_ts, number, server_ts)`,
		`CREATE INDEX fragments_server ON fragments (stream, server_ts, number)`,
		`UPDATE fragments SET spans = x'0102020a060500'`, `PRAGMA user_version = 1`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s = reopen()
	defer s.Close()
	got, err := s.List(t.Context(), stream.ID, store.Query{})
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d fragments of %d, %v", len(got), len(want), err)
	}
	for i := range got {
		if got[i].Number != want[i].Number || !slices.Equal(got[i].Spans, want[i].Spans) ||
			got[i].Spans[0].Reorder != 5 {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}
