package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// partsViewer follows the media playlists of a low-latency session by blocking. It reads every
// part as soon as it is listed, and every segment when it is whole, and checks all of it against
// the rules.
type partsViewer struct {
	viewer
	mu      sync.Mutex // of findings and faults
	lists   []*partsList
	skipped int64 // segments that delta updates left out
	hints   int   // hinted parts that came
	whole   int   // segments whose parts were all read
	gaps    int
	grows   bool // EXT-X-INDEPENDENT-SEGMENTS may go: slices of long groups have no key frame
}

// partsList is one rendition.
type partsList struct {
	name  string
	url   *url.URL
	known *conformance.Media
	inits map[string]*conformance.Init
	parts map[string][]byte // by URI
	done  int64             // segments before this number were looked at
}

// gaps is how many of the segments are gaps.
func (p *partsList) gaps() (n int) {
	for i := range p.known.Segments {
		n += btoi(p.known.Segments[i].Gap)
	}
	return n
}

// partsFlags ask for a session of a hundred fragments, by the producer's clock.
var partsFlags = []string{"--discontinuity-mode", "ON_DISCONTINUITY",
	"--max-media-playlist-fragment-results", "100",
	"--hls-fragment-selector", "FragmentSelectorType=PRODUCER_TIMESTAMP"}

func openParts(t *testing.T, session string) *partsViewer {
	t.Helper()
	v := &partsViewer{viewer: viewer{client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}}}
	v.open(session)
	if v.master == nil {
		t.Fatal(v.faults)
	}
	for i, p := range v.viewer.lists {
		if !v.iframes(i) {
			v.lists = append(v.lists, &partsList{name: v.name(i), url: p.url,
				inits: map[string]*conformance.Init{}, parts: map[string][]byte{}, done: -1})
		}
	}
	return v
}

func (v *partsViewer) hold(name string, f conformance.Findings) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f = slices.DeleteFunc(f, func(f conformance.Finding) bool {
		return v.grows && f.Rule == conformance.HeaderChanged &&
			strings.HasPrefix(f.Detail, "EXT-X-INDEPENDENT-SEGMENTS from true")
	})
	v.note(name, f)
}

func (v *partsViewer) fault(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// read gets an address, which may be relative, and how long that took.
func (v *partsViewer) read(at *url.URL, ref string) (status int, body []byte, took time.Duration) {
	u, err := at.Parse(ref)
	if err != nil {
		v.fault("%v", err)
		return 0, nil, 0
	}
	begin := time.Now()
	res, err := v.client.Get(u.String())
	if err != nil {
		v.fault("%v", err)
		return 0, nil, time.Since(begin)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		v.fault("%s: %v", ref, err)
	}
	return res.StatusCode, body, time.Since(begin)
}

// playlist reads a media playlist with directives; nil when the answer is another than 200.
func (v *partsViewer) playlist(
	p *partsList, directives string,
) (m *conformance.Media, status int, took time.Duration) {
	status, text, took := v.read(p.url, p.url.String()+directives)
	if status != http.StatusOK {
		return nil, status, took
	}
	m, f := conformance.ParseMedia(text)
	v.hold(p.name, f)
	return m, status, took
}

// follow blocks for part after part until so many segments were whole.
func (v *partsViewer) follow(p *partsList, segments int) {
	m, _, _ := v.playlist(p, "")
	if p.known != nil && m != nil {
		v.hold(p.name, conformance.CheckReload(p.known, m))
	}
	p.known = m
	for seen := 0; p.known != nil && seen < segments; {
		msn, part := p.known.Next()
		var hinted []byte
		var hints sync.WaitGroup
		hint := ""
		if len(p.known.Hints) > 0 {
			hint = p.known.Hints[0].URI
			hints.Go(func() { _, hinted, _ = v.read(p.url, hint) })
		}
		directives := fmt.Sprintf("&_HLS_msn=%d&_HLS_part=%d", msn, part)
		m, status, took := v.playlist(p, directives)
		if m == nil {
			v.fault("%s: %s: status %d", p.name, directives, status)
			hints.Wait()
			return
		}
		v.hold(p.name, conformance.CheckBlocked(conformance.Blocked{MSN: msn, Part: part,
			Took: took, Status: status, Before: p.known, After: m}))
		v.hold(p.name, conformance.CheckReload(p.known, m))
		v.delta(p, m)
		if m.Open.Sequence > p.known.Open.Sequence {
			seen += int(m.Open.Sequence - p.known.Open.Sequence)
		}
		p.known = m
		v.media(p, m)
		hints.Wait()
		if listed, ok := p.parts[hint]; ok && hint != "" {
			v.mu.Lock()
			v.hints++
			v.mu.Unlock()
			if !bytes.Equal(listed, hinted) {
				v.fault("%s: %s has %d bytes when hinted, %d when listed", p.name, hint,
					len(hinted), len(listed))
			}
		}
	}
}

// followAll follows all renditions at once.
func (v *partsViewer) followAll(segments int) {
	var all sync.WaitGroup
	for _, p := range v.lists {
		all.Go(func() { v.follow(p, segments) })
	}
	all.Wait()
}

// reload waits for the next part, as players do, and returns for how long.
func (v *partsViewer) reload(p *partsList) time.Duration {
	msn, part := p.known.Next()
	directives := fmt.Sprintf("&_HLS_msn=%d&_HLS_part=%d", msn, part)
	m, status, took := v.playlist(p, directives)
	if m == nil || took > patience {
		v.fault("%s: status %d after %v", directives, status, took)
	}
	if m != nil {
		v.hold(p.name, conformance.CheckReload(p.known, m))
		p.known = m
	}
	return took
}

// delta asks for what is new since a playlist, and for the whole again. Both must agree, unless
// something came between the two.
func (v *partsViewer) delta(p *partsList, known *conformance.Media) {
	delta, _, _ := v.playlist(p, "&_HLS_skip=YES")
	whole, _, _ := v.playlist(p, "")
	if delta == nil || whole == nil || known.Control == nil || known.Control.SkipUntil == 0 {
		return
	}
	a, b := delta.Open.Sequence, len(delta.Open.Parts)
	if c, d := whole.Open.Sequence, len(whole.Open.Parts); a != c || b != d {
		return
	}
	v.hold(p.name, conformance.CheckDelta(known, delta, whole))
	v.mu.Lock()
	v.skipped += delta.Skipped
	v.mu.Unlock()
}

// media reads the parts that are new, and the segments that are whole.
func (v *partsViewer) media(p *partsList, m *conformance.Media) {
	for _, s := range append(slices.Clone(m.Segments), m.Open) {
		if s.Map == nil || len(s.Parts) == 0 || s.Sequence < p.done {
			continue
		}
		in := p.inits[s.Map.URI]
		if in == nil {
			_, data, _ := v.read(p.url, s.Map.URI)
			var f conformance.Findings
			in, f = conformance.ParseInit(data)
			v.hold(p.name, f)
			p.inits[s.Map.URI] = in
		}
		for _, part := range s.Parts {
			if p.parts[part.URI] != nil || part.Gap {
				continue
			}
			status, data, _ := v.read(p.url, part.URI)
			if status != http.StatusOK {
				v.fault("%s: %s: status %d", p.name, part.URI, status)
			}
			p.parts[part.URI] = data
		}
		if s.Sequence == m.Open.Sequence {
			continue
		}
		p.done = s.Sequence + 1
		if s.Gap {
			v.mu.Lock()
			v.gaps++
			v.mu.Unlock()
			continue
		}
		status, whole, _ := v.read(p.url, s.URI)
		if status != http.StatusOK {
			v.fault("%s: %s: status %d", p.name, s.URI, status)
			continue
		}
		parts := make([][]byte, len(s.Parts))
		for i := range parts {
			parts[i] = p.parts[s.Parts[i].URI]
		}
		v.hold(p.name, conformance.CheckParts(in, &s, m.PartTarget, parts, whole))
		v.mu.Lock()
		v.whole++
		v.mu.Unlock()
	}
}

// refusals asks for what must be refused, and for what must not.
func (v *partsViewer) refusals(p *partsList) {
	before, _, _ := v.playlist(p, "")
	for _, q := range []struct {
		msn  int64
		part int
		text string
	}{
		{before.Open.Sequence + 30, -1, fmt.Sprint("&_HLS_msn=", before.Open.Sequence+30)},
		{before.Open.Sequence, 1000, fmt.Sprint("&_HLS_msn=", before.Open.Sequence,
			"&_HLS_part=1000")},
		{-1, 0, "&_HLS_part=0"},
		{before.Open.Sequence - 1, -1, fmt.Sprint("&_HLS_msn=", before.Open.Sequence-1)},
		{before.MediaSequence, 0, fmt.Sprint("&_HLS_msn=", before.MediaSequence, "&_HLS_part=0")},
		{before.Open.Sequence, -1, fmt.Sprint("&_HLS_msn=", before.Open.Sequence)},
	} {
		after, status, took := v.playlist(p, q.text)
		if after == nil {
			after, _, _ = v.playlist(p, "")
		}
		v.hold(p.name, conformance.CheckBlocked(conformance.Blocked{MSN: q.msn, Part: q.part,
			Took: took, Status: status, Before: before, After: after}))
	}
}

// reports compares what each rendition says of the others with them.
func (v *partsViewer) reports() {
	for i, p := range v.lists {
		var others []conformance.Other
		for j, o := range v.lists {
			if j != i {
				before, _, _ := v.playlist(o, "")
				others = append(others, conformance.Other{URL: o.url, Before: before})
			}
		}
		m, _, _ := v.playlist(p, "")
		for k := range others {
			others[k].After, _, _ = v.playlist(
				&partsList{name: "other", url: others[k].URL}, "")
			v.hold(p.name, conformance.CheckControls(m, others[k].After))
		}
		v.hold(p.name, conformance.CheckReports(m, p.url, others))
	}
}

// Low-latency sessions of cameras with sound and B-frames, and of 29.97 pictures a second, in each
// discontinuity mode, keep every rule of RFC 8216bis that the checker knows: for every playlist,
// blocked request, delta update, part and hint. One rule is how long a request is blocked.
func TestLowLatencyConformance(t *testing.T) {
	exact(t)
	needTool(t, "ffmpeg")
	s := start(t, "", "--hls-sessions-per-stream", "0",
		"--hls-playlist-rate", "0",
		"--hls-fragment-rate", "0")
	cameras := []*glassCamera{
		{name: "sound", group: 1, rate: [2]int{25, 1}, sound: true, bframe: true},
		{name: "ntsc", group: 1, rate: [2]int{30000, 1001}},
	}
	for _, g := range cameras {
		g.begin(t, s)
	}
	var viewers []*partsViewer
	var names []string
	for _, g := range cameras {
		awaitLive(t, s, g.name)
		for _, mode := range conformanceDiscontinuities {
			names = append(names, g.name+", "+mode)
			viewers = append(viewers, openParts(t, s.hls(g.name, "--playback-mode", "LIVE",
				"--discontinuity-mode", mode, "--max-media-playlist-fragment-results", "200")))
		}
	}
	var all sync.WaitGroup
	for _, v := range viewers {
		all.Go(func() {
			v.followAll(8)
			v.reports()
			v.refusals(v.lists[0])
		})
	}
	all.Wait()
	for i, v := range viewers {
		t.Run(names[i], func(t *testing.T) {
			v.report(t)
			t.Logf("%d segments with their parts, %d hinted parts, %d segments skipped, %d gaps",
				v.whole, v.hints, v.skipped, v.gaps)
			if n := len(v.lists); v.whole < 5*n || v.hints < 15*n || v.skipped == 0 || v.gaps > 0 {
				t.Error("too little was seen")
			}
		})
	}
}

// What a player was shown stays as it was when the server is killed in the middle of a part and
// starts again, and when the camera breaks off in the middle of a fragment and comes back. (By
// server timestamps, the fragment that is sent again has another date.)
func TestLowLatencyAcrossBreaks(t *testing.T) {
	exact(t)
	needTool(t, "ffmpeg")
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data)
	g := &glassCamera{name: "broken", group: 2, rate: [2]int{25, 1}, sound: true}
	off := g.begin(t, s)
	v := openParts(t, awaitLive(t, s, g.name, partsFlags...))
	v.followAll(1)
	v.report(t)
	awaitPart(t, v)
	var shown []*conformance.Media
	for _, p := range v.lists {
		shown = append(shown, p.known)
		// They are there again once the camera has sent them again. Sound then begins anew, within
		// a millisecond.
		p.known, p.parts = nil, map[string][]byte{}
	}
	s.kill()
	s = start(t, data, "--listen", strings.TrimPrefix(s.URL, "http://"))
	for i, p := range v.lists {
		for p.known == nil || !p.known.Has(shown[i].Edge()) {
			if p.known, _, _ = v.playlist(p, ""); p.known == nil {
				t.Fatal(v.faults)
			}
			time.Sleep(20 * time.Millisecond) // a player's pace
		}
		v.hold(p.name, conformance.CheckReload(shown[i], p.known))
	}
	v.followAll(2)
	v.report(t)

	awaitPart(t, v)
	off()
	for range 8 { // the camera is away, and players ask
		v.followAll(0)
		time.Sleep(500 * time.Millisecond)
	}
	v.report(t)
	again := &glassCamera{name: g.name, group: 2, rate: g.rate, sound: true}
	again.begin(t, s)
	v.followAll(2)
	v.report(t)
	for _, p := range v.lists {
		gaps := p.gaps()
		if last := p.known.Segments[len(p.known.Segments)-1]; last.Gap || gaps != 1 {
			t.Errorf("%s: %d gaps for the fragment that broke off", p.name, gaps)
		}
	}
}

// awaitHint waits until a part is hinted, which takes three segments.
func awaitHint(t *testing.T, v *partsViewer, p *partsList) {
	t.Helper()
	within(t, time.Minute, "a part is hinted", func() bool {
		p.known, _, _ = v.playlist(p, "")
		return p.known != nil && len(p.known.Hints) > 0
	})
}

// awaitPart waits until the fragment that comes in has two parts in every rendition.
func awaitPart(t *testing.T, v *partsViewer) {
	t.Helper()
	for _, p := range v.lists {
		for deadline := time.Now().Add(30 * time.Second); len(p.known.Open.Parts) < 2; {
			m, status, _ := v.playlist(p, fmt.Sprintf("&_HLS_msn=%d&_HLS_part=1",
				p.known.Open.Sequence))
			if m == nil || time.Now().After(deadline) {
				t.Fatalf("no part comes: status %d", status)
			}
			v.hold(p.name, conformance.CheckReload(p.known, m))
			p.known = m
		}
	}
}
