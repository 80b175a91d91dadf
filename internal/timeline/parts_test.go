package timeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// randomRun makes frames of a track: of equal length, rounded to milliseconds, jittering, or with
// pauses.
func randomRun(random *rand.Rand, t *media.Track, base int64, millis int64) media.Run {
	run := media.Run{Track: t.Number, BaseDecodeTime: base}
	scale := int64(t.Timescale)
	if t.Kind == media.Audio {
		for left := millis * scale / 1000; left > 0; left -= 1024 {
			run.Frames = append(run.Frames, media.Frame{Duration: 1024,
				Size: 1 + random.Uint32N(50), Key: true})
		}
		return run
	}
	usual := []float64{40, 1000 / 29.97, 1000.0 / 60, 66.7, 200}[random.IntN(5)]
	style := random.IntN(3)
	for at := 0.0; at < float64(millis); {
		d := usual
		switch {
		case style == 1:
			d += usual * (random.Float64() - 0.5) / 2
		case style == 2 && random.IntN(60) == 0:
			d += random.Float64() * 900
		}
		ticks := (int64(at+d) - int64(at)) * scale / 1000
		run.Frames = append(run.Frames, media.Frame{Duration: uint32(max(ticks, 1)),
			Size: 1 + random.Uint32N(5000), Key: len(run.Frames) == 0 || random.IntN(25) == 0})
		at += d
	}
	return run
}

// The parts of the beginning of a run do not change when more comes. None is longer than
// PART-TARGET, together they are the run, and their durations add up to its EXTINF.
func TestPartsOfTheBeginningAreThoseOfTheWhole(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 3))
		track := pictures
		if seed%3 == 0 {
			track = sound
		}
		scale := int64(track.Timescale)
		run := randomRun(random, &track, random.Int64N(1<<40), 500+random.Int64N(4000))
		target := 50 + random.Int64N(600)
		whole, ended := timeline.Parts(&run, track.Kind, scale, target, true)
		checkParts(t, &run, &track, target, whole, ended)
		before := 0
		for n := 1; n <= len(run.Frames); n++ {
			part := media.Run{Track: run.Track, BaseDecodeTime: run.BaseDecodeTime,
				Frames: run.Frames[:n]}
			known, _ := timeline.Parts(&part, track.Kind, scale, target, false)
			if len(known) < before || len(known) > len(whole) ||
				!slices.Equal(known, whole[:len(known)]) {
				t.Fatalf("seed %d: %d frames have parts\n%+v\nof the whole\n%+v", seed, n, known,
					whole)
			}
			before = len(known)
		}
		if before < len(whole)-1 {
			t.Fatalf("seed %d: %d parts of %d are known before the end", seed, before, len(whole))
		}
	}
}

func checkParts(t *testing.T, run *media.Run, track *media.Track, target int64,
	parts []timeline.Part, ended bool) {
	t.Helper()
	scale := int64(track.Timescale)
	first, bytes, sum, at := 0, int64(0), int64(0), run.BaseDecodeTime
	for _, p := range parts {
		if p.First != first || p.Frames < 1 || p.Offset != bytes || p.Begin != at {
			t.Fatalf("part %+v does not follow the one before", p)
		}
		if p.Duration > target*1_000_000 || p.Ticks*1000 > target*scale {
			t.Fatalf("part %+v is longer than %d ms", p, target)
		}
		// Shaka Player aborts before a part that is listed earlier than its media (DESIGN.md)
		begins := float64(at-run.BaseDecodeTime) / float64(scale) * 1e9
		late := float64(sum) - begins
		if first > 0 && late < 0.99 || late > float64(len(parts)+1) {
			t.Fatalf("part %+v is listed %v ns after its media", p, late)
		}
		if want := track.Kind == media.Audio || run.Frames[first].Key; p.Independent != want {
			t.Fatalf("part %+v: independent is %v", p, !want)
		}
		for _, f := range run.Frames[first : first+p.Frames] {
			bytes, at = bytes+int64(f.Size), at+int64(f.Duration)
		}
		first, sum = first+p.Frames, sum+p.Duration
		if p.Offset+p.Size != bytes || p.Begin+p.Ticks != at {
			t.Fatalf("part %+v does not end with its frames", p)
		}
	}
	if ended {
		if d := int64(run.Frames[first].Duration); d*1_000_000_000 <= (target*1_000_000-2)*scale {
			t.Fatalf("parts end before a frame of %d ticks", d)
		}
		return
	}
	span := store.Span{BaseDecodeTime: run.BaseDecodeTime, Duration: run.Duration()}
	off := sum - 1_000_000*timeline.Millis(&span, scale)
	if first != len(run.Frames) || max(off, -off) > 1_001_000 {
		t.Fatalf("%d frames of %d, %d ns of %d ms", first, len(run.Frames), sum,
			timeline.Millis(&span, scale))
	}
	// The hint after the last part begins before the segment that it becomes the first part of.
	e := timeline.Entry{Duration: [timeline.MaxTracks]int64{timeline.Millis(&span, scale)}}
	late := float64(sum) - float64(run.Duration())/float64(scale)*1e9
	if r := (&timeline.Rules{PartTarget: target}); float64(r.Surplus(&e, 0)) < late+0.99 {
		t.Fatalf("%d parts of %d ms are listed as %v ns longer, and EXTINF as %d", len(parts),
			e.Duration[0], late, r.Surplus(&e, 0))
	}
}

func steady(track *media.Track, n int, ticks ...uint32) media.Run {
	run := media.Run{Track: track.Number}
	for i := range n {
		run.Frames = append(run.Frames, media.Frame{Duration: ticks[i%len(ticks)]})
	}
	return run
}

// A part lasts a whole number of frames, and does not wait for a frame that would not fit.
func TestPartTarget(t *testing.T) {
	const third = 1000.0 / 3
	pausing := steady(&pictures, 50, 3600)
	pausing.Frames[20].Duration = 90_000
	for name, c := range map[string]struct {
		run    media.Run
		wanted float64
		sound  float64
		want   int64
	}{
		"25 frames a second":       {steady(&pictures, 50, 3600), third, 0, 321},
		"with AAC":                 {steady(&pictures, 50, 3600), third, 64.0 / 3, 321},
		"with AAC at 8 kHz":        {steady(&pictures, 50, 3600), third, 128, 281},
		"29.97":                    {steady(&pictures, 60, 2970, 3060, 2970), third, 0, 335},
		"30":                       {steady(&pictures, 60, 3000), third, 0, 334},
		"5, jittering":             {steady(&pictures, 10, 18_000, 19_800, 17_100), third, 0, 221},
		"2":                        {steady(&pictures, 4, 45_000), third, 0, 501},
		"a pause is no frame":      {pausing, third, 0, 321},
		"sound alone":              {steady(&sound, 100, 1024), third, 1024.0 / 44.1, 326},
		"nothing":                  {media.Run{}, third, 0, 0},
		"one second of 25":         {steady(&pictures, 50, 3600), 1000, 0, 1001},
		"shorter than the sound's": {steady(&pictures, 50, 3600), 100, 128, 281},
	} {
		scale := int64(pictures.Timescale)
		if c.run.Track == sound.Number {
			scale = int64(sound.Timescale)
		}
		if got := timeline.PartTarget([]media.Run{c.run}, scale, c.wanted, c.sound); got != c.want {
			t.Errorf("%s: %d ms, want %d", name, got, c.want)
		}
	}
}

// shown is what a player has seen of a segment: the parts of each track, and its numbers.
type shown struct {
	parts         [timeline.MaxTracks][]timeline.Part
	discontinuity int64
	date          int64
	done          bool
}

// coming is a session whose fragments come in frame by frame.
type coming struct {
	*testing.T
	random *rand.Rand
	rules  *timeline.Rules
	state  *timeline.State
	match  timeline.Match
	tracks []media.Track
	at     int64 // the camera's clock, milliseconds
	number store.Number
	commit int64
	open   *timeline.Open
	seen   map[int64]*shown // by sequence number of the segment in the first playlist
	gaps   int
}

func newComing(t *testing.T, seed uint64) *coming {
	c := &coming{T: t, random: rand.New(rand.NewPCG(seed, 11)), at: 1_700_000_000_000,
		tracks: []media.Track{pictures, sound}, seen: make(map[int64]*shown)}
	if seed%4 == 0 {
		c.tracks = c.tracks[:1]
	}
	c.rules = &timeline.Rules{Mode: timeline.Live,
		Discontinuity: timeline.DiscontinuityMode(1 + seed%3), Tolerance: 50_000, Max: 5,
		Origin: c.at, MaxChanges: 500, PartTarget: 100 + c.random.Int64N(300)}
	for _, tr := range c.tracks {
		c.rules.Tracks = append(c.rules.Tracks, timeline.Track{Number: tr.Number, Kind: tr.Kind,
			Timescale: int64(tr.Timescale)})
	}
	c.match.Generation.Scales = [timeline.MaxTracks]int64{90_000, 44_100}
	c.state = &timeline.State{Target: 2, Generations: []timeline.Generation{c.match.Generation}}
	return c
}

// fragment makes the next fragment, which begins where the one before ended.
func (c *coming) fragment(millis int64) (store.FragmentInfo, *media.Fragment) {
	c.number += 1 << 12
	f := store.FragmentInfo{Number: c.number, ProducerTimestamp: c.at, ServerTimestamp: c.at + 50}
	g := &media.Fragment{Tracks: c.tracks}
	for i := range c.tracks {
		base := timeline.Rescale(c.at, 1000, int64(c.tracks[i].Timescale))
		g.Runs = append(g.Runs, randomRun(c.random, &c.tracks[i], base, millis))
	}
	f.Spans = store.SpansOf(g)
	return f, g
}

// arrive shows a random beginning of the fragment, up to a share of it.
func (c *coming) arrive(f store.FragmentInfo, g *media.Fragment, share float64) {
	f.Spans = nil
	for _, at := range []float64{0.1, 0.3, 0.4, 0.7, 0.95, 1} {
		if at > share {
			break
		}
		prefix := &media.Fragment{Tracks: g.Tracks}
		for _, run := range g.Runs {
			some := at * (0.9 + 0.1*c.random.Float64())
			if at == 1 {
				some = 1
			}
			if run.Frames = run.Frames[:int(some*float64(len(run.Frames)))]; len(run.Frames) > 0 {
				prefix.Runs = append(prefix.Runs, run)
			}
		}
		o := c.state.Follow(c.rules, f, c.match, prefix, at == 1)
		if o == nil || !o.Listed() {
			if c.open != nil {
				c.Fatalf("a fragment is listed no more at %v of it", at)
			}
			continue
		}
		c.open = o
		n := c.state.Dropped[0] + int64(len(c.state.Entries))
		c.see(n, o.Parts, &o.Entry)
	}
}

// see records what a player sees of a segment, which must not change later.
func (c *coming) see(n int64, parts [timeline.MaxTracks][]timeline.Part, e *timeline.Entry) {
	s := c.seen[n]
	if s == nil {
		s = &shown{discontinuity: e.Discontinuity, date: e.Date}
		c.seen[n] = s
	}
	if s.done || s.discontinuity != e.Discontinuity || s.date != e.Date {
		c.Fatalf("segment %d was %+v and is %+v", n, s, e)
	}
	for i := range parts {
		if len(parts[i]) < len(s.parts[i]) ||
			!slices.Equal(parts[i][:len(s.parts[i])], s.parts[i]) {
			c.Fatalf("segment %d had parts\n%+v\nand has\n%+v", n, s.parts[i], parts[i])
		}
	}
	s.parts = parts
}

// store folds a fragment in and checks what it became.
func (c *coming) store(f store.FragmentInfo, g *media.Fragment, differs bool) {
	c.commit++
	f.Sequence = c.commit
	read := func() (*media.Fragment, error) { return g, nil }
	var err error
	if c.open != nil {
		_, err = c.state.AddAfter(c.rules, &f, c.match, read, c.open, differs)
		c.open = nil
	} else {
		err = c.state.Add(c.rules, &f, c.match, read)
	}
	if err != nil {
		c.Fatal(err)
	}
	c.check(f.Number, g)
}

// check compares the entries of a stored fragment, and gaps, with what a player has seen.
func (c *coming) check(number store.Number, g *media.Fragment) {
	for i := range c.state.Entries {
		e, n := &c.state.Entries[i], c.state.Dropped[0]+int64(i)
		s := c.seen[n]
		if e.Gap != nil {
			if s == nil || s.discontinuity != e.Discontinuity {
				c.Fatalf("gap %d was seen as %+v", n, s)
			}
			if !s.done {
				c.gaps++
			}
			s.done = true
			continue
		}
		if e.Number != number {
			continue
		}
		start, _ := c.rules.Start(&store.FragmentInfo{Spans: store.SpansOf(g)})
		var parts [timeline.MaxTracks][]timeline.Part
		for j := range c.rules.Tracks {
			tr := &c.rules.Tracks[j]
			run, _ := e.Slice.Run(g.Runs[j].Units(), tr.Timescale, start)
			if len(run.Frames) == 0 {
				continue
			}
			var ended bool
			parts[j], ended = timeline.Parts(&run, tr.Kind, tr.Timescale, c.rules.PartTarget, true)
			checkParts(c.T, &run, &c.tracks[j], c.rules.PartTarget, parts[j], ended)
			if (e.Duration[j]+500)/1000 > c.state.Target {
				c.Fatalf("segment of %d ms", e.Duration[j])
			}
		}
		c.see(n, parts, e)
		c.seen[n].done = true
	}
}

// Whatever becomes of a fragment that is listed before it is stored, the listed segment stays: as
// an entry with the very same parts, or as a gap.
func TestWhatWasListedInPartsStays(t *testing.T) {
	var listed, gaps int
	for seed := range uint64(60) {
		c := newComing(t, seed)
		first, g := c.fragment(2000)
		c.store(first, g, false)
		c.at += 2000
		for range 25 {
			length := []int64{1000, 2000, 2000, 2300, 2600, 5000}[c.random.IntN(6)]
			f, g := c.fragment(length)
			switch c.random.IntN(8) {
			case 0: // breaks off, and is resent
				c.arrive(f, g, c.random.Float64())
				if c.open != nil {
					c.state.Break(c.rules, c.open)
					c.open = nil
				}
				f, g = c.fragment(length)
				c.arrive(f, g, 1)
				c.store(f, g, false)
			case 1: // stalls while another producer's fragment is stored
				c.arrive(f, g, 0.7)
				other, h := c.fragment(length)
				c.store(other, h, false)
				c.store(f, g, false)
			case 2: // is stored with other frames than it was listed with
				c.arrive(f, g, 0.7)
				h := &media.Fragment{Tracks: g.Tracks}
				for _, run := range g.Runs {
					run.BaseDecodeTime += 7
					h.Runs = append(h.Runs, run)
				}
				f.Spans = store.SpansOf(h)
				c.store(f, h, true)
			default:
				c.arrive(f, g, 1)
				if c.random.IntN(6) == 0 { // the process restarts
					again, err := timeline.Decode(c.state.Encode(len(c.tracks)), len(c.tracks))
					if err != nil {
						t.Fatal(err)
					}
					c.state = again
				}
				c.store(f, g, false)
			}
			c.at += max(length, g.Runs[0].Duration()/90)
		}
		listed, gaps = listed+len(c.seen), gaps+c.gaps
	}
	if listed < 60*10 || gaps < 60 {
		t.Errorf("only %d segments were listed in parts, and %d gaps", listed, gaps)
	}
}

// Fragments that must wait for their commit, each for its own reason.
func TestWhatIsNotListedInParts(t *testing.T) {
	for name, change := range map[string]func(c *coming, f *store.FragmentInfo, g *media.Fragment){
		"nothing": func(*coming, *store.FragmentInfo, *media.Fragment) {},
		"other codec private data": func(c *coming, _ *store.FragmentInfo, _ *media.Fragment) {
			c.match.Index = 1
		},
		"not the session's": func(c *coming, _ *store.FragmentInfo, _ *media.Fragment) {
			c.match.Index = -1
		},
		"an earlier fragment": func(_ *coming, f *store.FragmentInfo, _ *media.Fragment) {
			f.Number = 1
		},
		"sent again": func(_ *coming, _ *store.FragmentInfo, g *media.Fragment) {
			for i := range g.Runs {
				g.Runs[i].BaseDecodeTime -= 100 * int64(g.Tracks[i].Timescale) / 1000
			}
		},
		"no sound yet": func(_ *coming, _ *store.FragmentInfo, g *media.Fragment) {
			g.Runs = g.Runs[:1]
		},
		"sound that begins late": func(_ *coming, _ *store.FragmentInfo, g *media.Fragment) {
			g.Runs[1].BaseDecodeTime += 5000
		},
		"another epoch": func(_ *coming, _ *store.FragmentInfo, g *media.Fragment) {
			for i := range g.Runs {
				g.Runs[i].BaseDecodeTime += 50 * 3600 * int64(g.Tracks[i].Timescale)
			}
		},
		"leading pictures": func(_ *coming, _ *store.FragmentInfo, g *media.Fragment) {
			g.Runs[0].Frames[0].Key = false
			g.Runs[0].Frames[0].Marks = media.Open
			g.Runs[0].Frames[1].Marks = media.Leading
		},
		"a session without parts": func(c *coming, _ *store.FragmentInfo, _ *media.Fragment) {
			c.rules.PartTarget = 0
		},
	} {
		c := newComing(t, 1)
		c.rules.Opened = c.at
		first, g := c.fragment(2000)
		c.store(first, g, false)
		c.at += max(2000, g.Runs[0].Duration()/90)
		f, g := c.fragment(2000)
		for i := range g.Runs[0].Frames {
			g.Runs[0].Frames[i].Duration = 3600
		}
		change(c, &f, g)
		o := c.state.Follow(c.rules, f, c.match, g, false)
		if listed := o != nil && o.Listed(); listed != (name == "nothing") {
			t.Errorf("%s: listed is %v", name, listed)
		}
	}
}

// If a camera slows down at night, the parts of that fragment end: those that were listed stay, and
// the rest is in the whole segment.
func TestAFrameLongerThanAPartEndsThem(t *testing.T) {
	c := newComing(t, 4)
	c.rules.PartTarget = 321
	first, g := c.fragment(2000)
	c.store(first, g, false)
	c.at += max(2000, g.Runs[0].Duration()/90)
	f, g := c.fragment(2000)
	g.Runs[0] = steady(&pictures, 20, 3600)
	g.Runs[0].BaseDecodeTime = c.at * 90
	for i := range g.Runs[0].Frames {
		g.Runs[0].Frames[i].Size = 10
		if i >= 10 {
			g.Runs[0].Frames[i].Duration = 45_000
		}
	}
	o := c.state.Follow(c.rules, f, c.match, g, false)
	if o == nil || !o.Ended || len(o.Parts[0]) != 2 ||
		fmt.Sprint(o.Parts[0][0].Duration, o.Parts[0][1].Duration) != "320000001 80000001" {
		t.Fatalf("open as %+v", o)
	}
}
