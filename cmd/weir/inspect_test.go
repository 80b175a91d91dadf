package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/store/local/volume"
	"weir/internal/store/record"
)

// writeVolume writes a volume of two fragments and returns its path and the places of its records.
func writeVolume(t *testing.T) (path string, at []store.Location) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "volumes")
	v, err := volume.Open(dir, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stream := &store.Stream{ID: "00112233445566778899aabbccddeeff", Name: "cam1",
		CreatedMillis: 1773480000000, RetentionHours: 24, NumberTag: 7}
	base := time.Date(2026, 3, 14, 9, 30, 0, 0, time.UTC).UnixMilli()
	for i := range 2 {
		rec := &store.Record{Number: store.Number(801437621301248000 + i), Fragment: media.Fragment{
			ServerTimestamp: base + int64(i)*2000, ProducerTimestamp: base + int64(i)*2000 - 50,
			Timecode: int64(i) * 2000, Partial: i == 1,
			Tracks: []media.Track{{Number: 1, Kind: media.Video, CodecID: media.CodecAVC,
				Name: "front", Timescale: 90000}},
			Runs: []media.Run{{Track: 1, BaseDecodeTime: base * 90, Frames: []media.Frame{
				{Size: 5, Duration: 3000, CompositionOffset: 3000, Key: true},
				{Size: 3, Duration: 3000, CompositionOffset: -3000},
			}}},
			Tags:   []media.Tag{{Name: "door", Value: "open"}},
			Header: []byte{0x1a, 0x45, 0xdf, 0xa3, 0x80},
		}, Payload: [][]byte{[]byte("IIIIIPPP")}}
		head, _, err := record.EncodeFragment(rec, store.Number(i)*801437621301248000)
		if err != nil {
			t.Fatal(err)
		}
		loc, err := v.Append(t.Context(), stream,
			volume.Entry{Number: rec.Number, ServerTimestamp: rec.ServerTimestamp, Head: head,
				Payload: rec.Payload})
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, loc)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, at[0].Volume), at
}

func TestInspectVolume(t *testing.T) {
	path, at := writeVolume(t)
	code, out, errs := command(t, "inspect", path)
	if code != exitOK || errs != "" {
		t.Errorf("%d %s", code, errs)
	}
	golden(t, "testdata/inspect-volume.txt", out)
	code, out, errs = command(t, "inspect", "--offset", "260", path)
	if code != exitOK || errs != "" {
		t.Errorf("%d %s", code, errs)
	}
	golden(t, "testdata/inspect-record.txt", out)
	if code, again, _ := command(t, "inspect", "--fragment", "801437621301248000",
		path); code != exitOK || again != out {
		t.Errorf("by its number: %d\n%s", code, again)
	}
	if code, _, errs := command(t, "inspect", "--fragment", "12", path); code != exitError ||
		!strings.Contains(errs, "no such record") {
		t.Errorf("%d %s", code, errs)
	}

	// Damage in the payload of the first fragment, then in the header of the second.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(off int64, wantOut, wantErr string) {
		t.Helper()
		b := bytes.Clone(data)
		b[off] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := command(t, "inspect", path); code != exitError ||
			!strings.Contains(out, wantOut) || !strings.Contains(errs, wantErr) {
			t.Errorf("%d %s\n%s", code, errs, out)
		}
	}
	damage(at[0].Offset+at[0].MetaLength, "DAMAGED: ", "1 damaged record")
	damage(at[1].Offset+20, "bytes that are no record: stored data is damaged", "no record")
	damage(9, "", "file header")
}

// An object of a cluster has the records of a volume, and no header before them.
func TestInspectObject(t *testing.T) {
	path, at := writeVolume(t)
	data, err := os.ReadFile(path)
	if err == nil {
		path = filepath.Join(t.TempDir(), "object")
		err = os.WriteFile(path, data[volume.HeaderSize:], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, "inspect", path)
	if code != exitOK || errs != "" {
		t.Errorf("%d %s", code, errs)
	}
	golden(t, "testdata/inspect-object.txt", out)
	offset := strconv.FormatInt(at[1].Offset-volume.HeaderSize, 10)
	code, out, errs = command(t, "inspect", "--offset", offset, path)
	first := "91343852347965347078916978495588289269712551943" // as clients see it
	if code != exitOK || !strings.Contains(out, "replaces "+first) {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}

func TestInspectOthers(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	packets := strings.Repeat("\x47\x41\x00\x10"+strings.Repeat("\xff", 184), 2)
	for _, c := range []struct {
		path, want string
		code       int
	}{
		{"demo.mkv", "Cluster", exitOK},
		{write("segment.ts", packets), "pid=0x0100", exitOK},
		{write("cut.ts", packets+"G"), "packet 2: 1 bytes", exitError},
		{write("Greetings", "G"+packets[1:188]+"?"), "no file that weir knows", exitError},
		{write("segment.mp4", "\x00\x00\x00\x18stypmsdh\x00\x00\x00\x00msdhmsix"), "styp", exitOK},
		{write("index.db", "SQLite format 3\x00"), "weir check", exitError},
		{write("text", "hello, world"), "no file that weir knows", exitError},
		{write("empty", ""), "no file that weir knows", exitError},
		{filepath.Join(dir, "none"), "none", exitUsage},
	} {
		code, out, errs := command(t, "inspect", c.path)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: %d %s\n%.500s", c.path, code, errs, out)
		}
	}
	if code, _, errs := command(t, "inspect", "--offset", "3", "demo.mkv"); code != exitError ||
		!strings.Contains(errs, "neither a volume") {
		t.Errorf("%d %s", code, errs)
	}
}
