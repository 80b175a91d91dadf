package repair

import (
	"fmt"
	"strings"
)

// Report is what a check found.
type Report struct {
	Streams   int   `json:"streams"`
	Objects   int   `json:"objects"`   // that have rows
	Fragments int64 `json:"fragments"` // that have rows, or are in tables that have
	Bytes     int64 `json:"bytes"`     // of those objects
	// objects without rows that nobody misses and that the nodes will collect
	Unused int `json:"unused_objects"`
	// objects without rows, so new that a node may be about to commit them
	New      int       `json:"new_objects"`
	Problems []Problem `json:"problems"`           // the first maxProblems
	More     int       `json:"problems_not_shown"` // how many there are beside these
}

// maxProblems is how many problems a report lists.
const maxProblems = 1000

// Problem is one thing that is wrong.
type Problem struct {
	// commits-lost, lost-stream, lost-fragments, missing-object, damaged-object, damaged-fragment,
	// row, number-taken, name-taken, deleted-stream
	Kind   string `json:"kind"`
	Stream string `json:"stream,omitempty"` // name
	Object string `json:"object,omitempty"`
	Text   string `json:"text"`   // a sentence
	Repair bool   `json:"repair"` // --repair mends it
}

func (p Problem) String() string {
	return strings.Join(strings.Fields(p.Kind+" "+p.Stream+" "+p.Object), " ") + ": " + p.Text
}

func (r *Report) problem(p Problem) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
		return
	}
	r.More++
}

// Done is what a repair did.
type Done struct {
	Streams   int   // created again
	Revised   int   // streams that got newer settings
	Deleted   int   // streams that were deleted again
	Fragments int64 // that have their rows again
	Moved     int64 // fragments whose rows pointed to objects that do not exist, and now do not
	Dropped   int64 // fragments whose objects are lost, removed with their rows
}

// String says it in words; "" if nothing was done.
func (d Done) String() string {
	var parts []string
	for _, p := range []struct {
		n    int64
		what string
	}{{d.Fragments, "rows of %d fragments made again from objects"},
		{int64(d.Streams), "%d streams made again"}, {int64(d.Revised), "%d streams revised"},
		{int64(d.Deleted), "%d streams deleted again"},
		{d.Moved, "%d fragments found in another object"},
		{d.Dropped, "%d fragments dropped whose objects are lost"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf(p.what, p.n))
		}
	}
	return strings.Join(parts, ", ")
}
