package playback

import (
	"context"

	"weir/internal/manifest"
	"weir/internal/sessionurl"
	"weir/internal/timeline"
)

// writtenPlaylist is a playlist, and the state that it was written for.
type writtenPlaylist struct {
	text  *Playlist
	key   textKey
	state listing
}

// lowText returns a track's playlist with parts, or its delta update, in the current state. Each is
// written once.
func (s *Service) lowText(ctx context.Context, o *request, v *view, track int,
	skip bool) (*Playlist, error) {
	t, l := v.listed(), v.low
	from, to := v.state.WindowWith(v.rules, l.open, o.now.UnixMilli(), o.edge())
	if from == to {
		return nil, errNoFragments()
	}
	kind := 0
	if skip && t.SkipUntil(v.rules) > 0 {
		kind = 1
	}
	key := textKey{from: t.Gone + int64(from), to: t.Gone + int64(to)}
	written := &l.written[track][kind]
	if written.text != nil && written.key == key && written.state == l.state {
		return written.text, nil
	}
	text, err := s.writeLow(ctx, o, v, track, from, to, kind == 1)
	if err != nil {
		return nil, err
	}
	s.metrics.playlists.Inc()
	*written = writtenPlaylist{text, key, l.state}
	return text, nil
}

// writeLow writes the playlist of the entries [from, to) and the open fragment.
func (s *Service) writeLow(ctx context.Context, o *request, v *view, track, from, to int,
	skip bool) (*Playlist, error) {
	t, l := v.listed(), v.low
	v.write(o, track, from, to)
	text := &v.text[track]
	n := t.Numbers(v.rules, track, from, to)
	h := manifest.Header{Version: manifest.LowLatencyVersion, TargetDuration: t.Target,
		MediaSequence: n.MediaSequence, DiscontinuitySequence: n.Discontinuity,
		Independent: n.Independent,
		LowLatency: manifest.LowLatency{PartTarget: v.rules.PartTarget,
			PartHoldBack: o.p.partHoldBack, SkipUntil: t.SkipUntil(v.rules)}}
	if l.open != nil && l.open.HasParts() {
		h.Independent = h.Independent && l.open.Entry.Independent[track]
		if l.open.Entry.Tags[track] > 0 {
			h.DiscontinuitySequence = max(h.DiscontinuitySequence, 0)
		}
	}
	first := n.First
	tail := to
	if v.listsParts(o) {
		tail = t.Tail(v.rules, l.open, track, from, to)
	}
	if skip {
		first, h.Skipped = t.Skip(v.rules, track, n.First, to)
	}
	out := h.Append(make([]byte, 0, 4096+(to-max(first, from))*256))
	var blocks []placedBlock
	if first >= 0 {
		at := first
		if h.Skipped == 0 && first < tail { // the first one names the initialization section
			e := &t.Entries[first]
			segment := v.segment(o, track, e, n.MediaSequence)
			segment.Map = v.mapURI(o, track, e)
			out = segment.Append(out)
			at++
		}
		if at < tail {
			a, b := t.Gone+int64(at), t.Gone+int64(tail)
			blocks = text.place(a, b, len(out))
			out = append(out, text.lines(a, b)...)
		}
	}
	out, err := s.appendTail(ctx, o, v, track, out, max(tail, first), to, h.Skipped == 0 &&
		first >= tail)
	if err != nil {
		return nil, err
	}
	return &Playlist{Text: out, blocks: blocks, pool: v.pool}, nil
}

// appendTail appends the entries [from, to) with their parts, the open fragment, the hint and the
// reports. mapped says that the first entry names its initialization section.
func (s *Service) appendTail(ctx context.Context, o *request, v *view, track int, out []byte,
	from, to int, mapped bool) ([]byte, error) {
	t, l := v.listed(), v.low
	number := v.rules.Tracks[track].Number
	// The segment before decides the name of the first one's first part.
	msn, before := l.next[track], -1
	begin := to
	for begin > 0 && (begin > from || before < 0) {
		begin--
		if t.Entries[begin].Duration[track] >= 0 {
			msn--
			if begin < from {
				before = begin
			}
		}
	}
	names := partNames{track: number, token: o.token, sequence: msn}
	for i := max(begin, 0); i < to; i++ {
		e := &t.Entries[i]
		if e.Duration[track] < 0 {
			continue
		}
		p, err := s.partsOf(ctx, o, v, e)
		if err != nil {
			return nil, err
		}
		parts := names.segment(p.tracks[track], e.Gap != nil)
		if i < from {
			continue
		}
		segment := v.segment(o, track, e, names.sequence-1)
		segment.Parts = parts
		if e.Change[track] || mapped {
			segment.Map = v.mapURI(o, track, e)
		}
		mapped = false
		out = segment.Append(out)
	}
	if l.open != nil {
		if parts := names.open(l.open.Parts[track]); len(parts) > 0 {
			segment := v.segment(o, track, &l.open.Entry, names.sequence)
			segment.Parts = parts
			out = segment.AppendOpen(out)
		}
	}
	if v.listsParts(o) {
		out = manifest.AppendPreloadHint(out, names.next.URI(o.token))
	}
	for i := range v.rules.Tracks {
		if i != track {
			report, err := s.report(ctx, o, v, i)
			if err != nil {
				return nil, err
			}
			out = report.Append(out)
		}
	}
	l.prune(t.Entries[max(begin, 0):to])
	return out, nil
}

// report returns what the other playlist says about a track's.
func (s *Service) report(ctx context.Context, o *request, v *view,
	track int) (*manifest.Report, error) {
	l := v.low
	r := &manifest.Report{LastMSN: l.next[track] - 1, LastPart: -1,
		URI: sessionurl.MediaPlaylist{Track: v.rules.Tracks[track].Number}.URI(o.token)}
	if l.open != nil && len(l.open.Parts[track]) > 0 {
		r.LastMSN, r.LastPart = l.next[track], int64(len(l.open.Parts[track])-1)
		return r, nil
	}
	if e := v.listed().At(track, r.LastMSN); e != nil && v.listsParts(o) {
		p, err := s.partsOf(ctx, o, v, e)
		if err != nil {
			return nil, err
		}
		r.LastPart = int64(len(p.tracks[track]) - 1)
	}
	return r, nil
}

// partNames names parts, segment by segment. The first part of a segment is named as if it followed
// the last part of the segment before, so that the name of the next part is known whichever segment
// it will belong to.
type partNames struct {
	track    int
	token    string
	sequence int64 // of the current segment
	next     sessionurl.Part
	named    bool // next is the name of the next part
}

// open returns the parts of a segment that is not complete.
func (n *partNames) open(parts []timeline.Part) []manifest.Part {
	list := make([]manifest.Part, len(parts))
	for i := range parts {
		if !n.named {
			n.next, n.named = sessionurl.Part{Track: n.track, Sequence: n.sequence, Part: i}, true
		}
		list[i] = manifest.Part{Duration: parts[i].Duration, Independent: parts[i].Independent,
			URI: n.next.URI(n.token)}
		n.next = sessionurl.Part{Track: n.track, Sequence: n.sequence, Part: i + 1}
	}
	if !n.named {
		n.next = sessionurl.Part{Track: n.track, Sequence: n.sequence}
	}
	return list
}

// segment returns the parts of a segment, and moves to the next one.
func (n *partNames) segment(parts []timeline.Part, gap bool) []manifest.Part {
	list := n.open(parts)
	for i := range list {
		list[i].Gap = gap
	}
	n.next = sessionurl.Part{Track: n.track, Sequence: n.sequence, Part: len(parts)}
	n.named = true
	n.sequence++
	return list
}
