package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/test/e2e/conformance"
)

// viewer follows one session as a player would, and checks everything that it gets against the
// rules.
type viewer struct {
	c        combination
	changing bool // the source has gaps and changes its codec private data
	client   *http.Client
	master   *conformance.Master
	lists    []*playlist // video or only rendition first, then audio, then I-frames
	findings conformance.Findings
	reloads  int
	faults   []string // what went wrong below HLS: no answer, not 200
}

// playlist is one media playlist over all its reloads.
type playlist struct {
	url      *url.URL
	first    *conformance.Media
	last     *conformance.Media
	union    conformance.Media // every segment seen since the last gap, in order
	timings  []*conformance.Timing
	streams  []*conformance.TS
	bytes    [][]byte
	inits    map[string]*conformance.Init
	initData map[string][]byte
}

func (v *viewer) note(p string, f conformance.Findings) {
	for i := range f {
		f[i].Where = p + ", " + f[i].Where
	}
	v.findings = append(v.findings, f...)
}

func (v *viewer) find(rule conformance.Rule, where, detail string) {
	v.findings = append(v.findings, conformance.Finding{Rule: rule, Where: where, Detail: detail})
}

// fetch gets a URL; anything but 200 is a fault.
func (v *viewer) fetch(u *url.URL) (body []byte, contentType string) {
	status, header, body, err := getHeaders(v.client, u.String(), nil)
	switch {
	case err != nil:
		v.faults = append(v.faults, err.Error())
	case status == http.StatusOK:
		return body, header.Get("Content-Type")
	default:
		v.faults = append(v.faults, fmt.Sprintf("%s: %d: %s", u.Path, status, body))
	}
	return nil, ""
}

// open reads the master playlist and finds the media playlists.
func (v *viewer) open(address string) {
	base, err := url.Parse(address)
	if err != nil {
		v.faults = append(v.faults, err.Error())
		return
	}
	text, contentType := v.fetch(base)
	if text == nil {
		return
	}
	v.mime(contentType)
	var f conformance.Findings
	v.master, f = conformance.ParseMaster(text)
	v.note("master", f)
	add := func(ref string) {
		u, err := base.Parse(ref)
		if err != nil {
			v.faults = append(v.faults, err.Error())
			return
		}
		v.lists = append(v.lists,
			&playlist{url: u, inits: map[string]*conformance.Init{}, initData: map[string][]byte{}})
	}
	for _, variant := range v.master.Variants {
		add(variant.URI)
	}
	for _, r := range v.master.Rendition {
		add(r.URI)
	}
	for _, i := range v.master.IFrames {
		add(i.URI)
	}
}

func (v *viewer) mime(contentType string) {
	if !conformance.IsPlaylistType(contentType) {
		v.faults = append(v.faults, "a playlist of type "+contentType)
	}
}

// poll reads every media playlist once, and the segments that are new.
func (v *viewer) poll() {
	v.reloads++
	for i, p := range v.lists {
		text, contentType := v.fetch(p.url)
		if text == nil {
			continue
		}
		v.mime(contentType)
		m, f := conformance.ParseMedia(text)
		name := v.name(i)
		v.note(name, f)
		v.shape(name, m)
		if p.last != nil {
			v.note(name, conformance.CheckReload(p.last, m))
		} else {
			p.first = m
		}
		p.last = m
		for j := range m.Segments {
			s := &m.Segments[j]
			next := int64(-1)
			if n := len(p.union.Segments); n > 0 {
				if next = p.union.Segments[n-1].Sequence + 1; s.Sequence < next {
					continue
				}
			}
			if next >= 0 && s.Sequence > next {
				// Segments came and went between two reloads, because this machine is slow. What
				// follows is looked at on its own.
				p.union.Segments, p.timings, p.streams, p.bytes = nil, nil, nil, nil
			}
			p.union.Independent, p.union.IFramesOnly = m.Independent, m.IFramesOnly
			p.union.Ended, p.union.TargetDuration = m.Ended, m.TargetDuration
			p.union.Segments = append(p.union.Segments, *s)
			v.segment(name, p, s)
		}
	}
	for i := 1; i < len(v.lists); i++ {
		if a, b := v.lists[0].last, v.lists[i].last; a != nil && b != nil && !b.IFramesOnly {
			v.note("renditions", conformance.CheckRenditions(a, b, 30*time.Millisecond))
		}
	}
}

func (v *viewer) name(i int) string {
	switch {
	case v.iframes(i):
		return "I-frames"
	case i == 0:
		return "variant"
	}
	return "audio"
}

func (v *viewer) iframes(i int) bool {
	return i >= len(v.master.Variants)+len(v.master.Rendition)
}

// shape compares a playlist with what its session asked for.
func (v *viewer) shape(name string, m *conformance.Media) {
	vod := v.c.mode == onDemand
	if (m.Type == conformance.VOD) != vod || m.Ended != vod {
		v.find(conformance.VODEnds, name,
			fmt.Sprintf("%s has type %q, ended: %v", v.c.mode, m.Type, m.Ended))
	}
	for i := range m.Segments {
		s := &m.Segments[i]
		if dated := v.c.dates() || m.PartTarget > 0; s.Date.IsZero() == dated {
			v.find(conformance.DateForm, name,
				fmt.Sprintf("segment %d: date %v, asked for: %v", s.Sequence, s.Date, v.c.dates()))
			break
		}
		if begins := v.c.discontinuity == "ALWAYS"; s.Begins != begins && !v.changing {
			v.find(conformance.DiscontinuityChanged, name,
				fmt.Sprintf("segment %d: discontinuity %v in mode %s of a contiguous source",
					s.Sequence, s.Begins, v.c.discontinuity))
			break
		}
	}
	if v.c.container == fragmentedMP4 {
		v.note(name, conformance.CheckMaps(m))
	}
}

// segment fetches one segment and looks into it.
func (v *viewer) segment(name string, p *playlist, s *conformance.Segment) {
	var timing *conformance.Timing
	var ts *conformance.TS
	var data []byte
	defer func() {
		p.timings, p.streams, p.bytes = append(p.timings, timing), append(p.streams, ts),
			append(p.bytes, data)
	}()
	where := fmt.Sprintf("segment %d", s.Sequence)
	data = v.resource(p, s.URI, s.Range)
	if data == nil {
		return
	}
	var f conformance.Findings
	if v.c.container == fragmentedMP4 {
		in := v.init(name, p, s.Map)
		if in == nil {
			return
		}
		if p.union.IFramesOnly {
			v.note(name, conformance.CheckIFrame(in, where, data))
			return
		}
		timing, f = conformance.ParseFragment(in, where, data)
		v.note(name, f)
		return
	}
	if p.union.IFramesOnly {
		v.note(name, conformance.CheckTSIFrame(where, data))
		return
	}
	ts, f = conformance.ParseTS(where, data)
	timing = ts.Reference()
	v.note(name, f)
}

// resource gets a resource or a range of it.
func (v *viewer) resource(p *playlist, ref string, r *conformance.Range) []byte {
	u, err := p.url.Parse(ref)
	if err != nil {
		v.faults = append(v.faults, err.Error())
		return nil
	}
	if r == nil {
		data, _ := v.fetch(u)
		return data
	}
	status, _, data, err := getRange(v.client, u.String(), r.Offset, r.Length)
	if err != nil || status != http.StatusPartialContent || int64(len(data)) != r.Length {
		v.faults = append(v.faults,
			fmt.Sprintf("range of %s: %d, %d bytes of %d, %v", u.Path, status, len(data), r.Length,
				err))
		return nil
	}
	return data
}

func (v *viewer) init(name string, p *playlist, m *conformance.Map) *conformance.Init {
	if m == nil {
		return nil
	}
	if in := p.inits[m.URI]; in != nil {
		return in
	}
	data := v.resource(p, m.URI, m.Range)
	if data == nil {
		return nil
	}
	in, f := conformance.ParseInit(data)
	v.note(name, f)
	p.inits[m.URI], p.initData[m.URI] = in, data
	return in
}

// finish checks everything that was seen together.
func (v *viewer) finish() {
	if v.master == nil || len(v.lists) == 0 {
		return
	}
	for i, p := range v.lists {
		name := v.name(i)
		if len(p.union.Segments) == 0 {
			v.faults = append(v.faults, name+" has no segments")
			continue
		}
		// Pictures last whole milliseconds, because Matroska's times do. The duration of the last
		// one of a transport stream is not written down.
		source := conformance.Source{Contiguous: !v.changing}
		if v.c.container == mpegTS {
			source.Tolerance = 2 * time.Millisecond
			if v.c.video == "" {
				source.Tolerance = time.Millisecond
			}
		}
		v.note(name, conformance.CheckTimeline(&p.union, p.timings, source))
		if v.c.dates() && v.c.selector == producer {
			// The dates are those of fragments, whose audio may end two frames before or after the
			// picture.
			v.note(name, conformance.CheckDates(&p.union, 50*time.Millisecond))
		}
		if v.iframes(i) {
			v.note(name, conformance.CheckIFrames(p.last, v.lists[0].last, 50*time.Millisecond))
			continue
		}
		for j := 1; j < len(p.streams); j++ {
			if p.streams[j-1] != nil && p.streams[j] != nil && !p.union.Segments[j].Begins {
				v.note(name,
					conformance.CheckTSContinuity(
						fmt.Sprintf("segment %d", p.union.Segments[j].Sequence), p.streams[j-1],
						p.streams[j]))
			}
		}
	}
	v.checkMaster()
	v.checkSync()
	if !v.changing {
		v.checkProgress()
	}
}

// checkProgress checks that the session has shown what it is for: a recording, all that was asked
// for; a live session, fragments that came and, if it began with a full window, some that went.
func (v *viewer) checkProgress() {
	for i, p := range v.lists {
		if p.last == nil {
			continue
		}
		first, n := p.first, len(p.last.Segments)
		switch grown := p.last.MediaSequence +
			int64(n) - first.MediaSequence - int64(len(first.Segments)); {
		case v.c.mode == onDemand && n != conformanceRecording:
			v.faults = append(v.faults,
				fmt.Sprintf("%s lists %d of %d fragments", v.name(i), n, conformanceRecording))
		case v.c.mode != onDemand && grown < conformanceWindow/2:
			v.faults = append(v.faults,
				fmt.Sprintf("%s has grown by %d segments", v.name(i), grown))
		case v.c.mode != onDemand && n == conformanceWindow &&
			p.last.MediaSequence == first.MediaSequence:
			v.faults = append(v.faults, v.name(i)+" is full and has lost no segment")
		}
	}
}

// checkMaster compares the master playlist with the media. If a session's codecs change, CODECS
// cannot say what will come.
func (v *viewer) checkMaster() {
	variant := &v.master.Variants[0]
	if !v.changing {
		v.checkVariant(variant)
	}
	if v.c.mode != onDemand {
		return // what is not made yet cannot be measured
	}
	var peak, average int64
	for i, p := range v.lists {
		if v.iframes(i) {
			continue
		}
		var pieces []conformance.Piece
		for j := range p.union.Segments {
			pieces = append(pieces,
				conformance.Piece{Duration: p.union.Segments[j].Duration,
					Bytes: int64(len(p.bytes[j]))})
		}
		a, b := conformance.PeakAndAverage(pieces, p.union.TargetDuration)
		peak, average = peak+a, average+b
	}
	v.note("master", conformance.CheckBandwidth(variant, peak, average))
}

// checkVariant compares what the variant says of codecs and picture with the media.
func (v *viewer) checkVariant(variant *conformance.Variant) {
	var codecs []string
	for i, p := range v.lists {
		if v.iframes(i) {
			continue
		}
		for _, in := range p.inits {
			codecs = append(codecs, in.Codec)
		}
		if len(p.streams) > 0 && p.streams[0] != nil {
			codecs = append(codecs, p.streams[0].Codecs()...)
		}
	}
	v.note("master", conformance.CheckCodecs(variant, codecs))
	first := v.lists[0]
	if v.c.video != "" {
		var frames int
		var length float64
		for _, t := range first.timings {
			if t != nil {
				frames, length = frames+t.Frames, length+t.Seconds()
			}
		}
		v.note("master",
			conformance.CheckPicture(variant, conformanceWidth, conformanceHeight,
				float64(frames)/length))
		if variant.Resolution == "" || variant.FrameRate == "" {
			v.find(conformance.Resolution, "master",
				"a variant with a picture has no RESOLUTION or no FRAME-RATE")
		}
	}
}

// checkSync compares the tracks of each fragment with one another.
func (v *viewer) checkSync() {
	if v.c.video == "" || !v.c.audio {
		return
	}
	first := v.lists[0]
	for j, s := range first.union.Segments {
		where := fmt.Sprintf("segment %d", s.Sequence)
		tolerance := 50 * time.Millisecond
		if strings.Contains(s.URI, "StartOffset=") || strings.Contains(s.URI, "PartialFragment") {
			// a slice: its sound begins with a part of its own (internal/timeline/DESIGN.md)
			tolerance = 149 * time.Millisecond
		}
		if ts := first.streams[j]; ts != nil && len(ts.Streams) == 2 {
			v.note("tracks",
				conformance.CheckSync(where, &ts.Streams[0].Timing, &ts.Streams[1].Timing,
					tolerance))
		}
		if v.c.container == mpegTS || len(v.lists) < 2 {
			continue
		}
		second := v.lists[1]
		k := slices.IndexFunc(second.union.Segments, func(o conformance.Segment) bool {
			return fragmentPart(o.URI) == fragmentPart(s.URI)
		})
		if k >= 0 && first.timings[j] != nil && second.timings[k] != nil {
			v.note("tracks",
				conformance.CheckSync(where, first.timings[j], second.timings[k], tolerance))
			if a, b := s.Discontinuity, second.union.Segments[k].Discontinuity; a != b {
				v.find(conformance.RenditionDiscontinuity, where,
					fmt.Sprintf("%d in the picture, %d in the sound", a, b))
			}
		}
	}
}

// fragmentPart names what a segment has of which fragment. A slice that may be listed before its
// fragment is stored is named by its sequence number.
func fragmentPart(uri string) string {
	_, query, _ := strings.Cut(uri, "?")
	values, _ := url.ParseQuery(query)
	return values.Get("FragmentNumber") + " " + values.Get("StartOffset") + " " +
		values.Get("SequenceNumber")
}

// files returns each track's initialization sections and segments as one file, with what our own
// reading makes of it.
func (v *viewer) files() (files []track) {
	for i, p := range v.lists {
		if v.iframes(i) {
			continue
		}
		f := track{c: v.c}
		for _, data := range p.initData {
			f.data = append(f.data, data...)
		}
		for _, in := range p.inits {
			f.codec, f.width, f.height = in.Codec, in.Width, in.Height
		}
		for j, data := range p.bytes {
			f.data = append(f.data, data...)
			if t := p.timings[j]; t != nil {
				f.timings = append(f.timings, t)
			}
		}
		files = append(files, f)
	}
	return files
}

// track is a file for the programs that look at it too.
type track struct {
	c             combination
	data          []byte
	codec         string
	width, height int
	timings       []*conformance.Timing
}

func (v *viewer) report(t *testing.T) {
	t.Helper()
	const most = 8
	if n := len(v.faults); n > 0 {
		t.Errorf("%d requests failed; first:\n%s", n, strings.Join(v.faults[:min(n, most)], "\n"))
	}
	if n := len(v.findings); n > 0 {
		t.Errorf("%d rules broken; first:\n%v", n, v.findings[:min(n, most)])
	}
}
