package media

// Marks are flags that few frames have. They are stored (docs/store-format.md), so a bit keeps its
// meaning.
type Marks uint8

// The bits of Marks. All but Joined are about an access unit, and are set on its first frame.
const (
	Joined Marks = 1 << iota // the block continues the access unit of the frame before it
	Bare                     // the access unit has no picture: there is nothing to present
	// decoding may begin here, but pictures that follow may need what is before: CRA, recovery
	// point
	Open
	// presented before the Open picture that it follows; perhaps not decodable from there
	Leading
)

// knownMarks has the bits that have a meaning.
const knownMarks = Joined | Bare | Open | Leading

// Valid reports whether all bits have a meaning.
func (m Marks) Valid() bool { return m&^knownMarks == 0 }

// Units returns the run with one frame for each access unit: it adds blocks marked Joined to the
// frame before. An access unit without a picture at the end belongs to a picture of the next
// fragment and is left out; the payload of the units is then only the beginning of the run's. A run
// without pictures has no units.
func (r *Run) Units() Run {
	units, end := 0, len(r.Frames)
	for i := range r.Frames {
		if r.Frames[i].Marks&Joined == 0 || i == 0 {
			units++
		}
	}
	for i := end - 1; i >= 0; i-- {
		if r.Frames[i].Marks&Joined == 0 || i == 0 {
			if r.Frames[i].Marks&Bare != 0 {
				end = i
				units--
			}
			break
		}
	}
	u := Run{Track: r.Track, BaseDecodeTime: r.BaseDecodeTime, Frames: r.Frames[:end]}
	if units == end {
		return u
	}
	u.Frames = make([]Frame, 0, units)
	for i, f := range r.Frames[:end] {
		if f.Marks&Joined == 0 || i == 0 {
			u.Frames = append(u.Frames, f)
			continue
		}
		last := &u.Frames[len(u.Frames)-1]
		last.Size += f.Size
		last.Duration += f.Duration
	}
	return u
}

// Blocks returns in how many blocks the first access units of the run came.
func (r *Run) Blocks(units int) int {
	for i := range r.Frames {
		if r.Frames[i].Marks&Joined == 0 || i == 0 {
			if units--; units < 0 {
				return i
			}
		}
	}
	return len(r.Frames)
}

// group divides the samples of a track, in decode order, into access units. It returns the units,
// each as one sample with the time of its picture, and a mark for each sample. It leaves out a unit
// without a picture.
func group(samples []Sample, units []Sample, marks []Marks) ([]Sample, []Marks) {
	g := grouper{units: units[:0], marks: marks[:0]}
	for i := range samples {
		g.add(&samples[i])
	}
	if g.bare {
		at := len(g.marks) - 1
		for g.marks[at] == Joined {
			at--
		}
		g.marks[at] = Bare
		g.units = g.units[:len(g.units)-1]
	}
	for i := range g.units {
		g.units[i].settle()
	}
	return g.units, g.marks
}

// grouper divides samples into access units as they come.
//
// Access units begin as H.264 clause 7.4.1.2.3 and H.265 clause 7.4.2.4.4 say. SEI, parameter sets
// and delimiters belong to the picture that follows. Slices that do not begin a picture, and
// anything else, belong to the one before. So does an empty block.
type grouper struct {
	units []Sample // each with the time of its picture; only the last one may still change
	marks []Marks  // of the samples
	bare  bool     // the last unit has no picture yet
}

func (g *grouper) add(s *Sample) {
	c := s.Content
	joined := len(g.units) > 0
	switch {
	case !c.Known():
		joined = joined && g.bare
	case c&slice != 0:
		joined = joined && (g.bare || c&starts == 0)
	case c&prefix != 0:
		joined = joined && g.bare
	}
	if joined {
		g.units[len(g.units)-1].join(s)
		g.marks = append(g.marks, Joined)
	} else {
		g.units = append(g.units, *s)
		g.marks = append(g.marks, 0)
		g.bare = true
	}
	g.bare = g.bare && c.Known() && c&slice == 0
}

// join adds a block to the unit. The unit's time is that of its first slice.
func (s *Sample) join(o *Sample) {
	if (o.Content&slice != 0 || !o.Content.Known()) && (s.Content&slice == 0 || s.Time == NoTime) {
		s.Time = o.Time
	}
	s.Content |= o.Content
	s.Size += o.Size
	s.Key = s.Key || o.Key
}

// settle decides from the unit's content, if it is known, whether it is a random access point.
func (s *Sample) settle() {
	if s.Content.Known() {
		s.open = s.Content.Open(s.Key)
		s.Key = s.Content.Sync()
	}
}
