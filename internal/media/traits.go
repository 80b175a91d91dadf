package media

// Traits say what the frames of a run have in common, as far as it makes a container's frame table
// shorter, and how they begin. They and the number of frames give the length of that table, without
// the frames themselves.
type Traits uint8

// The bits of Traits.
const (
	EqualDurations Traits = 1 << iota // all frames last equally long
	EqualSizes                        // all frames have the same number of bytes
	// all frames are random access points, or none is; without open groups
	EqualKeys
	FirstKeyOnly     // only the first of several frames is a random access point; likewise
	PresentedInOrder // every composition offset is 0
	// an open group of pictures begins with the first frame, and leading pictures follow it
	LeadingNext
)

// Traits compares the run's frames, of which there is at least one.
func (r *Run) Traits() Traits {
	first := &r.Frames[0]
	s := EqualDurations | EqualSizes | EqualKeys | FirstKeyOnly | PresentedInOrder
	if !first.Key || len(r.Frames) == 1 {
		s &^= FirstKeyOnly
	}
	if first.Marks&Open != 0 && len(r.Frames) > 1 && r.Frames[1].Marks&Leading != 0 {
		s |= LeadingNext
	}
	for i := range r.Frames {
		f := &r.Frames[i]
		if f.Duration != first.Duration {
			s &^= EqualDurations
		}
		if f.Size != first.Size {
			s &^= EqualSizes
		}
		if f.Key != first.Key {
			s &^= EqualKeys
		}
		if f.Key && i > 0 {
			s &^= FirstKeyOnly
		}
		if f.Marks&(Open|Leading) != 0 {
			s &^= EqualKeys | FirstKeyOnly // each frame needs flags of its own
		}
		if f.CompositionOffset != 0 {
			s &^= PresentedInOrder
		}
	}
	return s
}

// Reorder returns how far, in ticks, a frame of the run is presented before its decode time, 0 if
// none is. A container without negative composition offsets must move decode times ahead by so
// much.
func (r *Run) Reorder() int64 {
	var most int64
	for i := range r.Frames {
		most = max(most, -int64(r.Frames[i].CompositionOffset))
	}
	return most
}
