package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// dashViewer follows a DASH session, and checks everything that it gets against the rules.
type dashViewer struct {
	viewer
	url   *url.URL
	last  *conformance.MPD
	seen  map[string]bool                // addresses of the segments that were read
	inits map[string]*conformance.Init   // by address
	sizes map[string][]conformance.Piece // by set
}

func watchManifest(t *testing.T, address string) *dashViewer {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &dashViewer{viewer: viewer{client: http.DefaultClient}, url: u, seen: map[string]bool{},
		inits: map[string]*conformance.Init{}, sizes: map[string][]conformance.Piece{}}
}

// poll reads the manifest and what is new in it.
func (v *dashViewer) poll() {
	text, kind := v.fetch(v.url)
	if text == nil {
		return
	}
	if kind != "application/dash+xml" {
		v.faults = append(v.faults, "a manifest of type "+kind)
	}
	m, f := conformance.ParseMPD(text)
	v.note("manifest", f)
	if v.last != nil {
		v.note("update", conformance.CheckMPDUpdate(v.last, m))
	}
	v.last = m
	for i := range m.Periods {
		for j := range m.Periods[i].Sets {
			if a := &m.Periods[i].Sets[j]; a.Template != nil {
				v.set(m.Periods[i].ID, a)
			}
		}
	}
}

func (v *dashViewer) set(period string, a *conformance.AdaptationSet) {
	name := fmt.Sprintf("period %s, set %s", period, a.ID)
	in := v.inits[a.Template.Initialization]
	if in == nil {
		data := v.get(a.Template.Initialization)
		if data == nil {
			return
		}
		var f conformance.Findings
		in, f = conformance.ParseInit(data)
		v.note(name, append(f, conformance.CheckMPDInit("init", a, in)...))
		v.inits[a.Template.Initialization] = in
	}
	for i, s := range a.Template.Timeline {
		n := fmt.Sprint(a.Template.StartNumber + int64(i))
		address := strings.NewReplacer("$Number$", n, "$Time$", fmt.Sprint(s.Time)).Replace(
			a.Template.Media)
		if v.seen[address] {
			continue
		}
		v.seen[address] = true
		data := v.get(address)
		if data == nil {
			continue
		}
		t, f := conformance.ParseFragment(in, "segment "+n, data)
		f = append(f, conformance.CheckMPDSegment("segment "+n, a, s, t, 50*time.Millisecond)...)
		v.note(name, f)
		length := time.Duration(float64(s.Duration) / float64(a.Template.Timescale) * 1e9)
		v.sizes[a.ID] = append(v.sizes[a.ID], conformance.Piece{Duration: length,
			Bytes: int64(len(data))})
	}
}

func (v *dashViewer) get(ref string) []byte {
	u, err := v.url.Parse(ref)
	if err != nil {
		v.faults = append(v.faults, err.Error())
		return nil
	}
	data, _ := v.fetch(u)
	return data
}

// bandwidths compares the rates that a recording's manifest claims with its segments.
func (v *dashViewer) bandwidths() {
	for i := range v.last.Periods[0].Sets {
		a := &v.last.Periods[0].Sets[i]
		v.note("set "+a.ID, conformance.CheckMPDBandwidth("bandwidth", v.last,
			&a.Representations[0], v.sizes[a.ID]))
	}
}

// Manifests of a live camera, read again and again while it pushes, and of a recording with a gap
// keep every rule of MPEG-DASH that the checker knows: for the manifest, for each change of it,
// and for the segments' bytes.
func TestDASHConformance(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg")
	s := start(t, "", "--dash-sessions-per-stream", "0")
	clip := filepath.Join(t.TempDir(), "clip.mkv")
	c := combination{name: "H.264+AAC", video: "libx264", audio: true}
	conformanceClip(t, c, clip, 30)
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, at := range []time.Time{begin, begin.Add(45 * time.Second)} {
		s.run("weir", "put-media", "--stream-name", "recorded", "--create",
			"--start-timestamp", at.UTC().Format(time.RFC3339), clip)
	}
	extended := []string{"--display-fragment-number", "ALWAYS", "--display-fragment-timestamp",
		"ALWAYS"}
	recorded := watchManifest(t, s.dash("recorded", append(extended, "--playback-mode", "ON_DEMAND",
		"--max-manifest-fragment-results", "1000", "--dash-fragment-selector",
		selector("PRODUCER_TIMESTAMP", begin, begin.Add(time.Hour)))...))
	for range 2 {
		recorded.poll()
	}
	recorded.bandwidths()
	if n := len(recorded.sizes["1"]); n != 150 {
		t.Errorf("%d segments in a recording of 150", n)
	}
	recorded.report(t)

	camera(t, s, "live")
	awaitLive(t, s, "live")
	live := watchManifest(t, s.dash("live", append(extended, "--playback-mode", "LIVE")...))
	for len(live.sizes["1"]) < 8 && len(live.faults) == 0 {
		live.poll()
		time.Sleep(500 * time.Millisecond) // a player's pace
	}
	live.report(t)
}
