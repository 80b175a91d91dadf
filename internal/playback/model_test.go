package playback

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"math/bits"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
)

// model says what a playlist that grows must hold, from the whole history each time and with no regard for speed. It shares no code
// with the timeline.
type model struct {
	max           int
	producer      bool
	discontinuity api.DiscontinuityMode
	timestamps    bool
	tracks        []media.Track
	stream        store.Stream
	initial       []store.FragmentInfo // newest first, at creation
	later         []store.FragmentInfo // in commit order, after creation
	same          func(set int64) bool
	codecs        func(set int64) string // tells the codec private data of same sets apart
	frames        func(n store.Number) *media.Fragment
	cut           map[store.Number][]modelEntry // what slices found

	unfolded bool // the next three are those of later, for all tracks
	entries  []modelEntry
	target   int
	over     bool

	replay     bool
	created    int64 // milliseconds
	start, end int64 // of the range; math.MaxInt64: none
	closed     bool  // the range was over a minute before
}

type modelEntry struct {
	f     store.FragmentInfo // with the spans of the slice
	slice modelSlice
	disc  int // discontinuities up to and with this entry
	gen   int
	due   int64
	date  int64

	quiet [2]int64 // silence of the sound: from where to where, ticks after the fragment's start; both 0: none
}

// modelSlice is from where to where a fragment is listed, milliseconds after its start. An end of 0 is that of the fragment.
type modelSlice struct{ from, until int64 }

// difference shows the first line in which two texts differ, and the header of what is wanted.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < min(len(a), len(b))-1 && a[i] == b[i] {
		i++
	}
	return fmt.Sprintf("line %d of %d is\n%s\nwant (of %d)\n%s\nafter\n%s", i+1, len(a), a[i], len(b), b[i], strings.Join(b[:min(i, 8)], "\n"))
}

// wantZipped wants the gzip form of a playlist to be that of its text.
func wantZipped(t *testing.T, p *Playlist) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(p.Gzip()))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !bytes.Equal(text, p.Text) {
		t.Fatalf("unzipped: %v: %s", err, difference(string(text), string(p.Text)))
	}
}

func textOf(p *Playlist) string {
	if p == nil {
		return ""
	}
	return string(p.Text)
}

func (m *model) begins(f *store.FragmentInfo) int64 {
	least := int64(math.MaxInt64)
	for _, t := range m.tracks {
		if s := f.Span(t.Number); s != nil {
			least = min(least, floorMillis(s.BaseDecodeTime, t))
		}
	}
	return least
}

func (m *model) timestamp(f *store.FragmentInfo) int64 {
	if m.producer {
		return f.ProducerTimestamp
	}
	return f.ServerTimestamp
}

// chosen is what a session begins with, in order.
func (m *model) chosen() (shown []store.FragmentInfo) {
	double := func(f *store.FragmentInfo) int {
		return slices.IndexFunc(shown, func(o store.FragmentInfo) bool { return m.producer && o.ProducerTimestamp == f.ProducerTimestamp })
	}
	if m.replay {
		for _, f := range slices.Backward(m.initial) {
			if at := m.timestamp(&f); at < m.start || at > m.end || !m.same(f.TrackSet) || len(f.Spans) == 0 {
				continue
			}
			if i := double(&f); i >= 0 {
				shown[i] = f
			} else {
				shown = append(shown, f)
			}
		}
		if m.producer {
			slices.SortFunc(shown, func(a, b store.FragmentInfo) int { return int(a.ProducerTimestamp - b.ProducerTimestamp) })
		}
		return shown
	}
	for _, f := range m.initial { // newest first
		if len(shown) < m.max && !f.Partial && m.same(f.TrackSet) && len(f.Spans) > 0 && double(&f) < 0 {
			shown = append(shown, f)
		}
	}
	slices.Reverse(shown)
	return shown
}

// slices says how a fragment is listed under a target duration, and what of it is in each slice.
func (m *model) slices(f *store.FragmentInfo, target int) (listed []modelEntry) {
	if math.Floor(slices.Max(m.millis(f))/1000+0.5) <= float64(target) {
		return []modelEntry{{f: *f}}
	}
	if known, ok := m.cut[f.Number]; ok {
		return known
	}
	defer func() { m.cut[f.Number] = listed }()
	type frame struct {
		track       int // index into m.tracks
		ticks, last int64
		at, end     int64
		presented   int64
		key         bool
	}
	var all []frame
	whole := m.frames(f.Number)
	start := m.begins(f)
	lead := -1
	for i, t := range m.tracks {
		for _, run := range whole.Runs {
			if run.Track != t.Number {
				continue
			}
			if lead < 0 {
				lead = i
			}
			at := run.BaseDecodeTime
			for _, fr := range run.Frames {
				end := at + int64(fr.Duration)
				all = append(all, frame{i, at, int64(fr.Duration), floorMillis(at, t) - start, floorMillis(end, t) - start, at + int64(fr.CompositionOffset), fr.Key})
				at = end
			}
		}
	}
	from := int64(0)
	for {
		limit := from + int64(target)*1000
		rest := slices.DeleteFunc(slices.Clone(all), func(f frame) bool { return f.at < from })
		if len(rest) == 0 {
			return listed
		}
		until := int64(0)
		if slices.ContainsFunc(rest, func(f frame) bool { return f.end > limit+499 }) {
			var key, clean, any int64
			first := int64(math.MaxInt64) // the first picture is in the slice
			for _, f := range rest {
				if f.track == lead {
					first = min(first, f.at)
				}
				if f.track == lead && f.at > first && f.at <= limit {
					any = f.at
					if f.key {
						key = f.at
					}
					if !slices.ContainsFunc(all, func(a frame) bool {
						return a.track == lead && a.ticks < f.ticks && slices.ContainsFunc(all, func(b frame) bool {
							return b.track == lead && b.ticks >= f.ticks && b.presented <= a.presented
						})
					}) {
						clean = f.at
					}
				}
			}
			if until = limit; key > 0 {
				until = key
			} else if clean > 0 {
				until = clean
			} else if any > 0 {
				until = any
			}
		}
		e := modelEntry{f: *f, slice: modelSlice{from, until}}
		e.f.Spans = nil
		next := int64(math.MaxInt64)
		for i, t := range m.tracks {
			span := store.Span{Track: t.Number}
			for _, f := range rest {
				switch {
				case f.track != i:
				case until > 0 && f.at >= until:
					next = min(next, f.at)
				default:
					if span.Frames == 0 {
						span.BaseDecodeTime, span.KeyStart = f.ticks, f.key
					}
					span.Frames++
					span.Duration = f.ticks + f.last - span.BaseDecodeTime
					if until > 0 && f.end > until+499 {
						scale := int64(t.Timescale)
						span.Duration = ((start+until)*scale+999)/1000 - span.BaseDecodeTime // the first tick of that millisecond
					}
				}
			}
			if span.Frames > 0 {
				e.f.Spans = append(e.f.Spans, span)
			}
		}
		listed = append(listed, e)
		if next == math.MaxInt64 {
			return listed
		}
		from = next
	}
}

func floorMillis(ticks int64, t media.Track) int64 { return shown(0, ticks, int64(t.Timescale)) }

// unfold goes through the whole history.
func (m *model) unfold() (entries []modelEntry, target int, over bool) {
	shown := m.chosen()
	known := len(shown)
	over = m.closed
	for i, f := range m.initial {
		if i < 64 && !f.Partial && m.same(f.TrackSet) && !m.replay {
			for _, d := range m.millis(&f) {
				target = max(target, int(math.Ceil(d/1000-0.1)))
			}
		}
	}
	for i := range shown {
		for _, d := range m.millis(&shown[i]) {
			target = max(target, int(math.Ceil(d/1000-0.1)))
		}
	}
	for _, f := range m.later {
		newest := slices.MaxFunc(shown, func(a, b store.FragmentInfo) int { return int(a.Number - b.Number) })
		if over || f.Number <= newest.Number {
			continue
		}
		if at := m.timestamp(&f); m.replay && at > m.end {
			over = true
			continue
		} else if m.replay && at < m.start {
			continue
		}
		if f.Partial || !m.same(f.TrackSet) || len(f.Spans) == 0 {
			continue
		}
		recent := shown[max(0, len(shown)-max(m.max, 64)):]
		if m.producer && slices.ContainsFunc(recent, func(o store.FragmentInfo) bool { return o.ProducerTimestamp == f.ProducerTimestamp }) {
			continue
		}
		shown = append(shown, f)
	}
	origin := m.begins(&shown[0])
	disc, gens := 0, []string{}
	due := m.created
	for i := range min(m.max, 3) - 1 {
		due -= int64(slices.Max(m.millis(&shown[min(i, known-1)])))
	}
	for i := range shown {
		f := &shown[i]
		gen := slices.Index(gens, m.codecs(f.TrackSet))
		if gen < 0 {
			gen = len(gens)
			gens = append(gens, m.codecs(f.TrackSet))
		}
		epoch := func(f *store.FragmentInfo) float64 {
			return math.Floor(float64(m.begins(f)-origin) / (48 * 3600 * 1000))
		}
		mark := m.discontinuity == api.DiscontinuityAlways ||
			i > 0 && (epoch(f) != epoch(&shown[i-1]) || m.codecs(f.TrackSet) != m.codecs(shown[i-1].TrackSet))
		listed := []modelEntry{{f: *f}}
		if i >= known {
			listed = m.slices(f, target)
		}
		for _, e := range listed {
			m.silence(entries, &e, m.begins(f))
			gap := m.gap(entries, &e.f)
			if e.slice.from == 0 && (mark || m.discontinuity == api.DiscontinuityOnDiscontinuity && gap) ||
				e.slice.from > 0 && m.discontinuity != api.DiscontinuityNever && gap {
				disc++
			}
			due = max(due, f.ServerTimestamp)
			e.disc, e.gen, e.due = disc, gen, due
			e.date = m.timestamp(f) + e.slice.from
			if last := len(entries) - 1; !m.producer && last >= 0 {
				p := &entries[last]
				if e.slice.from > 0 {
					e.date = p.date - p.slice.from + e.slice.from
				}
				e.date = max(e.date, p.date+int64(m.millis(&p.f)[0]))
			}
			entries = append(entries, e)
			due += int64(slices.Max(m.millis(&e.f)))
		}
	}
	return entries, target, over
}

// silence gives an entry the spans with the silence that its sound needs. start is its fragment's, milliseconds.
func (m *model) silence(entries []modelEntry, e *modelEntry, start int64) {
	if len(m.tracks) < 2 {
		return
	}
	span := func(f *store.FragmentInfo, track int) (begin, end int64, ok bool) { // microseconds
		s := f.Span(m.tracks[track].Number)
		if s == nil {
			return 0, 0, false
		}
		return scale(s.BaseDecodeTime, int64(m.tracks[track].Timescale), 1e6), scale(s.BaseDecodeTime+s.Duration, int64(m.tracks[track].Timescale), 1e6), true
	}
	begin, end, ok := span(&e.f, 0)
	if !ok {
		return
	}
	var ended [2]int64
	for track := range ended {
		ended[track] = math.MinInt64 / 2
		for i := len(entries) - 1; i >= 0 && ended[track] < 0; i-- {
			if _, end, ok := span(&entries[i].f, track); ok {
				ended[track] = end
			}
		}
	}
	wanted := begin
	if d := begin - ended[0]; d <= 50_000 && d >= -50_000 && ended[1] > 0 {
		wanted = max(ended[1], begin-350_000)
	}
	ticks := int64(m.tracks[1].Timescale)
	from, until := scale(wanted, 1e6, ticks), scale(end, 1e6, ticks)
	if first, last, ok := span(&e.f, 1); ok {
		own := e.f.Span(m.tracks[1].Number)
		late, early := first-wanted > 50_000, end-last > 350_000 && end-begin-(last-first) > 350_000
		if !late {
			from = own.BaseDecodeTime
		}
		if !early {
			until = own.BaseDecodeTime + own.Duration
		}
		if !late && !early {
			return
		}
	} else if end-wanted <= 50_000 {
		return
	}
	e.quiet = [2]int64{from - scale(start, 1000, ticks), until - scale(start, 1000, ticks)}
	pictures := *e.f.Span(m.tracks[0].Number)
	e.f.Spans = []store.Span{pictures, {Track: m.tracks[1].Number, BaseDecodeTime: from, Duration: until - from, Frames: 1, KeyStart: true}}
}

// gap tells whether a track of f begins more than 50 ms from where its latest entry ends.
func (m *model) gap(entries []modelEntry, f *store.FragmentInfo) bool {
	for _, t := range m.tracks {
		s := f.Span(t.Number)
		for j := len(entries) - 1; j >= 0 && s != nil; j-- {
			if p := entries[j].f.Span(t.Number); p != nil {
				if math.Abs(float64(s.BaseDecodeTime-p.BaseDecodeTime-p.Duration)/float64(t.Timescale)) > 0.05 {
					return true
				}
				break
			}
		}
	}
	return false
}

// millis gives the durations of a fragment's packaged tracks, rounded to milliseconds.
func (m *model) millis(f *store.FragmentInfo) (d []float64) {
	for _, t := range m.tracks {
		if s := f.Span(t.Number); s != nil {
			d = append(d, float64(shown(s.BaseDecodeTime, s.Duration, int64(t.Timescale))))
		}
	}
	return d
}

// playlist is the text for a track at a time; empty when the window is.
func (m *model) playlist(token string, track media.Track, now, edge int64) string {
	if !m.unfolded {
		m.entries, m.target, m.over = m.unfold()
		m.unfolded = true
	}
	entries, target, over := m.entries, m.target, m.over
	all := len(entries)
	for m.replay && entries[len(entries)-1].due > now {
		entries = entries[:len(entries)-1]
	}
	over = over && len(entries) == all
	var fragments []store.Number
	from := len(entries)
	for ; from > 0; from-- {
		if n := entries[from-1].f.Number; !slices.Contains(fragments, n) {
			if len(fragments) == m.max {
				break
			}
			fragments = append(fragments, n)
		}
	}
	for from < len(entries) && entries[from].f.ServerTimestamp < edge {
		from++
	}
	if from == len(entries) {
		return ""
	}
	sequence, before := 0, 0
	for _, e := range entries[:from] {
		if e.f.Span(track.Number) != nil {
			sequence++
			before = e.disc
		}
	}
	var body strings.Builder
	counted, mapped, independent := before, -1, true
	for _, e := range entries[:from] {
		span := e.f.Span(track.Number)
		independent = independent && (span == nil || span.KeyStart || track.Kind == media.Audio)
	}
	for _, e := range entries[from:] {
		span := e.f.Span(track.Number)
		if span == nil {
			continue
		}
		for ; counted < e.disc; counted++ {
			body.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if mapped != e.gen {
			fmt.Fprintf(&body, "#EXT-X-MAP:URI=\"getMP4InitFragment.mp4?SessionToken=%s&TrackNumber=%d&SequenceNumber=%d\"\n", token, track.Number, e.gen)
			mapped = e.gen
		}
		if m.timestamps {
			at := time.UnixMilli(e.date).UTC().Format("2006-01-02T15:04:05.000Z")
			fmt.Fprintf(&body, "#EXT-X-PROGRAM-DATE-TIME:%s\n", strings.Replace(at, ".000Z", "Z", 1))
		}
		seconds := strconv.FormatFloat(float64(shown(span.BaseDecodeTime, span.Duration, int64(track.Timescale)))/1000, 'f', -1, 64)
		if !strings.Contains(seconds, ".") {
			seconds += ".0"
		}
		fmt.Fprintf(&body, "#EXTINF:%s,\ngetMP4MediaFragment.mp4?FragmentNumber=%s&SessionToken=%s&TrackNumber=%d",
			seconds, m.stream.FormatNumber(e.f.Number), token, track.Number)
		if e.slice.from > 0 {
			fmt.Fprintf(&body, "&StartOffset=%d", e.slice.from)
		}
		if e.slice.until > 0 {
			fmt.Fprintf(&body, "&EndOffset=%d", e.slice.until)
		}
		if e.quiet != [2]int64{} && track.Kind == media.Audio {
			fmt.Fprintf(&body, "&SilenceStart=%d&SilenceEnd=%d", e.quiet[0], e.quiet[1])
		}
		body.WriteString("\n")
		independent = independent && (span.KeyStart || track.Kind == media.Audio)
	}
	text := fmt.Sprintf("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%d\n", target, sequence)
	if counted > 0 {
		text += fmt.Sprintf("#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", before)
	}
	if independent {
		text += "#EXT-X-INDEPENDENT-SEGMENTS\n"
	}
	if over {
		body.WriteString("#EXT-X-ENDLIST\n")
	}
	return text + body.String()
}

// rfc checks reloads of one playlist against RFC 8216 section 6.2.
type rfc struct {
	t         *testing.T
	sequences map[string]int // URI → media sequence number
	discs     map[string]int // URI → discontinuity sequence number
	extinf    map[string]string
	byNumber  map[int]string    // media sequence number → URI
	maps      map[string]string // URI → EXT-X-MAP that holds for it
	ended     bool
	first     int
	last      int
	target    int
}

var (
	mediaSequence = regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)\n`)
	discSequence  = regexp.MustCompile(`#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)\n`)
	targetSeconds = regexp.MustCompile(`#EXT-X-TARGETDURATION:(\d+)\n`)
)

func newRFC(t *testing.T) *rfc {
	return &rfc{t: t, sequences: map[string]int{}, discs: map[string]int{}, extinf: map[string]string{}, byNumber: map[int]string{}, maps: map[string]string{}, last: -1}
}

func (r *rfc) number(re *regexp.Regexp, text string) int {
	if m := re.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}

func (r *rfc) reload(text string) {
	r.t.Helper()
	sequence, disc, target := r.number(mediaSequence, text), r.number(discSequence, text), r.number(targetSeconds, text)
	if sequence < r.first {
		r.t.Fatalf("media sequence went back from %d to %d", r.first, sequence)
	}
	if r.target != 0 && target != r.target {
		r.t.Fatalf("target duration went from %d to %d", r.target, target)
	}
	r.first, r.target = sequence, target
	var extinf, init string
	if r.ended && !strings.HasSuffix(text, "#EXT-X-ENDLIST\n") {
		r.t.Fatal("a playlist that had ended goes on")
	}
	r.ended = strings.HasSuffix(text, "#EXT-X-ENDLIST\n")
	for _, line := range strings.Split(text, "\n") {
		switch {
		case line == "#EXT-X-DISCONTINUITY":
			disc++
		case strings.HasPrefix(line, "#EXT-X-MAP:"):
			init = line
		case strings.HasPrefix(line, "#EXTINF:"):
			extinf = line
			seconds, err := strconv.ParseFloat(strings.TrimSuffix(line[8:], ","), 64)
			if err != nil || int(math.Floor(seconds+0.5)) > target {
				r.t.Fatalf("%s with target duration %d", line, target)
			}
		case line != "" && line[0] != '#':
			if was, ok := r.sequences[line]; ok && (was != sequence || r.discs[line] != disc || r.extinf[line] != extinf) {
				r.t.Fatalf("segment changed from number %d, discontinuity %d, %s to %d, %d, %s",
					was, r.discs[line], r.extinf[line], sequence, disc, extinf)
			}
			if was, ok := r.byNumber[sequence]; ok && was != line {
				r.t.Fatalf("media sequence number %d names two segments", sequence)
			}
			if was, ok := r.maps[line]; ok && was != init {
				r.t.Fatalf("the init segment of a media segment changed from %s to %s", was, init)
			}
			r.maps[line] = init
			r.sequences[line], r.discs[line], r.extinf[line], r.byNumber[sequence] = sequence, disc, extinf, line
			sequence++
		}
	}
	if sequence-1 < r.last {
		r.t.Fatalf("the playlist ends at %d, it ended at %d before", sequence-1, r.last)
	}
	r.last = sequence - 1
}

// TestLiveTimeline runs random histories through two services over one store, which are restarted at random, and wants at each
// poll the playlist of the model from both, and RFC 8216's rules kept across all reloads.
func TestLiveTimeline(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { runTimeline(t, seed, false, false) })
	}
}

// TestReplayTimeline does the same with LIVE_REPLAY.
func TestReplayTimeline(t *testing.T) {
	for seed := range uint64(48) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { runTimeline(t, seed, true, seed%3 == 2) })
	}
}

// TestSwitchingTimeline does the same with sessions that show changes of codec private data.
func TestSwitchingTimeline(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { runTimeline(t, seed, false, true) })
	}
}

func runTimeline(t *testing.T, seed uint64, replay, switching bool) {
	rng := rand.New(rand.NewPCG(seed, 7))
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	fake := newFakeStore(time.UnixMilli(1_700_000_000_123))
	stream := fake.create("camera", 1)
	tracks := []media.Track{videoTrack(), audioTrack()}
	if seed%5 == 4 {
		tracks = tracks[:1+seed/5%2]
	}
	if seed%10 == 9 {
		tracks = []media.Track{audioTrack()}
	}
	cam := newCamera(fake, stream, tracks...)

	m := &model{cut: map[store.Number][]modelEntry{}, max: []int{1, 3, 5, 100}[rng.IntN(4)], producer: chance(50), timestamps: chance(50), tracks: tracks, stream: stream,
		discontinuity: []api.DiscontinuityMode{api.DiscontinuityAlways, api.DiscontinuityNever, api.DiscontinuityOnDiscontinuity}[rng.IntN(3)]}
	reference := fake.set(stream.ID, tracks)
	m.replay = replay
	m.same = func(set int64) bool { return switching || set == reference }
	m.codecs = func(set int64) string { return strconv.FormatInt(set, 10) }
	m.frames = func(n store.Number) *media.Fragment { return &fake.streams[stream.ID].records[n].Fragment }
	var history []store.FragmentInfo
	var partial store.Number
	var held []store.FragmentInfo

	step := func() {
		switch {
		case chance(10):
			cam.clock += int64(rng.IntN(9000)) - 3000
		case chance(2): // the camera's clock is set
			cam.clock += (int64(rng.IntN(9)) - 4) * 40 * 3600 * 1000
		case chance(5) && len(history) > 0: // sent again
			cam.clock = history[len(history)-1-rng.IntN(min(len(history), 8))].ProducerTimestamp
		}
		cam.length = 2000
		if chance(20) {
			cam.length = 1000 + int64(rng.IntN(1700))
		}
		if chance(2) {
			cam.length = 3000 + int64(rng.IntN(7000))
		}
		cam.tracks = tracks
		if chance(5) && tracks[0].Kind == media.Video {
			cam.tracks = append([]media.Track{otherVideo()}, tracks[1:]...)
		}
		i := cam.info(cam.nextNumber())
		i.Partial = chance(5)
		if len(i.Spans) > 1 && chance(10) {
			j := rng.IntN(2)
			i.Spans = slices.Delete(i.Spans, j, j+1)
		}
		if chance(10) {
			i.Spans[0].KeyStart = false
		}
		if cam.length > 2000 { // it may have to be cut
			cam.oddFrames(&i, rng)
		}
		if chance(5) { // slow connection: committed later, or never
			held = append(held, i)
		} else {
			i = fake.commit(stream.ID, i, 0)
			history = append(history, i)
			if i.Partial {
				partial = i.Number
			}
		}
		if len(held) > 0 && chance(30) {
			history = append(history, fake.commit(stream.ID, held[0], 0))
			held = held[1:]
		}
		if partial != 0 && chance(50) { // the producer is back and sends it again
			cam.tracks = tracks
			again := cam.info(cam.nextNumber())
			if cam.length > 2000 {
				cam.oddFrames(&again, rng)
			}
			history = append(history, fake.commit(stream.ID, again, partial))
			partial = 0
		}
		cam.clock += cam.length
		fake.sleep(time.Duration(cam.length) * time.Millisecond)
	}
	for range rng.IntN(30) {
		step()
	}
	// The newest must be a fragment of the usual tracks, whole, with all of them.
	cam.tracks, cam.length = tracks, 2000
	history = append(history, cam.send())

	newest, err := fake.List(t.Context(), stream.ID, store.Query{Order: store.ByNumberNewest})
	if err != nil {
		t.Fatal(err)
	}
	m.initial = newest
	if !replay {
		m.initial = newest[:min(len(newest), 2*m.max+64)]
	}
	created := history[len(history)-1].Sequence

	services := make([]*Service, 2)
	restart := func(i int) {
		limits := patient()
		if chance(20) {
			limits.CacheBytes = 0
		}
		services[i] = New(Options{Store: fake, Tokens: fakeTokens{}, Limits: limits, Clock: fake.clock, SwitchCodecs: switching})
	}
	restart(0)
	restart(1)
	in := &api.GetHLSStreamingSessionURLInput{Expires: 43200, MaxMediaPlaylistFragmentResults: m.max, DiscontinuityMode: m.discontinuity,
		HLSFragmentSelector: &api.FragmentSelector{FragmentSelectorType: api.SelectorServerTimestamp}}
	in.StreamName = stream.Name
	if m.producer {
		in.HLSFragmentSelector.FragmentSelectorType = api.SelectorProducerTimestamp
	}
	if replay {
		in.PlaybackMode = api.PlaybackModeLiveReplay
		// The first fragment that is in the range must be of the usual tracks, whole, with all of them.
		var starts []store.FragmentInfo
		for _, f := range newest {
			if m.same(f.TrackSet) && len(f.Spans) == len(tracks) {
				starts = append(starts, f)
			}
		}
		m.start, m.end = m.timestamp(&starts[rng.IntN(len(starts))]), math.MaxInt64
		m.created = fake.clock().UnixMilli()
		from := api.Timestamp(m.start)
		in.HLSFragmentSelector.TimestampRange = &api.TimestampRange{StartTimestamp: &from}
		if chance(60) {
			m.end = m.start + 1 + int64(rng.IntN(200_000))
			if !m.producer {
				m.end = min(m.end, m.created-1)
			}
			until := api.Timestamp(m.end)
			in.HLSFragmentSelector.TimestampRange.EndTimestamp = &until
			m.closed = m.end < m.created-60_000
		}
		// What is in the range first, in ingest order, decides the tracks.
		for _, f := range slices.Backward(newest) {
			if at := m.timestamp(&f); at >= m.start && at <= m.end {
				usual := f.TrackSet
				m.same = func(set int64) bool { return switching || set == usual }
				break
			}
		}
	}
	if m.timestamps {
		in.DisplayFragmentTimestamp = api.DisplayTimestampAlways
	}
	token, err := services[0].OpenHLS(t.Context(), stream, in)
	if err != nil {
		t.Fatal(err)
	}
	checks := map[int]*rfc{}
	for _, track := range tracks {
		checks[track.Number] = newRFC(t)
	}
	for n := range 150 {
		if n > 0 {
			step()
			if chance(2) {
				fake.sleep(time.Duration(rng.IntN(25)) * time.Minute) // silence
			}
			if fake.failSave = fake.failSave && chance(60) || chance(5); fake.failSave {
				restart(1) // what was not saved is found again
			}
		}
		if chance(40) && n > 0 {
			continue
		}
		if chance(20) {
			restart(rng.IntN(2))
		}
		m.later, m.unfolded = m.later[:0], false
		for _, f := range history {
			if f.Sequence > created {
				m.later = append(m.later, f)
			}
		}
		edge := fake.clock().Add(-time.Hour).UnixMilli()
		for _, track := range tracks {
			want := m.playlist(token, track, fake.clock().UnixMilli(), edge)
			for i, s := range services {
				if chance(30) {
					continue // not every process is asked each time
				}
				got, err := s.MediaPlaylist(t.Context(), token, track.Number)
				if err != nil && want != "" {
					t.Fatalf("poll %d of service %d: %v", n, i, err)
				}
				if got != nil && chance(30) {
					wantZipped(t, got)
				}
				if text := textOf(got); text != want {
					t.Fatalf("poll %d of service %d, track %d: %s", n, i, track.Number, difference(text, want))
				}
				if want != "" {
					checks[track.Number].reload(want)
				}
			}
		}
	}
}

// shown is what a playlist says of a run's duration: the millisecond of its end less that of its begin, without bounds of size.
func shown(begin, duration, timescale int64) int64 {
	return scale(begin+duration, timescale, 1000) - scale(begin, timescale, 1000)
}

// scale turns v ticks of one timescale into those of another, rounded down, with 128 bits in between.
func scale(v, from, to int64) int64 {
	hi, lo := bits.Mul64(uint64(max(v, -v)), uint64(to))
	q, rest := bits.Div64(hi, lo, uint64(from))
	switch {
	case v >= 0:
		return int64(q)
	case rest > 0:
		return -int64(q) - 1
	}
	return -int64(q)
}
