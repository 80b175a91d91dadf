package timeline

import (
	"slices"

	"weir/internal/media"
)

// partOverhang is by how many milliseconds a slice may be longer than the target duration in a
// session with parts, where the end of a slice is decided before what follows is known. A slice
// that is up to half a second longer still rounds to the target duration; what is left of that half
// second is room for the sound, which may overlap by a frame, 128 ms of AAC at 8 kHz.
const partOverhang = 350

// leastFill is the least percentage of PART-TARGET that each part of a segment but the last one
// should last (Apple's HLS authoring specification, Low-Latency HLS).
const leastFill = 85

// Part is a part of a segment: some frames of its run.
type Part struct {
	First, Frames int   // access units of the segment's run before the part, and in it
	Begin         int64 // decode time of its first access unit, ticks
	Ticks         int64 // how long it lasts
	Offset, Size  int64 // bytes of the segment's run before the part, and in it
	Duration      int64 // as listed, nanoseconds: see listedAt
	Independent   bool  // it begins with a random access point
}

// Parts cuts the run of a segment, whose frames are access units, into parts of at most target
// milliseconds. whole says that the run is complete. Otherwise more frames may follow, and the
// parts are those that no later frame can change. ended says that a frame is longer than target;
// there are no parts from that frame on.
func Parts(
	run *media.Run, kind media.Kind, timescale, target int64, whole bool,
) (parts []Part, ended bool) {
	for i, p := range cutParts(run, timescale, target) {
		if p.long {
			return parts, true
		}
		if !p.full && !whole {
			break
		}
		p.Independent = kind != media.Video || run.Frames[p.First].Key
		begin := p.Begin - run.BaseDecodeTime
		p.Duration = listedAt(i+1, begin+p.Ticks, timescale) - listedAt(i, begin, timescale)
		parts = append(parts, p.Part)
	}
	return parts, false
}

// listedAt is when a part begins according to the listed durations of the parts before it, in
// nanoseconds from the start of its segment. It is never before the part's media, and the
// difference grows by a nanosecond from part to part. If it ever became smaller, Shaka Player
// 5.2.12 would abort its source buffer before that part, and in mid-group Chromium then drops all
// pictures up to the next key frame (DESIGN.md, "Parts").
func listedAt(part int, ticks, timescale int64) int64 {
	return -Rescale(-ticks, timescale, 1_000_000_000) + int64(part)
}

// listedMore is by how many nanoseconds a part may be listed as longer than it is.
const listedMore = 2

// Surplus is by how many nanoseconds the EXTINF of an entry is longer than its media, in a session
// with parts. It is more than the surplus of all its parts. A player places the hint that follows
// the last part by the durations of the parts. The hint becomes the first part of the next segment,
// whose other parts are placed by the EXTINFs, and must not begin earlier against their media than
// the first one (listedAt).
func (r *Rules) Surplus(e *Entry, track int) int64 {
	if r.PartTarget == 0 {
		return 0
	}
	// Parts last longer than half of PART-TARGET on average. One that is shorter, and not the last,
	// is followed by one with which it would have been longer than PART-TARGET (cutParts).
	return 2*e.Duration[track]/r.PartTarget + 3
}

// cutPart is a part, or a frame that is too long for a part.
type cutPart struct {
	Part
	long bool
	full bool // no frame that follows belongs to it
}

// cutParts divides a run into parts, each as long as possible, and frames that are too long for a
// part. A part is full when another frame as short as its shortest one would not fit. So with
// frames of equal length a part is full with its last frame, and need not wait for the next one.
func cutParts(run *media.Run, timescale, target int64) []cutPart {
	most := Rescale(target*1_000_000-listedMore, 1_000_000_000, timescale)
	var all []cutPart
	at, offset, shortest := run.BaseDecodeTime, int64(0), int64(0)
	for i := range run.Frames {
		d, size := int64(run.Frames[i].Duration), int64(run.Frames[i].Size)
		n := len(all)
		if n > 0 && !all[n-1].full && all[n-1].Ticks+d > most {
			all[n-1].full = true
		}
		if n == 0 || all[n-1].full {
			all = append(all, cutPart{Part: Part{First: i, Begin: at, Offset: offset}})
			n, shortest = n+1, d
		}
		p := &all[n-1]
		p.Frames, p.Ticks, p.Size = p.Frames+1, p.Ticks+d, p.Size+size
		shortest = min(shortest, d)
		p.long = d > most
		p.full = p.long || p.Ticks+max(shortest, 1) > most
		at, offset = at+d, offset+size
	}
	return all
}

// PartTarget computes the PART-TARGET of a session, in milliseconds, from the newest runs (access
// units) of its first track. It is how long as many frames last as fit into wanted milliseconds, or
// a single frame if that lasts longer. sound is how many milliseconds a frame of the session's
// sound lasts, 0 without sound: a whole number of them must fill a part well too.
func PartTarget(runs []media.Run, timescale int64, wanted, sound float64) int64 {
	var lengths []int64
	for i := range runs {
		for j := range runs[i].Frames {
			lengths = append(lengths, int64(runs[i].Frames[j].Duration))
		}
	}
	if len(lengths) == 0 {
		return 0
	}
	slices.Sort(lengths)
	usual := max(lengths[(len(lengths)-1)/2], 1)
	// Matroska rounds times: at 30 frames a second each frame lasts 33.3 ms
	most := max(1, int(wanted*float64(timescale)/1000/float64(usual)+0.05))
	for n := most; n > 0; n-- {
		if t := longestOf(runs, n, usual, timescale); fills(sound, t) {
			return t
		}
	}
	for n := most + 1; n < 4*most+4; n++ {
		if t := longestOf(runs, n, usual, timescale); fills(sound, t) {
			return t
		}
	}
	return longestOf(runs, most, usual, timescale)
}

// longestOf is how long n successive frames of the runs last at most, in milliseconds, rounded up.
// Those that last a quarter longer than usual do not count: there was a pause, or a frame was lost.
func longestOf(runs []media.Run, n int, usual, timescale int64) int64 {
	most := int64(n) * usual
	longest := most
	for i := range runs {
		frames, sum := runs[i].Frames, int64(0)
		for j := range frames {
			if sum += int64(frames[j].Duration); j >= n {
				sum -= int64(frames[j-n].Duration)
			}
			if j >= n-1 && sum <= most*5/4 {
				longest = max(longest, sum)
			}
		}
	}
	return -Rescale(-(listedAt(0, longest, timescale) + listedMore), 1_000_000_000, 1000)
}

// fills reports whether frames of sound that each last so many milliseconds fill parts of a target.
func fills(sound float64, target int64) bool {
	if sound == 0 {
		return true
	}
	n := int64(float64(target)/sound + 0.001)
	return float64(n)*sound*100 >= float64(leastFill*target)
}
