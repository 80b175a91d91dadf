package timeline_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// shown is what a player has seen of a segment: the parts of each track, and its numbers.
type shown struct {
	parts         [timeline.MaxTracks][]timeline.Part
	discontinuity int64
	date          int64
	whole         *timeline.Entry // once it is listed whole
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
	later  int64 // by how much that of the sound is later, milliseconds
	number store.Number
	commit int64
	open   *timeline.Open
	seen   map[int64]*shown // by sequence number of the segment in the first playlist
	gaps   int
	early  int // segments that were listed whole before their fragment was stored
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
		at, lasts := c.at, millis
		if i > 0 {
			at += c.later
		}
		base := timeline.Rescale(at, 1000, int64(c.tracks[i].Timescale))
		if i > 0 && c.random.IntN(5) == 0 { // the sound goes on for longer than its pictures
			lasts += 700
		}
		g.Runs = append(g.Runs, randomRun(c.random, &c.tracks[i], base, lasts))
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
		if c.open != nil && c.open.Again {
			o.Resume(c.open)
		}
		c.follow(o)
	}
}

// follow shows a player what is listed of an open fragment.
func (c *coming) follow(o *timeline.Open) {
	c.open = o
	n := c.state.Dropped[0] + int64(len(c.state.Entries))
	with := c.state.With(o)
	if len(with.Entries) != len(c.state.Entries)+len(o.Done) {
		c.Fatalf("%d entries, and %d are complete", len(with.Entries), len(o.Done))
	}
	for i := range o.Done {
		c.see(n, o.Done[i].Parts, &o.Done[i].Entry)
		c.whole(n, &o.Done[i].Entry)
		n++
	}
	if o.HasParts() {
		c.see(n, o.Parts, &o.Entry)
	}
}

// whole records that a player sees a whole segment, which must not change later.
func (c *coming) whole(n int64, e *timeline.Entry) {
	s, is := c.seen[n], *e
	is.Gap = nil
	if s.whole == nil {
		c.early++
		s.whole = &is
	}
	if is.Number, is.Timestamp, is.Server = s.whole.Number, s.whole.Timestamp,
		s.whole.Server; !reflect.DeepEqual(*s.whole, is) {
		c.Fatalf("segment %d was\n%+v\nand is\n%+v", n, *s.whole, is)
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
			if s == nil || s.discontinuity != e.Discontinuity || s.date != e.Date {
				c.Fatalf("gap %d was seen as %+v, and is %+v", n, s, e)
			}
			if s.whole != nil {
				c.whole(n, e)
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
		if c.seen[n].whole != nil {
			c.whole(n, e)
		}
		c.seen[n].done = true
	}
}

// Whatever becomes of a fragment that is listed before it is stored, the listed segment stays: as
// an entry with the very same parts, or as a gap.
func TestWhatWasListedInPartsStays(t *testing.T) {
	var listed, gaps, early int
	for seed := range uint64(60) {
		c := newComing(t, seed)
		if seed%5 == 1 {
			c.later = c.random.Int64N(1800) - 900
		}
		first, g := c.fragment(2000)
		c.store(first, g, false)
		c.at += 2000
		for range 25 {
			length := []int64{1000, 2000, 2000, 2300, 2600, 5000, 10_000}[c.random.IntN(7)]
			f, g := c.fragment(length)
			switch c.random.IntN(9) {
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
			case 3: // breaks off, is resent at once, and goes on
				c.arrive(f, g, 0.1+0.85*c.random.Float64())
				again := f
				again.Number += 1 << 10
				again.ServerTimestamp += 1700
				c.again(again, g)
				c.store(again, g, false)
				c.number = again.Number
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
		listed, gaps, early = listed+len(c.seen), gaps+c.gaps, early+c.early
	}
	if listed < 60*10 || gaps < 60 || early < 60*10 {
		t.Errorf("only %d segments were listed in parts, %d gaps, and %d were whole early", listed,
			gaps, early)
	}
}

// again shows a fragment that broke off and is resent from its start.
func (c *coming) again(f store.FragmentInfo, g *media.Fragment) {
	was := c.open
	if was == nil {
		c.arrive(f, g, 1)
		return
	}
	for n := 1; n <= 20; n++ {
		prefix := &media.Fragment{Tracks: g.Tracks}
		for _, run := range g.Runs {
			run.Frames = run.Frames[:len(run.Frames)*n/20]
			prefix.Runs = append(prefix.Runs, run)
		}
		o := c.state.Follow(c.rules, f, c.match, prefix, n == 20)
		if o == nil {
			continue
		}
		same, all := was.Resumes(c.rules, o)
		if !same {
			c.Fatalf("at %d of 20 the fragment is not the same\n%+v\n%+v", n, was, o)
		}
		if all {
			o.Resume(c.open)
			c.follow(o)
		}
	}
	if !c.open.Again {
		c.Fatalf("the fragment does not go on: %+v", was)
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
	if o == nil || len(o.Done) != 2 || !o.Done[0].Ended[0] {
		t.Fatalf("open as %+v", o)
	}
	parts := o.Done[0].Parts[0]
	if len(parts) != 2 || fmt.Sprint(parts[0].Duration, parts[1].Duration) != "320000001 80000001" {
		t.Errorf("parts are %+v", parts)
	}
}

// Groups grow from one second to ten, and are of one second again: all that has come is listed, but
// for the part that comes in, although the sound comes up to 300 ms later than its pictures, or
// earlier.
func TestGroupsThatGrow(t *testing.T) {
	for seed := range uint64(40) {
		c := newComing(t, seed)
		c.state.Target = 1
		for _, millis := range []int64{1000, 1000, 10_000, 10_000, 1000, 1000} {
			f, g := c.fragment(millis)
			g.Runs[0] = steady(&pictures, int(millis/40), 3600)
			g.Runs[0].BaseDecodeTime = c.at * 90
			for i := range g.Runs[0].Frames {
				g.Runs[0].Frames[i].Size, g.Runs[0].Frames[i].Key = 10, i == 0
			}
			if len(c.tracks) > 1 {
				n := (c.at+millis)*44_100/1000 - g.Runs[1].BaseDecodeTime
				g.Runs[1].Frames = steady(&sound, int(n/1024), 1024).Frames
			}
			f.Spans = store.SpansOf(g)
			if c.commit > 0 {
				c.keepUp(f, g, c.random.Int64N(601)-300)
			}
			c.store(f, g, false)
			c.at += millis
		}
	}
}

// keepUp shows a fragment picture by picture. The sound comes some milliseconds later.
func (c *coming) keepUp(f store.FragmentInfo, g *media.Fragment, late int64) {
	f.Spans = nil
	for n := 1; n <= len(g.Runs[0].Frames); n++ {
		prefix := &media.Fragment{Tracks: g.Tracks}
		for i, run := range g.Runs {
			come := int64(n) * 40
			if i > 0 {
				come -= late
			}
			frames := 0
			for frames < len(run.Frames) && int64(frames+1)*int64(run.Frames[0].Duration)*1000 <=
				come*int64(g.Tracks[i].Timescale) {
				frames++
			}
			if run.Frames = run.Frames[:frames]; frames > 0 {
				prefix.Runs = append(prefix.Runs, run)
			}
		}
		o := c.state.Follow(c.rules, f, c.match, prefix, false)
		if o == nil || !o.Listed() {
			if int64(n)*40 > 400+c.rules.PartTarget {
				c.Fatalf("nothing is listed after %d pictures", n)
			}
			continue
		}
		c.follow(o)
		listed := (o.Until[0] - g.Runs[0].BaseDecodeTime) / 90
		if behind := int64(n)*40 - listed; behind > c.rules.PartTarget+max(0, late)+60 {
			c.Fatalf("with sound %d ms late, %d ms behind after %d pictures: %+v", late, behind, n,
				o)
		}
	}
}

// Sound that is up to a second ahead of its pictures, or behind them, because its clock runs at
// another pace, makes no segment of its own, no discontinuity and no silence. (Every fragment was
// listed in two slices with silence between them, when the sound came to be 350 ms behind.)
func TestSoundThatDriftsAway(t *testing.T) {
	for later := int64(-1000); later <= 1000; later += 100 {
		c := newComing(t, 1)
		c.match.Generation.Silent = true
		c.state.Generations[0].Silent = true
		c.later = later
		for i := range 7 {
			millis := int64(2000)
			if i == 4 {
				millis = 10_000
			}
			f, g := c.fragment(millis)
			g.Runs[0] = steady(&pictures, int(millis/40), 3600)
			g.Runs[0].BaseDecodeTime = c.at * 90
			n := (c.at+later+millis)*44_100/1000 - g.Runs[1].BaseDecodeTime
			g.Runs[1].Frames = steady(&sound, int(n/1024), 1024).Frames
			f.Spans = store.SpansOf(g)
			c.arrive(f, g, 0.95)
			c.store(f, g, false)
			c.at += millis
			for _, e := range c.state.Entries {
				if e.Number == f.Number && e.Slice != (timeline.Slice{}) != (millis > 2000) ||
					e.Discontinuity > 1 ||
					e.Silence != (timeline.Silence{}) && e.Number > 1<<12 {
					t.Errorf("sound %d ms later: %+v", later, e)
				}
			}
		}
	}
}
