package mkv

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden dumps")

const fixtures = "../../test/media"

// fixtureFiles returns the Matroska fixtures; test/media/README.md says how each was made.
func fixtureFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fixtures, "*.mkv"))
	if err != nil || len(files) < 5 {
		t.Fatalf("fixtures: %d files, %v", len(files), err)
	}
	return files
}

// TestDumpGolden reads what ffmpeg and GStreamer really write and compares every element and frame
// with the dumps in testdata.
func TestDumpGolden(t *testing.T) {
	for _, file := range fixtureFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".mkv")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := Dump(&got, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("dump differs from %s (run with -update and look at the difference)",
					golden)
			}
		})
	}
}
