package playback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/manifest"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
)

// view is a session's timeline in memory, with the text of its segments. It is a cache: everything
// in it can be rebuilt from the session's row and the store.
type view struct {
	mu    sync.Mutex // held for a whole request for a playlist
	token string     // the one that the text is written with
	rules *timeline.Rules
	pool  *sync.Pool      // for compressing playlists
	state *timeline.State // nil: nothing loaded
	same  classes
	known []*class // of state.generations that were needed
	text  [timeline.MaxTracks]trackText
	// DASH: the manifest as last written, which is never changed, what it was written for, and the
	// tracks in each generation
	whole     *Playlist
	wholeKey  textKey
	publish   int64 // of the newest manifest
	described []representations
	current   bool        // the state was brought up to date since it was loaded
	unsaved   bool        // a checkpoint could not be written
	retry     time.Time   // if so, none is written before
	saved     []byte      // the checkpoint that was last read
	low       *lowLatency // of a session with parts
}

// trackText is the text of one track's playlist. Entries are counted from when the state was
// loaded, so that an entry keeps its index while others leave: entry i of state.entries has index
// state.gone + i.
type trackText struct {
	body []byte // segments one after the other; EXT-X-MAP only where it changes
	base int64  // index of the entry that body begins with
	// where entry base+i begins in body; an empty range if it has no frames of the track
	start  []int
	blocks map[int64]*block // compressed forms: block n is of the entries from n·blockEntries on
	whole  *Playlist        // as last written; never changed, only replaced
	key    textKey          // what whole was written for
}

// textKey is everything that a playlist depends on within one loaded state.
type textKey struct {
	from, to int64 // entries listed
	end      bool  // no more will follow
	silent   int64 // DASH: how long nothing has followed, in milliseconds, in steps
}

// A checkpoint is written after a number of commits, after some time on the server's clock, or when
// the camera falls silent (DESIGN.md).
const (
	checkpointCommits = 64
	checkpointAge     = 5 * time.Minute
	checkpointSilence = time.Minute
	checkpointRetry   = time.Minute
	lostMargin        = time.Minute
)

// ReloadPlaylist serves GetHLSMediaPlaylist: the playlist of one track. In a session with parts,
// directives may make it wait. Errors are ResourceNotFound if there is no such track, or all that
// it listed is past retention, and InvalidArgument for refused directives.
func (s *Service) ReloadPlaylist(ctx context.Context, token string,
	ref sessionurl.MediaPlaylist) (*Playlist, error) {
	o, err := s.sessionOf(ctx, token, reloadPlaylist, hlsFragmentedMP4, hlsMPEGTS)
	if err != nil {
		return nil, err
	}
	i := o.p.track(ref.Track)
	if !o.p.lists(ref.Track) {
		return nil, noTrack(ref.Track)
	}
	if o.p.partTarget > 0 {
		return s.lowLatencyPlaylist(ctx, o, i, &ref.Directives)
	}
	var text *Playlist
	err = s.look(ctx, o, func(v *view) error {
		text, err = v.playlist(o, i)
		return err
	})
	return text, err
}

// look brings the view of a session up to date and calls do with it.
func (s *Service) look(ctx context.Context, o *request, do func(*view) error) error {
	v := s.views.get(o.session.ID, o.session.ExpiresMillis)
	v.mu.Lock()
	defer func() {
		weight := v.weight()
		v.mu.Unlock()
		s.views.weigh(o.session.ID, v, weight)
	}()
	if err := s.advance(ctx, o, v); err != nil {
		return err
	}
	return do(v)
}

// generationTracks describes the session's tracks in a generation of its codec private data, video
// first. The error is ResourceNotFound if there is no such generation.
func (s *Service) generationTracks(ctx context.Context, o *request,
	number int) ([]media.Track, error) {
	if number == 0 {
		return s.packagedTracks(ctx, o)
	}
	var tracks []media.Track
	err := s.look(ctx, o, func(v *view) error {
		if number >= len(v.state.Generations) {
			return api.Errorf(api.ResourceNotFoundException,
				"The streaming session has no initialization fragment %d.", number)
		}
		c, err := v.class(ctx, s, o, v.state.Generations[number].Set)
		if err == nil {
			tracks = c.tracks
		}
		return err
	})
	return tracks, err
}

func noTrack(track int) error {
	return api.Errorf(api.ResourceNotFoundException, "The streaming session has no track %d.",
		track)
}

// advance brings the view up to date: it loads the checkpoint if necessary, folds in later commits,
// and writes a checkpoint when it is time.
func (s *Service) advance(ctx context.Context, o *request, v *view) error {
	saved, savedTime, err := timeline.ReadCursor(o.session.Checkpoint)
	if err != nil { // a later version has written it, beside this one
		return api.NewError(api.NotAuthorizedException, messageOtherVersion)
	}
	lossy := o.p.mode != timeline.OnDemand && savedTime < o.edge()+lostMargin.Milliseconds()
	if v.state == nil || v.token != o.token || v.state.Cursor < saved ||
		lossy && v.state.Cursor != saved || v.missesGap(o, saved) {
		state, err := timeline.Decode(o.session.Checkpoint, len(o.p.tracks))
		if err == nil && o.p.format == dashFragmentedMP4 && len(state.Periods) == 0 {
			err = timeline.ErrForm
		}
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		v.token, v.rules, v.pool, v.state, v.known, v.text = o.token, o.p.rules(), s.deflaters,
			state, nil, [timeline.MaxTracks]trackText{}
		v.whole, v.described, v.saved = nil, nil, o.session.Checkpoint
		v.current, v.unsaved = false, false
		if v.low != nil {
			v.low.forget()
		}
		v.rules.Opened = o.session.CreatedMillis
		v.same = classes{service: s, stream: o.stream.ID, format: o.p.format,
			switching: o.p.switching}
	}
	if err := s.follow(ctx, o, v, lossy); err != nil {
		return err
	}
	if ahead := v.state.Cursor - saved; (ahead > 0 || v.unsaved) && !o.now.Before(v.retry) {
		age := min(checkpointAge, time.Duration(o.stream.RetentionHours)*time.Hour/4)
		if v.unsaved || lossy || ahead >= int64(max(checkpointCommits, o.p.max/8)) ||
			v.state.ServerTime-savedTime >= age.Milliseconds() ||
			o.now.UnixMilli()-v.state.ServerTime >= checkpointSilence.Milliseconds() {
			s.save(ctx, o, v)
		}
	}
	return nil
}

// follow folds in the commits after the cursor: all of them, or with LIVE_REPLAY enough to know
// what is due now. With lossy, commits that are missing before the first one count as lost.
func (s *Service) follow(ctx context.Context, o *request, v *view, lossy bool) error {
	t, now := v.state, o.now.UnixMilli()
	// The store knows the newest commit's number without a query, so most reloads read no rows.
	newest, err := s.store.Wait(ctx, o.stream.ID, -1)
	if err != nil {
		return fmt.Errorf("look for fragments: %w", err)
	}
	for more := newest > t.Cursor; more && !t.Finished(v.rules); {
		if v.rules.Mode == timeline.LiveReplay && t.Revealed(v.rules, now) < len(t.Entries) {
			break // what is due now is known; later commits make no difference
		}
		page, err := s.store.List(ctx, o.stream.ID,
			store.Query{Order: store.BySequence, AfterSequence: t.Cursor, Limit: listPage})
		if errors.Is(err, store.ErrAway) && v.current {
			return nil // what was shown goes on
		}
		if err != nil {
			return fmt.Errorf("list fragments: %w", err)
		}
		more = len(page) == listPage
		for i := range page {
			f := &page[i]
			next := f.Sequence
			if v.rules.Last > 0 {
				next = min(next, v.rules.Last+1)
			}
			if missing := next - t.Cursor - 1; lossy && missing > 0 {
				t.Lost(v.rules, missing)
			}
			lossy = false
			if next < f.Sequence {
				t.Cursor = v.rules.Last // the rest of the session's commits is past retention
			}
			if t.Finished(v.rules) {
				break
			}
			c, err := v.match(ctx, s, o, f.TrackSet)
			if err != nil {
				return err
			}
			if err := s.add(ctx, o, v, f, c); err != nil {
				return err
			}
		}
	}
	v.current = true
	if v.rules.Mode == timeline.LiveReplay {
		t.Trim(v.rules, t.Revealed(v.rules, now))
	}
	return nil
}

// add folds in one commit.
func (s *Service) add(ctx context.Context, o *request, v *view, f *store.FragmentInfo,
	c timeline.Match) error {
	read := func() (*media.Fragment, error) { return s.frames(ctx, o.stream.ID, *f) }
	l := v.low
	if l == nil || l.open == nil || f.Partial ||
		f.Number != l.open.Info.Number && !v.state.Takes(v.rules, f, c) { // it is not listed
		return v.state.Add(v.rules, f, c, read)
	}
	open, err := v.storedAgain(f, c, read)
	if err != nil {
		return err
	}
	said, _ := l.said()
	differs := open == l.open && (said.Differs || l.stored != nil && l.stored.Differs)
	gap, err := v.state.AddAfter(v.rules, f, c, read, open, differs)
	if gap || err == nil {
		v.closeOpen(gap)
	}
	if gap || open.Again {
		s.save(ctx, o, v)
	}
	return err
}

// class returns the class of a track set. The session's tracks are read when another set than
// theirs first appears.
func (v *view) class(ctx context.Context, s *Service, o *request, set int64) (*class, error) {
	if v.same.reference == nil {
		reference, err := s.packagedTracks(ctx, o)
		if err != nil {
			return nil, err
		}
		v.same.reference = reference
	}
	return v.same.of(ctx, set)
}

// match returns what fragments of a track set are to the current timeline.
func (v *view) match(ctx context.Context, s *Service, o *request,
	set int64) (timeline.Match, error) {
	known := v.state.Generations
	if i := v.state.Generation; i < len(known) && known[i].Set == set {
		return timeline.Match{Index: i, Generation: known[i]}, nil
	}
	c, err := v.class(ctx, s, o, set)
	if err != nil || !c.ok {
		return timeline.Match{Index: -1}, err
	}
	for i := range known {
		if i == len(v.known) {
			k, err := v.class(ctx, s, o, known[i].Set)
			if err != nil {
				return timeline.Match{}, err
			}
			v.known = append(v.known, k)
		}
		if c.equal(v.known[i]) {
			return timeline.Match{Index: i, Generation: known[i]}, nil
		}
	}
	return timeline.Match{Index: len(known), Generation: c.generation()}, nil
}

// save writes a checkpoint. If it fails, the request does not: a request after checkpointRetry, or
// soon if the database was away, tries again.
func (s *Service) save(ctx context.Context, o *request, v *view) {
	data := v.state.Encode(len(o.p.tracks))
	err := s.store.Checkpoint(ctx, o.session.ID, data)
	if err == nil {
		o.session.Checkpoint, v.saved, v.unsaved = data, data, false
	}
	if err == nil || errors.Is(err, store.ErrNotFound) || ctx.Err() != nil {
		return
	}
	v.unsaved, v.retry = true, o.now.Add(checkpointRetry)
	if errors.Is(err, store.ErrAway) {
		v.retry = o.now.Add(time.Second)
	} else if !errors.Is(err, store.ErrFull) { // the store itself reports a full disk
		s.log.LogAttrs(ctx, slog.LevelWarn, "session checkpoint not written",
			slog.String("stream", o.stream.Name), slog.Any("error", err))
	}
}

// playlist returns a track's playlist in the current state.
func (v *view) playlist(o *request, track int) (*Playlist, error) {
	t, text := v.state, &v.text[track]
	from, to := t.Window(v.rules, o.now.UnixMilli(), o.edge())
	if from == to {
		return nil, errNoFragments()
	}
	key := textKey{from: t.Gone + int64(from), to: t.Gone + int64(to), end: to == len(t.Entries) &&
		t.Finished(v.rules)}
	if text.whole != nil && text.key == key {
		return text.whole, nil
	}
	v.write(o, track, from, to)

	n := t.Numbers(v.rules, track, from, to)
	h := manifest.Header{
		Version: manifest.FragmentedMP4Version, VOD: !v.rules.Grows(), TargetDuration: t.Target,
		MediaSequence: n.MediaSequence, DiscontinuitySequence: n.Discontinuity,
		Independent: n.Independent,
	}
	if v.rules.Muxed {
		h.Version = manifest.TransportStreamVersion
	}

	var blocks []placedBlock
	whole := make([]byte, 0, 512+len(text.lines(key.from, key.to))+2*len(o.token))
	whole = h.Append(whole)
	if n.First >= 0 {
		e := &t.Entries[n.First]
		s := v.segment(o, track, e, n.MediaSequence)
		s.Map = v.mapURI(o, track, e)
		whole = s.Append(whole)
		if next := t.Gone + int64(n.First) + 1; next < key.to {
			blocks = text.place(next, key.to, len(whole))
			whole = append(whole, text.lines(next, key.to)...)
		}
	}
	if key.end {
		whole = manifest.AppendEnd(whole)
	}
	if !v.rules.Grows() {
		*text = trackText{base: key.to} // it will not be written again
	}
	text.whole, text.key = &Playlist{Text: whole, blocks: blocks, pool: v.pool}, key
	return text.whole, nil
}

// place finds the blocks whose entries all have an index in [from, to). at is where the playlist
// has the text of these entries.
func (t *trackText) place(from, to int64, at int) []placedBlock {
	first := (from + blockEntries - 1) / blockEntries
	for n := range t.blocks {
		if n < first {
			delete(t.blocks, n)
		}
	}
	var placed []placedBlock
	for n := first; (n+1)*blockEntries <= to; n++ {
		b := t.blocks[n]
		if b == nil {
			b = &block{}
			if t.blocks == nil {
				t.blocks = make(map[int64]*block)
			}
			t.blocks[n] = b
		}
		placed = append(placed, placedBlock{
			from: at + t.offset(n*blockEntries) - t.offset(from),
			to:   at + t.offset((n+1)*blockEntries) - t.offset(from), block: b,
		})
	}
	return placed
}

// write makes sure that body holds the text of the entries [from, to) of the state, and not much
// else.
func (v *view) write(o *request, track, from, to int) {
	t, text := v.listed(), &v.text[track]
	lowest := t.Gone + int64(from)
	// the window was wider before, or everything is new
	if lowest < text.base || lowest > text.base+int64(len(text.start)) {
		*text = trackText{base: lowest}
	}
	if dead := int(lowest - text.base); dead > 64+len(text.start)/2 {
		cut := len(text.body)
		if dead < len(text.start) {
			cut = text.start[dead]
		}
		text.body = append([]byte(nil), text.body[cut:]...)
		start := make([]int, 0, len(text.start)-dead)
		for _, at := range text.start[dead:] {
			start = append(start, at-cut)
		}
		text.start, text.base = start, lowest
	}
	next, msn := int(text.base+int64(len(text.start))-t.Gone), int64(0)
	if next < to {
		msn = t.Sequence(track, next)
	}
	for ; next < to; next++ {
		text.start = append(text.start, len(text.body))
		if e := &t.Entries[next]; e.Duration[track] >= 0 {
			text.body = v.appendEntry(text.body, o, track, e, msn)
			msn++
		}
	}
}

// appendEntry appends the text of an entry's segment.
func (v *view) appendEntry(dst []byte, o *request, track int, e *timeline.Entry,
	msn int64) []byte {
	if v.rules.Periods {
		return v.timelineEntry(o, track, e).Append(dst)
	}
	s := v.segment(o, track, e, msn)
	if e.Change[track] {
		s.Map = v.mapURI(o, track, e)
	}
	return s.Append(dst)
}

// lines returns the text of the entries whose index is in [from, to), which write has made.
func (t *trackText) lines(from, to int64) []byte { return t.body[t.offset(from):t.offset(to)] }

// offset returns where the text of the entries from an index on begins in body.
func (t *trackText) offset(index int64) int {
	if i := index - t.base; i < int64(len(t.start)) {
		return t.start[i]
	}
	return len(t.body)
}

// entryBytes is what an entry takes in memory, its offsets included.
const entryBytes = 264

// weight returns about how many bytes the view takes.
func (v *view) weight() int64 {
	n := int64(4096) + v.whole.weight()
	if v.state != nil {
		n += entryBytes * int64(cap(v.state.Entries))
	}
	for i := range v.text {
		n += int64(cap(v.text[i].body)*5/4+8*cap(v.text[i].start)) + v.text[i].whole.weight()
		if v.low != nil {
			for _, written := range v.low.written[i] {
				n += written.text.weight()
			}
		}
	}
	return n
}
