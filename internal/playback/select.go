package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mpegts"
	"weir/internal/store"
	"weir/internal/timeline"
)

// listPage is how many fragments one call of List returns at most.
const listPage = 1000

// replayKnown is how many fragments a LIVE_REPLAY session chooses at its creation, as for a
// recording; later ones follow in commit order. A playlist may list no more, and the state of as
// many fits in a row.
const replayKnown = api.MaxMaxFragmentResults

// rangeMargin is how long after its end a range counts as complete: a fragment that began in it is
// stored by then.
const rangeMargin = time.Minute

// selection is what a session begins with.
type selection struct {
	reference int64 // track set of the reference fragment
	tracks    []media.Track
	fragments []store.FragmentInfo // in the order in which they are listed
	classes   []*class             // of the fragments, one each
	cursor    int64                // commits up to here are done
	// milliseconds of the longest fragment of the session's tracks that was seen
	longest int64
	whole   bool // of a range: it has everything
}

// errNoFragments returns the answer if there is nothing to play.
func errNoFragments() error {
	return api.NewError(api.ResourceNotFoundException, api.MessageNoFragments)
}

// selectLive selects the newest want fragments that belong together. It reads at least the newest
// history ones, to learn how long the stream's fragments are.
func (s *Service) selectLive(ctx context.Context, stream *store.Stream, p *parameters,
	now time.Time) (*selection, error) {
	want := p.max
	sel := &selection{}
	same := classes{service: s, stream: stream.ID, format: p.format, switching: p.switching}
	seen := make(map[int64]bool) // producer timestamps
	var after store.Number
	for looked, limit := 0, 2*want+timeline.History; (len(sel.fragments) < want ||
		looked < timeline.History) && looked < limit; {
		page, err := s.store.List(ctx, stream.ID, store.Query{
			Order: store.ByNumberNewest, After: after,
			Limit: min(max(want-len(sel.fragments)+16, timeline.History-looked), limit-looked,
				listPage),
		})
		if err != nil {
			return nil, fmt.Errorf("list fragments: %w", err)
		}
		if len(page) == 0 {
			break
		}
		if after == 0 { // only of the first page: a commit between two pages must not be skipped
			for i := range page {
				sel.cursor = max(sel.cursor, page[i].Sequence)
			}
		}
		after = page[len(page)-1].Number
		for i := range page {
			f := &page[i]
			looked++
			if f.Partial {
				continue
			}
			if sel.reference == 0 {
				if err := sel.refer(ctx, s, stream, f, &same); err != nil {
					return nil, err
				}
				if f.ServerTimestamp+sel.length(f) < now.Add(-api.LiveFreshness).UnixMilli() {
					return nil, errNoFragments()
				}
			}
			c, err := same.of(ctx, f.TrackSet)
			if err != nil {
				return nil, err
			}
			if !c.ok || !sel.hasFrames(f) {
				continue
			}
			if looked <= timeline.History {
				sel.longest = max(sel.longest, sel.length(f))
			}
			if len(sel.fragments) < want &&
				(p.selector != store.ProducerTimestamp || !seen[f.ProducerTimestamp]) {
				seen[f.ProducerTimestamp] = true
				sel.fragments, sel.classes = append(sel.fragments, *f), append(sel.classes, c)
			}
		}
	}
	slices.Reverse(sel.fragments)
	slices.Reverse(sel.classes)
	return sel, nil
}

// selectRange selects the oldest want fragments whose timestamp is in the parameters' range, both
// ends included, and orders them.
func (s *Service) selectRange(ctx context.Context, stream *store.Stream, p *parameters,
	want int) (*selection, error) {
	sel := &selection{}
	same := classes{service: s, stream: stream.ID, format: p.format, switching: p.switching}
	seen := make(map[int64]int) // producer timestamp → index in sel.fragments
	q := store.Query{Range: p.span(), Order: store.ByNumber, Limit: min(listPage, want)}
	for len(sel.fragments) < want {
		page, err := s.store.List(ctx, stream.ID, q)
		if err != nil {
			return nil, fmt.Errorf("list fragments: %w", err)
		}
		for i := range page {
			f := &page[i]
			if len(sel.fragments) == want {
				break
			}
			q.After = f.Number
			sel.cursor = max(sel.cursor, f.Sequence)
			if sel.reference == 0 {
				if err := sel.refer(ctx, s, stream, f, &same); err != nil {
					return nil, err
				}
			}
			c, err := same.of(ctx, f.TrackSet)
			if err != nil {
				return nil, err
			}
			if !c.ok || !sel.hasFrames(f) {
				continue
			}
			if p.selector == store.ProducerTimestamp {
				if j, double := seen[f.ProducerTimestamp]; double {
					sel.fragments[j], sel.classes[j] = *f, c
					continue
				}
				seen[f.ProducerTimestamp] = len(sel.fragments)
			}
			sel.fragments, sel.classes = append(sel.fragments, *f), append(sel.classes, c)
		}
		if len(page) < q.Limit {
			sel.whole = len(page) == 0 || q.After == page[len(page)-1].Number
			break
		}
	}
	if p.selector == store.ProducerTimestamp {
		sort.Stable(byProducer{sel})
	}
	return sel, nil
}

// byProducer orders a selection by producer timestamp.
type byProducer struct{ *selection }

func (b byProducer) Len() int { return len(b.fragments) }
func (b byProducer) Less(i, j int) bool {
	return b.fragments[i].ProducerTimestamp < b.fragments[j].ProducerTimestamp
}
func (b byProducer) Swap(i, j int) {
	b.fragments[i], b.fragments[j] = b.fragments[j], b.fragments[i]
	b.classes[i], b.classes[j] = b.classes[j], b.classes[i]
}

// selectReplay selects what a LIVE_REPLAY session begins with: the oldest fragments of the range,
// many more than a playlist lists, because fragments that are known now are chosen as for a
// recording. It sets the parameters' last commit if the range is over.
func (s *Service) selectReplay(ctx context.Context, stream *store.Stream, p *parameters,
	now time.Time) (*selection, error) {
	newest, err := s.store.List(ctx, stream.ID,
		store.Query{Order: store.ByNumberNewest, Limit: timeline.History})
	if err != nil {
		return nil, fmt.Errorf("list fragments: %w", err)
	}
	var latest int64 // the selection sees everything committed up to here
	for i := range newest {
		latest = max(latest, newest[i].Sequence)
	}
	sel, err := s.selectRange(ctx, stream, p, replayKnown)
	if err != nil || len(sel.fragments) == 0 {
		return sel, err
	}
	sel.cursor = max(sel.cursor, latest)
	if p.end < now.Add(-rangeMargin).UnixMilli() {
		p.last = sel.cursor
	}
	if !sel.whole { // the fold continues where the selection stopped
		var last store.Number
		for i := range sel.fragments {
			last = max(last, sel.fragments[i].Number)
		}
		next, err := s.store.List(ctx, stream.ID, store.Query{
			Range: p.span(), Order: store.ByNumber, After: last, Limit: timeline.History,
		})
		if err != nil {
			return nil, fmt.Errorf("list fragments: %w", err)
		}
		for i := range next {
			sel.cursor = min(sel.cursor, next[i].Sequence-1)
		}
	}
	return sel, nil
}

// refer makes f the reference fragment.
func (sel *selection) refer(ctx context.Context, s *Service, stream *store.Stream,
	f *store.FragmentInfo, same *classes) error {
	tracks, err := s.store.TrackSet(ctx, stream.ID, f.TrackSet)
	if err != nil {
		return fmt.Errorf("read tracks: %w", err)
	}
	sel.reference, sel.tracks = f.TrackSet, firstTracks(tracks)
	if len(sel.tracks) == 0 {
		return api.NewError(api.UnsupportedStreamMediaTypeException,
			"The stream has neither a video nor an audio track.")
	}
	same.reference = sel.tracks
	return nil
}

// length returns the length of the fragment's longest run in milliseconds.
func (sel *selection) length(f *store.FragmentInfo) int64 {
	var longest int64
	for i := range sel.tracks {
		if span := f.Span(sel.tracks[i].Number); span != nil && sel.tracks[i].Timescale > 0 {
			longest = max(longest, timeline.Millis(span, int64(sel.tracks[i].Timescale)))
		}
	}
	return longest
}

// target returns the target duration, in seconds, of a session that begins with the selection.
func (sel *selection) target(r *timeline.Rules) int64 {
	longest := sel.longest
	for i := range sel.fragments {
		longest = max(longest,
			r.Scaled(sel.classes[i].generation().Scales).Length(&sel.fragments[i]))
	}
	return timeline.TargetDuration(longest)
}

func (sel *selection) hasFrames(f *store.FragmentInfo) bool {
	for i := range sel.tracks {
		if f.Span(sel.tracks[i].Number) != nil {
			return true
		}
	}
	return false
}

// settle drops tracks without frames in any selected fragment, and checks that the others can be
// packaged. With generations, the session's tracks are those of the first fragment. Beside
// pictures, sound that may come later stays if there is silence for it until then.
func (sel *selection) settle(f format) error {
	if first := sel.classes[0]; first.set != sel.reference {
		sel.reference, sel.tracks = first.set, first.tracks
	}
	sel.tracks = slices.DeleteFunc(sel.tracks, func(t media.Track) bool {
		return !sel.has(t.Number) &&
			!(t.Kind == media.Audio && sel.has(sel.tracks[0].Number) &&
				media.SilenceOf(&t) != nil && f.check(&t) == nil &&
				(f != hlsMPEGTS || mpegts.Check(&t) == nil))
	})
	for i := range sel.tracks {
		if err := f.check(&sel.tracks[i]); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether a selected fragment has frames of a track.
func (sel *selection) has(track int) bool {
	return slices.ContainsFunc(sel.fragments, func(f store.FragmentInfo) bool {
		return f.Span(track) != nil
	})
}

// check returns an error if a track cannot be played, in the service's words if these are known
// (docs/reference/service.md, "Session inputs"). G.711 is only for DASH, as at the service: no HLS
// player knows it.
func (f format) check(t *media.Track) error {
	_, err := media.CodecString(t)
	switch law := t.CodecID == media.CodecACM; {
	case err == nil && t.Timescale > 0 && (!law || f == dashFragmentedMP4):
		return nil
	case f == dashFragmentedMP4 && errors.Is(err, media.ErrUnsupportedCodec):
		return api.Errorf(api.UnsupportedStreamMediaTypeException,
			"The codec %s of track %d is not supported for DASH playback; supported are %s, %s, "+
				"%s, and G.711 as %s.", t.CodecID, t.Number, media.CodecAVC, media.CodecHEVC,
			media.CodecAAC, media.CodecACM)
	case f != dashFragmentedMP4 && (law || errors.Is(err, media.ErrUnsupportedCodec)):
		return api.Errorf(api.UnsupportedStreamMediaTypeException,
			"The codec %s of track %d is not supported for HLS playback; supported are %s, %s "+
				"and %s.",
			t.CodecID, t.Number, media.CodecAVC, media.CodecHEVC, media.CodecAAC)
	case errors.Is(err, media.ErrMissingCodecPrivate):
		return api.Errorf(api.MissingCodecPrivateDataException,
			"Missing codec private data in fragment for track %d.", t.Number)
	case errors.Is(err, media.ErrInvalidCodecPrivate):
		return api.Errorf(api.InvalidCodecPrivateDataException,
			"Invalid codec private data in fragment for track %d: %v.", t.Number, err)
	case err == nil:
		return fmt.Errorf("track %d has no timescale", t.Number)
	}
	return fmt.Errorf("read codec of track %d: %w", t.Number, err)
}

// firstTracks returns the first video and the first audio track, in declaration order, whatever
// their codecs.
func firstTracks(tracks []media.Track) []media.Track {
	var chosen []media.Track
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		if i := slices.IndexFunc(tracks,
			func(t media.Track) bool { return t.Kind == kind }); i >= 0 {
			chosen = append(chosen, tracks[i])
		}
	}
	return chosen
}

// class is what a track set is to a session.
type class struct {
	ok     bool          // its packaged tracks can be shown
	set    int64         // the track set
	tracks []media.Track // the packaged ones, in the session's order
}

// generation describes the class for the fold.
func (c *class) generation() timeline.Generation {
	g := timeline.Generation{Set: c.set}
	for i := range c.tracks {
		g.Scales[i] = int64(c.tracks[i].Timescale)
		g.Silent = media.SilenceOf(&c.tracks[i]) != nil // sound is the last one
	}
	return g
}

// only returns the class with no other tracks than those.
func (c *class) only(tracks []timeline.Track) *class {
	k := *c
	k.tracks = slices.DeleteFunc(slices.Clone(c.tracks), func(t media.Track) bool {
		return !slices.ContainsFunc(tracks, func(p timeline.Track) bool {
			return p.Number == t.Number
		})
	})
	return &k
}

// equal reports whether two classes have the same tracks, codec private data included.
func (c *class) equal(o *class) bool {
	return slices.EqualFunc(c.tracks, o.tracks, func(a, b media.Track) bool {
		return a.Number == b.Number && a.CodecID == b.CodecID && a.Timescale == b.Timescale &&
			bytes.Equal(a.CodecPrivate, b.CodecPrivate)
	})
}

// classes finds the classes of track sets, and remembers them.
type classes struct {
	service   *Service
	stream    store.StreamID
	format    format        // what the session delivers
	switching bool          // other codec private data is accepted
	reference []media.Track // the session's tracks
	known     map[int64]*class
}

func (c *classes) of(ctx context.Context, set int64) (*class, error) {
	if k, ok := c.known[set]; ok {
		return k, nil
	}
	tracks, err := c.service.store.TrackSet(ctx, c.stream, set)
	if err != nil {
		return nil, fmt.Errorf("read tracks: %w", err)
	}
	k := c.classify(tracks)
	k.set = set
	if c.known == nil || len(c.known) >= 1024 { // a producer may make a new set for each fragment
		c.known = make(map[int64]*class)
	}
	c.known[set] = k
	return k, nil
}

// classify takes the first video and the first audio track of a set, if the reference has them.
// They can be shown if they have the reference's numbers and codecs, and its codec private data or,
// with switching, any that can be decoded.
func (c *classes) classify(set []media.Track) *class {
	k := &class{ok: true}
	for i := range c.reference {
		a := &c.reference[i]
		j := slices.IndexFunc(set, func(t media.Track) bool { return t.Kind == a.Kind })
		if j < 0 || a.Number != set[j].Number || a.CodecID != set[j].CodecID {
			return &class{}
		}
		b := &set[j]
		k.tracks = append(k.tracks, *b)
		if a.Timescale == b.Timescale && bytes.Equal(a.CodecPrivate, b.CodecPrivate) {
			continue
		}
		if !c.switching || c.format.check(b) != nil {
			return &class{}
		}
	}
	return k
}
