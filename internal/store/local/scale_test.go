package local_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
	"weir/internal/store/storetest"
)

// scaleSize is how much TestScale makes: synthetic fragments of two tracks with a few bytes of
// payload, in sealed volumes with as many fragments as 64 MB hold at 200 KB each, and an open
// volume at the end of each stream.
type scaleSize struct {
	Streams, Fragments int
	Lists              int // that are read
}

const scaleVolume = 320 // fragments

// TestScale measures what docs/scale.md promises. With WEIR_SCALE=1 it makes ten million fragments
// in 1,000 streams, takes some minutes and gigabytes, prints the table, and fails when a limit is
// exceeded. Otherwise it makes a thousandth of that, and only compares what it reads with what it
// made.
func TestScale(t *testing.T) {
	if os.Getenv("WEIR_SCALE_ROLE") != "" {
		scaleRole(t)
		return
	}
	size := scaleSize{Streams: 8, Fragments: 1500, Lists: 100}
	big := os.Getenv("WEIR_SCALE") != ""
	if big {
		size = scaleSize{Streams: 1000, Fragments: 10_000, Lists: 1000}
	}
	if text := os.Getenv("WEIR_SCALE_SIZE"); text != "" {
		size = parseScaleSize(t, text)
	}
	dir, err := os.MkdirTemp(os.Getenv("WEIR_SCALE_DIR"), "weir-scale-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	began := time.Now()
	generate(t, dir, size)
	total := float64(size.Streams * size.Fragments)
	t.Logf("made %.0f fragments in %s, volumes of %d MB", total,
		time.Since(began).Round(time.Second), dirSize(t, filepath.Join(dir, "volumes"))>>20)

	rebuilt := scaleRun(t, dir, size, "rebuild", false)
	sealed := scaleRun(t, dir, size, "seal", false)
	clean := scaleRun(t, dir, size, "read", false)
	scaleRun(t, dir, size, "die", true)
	killed := scaleRun(t, dir, size, "read", false)
	for _, r := range []scaleReport{sealed, clean, killed} {
		if r.Fragments != size.Streams*(size.Fragments+1) &&
			r.Fragments != size.Streams*(size.Fragments+2) {
			t.Errorf("%d fragments are there of %d streams with %d", r.Fragments, size.Streams,
				size.Fragments)
		}
	}
	rows := []struct {
		what        string
		got, limit  float64
		format, why string
	}{
		{"rebuild of a lost index, s", rebuilt.Open, 60, "%.1f", "from volumes alone"},
		{"start after a clean stop, s", clean.Open, 2, "%.2f", ""},
		{"start after kill -9, s", killed.Open, 10, "%.2f", "all streams had an open volume"},
		{"index, bytes per fragment", float64(killed.IndexBytes) / total, 20, "%.1f",
			"index.db with its log"},
		{"list of 1,000, median, ms", killed.List50, 2, "%.2f",
			"anywhere, five kinds of query, tables mostly not in memory"},
		{"list of 1,000, p99, ms", killed.List99, 0, "%.2f", "on a busy machine; no limit"},
		{"call of ListFragments, 1,000, median, ms", killed.Call50, 5, "%.2f",
			"over HTTP, signed; first pages and those of tokens, by both clocks"},
		{"call of ListFragments, p99, ms", killed.Call99, 0, "%.2f", "on a busy machine; no limit"},
		{"resident memory, MB", killed.Resident, 300, "%.0f", "the most of start and lists"},
		{"resident memory of the rebuild, MB", rebuilt.Resident, 300, "%.0f", ""},
		{"sealing, volumes per s", sealed.SealRate, 0, "%.0f", "in the background; no limit"},
	}
	for _, r := range rows {
		limit := "-"
		if r.limit > 0 {
			limit = fmt.Sprintf("%g", r.limit)
		}
		t.Logf("%-38s %10s  limit %-4s %s", r.what, fmt.Sprintf(r.format, r.got), limit, r.why)
		if big && r.limit > 0 && r.got > r.limit {
			t.Errorf("%s: %.3f is above the limit of %g", r.what, r.got, r.limit)
		}
	}
}

// scaleReport is what a process of the test reports.
type scaleReport struct {
	Open       float64 // seconds
	List50     float64 // milliseconds
	List99     float64
	Call50     float64
	Call99     float64
	Resident   float64 // MB, the greatest
	IndexBytes int64
	Fragments  int
	SealRate   float64
}

// scaleRun runs one role in its own process, so that memory and start are its own. With kill,
// SIGKILL ends it when it says that it is ready.
func scaleRun(t *testing.T, dir string, size scaleSize, role string, kill bool) (r scaleReport) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestScale$", "-test.timeout=30m")
	c.Env = append(os.Environ(), "WEIR_SCALE_ROLE="+role, "WEIR_SCALE_DATA="+dir,
		fmt.Sprintf("WEIR_SCALE_SIZE=%d,%d,%d", size.Streams, size.Fragments, size.Lists))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	found := false
	lines := bufio.NewScanner(out)
	var said []string
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "scale: ")
		if !ok {
			said = append(said, lines.Text())
			continue
		}
		found = true
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		if kill {
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Wait(); (err != nil) != kill || !found {
		t.Fatalf("%s: %v\n%s", role, err, strings.Join(said, "\n"))
	}
	return r
}

// parseScaleSize reads WEIR_SCALE_SIZE: streams, fragments of each, and lists.
func parseScaleSize(t *testing.T, text string) (size scaleSize) {
	t.Helper()
	if _, err := fmt.Sscanf(text, "%d,%d,%d", &size.Streams, &size.Fragments,
		&size.Lists); err != nil {
		t.Fatalf("WEIR_SCALE_SIZE %q: %v", text, err)
	}
	return size
}

// scaleRole is what scaleRun runs.
func scaleRole(t *testing.T) {
	dir, role := os.Getenv("WEIR_SCALE_DATA"), os.Getenv("WEIR_SCALE_ROLE")
	size := parseScaleSize(t, os.Getenv("WEIR_SCALE_SIZE"))
	clock := storetest.NewClock()
	clock.Add(time.Duration(size.Fragments) * 2 * time.Second)
	began := time.Now()
	x, b, err := (&embedded{dir: dir}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	progress := 0
	defer scaleProfile(t, role)()
	s, err := local.New(t.Context(), local.Options{Index: x, Volumes: b, Clock: clock.Now,
		Progress: func(done, total int) { progress = done * 100 / total }})
	if err != nil {
		t.Fatal(err)
	}
	r := scaleReport{Open: time.Since(began).Seconds()}
	streams, err := s.ListStreams(t.Context(), "", "", 0)
	if err != nil || len(streams) != size.Streams {
		t.Fatalf("%d streams, want %d, %v", len(streams), size.Streams, err)
	}
	say := func() {
		r.Resident = residentPeak(t)
		for _, name := range []string{"index.db", "index.db-wal"} {
			if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
				r.IndexBytes += info.Size()
			}
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("scale: %s\n", text)
	}
	if role == "rebuild" {
		if progress != 100 {
			t.Fatalf("progress ended at %d %%", progress)
		}
		say()
		closeStore(t, s)
		return
	}
	if role == "seal" {
		closed, err := x.VolumesInState(t.Context(), index.VolumeClosed)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.SealRate = float64(len(closed)) / time.Since(began).Seconds()
	}
	if role == "seal" || role == "die" { // every stream has an open volume at the end
		scaleAppend(t, s, streams, clock)
	}
	for i := range streams {
		l, err := s.List(t.Context(), streams[i].ID, store.Query{Order: store.ByNumberNewest,
			Limit: 1})
		if err != nil || len(l) != 1 {
			t.Fatal(l, err)
		}
		r.Fragments += int(l[0].Sequence)
	}
	if role == "die" {
		say()
		select {}
	}
	if role == "read" {
		r.List50, r.List99 = scaleLists(t, s, streams, size)
		r.Call50, r.Call99 = scaleCalls(t, s, streams, size)
	}
	say()
	closeStore(t, s)
}

// scaleProfile writes a profile of the processor to the file that WEIR_SCALE_PROFILE names, until
// stop.
func scaleProfile(t *testing.T, role string) (stop func()) {
	t.Helper()
	path := os.Getenv("WEIR_SCALE_PROFILE")
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path + "." + role)
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pprof.StopCPUProfile
}

// scaleAppend gives each stream one more fragment.
func scaleAppend(t *testing.T, s *local.Store, streams []store.Stream, clock *storetest.Clock) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(streams); i = int(next.Add(1)) - 1 {
				if _, err := storetest.Append(context.Background(), s, streams[i].ID,
					storetest.Record(clock, uint64(i), 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// scaleLists lists 1,000 fragments at random places, and compares them with what was made.
func scaleLists(
	t *testing.T, s *local.Store, streams []store.Stream, size scaleSize,
) (p50, p99 float64) {
	const listed = 1000
	r := rand.New(rand.NewPCG(1, 1000))
	start := storetest.NewClock().Now().UnixMilli()
	var took []float64
	for i := range size.Lists {
		st := streams[r.IntN(len(streams))]
		at := r.IntN(size.Fragments - listed + 1)
		q := []store.Query{
			{After: scaleNumber(at - 1), Limit: listed},
			{Order: store.ByNumberNewest, After: scaleNumber(at + listed), Limit: listed},
			{Order: store.BySequence, AfterSequence: int64(at), Limit: listed},
			{Range: &store.TimeRange{Start: start + int64(at)*2000,
				End: start + int64(at+listed-1)*2000}},
			{Range: &store.TimeRange{Clock: store.ProducerTimestamp,
				Start: start + int64(at)*2000 - 500, End: math.MaxInt64}, Limit: listed},
		}[i%5]
		began := time.Now()
		l, err := s.List(t.Context(), st.ID, q)
		took = append(took, time.Since(began).Seconds()*1000)
		if err != nil || len(l) != listed {
			t.Fatalf("query %+v at %d gives %d fragments, %v", q, at, len(l), err)
		}
		if q.Order == store.ByNumberNewest {
			slices.Reverse(l)
		}
		for j := range l {
			if l[j].Number != scaleNumber(at+j) || l[j].Sequence != int64(at+j+1) ||
				l[j].ServerTimestamp != start+int64(at+j)*2000 {
				t.Fatalf("query %+v: place %d of %d is %+v", q, j, at, l[j])
			}
		}
		if i%50 == 0 {
			f, err := s.Fragment(t.Context(), st.ID, l[len(l)/5].Number)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := storetest.ReadPayload(t.Context(), s, st.ID, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// scaleNumber is the number of the i-th fragment, from 0.
func scaleNumber(at int) store.Number { return store.Number(at+1) * 2_000_000 << 12 }

// unsynced is the file system without syncs, because nobody relies on data that is being generated.
type unsynced struct{ volume.OS }

type unsyncedFile struct{ volume.File }

func (unsyncedFile) Datasync() error { return nil }

func (unsynced) SyncDir(string) error { return nil }

func (unsynced) Create(path string) (volume.File, error) {
	f, err := volume.OS{}.Create(path)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (unsynced) OpenWrite(path string) (volume.File, error) {
	f, err := volume.OS{}.OpenWrite(path)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// generate writes volumes without an index.
func generate(t *testing.T, dir string, size scaleSize) {
	t.Helper()
	v, err := volume.Open(filepath.Join(dir, "volumes"), volume.Options{FS: unsynced{}})
	if err != nil {
		t.Fatal(err)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < size.Streams &&
				!t.Failed(); i = int(next.Add(1)) - 1 {
				if err := generateStream(t.Context(), v, i, size.Fragments); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := v.Close(); err != nil || t.Failed() {
		t.Fatal(err)
	}
}

func generateStream(ctx context.Context, v *volume.Volumes, i, fragments int) error {
	st := &store.Stream{ID: store.StreamID(fmt.Sprintf("%032x", i+1)), Name: fmt.Sprintf("cam%04d",
		i), CreatedMillis: 1, Version: "v", RetentionHours: 24 * 365, NumberTag: uint64(i)}
	start := storetest.NewClock().Now().UnixMilli()
	rec := &store.Record{Fragment: media.Fragment{
		Tracks: []media.Track{
			{Number: 1, Kind: media.Video, CodecID: media.CodecAVC, CodecPrivate: []byte{1, 0x42,
				0xc0, 0x1e}, Timescale: media.VideoTimescale},
			{Number: 2, Kind: media.Audio, CodecID: media.CodecAAC, CodecPrivate: []byte{0x12,
				0x10}, Timescale: 44100},
		},
		Runs: []media.Run{
			{Track: 1, Frames: []media.Frame{{Size: 4, Duration: 90_000, Key: true},
				{Size: 2, Duration: 90_000}}},
			{Track: 2, Frames: []media.Frame{{Size: 3, Duration: 88_200, Key: true}}},
		},
	}, Payload: [][]byte{[]byte("framef"), []byte("aac")}}
	var rows []store.FragmentInfo // of the volume that is being written
	seal := func() error {
		footer, err := record.EncodeFooter([][]byte{record.AppendTracks(nil, rec.Tracks)}, nil,
			rows)
		if err == nil {
			last := rows[len(rows)-1].Location
			_, err = v.Seal(ctx, last.Volume, last.Offset+last.Length, footer)
		}
		rows = rows[:0]
		return err
	}
	for n := range fragments {
		at := start + int64(n)*2000
		rec.Number, rec.ServerTimestamp, rec.ProducerTimestamp, rec.Timecode = scaleNumber(n), at,
			at-500, at-500
		rec.Runs[0].Frames[0].Size = uint32(3 + n%2) // sizes differ
		rec.Payload[0] = []byte("framef")[:5+n%2]
		rec.Runs[0].BaseDecodeTime, rec.Runs[1].BaseDecodeTime = at*90, at*441/10
		head, crc, err := record.EncodeFragment(rec, 0)
		if err != nil {
			return err
		}
		loc, err := v.Append(ctx, st, volume.Entry{Number: rec.Number, ServerTimestamp: at,
			Head: head, Payload: rec.Payload})
		if err != nil {
			return err
		}
		if len(rows) > 0 && rows[0].Location.Volume != loc.Volume { // it rolled at the hour
			if err := seal(); err != nil {
				return err
			}
		}
		rows = append(rows, store.FragmentInfo{Number: rec.Number, Sequence: int64(n + 1),
			ServerTimestamp: at, ProducerTimestamp: at - 500,
			Spans: store.SpansOf(&rec.Fragment), PayloadCRC: crc, Location: loc})
		if len(rows) == scaleVolume {
			if err := errors.Join(v.Roll(ctx, st.ID), seal()); err != nil {
				return err
			}
		}
	}
	return nil
}

func dirSize(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// residentPeak is VmHWM of this process in MB, or, without /proc, what the runtime took from the
// system.
func residentPeak(t *testing.T) float64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, fs.ErrNotExist) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.Sys) / 1e6
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb * 1024 / 1e6
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
