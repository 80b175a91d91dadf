package timeline

import (
	"weir/internal/media"
	"weir/internal/store"
)

// joining is for how long after a session is opened live players are expected to begin with it, in
// milliseconds: wherever the playlist then ends. After that no picture is left out but where the
// media does not go on.
const joining = 30_000

// skips reports whether the leading pictures with which an entry's span begins, if there are any,
// are left out: breaks says that it does not go on with what is listed before it. A discontinuity
// that is only in the playlist (DiscontinuityMode ALWAYS) costs no picture.
func (r *Rules) skips(e *Entry, span *store.Span, first, breaks bool) bool {
	shown := e.Server
	if r.Mode == LiveReplay {
		shown = e.Due
	}
	return span.Traits&media.LeadingNext != 0 &&
		(first || breaks || r.Grows() && shown < r.Opened+joining)
}
