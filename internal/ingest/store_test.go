package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/internal/mkv"
	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
)

// openStore makes the default store in a directory of its own, and a stream in it.
func openStore(t testing.TB, retention int) (*local.Store, store.Stream) {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	rows, err := index.OpenSQLite(ctx, filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := volume.Open(dir, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.New(ctx, local.Options{Index: rows, Volumes: volumes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	stream, err := s.CreateStream(ctx, store.Stream{Name: "demo", RetentionHours: retention})
	if err != nil {
		t.Fatal(err)
	}
	return s, stream
}

// The frames of real muxers come out of the store as they went in, and the decode times of each
// track have no gap between fragments.
func TestRealMuxersIntoTheRealStore(t *testing.T) {
	files, err := filepath.Glob("../../test/media/*.mkv")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			s, stream := openStore(t, 2)
			o := relative(s, time.Now().UnixMilli())
			o.Stream, o.Clock = stream, time.Now
			var persisted int
			w := ackFunc(func(b []byte) error {
				if bytes.Contains(b, []byte("PERSISTED")) {
					persisted++
				}
				return nil
			})
			if err := New(o).Run(ctx, bytes.NewReader(data), w); err != nil {
				t.Fatal(err)
			}
			list, err := s.List(ctx, stream.ID, store.Query{})
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 || len(list) != persisted {
				t.Fatalf("%d fragments, %d acknowledged", len(list), persisted)
			}
			got := framesOfStore(t, s, stream.ID, list)
			want := framesOfFile(t, data)
			for track := range want {
				if got[track] != want[track] {
					t.Errorf("track %d: frames differ", track)
				}
			}
		})
	}
}

// framesOfStore returns the hashes of the frames of each track. The decode times of each track must
// continue from one fragment to the next.
func framesOfStore(
	t *testing.T, s *local.Store, id store.StreamID, list []store.FragmentInfo,
) map[int]string {
	t.Helper()
	got := map[int]string{}
	ends := map[int]int64{}
	for _, info := range list {
		m, err := s.Open(t.Context(), id, info)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Fragment().Runs {
			run := &m.Fragment().Runs[i]
			payload, err := m.Payload(i)
			if err != nil {
				t.Fatal(err)
			}
			frames := io.NewSectionReader(payload, 0, payload.Size())
			for _, f := range run.Frames {
				frame := make([]byte, f.Size)
				if _, err := io.ReadFull(frames, frame); err != nil {
					t.Fatal(err)
				}
				got[run.Track] += fmt.Sprintf("%x ", sha256.Sum256(frame))
			}
			if end, ok := ends[run.Track]; ok &&
				m.Fragment().Track(run.Track).CodecID != "A_OPUS" {
				// A cluster without the track, or one that begins with another track,
				// leaves the rounding of its start.
				if gap := run.BaseDecodeTime - end; gap > 4500 || gap < -4500 {
					t.Errorf("track %d: %d ticks between fragments", run.Track, gap)
				}
			}
			ends[run.Track] = run.BaseDecodeTime + run.Duration()
		}
		m.Close()
	}
	return got
}

// framesOfFile returns the hashes of the frames of each track of a Matroska file.
func framesOfFile(t *testing.T, data []byte) map[int]string {
	t.Helper()
	want := map[int]string{}
	r := mkv.NewReader(bytes.NewReader(data), mkv.DefaultLimits())
	for {
		ev, err := r.Next()
		if err == io.EOF {
			return want
		} else if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == mkv.Frame {
			frame, err := r.AppendPayload(nil)
			if err != nil {
				t.Fatal(err)
			}
			want[ev.Track] += fmt.Sprintf("%x ", sha256.Sum256(frame))
		}
	}
}

// Resends with the real store: a whole fragment is not stored again, a partial one is replaced.
func TestResendsInTheRealStore(t *testing.T) {
	ctx := context.Background()
	s, stream := openStore(t, 2)
	push := func(body io.Reader) (persisted int) {
		o := absolute(s)
		o.Stream, o.Clock = stream, time.Now
		w := ackFunc(func(b []byte) error {
			if bytes.Contains(b, []byte("PERSISTED")) {
				persisted++
			}
			return nil
		})
		if err := New(o).Run(ctx, body, w); err != nil {
			t.Fatal(err)
		}
		return persisted
	}
	at := time.Now().UnixMilli() - 60_000
	push(build(t).header("device").pair(at, "second").cluster(at+1000).frame(1, at+1000,
		"first").reader())
	if n := push(build(t).header("device").pair(at, "second").pair(at+1000, "third").pair(at+2000,
		"new").end().reader()); n != 3 {
		t.Errorf("%d of 3 acknowledged", n)
	}
	list, err := s.List(ctx, stream.ID, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, f := range list {
		got += fmt.Sprint(f.ProducerTimestamp-at, " ", f.Spans[0].Frames, " ", f.Partial, "; ")
	}
	if want := "0 2 false; 1000 2 false; 2000 2 false; "; got != want {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// A stream that is deleted while its producer sends, and one without retention.
func TestStreamsOfTheRealStore(t *testing.T) {
	ctx := context.Background()
	s, stream := openStore(t, 0)
	o := absolute(s)
	o.Stream, o.Clock = stream, time.Now
	at := time.Now().UnixMilli() - 60_000
	var log []byte
	w := ackFunc(func(b []byte) error { log = append(log, b...); return nil })
	if err := New(o).Run(ctx, build(t).header(sdk).pair(at, "second").pair(at, "again").reader(),
		w); err == nil {
		t.Fatal("no error for the same timecode twice")
	}
	if bytes.Contains(log, []byte("PERSISTED")) || !bytes.Contains(log, []byte("RECEIVED")) {
		t.Errorf("acknowledgements without retention: %s", log)
	}
	if err := New(o).Run(ctx, build(t).header(sdk).pair(at, "second").end().reader(),
		w); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(ctx, stream.ID, store.Query{}); err != nil || len(list) != 1 {
		t.Errorf("a resend into memory: %d fragments, %v", len(list), err)
	}

	r, body := io.Pipe()
	done := make(chan error)
	received := make(chan struct{}, 10)
	w = func(b []byte) error {
		if bytes.Contains(b, []byte("RECEIVED")) {
			received <- struct{}{}
		}
		return nil
	}
	go func() { done <- New(o).Run(ctx, r, w) }()
	body.Write(build(t).header(sdk).pair(at+1000, "x").end().Bytes())
	<-received
	if err := s.DeleteStream(ctx, stream.ID, ""); err != nil {
		t.Fatal(err)
	}
	go body.Write(build(t).pair(at+2000, "y").end().Bytes())
	wantError(t, <-done, 4507)
}
