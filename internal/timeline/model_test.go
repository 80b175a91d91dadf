package timeline_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
	"weir/internal/timeline/timelinetest"
)

// A camera with pictures and sound.
var (
	pictures = media.Track{Number: 1, Kind: media.Video, Timescale: media.VideoTimescale}
	sound    = media.Track{Number: 2, Kind: media.Audio, Timescale: 44_100}
)

// TestLive folds random histories and compares the listings with the model's after each commit. At
// random the state goes through its checkpoint.
func TestLive(t *testing.T) {
	for seed := range uint64(45) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { newFold(t, seed, false).run() })
	}
}

// TestReplay does the same with LIVE_REPLAY.
func TestReplay(t *testing.T) {
	for seed := range uint64(45) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { newFold(t, seed, true).run() })
	}
}

// fold is a session over a generated history. Track sets are 1, the usual one, and 2, which has
// other codec private data. In every third session the change is shown.
type fold struct {
	*testing.T
	random   *rand.Rand
	camera   *timelinetest.Camera
	model    *timelinetest.Model
	rules    *timeline.Rules
	state    *timeline.State
	sequence int64
	stored   []store.FragmentInfo // what is stored, in commit order
}

func newFold(t *testing.T, seed uint64, replay bool) *fold {
	f := &fold{T: t, random: rand.New(rand.NewPCG(seed, 7))}
	tracks := [][]media.Track{{pictures, sound}, {pictures, sound}, {pictures, sound}, {pictures},
		{sound}}[seed%5]
	f.camera = timelinetest.NewCamera(f.random, 1_700_000_000_123, tracks,
		func(set []media.Track) int64 {
			if set[0].Width > 0 {
				return 2
			}
			return 1
		})
	if tracks[0].Kind == media.Video {
		f.camera.Other = slices.Clone(tracks)
		f.camera.Other[0].Width = 1280
	}
	switching := seed%3 == 2
	f.model = &timelinetest.Model{
		Max: []int{1, 3, 5, 100}[f.random.IntN(4)], Producer: f.chance(50), Tracks: tracks,
		Replay:        replay,
		Discontinuity: timeline.DiscontinuityMode(1 + f.random.IntN(3)),
		Same:          func(set int64) bool { return switching || set == 1 },
		Codecs:        func(set int64) string { return fmt.Sprint(set) },
		Frames:        func(n store.Number) *media.Fragment { return f.camera.Frames[n] },
	}
	for range f.random.IntN(30) {
		f.store(f.camera.Step())
	}
	f.store([]timelinetest.Commit{f.camera.Whole()})
	f.open()
	return f
}

func (f *fold) chance(percent int) bool { return f.random.IntN(100) < percent }

// store stores commits.
func (f *fold) store(commits []timelinetest.Commit) {
	for _, c := range commits {
		f.sequence++
		c.Info.Sequence = f.sequence
		f.stored = slices.DeleteFunc(f.stored, func(i store.FragmentInfo) bool {
			return c.Replaces != 0 && i.Number == c.Replaces
		})
		f.stored = append(f.stored, c.Info)
	}
}

// open begins the session with what is stored.
func (f *fold) open() {
	m, r := f.model, &timeline.Rules{}
	f.rules = r
	m.Created = f.camera.Now
	m.Initial = slices.Clone(f.stored)
	slices.SortFunc(m.Initial, func(a, b store.FragmentInfo) int {
		return int(b.Number - a.Number)
	})
	r.Mode, r.Discontinuity, r.Max, r.Opened = timeline.Live, m.Discontinuity, m.Max, m.Created
	r.Tolerance, r.MaxChanges = 50_000, math.MaxInt64
	if m.Producer {
		r.Selector = store.ProducerTimestamp
	}
	for _, t := range m.Tracks {
		r.Tracks = append(r.Tracks,
			timeline.Track{Number: t.Number, Kind: t.Kind, Timescale: int64(t.Timescale)})
	}
	if m.Replay {
		newest := &f.stored[len(f.stored)-1]
		r.Mode = timeline.LiveReplay
		m.Start, m.End = m.Timestamp(&f.stored[f.random.IntN(len(f.stored))]), math.MaxInt64
		m.Start = min(m.Start, m.Timestamp(newest)) // the newest can be shown
		if f.chance(60) {
			m.End = m.Timestamp(newest) + int64(f.random.IntN(200_000))
		}
		r.From, r.Until = m.Start, m.End
	} else {
		m.Initial = m.Initial[:min(len(m.Initial), 2*m.Max+timeline.History)]
	}
	m.Run()

	chosen := m.Chosen()
	r.Origin, _ = r.Start(&chosen[0])
	f.state = &timeline.State{Cursor: f.sequence, Target: int64(m.Target())}
	if m.Replay {
		f.state.Due = r.FirstDue(m.Created, chosen)
	}
	for i := range chosen {
		f.state.ServerTime = max(f.state.ServerTime, chosen[i].ServerTimestamp)
		f.state.Include(r, &chosen[i], f.match(chosen[i].TrackSet))
	}
}

// match returns what a track set is to the state.
func (f *fold) match(set int64) timeline.Match {
	if !f.model.Same(set) {
		return timeline.Match{Index: -1}
	}
	known := f.state.Generations
	for i := range known {
		if known[i].Set == set {
			return timeline.Match{Index: i, Generation: known[i]}
		}
	}
	g := timeline.Generation{Set: set,
		Silent: f.model.Tracks[len(f.model.Tracks)-1].Kind == media.Audio}
	for i, t := range f.model.Tracks {
		g.Scales[i] = int64(t.Timescale)
	}
	return timeline.Match{Index: len(known), Generation: g}
}

// run lets the camera go on and compares listings.
func (f *fold) run() {
	for n := range 150 {
		before := len(f.stored)
		if n > 0 {
			f.store(f.camera.Step())
		}
		for _, i := range f.stored[max(0, min(before, len(f.stored))-1):] {
			if i.Sequence <= f.state.Cursor {
				continue
			}
			f.model.Later = append(f.model.Later, i)
			read := func() (*media.Fragment, error) { return f.camera.Frames[i.Number], nil }
			if !f.state.Finished(f.rules) {
				if err := f.state.Add(f.rules, &i, f.match(i.TrackSet), read); err != nil {
					f.Fatal(err)
				}
			}
		}
		if f.chance(2) {
			f.camera.Now += int64(f.random.IntN(1_500_000)) // silence
		}
		if f.chance(50) {
			f.compare(n)
		}
		if f.model.Replay {
			f.state.Trim(f.rules, f.state.Revealed(f.rules, f.camera.Now))
		}
		if f.chance(10) {
			f.reload()
		}
	}
}

// reload makes the state again from its checkpoint.
func (f *fold) reload() {
	state, err := timeline.Decode(f.state.Encode(len(f.rules.Tracks)), len(f.rules.Tracks))
	if err != nil {
		f.Fatal(err)
	}
	f.state = state
}

func (f *fold) compare(n int) {
	f.Helper()
	f.model.Run()
	edge := f.camera.Now - 3_600_000
	for i, track := range f.model.Tracks {
		want, got := f.model.Listing(track, f.camera.Now, edge), f.listing(i, edge)
		if (want == nil) != (got == nil) || want != nil && want.String() != got.String() {
			f.Fatalf("step %d, track %d: %s", n, track.Number,
				timelinetest.Difference(text(got), text(want)))
		}
	}
}

// listing writes the state as the model does.
func (f *fold) listing(track int, edge int64) *timelinetest.Listing {
	s := f.state
	from, to := s.Window(f.rules, f.camera.Now, edge)
	if from == to {
		return nil
	}
	n := s.Numbers(f.rules, track, from, to)
	l := &timelinetest.Listing{
		Target: int(s.Target), MediaSequence: int(n.MediaSequence),
		Discontinuity: int(max(0, n.Discontinuity)),
		Marked:        n.Discontinuity >= 0, Independent: n.Independent,
		Over: to == len(s.Entries) && s.Finished(f.rules),
	}
	generation := -1
	for j := from; j < to; j++ {
		e := &s.Entries[j]
		if e.Duration[track] < 0 {
			continue
		}
		if len(l.Segments) == 0 && n.First != j {
			f.Fatalf("the first segment is entry %d, not %d", j, n.First)
		}
		if len(l.Segments) > 0 && e.Change[track] != (e.Generation != generation) {
			f.Fatalf("entry %d: change %t from generation %d to %d", j, e.Change[track], generation,
				e.Generation)
		}
		generation = e.Generation
		segment := timelinetest.Segment{Number: e.Number, Millis: e.Duration[track],
			Tags:       int(e.Tags[track]),
			Generation: e.Generation, Date: e.Date, From: e.Slice.From, Until: e.Slice.Until}
		if f.rules.Tracks[track].Kind == media.Audio {
			segment.Silence = [2]int64{e.Silence.From, e.Silence.Until}
		}
		l.Segments = append(l.Segments, segment)
	}
	return l
}

func text(l *timelinetest.Listing) string {
	if l == nil {
		return "nothing"
	}
	return l.String()
}
