package conformance

import (
	"strings"
	"time"
)

// CheckReload holds two readings of one media playlist, one after the other, to RFC 8216 sections
// 6.2.1 and 6.2.2: what a server may change is that segments are added at the end, that segments
// leave at the front while numbers grow, and that the list ends.
func CheckReload(before, after *Media) (f Findings) {
	if (before.Ended || before.Type == VOD) && before.text != after.text {
		f.add(Immutable, "playlist", "the playlist had ended (or is VOD) and changed")
	}
	if before.TargetDuration != after.TargetDuration {
		f.add(TargetDurationChanged, "playlist", "from %v to %v", before.TargetDuration,
			after.TargetDuration)
	}
	for _, h := range []struct {
		name          string
		before, after any
	}{
		{"EXT-X-VERSION", before.Version, after.Version},
		{"EXT-X-PLAYLIST-TYPE", before.Type, after.Type},
		{"EXT-X-I-FRAMES-ONLY", before.IFramesOnly, after.IFramesOnly},
		{"EXT-X-INDEPENDENT-SEGMENTS", before.Independent, after.Independent},
	} {
		if h.before != h.after {
			f.add(HeaderChanged, "playlist", "%s from %v to %v", h.name, h.before, h.after)
		}
	}
	if after.MediaSequence < before.MediaSequence {
		f.add(MediaSequenceBack, "playlist", "from %d to %d", before.MediaSequence,
			after.MediaSequence)
	}
	if after.Discontinuity < before.Discontinuity {
		f.add(DiscontinuityBack, "playlist", "from %d to %d", before.Discontinuity,
			after.Discontinuity)
	}
	if before.Type == Event && after.MediaSequence != before.MediaSequence {
		f.add(Removed, "playlist", "a segment left an EVENT playlist")
	}
	beforeEnd := before.MediaSequence + int64(len(before.Segments))
	afterEnd := after.MediaSequence + int64(len(after.Segments))
	if afterEnd < beforeEnd {
		f.add(Removed, "playlist", "the last segment was %d and is %d", beforeEnd-1, afterEnd-1)
	}
	// Section 6.2.2: a segment may leave only when what stays lasts three target durations.
	if after.MediaSequence > before.MediaSequence && !after.Ended &&
		after.Length() < 3*after.TargetDuration {
		f.add(ShortWindow, "playlist",
			"segments were removed, and %v stay of a target duration of %v", after.Length(),
			after.TargetDuration)
	}
	for i := range before.Segments {
		was := &before.Segments[i]
		j := was.Sequence - after.MediaSequence
		if j < 0 || j >= int64(len(after.Segments)) {
			continue
		}
		is := &after.Segments[j]
		f = append(f, sameSegment(was, is)...)
		if was.Gap != is.Gap && !(is.Gap && brokeOff(before, after, was.Sequence)) {
			f.add(GapChanged, segmentAt(was.Sequence), "gap was %v, is %v", was.Gap, is.Gap)
		}
	}
	return append(f, checkParts(before, after)...)
}

// brokeOff reports whether all that was listed from a segment on became gaps. In a playlist with
// parts this says that the media which was coming in broke off, and cannot be loaded any more.
func brokeOff(before, after *Media, from int64) bool {
	last, _ := before.Edge()
	for n := from; n <= last; n++ {
		if s := after.at(n); s == nil || !s.Gap {
			return false
		}
	}
	return before.PartTarget > 0
}

// sameSegment holds two listings of the segment with one media sequence number against one another.
func sameSegment(was, is *Segment) (f Findings) {
	where := segmentAt(was.Sequence)
	if was.URI != is.URI || !was.Range.Same(is.Range) {
		f.add(SegmentChanged, where, "was %s, is %s", was.URI, is.URI)
	}
	if was.Duration != is.Duration {
		f.add(DurationChanged, where, "was %v, is %v", was.Duration, is.Duration)
	}
	if was.Discontinuity != is.Discontinuity {
		f.add(DiscontinuityChanged, where, "discontinuity sequence number was %d, is %d",
			was.Discontinuity, is.Discontinuity)
	}
	if !was.Date.Equal(is.Date) {
		f.add(DateChanged, where, "was %v, is %v", was.Date, is.Date)
	}
	if (was.Map == nil) != (is.Map == nil) ||
		was.Map != nil && (was.Map.URI != is.Map.URI || !was.Map.Range.Same(is.Map.Range)) {
		f.add(MapChanged, where, "was %v, is %v", was.Map, is.Map)
	}
	return f
}

// CheckRenditions holds two media playlists of one master playlist, read at about the same time, to
// RFC 8216 section 6.2.4: players switch and mix by date and discontinuity sequence number, so
// these must agree wherever both have content.
func CheckRenditions(a, b *Media, tolerance time.Duration) (f Findings) {
	if a.TargetDuration != b.TargetDuration && !a.IFramesOnly && !b.IFramesOnly {
		f.add(RenditionTarget, "playlists", "target durations %v and %v", a.TargetDuration,
			b.TargetDuration)
	}
	if a.Type != b.Type {
		f.add(RenditionType, "playlists", "types %q and %q", a.Type, b.Type)
	}
	if len(a.Segments) == 0 || len(b.Segments) == 0 {
		return f
	}
	dates := func(m *Media) (has bool) {
		for i := range m.Segments {
			has = has || !m.Segments[i].Date.IsZero()
		}
		return has
	}
	if dates(a) != dates(b) {
		f.add(RenditionDate, "playlists", "one has EXT-X-PROGRAM-DATE-TIME, the other has not")
	}
	if a.Type == VOD && dates(a) && dates(b) {
		if d := a.Segments[0].Date.Sub(b.Segments[0].Date); d.Abs() > tolerance {
			f.add(RenditionDate, "playlists", "the first segments start %v apart", d)
		}
	}
	if d := a.Length() - b.Length(); a.Type == VOD &&
		d.Abs() > max(a.TargetDuration, b.TargetDuration) {
		f.add(RenditionSpan, "playlists", "%v and %v long", a.Length(), b.Length())
	}
	for i := range a.Segments {
		s := &a.Segments[i]
		o := nearest(b, s)
		if o != nil && s.Discontinuity != o.Discontinuity {
			f.add(RenditionDiscontinuity, segmentAt(s.Sequence),
				"discontinuity sequence number %d; at the same time the other playlist has %d",
				s.Discontinuity, o.Discontinuity)
		}
	}
	return f
}

// nearest returns the only segment that starts within half of the duration of s before or after it;
// nil when there is none, or more: dates of arrival may come in bursts, and then say nothing about
// which is which.
func nearest(m *Media, s *Segment) (found *Segment) {
	for i := range m.Segments {
		o := &m.Segments[i]
		if s.Date.IsZero() || o.Date.IsZero() || o.Date.Sub(s.Date).Abs() >= s.Duration/2 {
			continue
		}
		if found != nil {
			return nil
		}
		found = o
	}
	return found
}

// IsPlaylistType reports whether a Content-Type is one of RFC 8216 section 4.
func IsPlaylistType(contentType string) bool {
	name, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "application/vnd.apple.mpegurl", "audio/mpegurl":
		return true
	}
	return false
}
