package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"weir/test/e2e/conformance"
)

// lookWithMP4Box has mp4box read every MP4 track, and compares.
func lookWithMP4Box(t *testing.T, viewers []*viewer) {
	t.Helper()
	dir := t.TempDir()
	var names []string
	var owners []*viewer
	var tracks []track
	for _, v := range viewers {
		if v.c.container != fragmentedMP4 {
			continue
		}
		for _, f := range v.files() {
			name := filepath.Join(dir, fmt.Sprintf("%d.mp4", len(names)))
			if err := os.WriteFile(name, f.data, 0o600); err != nil {
				t.Fatal(err)
			}
			names, owners, tracks = append(names, name), append(owners, v), append(tracks, f)
		}
	}
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "mp4box.mjs")
	cmd.Stdin = bytes.NewReader(list)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var results []struct {
		Fragmented bool
		Complaints []string
		Tracks     []struct {
			Codec                         string
			Timescale, Start, End, Bytes  int64
			Width, Height, Samples, Syncs int
			Gaps                          []int
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &results)
	}
	if err != nil || len(results) != len(tracks) {
		t.Fatalf("mp4box: %v, %d results of %d\n%s", err, len(results), len(tracks),
			stderr.String())
	}
	for i, r := range results {
		v, f := owners[i], tracks[i]
		if !r.Fragmented || len(r.Complaints) > 0 || len(r.Tracks) != 1 {
			v.faults = append(v.faults, fmt.Sprintf("mp4box: %+v", r))
			continue
		}
		frames := 0
		for _, timing := range f.timings {
			frames += timing.Frames
		}
		last := f.timings[len(f.timings)-1]
		got := r.Tracks[0]
		if !strings.EqualFold(got.Codec, f.codec) || got.Width != f.width ||
			got.Height != f.height || got.Samples != frames ||
			got.Start != f.timings[0].Start || got.End != last.Start+last.Duration ||
			len(got.Gaps) > 0 {
			v.faults = append(v.faults,
				fmt.Sprintf("mp4box found %+v; we found %s, %dx%d, %d frames, %v to %v", got,
					f.codec, f.width, f.height,
					frames, f.timings[0], last))
		}
	}
}

// lookWithFFprobe has ffprobe read every transport stream, segments back to back, and compares.
func lookWithFFprobe(t *testing.T, viewers []*viewer) {
	t.Helper()
	dir := t.TempDir()
	type verdict struct {
		once   sync.Once
		faults []string
	}
	var mu sync.Mutex
	known := map[[32]byte]*verdict{}
	each(viewers, 2, func(v *viewer) {
		if v.c.container != mpegTS || len(v.lists) == 0 || len(v.lists[0].bytes) == 0 {
			return
		}
		whole := bytes.Join(v.lists[0].bytes, nil)
		sum := sha256.Sum256(whole)
		mu.Lock()
		if known[sum] == nil {
			known[sum] = &verdict{}
		}
		result := known[sum]
		mu.Unlock()
		result.once.Do(func() {
			path := filepath.Join(dir, fmt.Sprintf("%x.ts", sum[:8]))
			result.faults = v.probe(path, whole)
		})
		v.faults = append(v.faults, result.faults...)
	})
}

// probe writes the segments of a transport stream to a file and says what ffprobe finds wrong.
func (v *viewer) probe(path string, whole []byte) (faults []string) {
	bad := func(format string, args ...any) {
		faults = append(faults, "ffprobe: "+fmt.Sprintf(format, args...))
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		bad("%v", err)
		return faults
	}
	var stderr bytes.Buffer
	cmd := exec.Command("ffprobe", "-v", "warning", "-show_entries",
		"stream=index,codec_name,width,height:packet=stream_index,dts,pts,flags",
		"-of", "json", path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var r struct {
		Streams []struct {
			Index         int
			CodecName     string `json:"codec_name"`
			Width, Height int
		}
		Packets []struct {
			StreamIndex int `json:"stream_index"`
			DTS, PTS    int64
			Flags       string
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil || stderr.Len() > 0 {
		bad("%v: %s", err, stderr.String())
		return faults
	}
	frames, want := map[string]int{}, v.counted()
	last := map[int]int64{}
	for _, packet := range r.Packets {
		s := r.Streams[packet.StreamIndex]
		frames[s.CodecName]++
		if strings.Contains(packet.Flags, "C") {
			bad("a corrupt packet of %s at %d", s.CodecName, packet.DTS)
		}
		if before, seen := last[packet.StreamIndex]; seen &&
			math.Abs(float64(packet.DTS-before)) > 9000 {
			bad("%s jumps from %d to %d", s.CodecName, before, packet.DTS)
		}
		last[packet.StreamIndex] = packet.DTS
		if s.CodecName != "aac" && (s.Width != conformanceWidth || s.Height != conformanceHeight) {
			bad("%d x %d", s.Width, s.Height)
		}
	}
	if !maps.Equal(frames, want) {
		bad("frames %v, we counted %v", frames, want)
	}
	return faults
}

// counted is how many frames the conformance package found, by ffprobe's names of codecs.
func (v *viewer) counted() map[string]int {
	name := map[string]string{"libx264": "h264", "libx265": "hevc"}[v.c.video]
	counted := map[string]int{}
	for _, ts := range v.lists[0].streams {
		for _, s := range ts.Streams {
			if s.Video() {
				counted[name] += s.Frames
			} else {
				counted["aac"] += s.Frames
			}
		}
	}
	return counted
}

// conformanceDocument writes what was found, and compares docs/conformance.md with it.
func conformanceDocument(t *testing.T, viewers []*viewer) {
	t.Helper()
	var doc strings.Builder
	doc.WriteString(`# Conformance of playlists, manifests and segments

[The checker](../test/e2e/conformance/conformance.go) tests whether what Weir serves keeps the rules below. ` + "`TestConformance`" + ` runs it on every
HLS session of this table. Five cameras push, a session of each kind is opened, live sessions are followed over ` + fmt.Sprint(reloads) + ` reloads, and every segment is
read. mp4box also reads the MP4 tracks, and ffprobe the transport streams. The test compares this page with its result, and
` + "`go test ./test/e2e -run TestConformance -update`" + ` writes it. ` + "`TestDASHConformance` and `TestLowLatencyConformance`" + ` run the checker on DASH
sessions and on playlists with parts.

| mode | container | codecs |`)
	for _, selector := range conformanceSelectors {
		for _, d := range conformanceDiscontinuities {
			fmt.Fprintf(&doc, " %s, %s |",
				strings.ToLower(strings.TrimSuffix(selector, "_TIMESTAMP")), d)
		}
	}
	doc.WriteString("\n|---|---|---|" +
		strings.Repeat("---|", len(conformanceSelectors)*len(conformanceDiscontinuities)) + "\n")
	verdicts := map[string]string{}
	for _, v := range viewers {
		verdicts[v.c.String()] = v.verdict()
	}
	for _, mode := range conformanceModes {
		for _, container := range conformanceContainers {
			for _, c := range conformanceCodecs() {
				fmt.Fprintf(&doc, "| %s | %s | %s |", mode, container, c.name)
				c.mode, c.container = mode, container
				for _, c.selector = range conformanceSelectors {
					for _, c.discontinuity = range conformanceDiscontinuities {
						fmt.Fprintf(&doc, " %s |", verdicts[c.String()])
					}
				}
				doc.WriteString("\n")
			}
		}
	}
	doc.WriteString("\n## Rules\n\nFor each rule, the checker's own tests have at least one " +
		"playlist, manifest or segment that breaks it, and must be found.\n\n" +
		"| rule | from | what it says |\n|---|---|---|\n")
	for _, s := range conformance.Statements() {
		fmt.Fprintf(&doc, "| %s | %s | %s |\n", s.Rule, s.Source, s.Text)
	}
	path := filepath.Join("..", "..", "docs", "conformance.md")
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(path, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != doc.String() {
		t.Errorf("docs/conformance.md is not what was found (%v); -update writes it", err)
	}
}

func (v *viewer) verdict() string {
	switch {
	case len(v.faults) > 0 && v.master == nil:
		return "refused"
	case len(v.faults) > 0 || len(v.findings) > 0:
		return "broken"
	}
	return "yes"
}

// getRange fetches length bytes from an offset on.
func getRange(client *http.Client, address string, offset,
	length int64) (int, http.Header, []byte, error) {
	return getHeaders(client, address,
		map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)})
}

func getHeaders(client *http.Client, address string,
	headers map[string]string) (int, http.Header, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, body, err
}
