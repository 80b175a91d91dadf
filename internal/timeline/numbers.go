package timeline

// Numbers are what a playlist of one track says about entries that it no longer lists.
type Numbers struct {
	MediaSequence int64 // of the first listed segment (EXT-X-MEDIA-SEQUENCE)
	// Discontinuity is the discontinuity sequence number of the first listed segment without its
	// own tags (EXT-X-DISCONTINUITY-SEQUENCE); -1: the playlist needs none.
	Discontinuity int64
	Independent   bool // EXT-X-INDEPENDENT-SEGMENTS holds
	First         int  // index of the first listed entry that has the track; -1: none has
}

// Numbers returns the numbers of a track's playlist that lists the entries [from, to). track is an
// index into Rules.Tracks, and to is greater than from.
func (t *State) Numbers(r *Rules, track, from, to int) Numbers {
	n := Numbers{
		MediaSequence: t.Dropped[track], Discontinuity: -1, First: -1,
		Independent: t.Entries[to-1].Independent[track],
	}
	last, tagged := -1, false // last: the latest entry before the window that has the track
	for i := range t.Entries[:to] {
		e := &t.Entries[i]
		switch {
		case e.Duration[track] < 0:
		case i < from:
			n.MediaSequence++
			last = i
		default:
			if n.First < 0 {
				n.First = i
			}
			tagged = tagged || e.Tags[track] > 0
		}
	}
	var before int64
	switch {
	case n.First >= 0:
		before = t.Entries[n.First].Discontinuity - t.Entries[n.First].Tags[track]
	case last >= 0:
		before = t.Entries[last].Discontinuity
	default:
		before = t.before(track)
	}
	if r.Grows() && (before > 0 || tagged) {
		n.Discontinuity = before
	}
	return n
}

// before returns the discontinuity sequence number before the first kept entry with the track, or
// the latest one if no kept entry has the track.
func (t *State) before(track int) int64 {
	for i := range t.Entries {
		if e := &t.Entries[i]; e.Duration[track] >= 0 {
			return e.Discontinuity - e.Tags[track]
		}
	}
	return t.Listed[track]
}

// Sequence returns the media sequence number of a track's first segment in the entries from at on.
func (t *State) Sequence(track, at int) int64 {
	n := t.Dropped[track]
	for i := range t.Entries[:at] {
		if t.Entries[i].Duration[track] >= 0 {
			n++
		}
	}
	return n
}

// Next returns the media sequence number of the segment that comes next in a track's playlist.
func (t *State) Next(track int) int64 { return t.Sequence(track, len(t.Entries)) }

// Find returns the index of the entry with a segment of a track. Segments count from 0 over the
// whole session. It returns -1 if there is no such entry, or no longer.
func (t *State) Find(track int, number int64) int {
	number -= t.Dropped[track]
	for i := range t.Entries {
		if t.Entries[i].Duration[track] < 0 {
			continue
		}
		if number == 0 {
			return i
		}
		number--
	}
	return -1
}

// At returns the entry that Find finds, or nil.
func (t *State) At(track int, number int64) *Entry {
	if i := t.Find(track, number); i >= 0 {
		return &t.Entries[i]
	}
	return nil
}

// Newer reports whether the state knows of a fragment that broke off and another state of the same
// session does not, although both have folded in the same commits.
func (t *State) Newer(than *State) bool {
	return t.Cursor == than.Cursor && t.Next(0) > than.Next(0)
}
