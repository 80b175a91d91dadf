package timeline

import (
	"weir/internal/media"
	"weir/internal/store"
)

// joining is how long after a session is opened live players are expected to begin, in
// milliseconds, wherever the playlist then ends. After that, pictures are left out only where the
// media does not continue.
const joining = 30_000

// skips reports whether leading pictures at the start of an entry's span are left out. breaks says
// that the entry does not continue what is listed before it. A discontinuity that is only in the
// playlist (DiscontinuityMode ALWAYS) costs no picture.
func (r *Rules) skips(e *Entry, span *store.Span, first, breaks bool) bool {
	shown := e.Server
	if r.Mode == LiveReplay {
		shown = e.Due
	}
	return span.Traits&media.LeadingNext != 0 &&
		(first || breaks || r.Grows() && shown < r.Opened+joining)
}
