package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/check"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local"
)

// dataDir is a data directory and, when it is open, its store.
type dataDir struct {
	t       *testing.T
	path    string
	store   *local.Store
	stream  store.Stream
	stored  []store.FragmentInfo
	release func()
}

// openData opens a store like the server, with the directory's lock.
func openData(t *testing.T, path string) *dataDir {
	t.Helper()
	s, err := local.Open(t.Context(), path, local.Options{VolumeBytes: 5000})
	if err != nil {
		t.Fatal(err)
	}
	d := &dataDir{t: t, path: path, store: s}
	d.release = func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return d
}

// writeOn appends fragments, and sweeps after every few, until stop is called, which waits for the
// last one.
func (d *dataDir) writeOn(each int) (stop func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			d.append(1)
			if i%each == 0 {
				if err := d.store.Sweep(context.WithoutCancel(ctx)); err != nil {
					d.t.Error(err)
				}
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (d *dataDir) append(n int) {
	d.t.Helper()
	for range n {
		number, err := d.store.NextNumber(d.t.Context(), d.stream.ID)
		if err != nil {
			d.t.Fatal(err)
		}
		now := time.Now().UnixMilli()
		f, err := d.store.Append(d.t.Context(), d.stream.ID,
			&store.Record{Number: number, Fragment: media.Fragment{
				ServerTimestamp: now, ProducerTimestamp: now,
				Tracks: []media.Track{{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
					Timescale: 90000}},
				Runs: []media.Run{{Track: 1, BaseDecodeTime: now * 90,
					Frames: []media.Frame{{Size: 900, Duration: 3000, Key: true}}}},
			}, Payload: [][]byte{make([]byte, 900)}})
		if err != nil {
			d.t.Fatal(err)
		}
		d.stored = append(d.stored, f)
	}
}

// makeData makes a data directory with one stream in a few volumes. The stream's retention was
// changed after they began.
func makeData(t *testing.T) *dataDir {
	t.Helper()
	d := openData(t, filepath.Join(t.TempDir(), "data"))
	defer d.release()
	var err error
	if d.stream, err = d.store.CreateStream(t.Context(),
		store.Stream{Name: "cam1", RetentionHours: 24}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.CreateStream(t.Context(),
		store.Stream{Name: "empty", RetentionHours: 5}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.store.PutDocument(t.Context(), "key", "of a camera", []byte("sealed"),
		store.NewDocument); err != nil {
		t.Fatal(err)
	}
	d.append(12)
	if err := d.store.Sweep(t.Context()); err != nil { // seals what is full
		t.Fatal(err)
	}
	if _, err = d.store.UpdateStream(t.Context(), d.stream.ID, "", func(s *store.Stream) error {
		s.RetentionHours = 48
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *dataDir) volume(f store.FragmentInfo) string {
	return filepath.Join(d.path, "volumes", filepath.FromSlash(f.Location.Volume))
}

// check runs weir check --json and returns the report and the exit code, which must fit it.
func (d *dataDir) check(args ...string) check.LocalReport {
	d.t.Helper()
	code, out, errs := command(d.t, append([]string{"check", "--json", d.path}, args...)...)
	var r check.LocalReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		d.t.Fatalf("%d %s\n%s", code, errs, out)
	}
	if want := map[bool]int{true: exitOK, false: exitProblems}[len(r.Problems) == 0]; code != want {
		d.t.Fatalf("exit code %d:\n%s", code, out)
	}
	return r
}

// want compares the kinds of problems in a report, in their order.
func want(t *testing.T, r check.LocalReport, kinds ...string) {
	t.Helper()
	var got []string
	for _, p := range r.Problems {
		got = append(got, p.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		t.Fatalf("problems %q, want %q:\n%v", got, kinds, r.Problems)
	}
}

// files lists a directory with sizes and times.
func files(t *testing.T, dir string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			list = append(list, fmt.Sprint(path, info.Size(), info.ModTime()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}

func TestCheckChangesNothing(t *testing.T) {
	d := makeData(t)
	before := files(t, d.path)
	r := d.check()
	want(t, r)
	if r.Streams != 2 || r.Fragments != 12 || r.Volumes < 2 || r.Bytes < 12*900 {
		t.Errorf("%+v", r)
	}
	if after := files(t, d.path); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	if code, out, _ := command(t, "check", d.path); code != exitOK ||
		!strings.Contains(out, "12 fragments") || !strings.Contains(out, "all is well") {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, errs := command(t, "check", t.TempDir()); code != exitError ||
		!strings.Contains(errs, "no data directory") || !strings.Contains(errs, "hint") {
		t.Errorf("%d %s", code, errs)
	}
}

// While a server writes, seals and deletes, a check finds no problem and disturbs nobody.
func TestCheckWhileServing(t *testing.T) {
	was := makeData(t)
	d := openData(t, was.path)
	d.stream = was.stream
	stop := d.writeOn(7)
	for range 5 {
		want(t, d.check())
	}
	if code, _, errs := command(t, "check", "--repair", d.path); code != exitError ||
		!strings.Contains(errs, "stop the server first") {
		t.Errorf("%d %s", code, errs)
	}
	stop()
	if len(d.stored) == 0 {
		t.Error("nothing was written meanwhile")
	}
	d.release()
	want(t, d.check())
}

// same compares a repaired directory with what was stored. settings says whether the index's
// settings survived too; documents always do.
func (d *dataDir) same(stored []store.FragmentInfo, settings bool) {
	d.t.Helper()
	again := openData(d.t, d.path)
	defer again.release()
	st, err := again.store.Stream(d.t.Context(), "cam1")
	if err != nil || settings && st.RetentionHours != 48 {
		d.t.Fatalf("%+v, %v", st, err)
	}
	if _, err := again.store.Stream(d.t.Context(), "empty"); settings && err != nil {
		d.t.Fatal(err)
	}
	keys, err := again.store.ListDocuments(d.t.Context(), "key")
	if err != nil || len(keys) != 1 || string(keys[0].Data) != "sealed" {
		d.t.Fatalf("documents %+v, %v", keys, err)
	}
	l, err := again.store.List(d.t.Context(), st.ID, store.Query{Order: store.BySequence})
	if err != nil || len(l) != len(stored) {
		d.t.Fatalf("%d fragments of %d: %v", len(l), len(stored), err)
	}
	for i := range l {
		if l[i].Number != stored[i].Number || l[i].Location != stored[i].Location {
			d.t.Fatalf("fragment %d is %+v, was %+v", i, l[i], stored[i])
		}
	}
}

// damage changes a byte of a file.
func damage(t *testing.T, path string, off int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		b[off] ^= 1
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestRepair(t *testing.T) {
	t.Run("nothing to do", func(t *testing.T) {
		d := makeData(t)
		if r := d.check("--repair"); r.Repaired != "" {
			t.Errorf("%+v", r)
		}
		d.same(d.stored, true)
	})
	t.Run("lost index", func(t *testing.T) {
		d := makeData(t)
		remove(t, filepath.Join(d.path, "index.db"))
		want(t, d.check(), "index")
		r := d.check("--repair")
		want(t, r)
		if !strings.Contains(r.Repaired, "from the volumes") {
			t.Errorf("%+v", r)
		}
		d.same(d.stored, false)
	})
	t.Run("garbage for an index", func(t *testing.T) {
		d := makeData(t)
		if err := os.WriteFile(filepath.Join(d.path, "index.db"),
			[]byte(strings.Repeat("garbage ", 2000)), 0o600); err != nil {
			t.Fatal(err)
		}
		want(t, d.check(), "index")
		want(t, d.check("--repair"))
		d.same(d.stored, false)
		if kept, err := filepath.Glob(filepath.Join(d.path, "index.db.damaged-*")); err != nil ||
			len(kept) != 1 {
			t.Errorf("the old index is %q, %v", kept, err)
		}
	})
}

func TestRepairOfVolumes(t *testing.T) {
	t.Run("missing volume", func(t *testing.T) {
		d := makeData(t)
		remove(t, d.volume(d.stored[0]))
		r := d.check()
		if len(r.Problems) == 0 || r.Problems[0].Kind != "missing-volume" {
			t.Fatalf("%v", r.Problems)
		}
		want(t, d.check("--repair"))
		left := d.stored
		for len(left) > 0 && left[0].Location.Volume == d.stored[0].Location.Volume {
			left = left[1:]
		}
		d.same(left, true)
	})
	t.Run("damaged table", func(t *testing.T) {
		d := makeData(t)
		info, err := os.Stat(d.volume(d.stored[0]))
		if err != nil {
			t.Fatal(err)
		}
		damage(t, d.volume(d.stored[0]), info.Size()-40)
		remove(t, filepath.Join(d.path, "documents")) // then those of the old index are kept
		want(t, d.check(), "volume-table")
		want(t, d.check("--repair"))
		d.same(d.stored, true)
	})
	t.Run("damaged fragments", func(t *testing.T) {
		d := makeData(t)
		damage(t, d.volume(d.stored[1]), d.stored[1].Location.Offset+70)
		damage(t, d.volume(d.stored[2]), d.stored[2].Location.Offset+d.stored[2].Location.Length-1)
		want(t, d.check(), "damaged-fragment", "damaged-fragment")
		r := d.check("--repair")
		want(t, r, "damaged-fragment", "damaged-fragment")
		if r.Repaired != "" || r.Problems[0].Fragment != d.stream.FormatNumber(d.stored[1].Number) {
			t.Errorf("%+v", r)
		}
		d.same(d.stored, true) // they stay
		if _, out, _ := command(t, "check", d.path); !strings.Contains(out,
			"cannot be brought back") {
			t.Error(out)
		}
	})
}
