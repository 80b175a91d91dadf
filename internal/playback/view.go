package playback

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/manifest"
	"weir/internal/store"
)

// view is a session's timeline in memory, with the text of its segments. It is a cache: everything in it can be made again
// from the session's row and the store.
type view struct {
	mu    sync.Mutex // held for the whole of a request for a playlist
	token string     // the one that the text is written with
	rules *rules
	state *timeline // nil: nothing loaded
	gone  int64     // entries that left state.entries since the state was loaded
	same  sameSets
	text  [maxTracks]trackText
}

// trackText is the text of one track's playlist. Entries are counted from the loading of the state, so that an entry keeps its
// index while others leave: entry i of state.entries has index gone + i.
type trackText struct {
	body  []byte  // segments one after the other, without EXT-X-MAP
	base  int64   // index of the entry that body begins with
	start []int   // where in body entry base+i begins; empty range when it has no frames of the track
	whole []byte  // the playlist as last written; never changed, only replaced
	key   textKey // what whole was written for
}

// textKey is all that a playlist depends on within one loaded state.
type textKey struct {
	from, to int64 // entries listed
	target   int64
}

// Writing checkpoints (DESIGN.md): after so many commits, so much server time, or when the camera fell silent.
const (
	checkpointCommits = 64
	checkpointAge     = 5 * time.Minute
	checkpointSilence = time.Minute
	lostMargin        = time.Minute
)

// MediaPlaylist does GetHLSMediaPlaylist: the playlist of one track. The bytes must not be changed. ResourceNotFound when the
// session has no such track, or everything it listed is past retention.
func (s *Service) MediaPlaylist(ctx context.Context, token string, track int) ([]byte, error) {
	o, err := s.session(ctx, token)
	if err != nil {
		return nil, err
	}
	i := o.p.track(track)
	if i < 0 {
		return nil, noTrack(track)
	}
	v := s.views.get(o.session.ID)
	v.mu.Lock()
	defer func() {
		weight := v.weight()
		v.mu.Unlock()
		s.views.weigh(o.session.ID, v, weight)
	}()
	if err := s.advance(ctx, o, v); err != nil {
		return nil, err
	}
	return v.playlist(o, i)
}

func noTrack(track int) error {
	return api.Errorf(api.ResourceNotFoundException, "The streaming session has no track %d.", track)
}

// advance brings the view to the present: loads the checkpoint if it must, folds in what was committed since, and writes a
// checkpoint when it is time.
func (s *Service) advance(ctx context.Context, o *open, v *view) error {
	saved, savedTime, err := checkpointHead(o.session.Checkpoint)
	if err != nil {
		return fmt.Errorf("read session: %w", err)
	}
	isLive := o.p.mode == live
	lossy := isLive && savedTime < o.edge()+lostMargin.Milliseconds()
	if v.state == nil || v.token != o.token || v.state.cursor < saved || lossy && v.state.cursor != saved {
		state, err := decodeTimeline(o.session.Checkpoint, len(o.p.tracks))
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		v.token, v.rules, v.state, v.gone, v.text = o.token, o.p.rules(), state, 0, [maxTracks]trackText{}
		v.same = sameSets{service: s, stream: o.stream.ID, known: map[int64]bool{o.p.trackSet: true}}
	}
	if !isLive {
		return nil
	}
	if err := s.follow(ctx, o, v, lossy); err != nil {
		return err
	}
	if ahead := v.state.cursor - saved; ahead > 0 {
		age := min(checkpointAge, time.Duration(o.stream.RetentionHours)*time.Hour/4)
		if lossy || ahead >= int64(max(checkpointCommits, o.p.max/8)) ||
			v.state.serverTime-savedTime >= age.Milliseconds() ||
			o.now.UnixMilli()-v.state.serverTime >= checkpointSilence.Milliseconds() {
			s.save(ctx, o, v)
		}
	}
	return nil
}

// follow folds in the commits after the cursor. With lossy, those missing before the first one are counted as lost.
func (s *Service) follow(ctx context.Context, o *open, v *view, lossy bool) error {
	for {
		page, err := s.store.List(ctx, o.stream.ID, store.Query{Order: store.BySequence, AfterSequence: v.state.cursor, Limit: listPage})
		if err != nil {
			return storeError("list fragments", err)
		}
		for i := range page {
			f := &page[i]
			if missing := f.Sequence - v.state.cursor - 1; lossy && missing > 0 {
				v.gone += int64(len(v.state.entries))
				v.state.lost(v.rules, missing)
			}
			lossy = false
			same, err := v.sameAs(ctx, s, o, f.TrackSet)
			if err != nil {
				return err
			}
			before := len(v.state.entries)
			greatest := v.state.greatest
			v.state.add(v.rules, f, same)
			if v.state.greatest != greatest && len(v.state.entries) == before {
				v.gone++
			}
		}
		if len(page) < listPage {
			return nil
		}
	}
}

// sameAs tells whether a track set has the session's tracks. The reference set is read when another one first appears.
func (v *view) sameAs(ctx context.Context, s *Service, o *open, set int64) (bool, error) {
	if set == o.p.trackSet {
		return true, nil
	}
	if v.same.reference == nil {
		reference, err := s.packagedTracks(ctx, o)
		if err != nil {
			return false, err
		}
		v.same.reference = reference
	}
	return v.same.of(ctx, set)
}

// save writes a checkpoint. Failing to is no fault of this answer: the next request tries again.
func (s *Service) save(ctx context.Context, o *open, v *view) {
	err := s.store.Checkpoint(ctx, o.session.ID, v.state.encode(len(o.p.tracks)))
	if err != nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "session checkpoint not written", slog.String("stream", o.stream.Name), slog.Any("error", err))
	}
}

// playlist gives the text of a track's playlist as the state stands.
func (v *view) playlist(o *open, track int) ([]byte, error) {
	t, text := v.state, &v.text[track]
	from := t.window(v.rules, o.edge())
	if from == len(t.entries) {
		return nil, errNoFragments()
	}
	key := textKey{from: v.gone + int64(from), to: v.gone + int64(len(t.entries)), target: t.target}
	if text.whole != nil && text.key == key {
		return text.whole, nil
	}
	v.write(o, track, from)

	h := manifest.Header{
		Version: manifest.FragmentedMP4Version, VOD: !v.rules.live, TargetDuration: t.target,
		MediaSequence: t.dropped[track], DiscontinuitySequence: -1, Independent: true,
	}
	first, tagged := -1, false
	for i := range t.entries {
		e := &t.entries[i]
		switch {
		case e.duration[track] < 0:
		case i < from:
			h.MediaSequence++
		default:
			if first < 0 {
				first = i
			}
			h.Independent = h.Independent && e.key[track]
			tagged = tagged || e.tags[track] > 0
		}
	}
	before := t.listed[track] // discontinuities before the first listed segment
	if first >= 0 {
		before = t.entries[first].discontinuity - t.entries[first].tags[track]
	}
	if v.rules.live && (before > 0 || tagged) {
		h.DiscontinuitySequence = before
	}

	whole := make([]byte, 0, 512+len(text.body)-text.start[key.from-text.base]+2*len(o.token))
	whole = h.Append(whole)
	if first >= 0 {
		s := v.segment(o, track, &t.entries[first])
		s.Map = initSegmentURI(o.token, v.rules.tracks[track].number, 0)
		whole = s.Append(whole)
		if next := int(v.gone + int64(first) + 1 - text.base); next < len(text.start) {
			whole = append(whole, text.body[text.start[next]:]...)
		}
	}
	if !v.rules.live {
		whole = manifest.AppendEnd(whole)
		*text = trackText{base: key.to} // it will not be written again
	}
	text.whole, text.key = whole, key
	return whole, nil
}

// write makes sure that body holds the text of every entry from index from of the state on, and not much else.
func (v *view) write(o *open, track, from int) {
	t, text := v.state, &v.text[track]
	lowest := v.gone + int64(from)
	if lowest < text.base || lowest > text.base+int64(len(text.start)) { // the window was wider once, or everything is new
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
	for i := int(text.base + int64(len(text.start)) - v.gone); i < len(t.entries); i++ {
		text.start = append(text.start, len(text.body))
		if e := &t.entries[i]; e.duration[track] >= 0 {
			s := v.segment(o, track, e)
			text.body = s.Append(text.body)
		}
	}
}

func (v *view) segment(o *open, track int, e *entry) manifest.Segment {
	return manifest.Segment{
		Discontinuities: int(e.tags[track]),
		DateTime:        e.timestamp,
		HasDateTime:     o.p.timestamps,
		Duration:        e.duration[track],
		URI:             mediaSegmentURI(o.token, v.rules.tracks[track].number, o.stream.FormatNumber(e.number)),
	}
}

// entryBytes is what an entry takes in memory, its offsets included.
const entryBytes = 128

// weight is about how many bytes the view takes.
func (v *view) weight() int64 {
	n := int64(4096)
	if v.state != nil {
		n += entryBytes * int64(cap(v.state.entries))
	}
	for i := range v.text {
		n += int64(cap(v.text[i].body) + 8*cap(v.text[i].start) + cap(v.text[i].whole))
	}
	return n
}

// viewCache holds the views of the sessions used last, up to a total weight.
type viewCache struct {
	mu    sync.Mutex
	limit int64
	total int64
	byID  map[string]*list.Element
	order *list.List // of *cached, used last first
}

type cached struct {
	id     string
	view   *view
	weight int64
}

func newViewCache(limit int64) *viewCache {
	return &viewCache{limit: limit, byID: make(map[string]*list.Element), order: list.New()}
}

// get finds the view of a session, or makes an empty one.
func (c *viewCache) get(id string) *view {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok {
		c.order.MoveToFront(el)
		return el.Value.(*cached).view
	}
	v := &view{}
	c.byID[id] = c.order.PushFront(&cached{id: id, view: v})
	return v
}

// weigh records how heavy a view has become and lets the views go that were not used for longest, until the total fits.
// A view that is let go while a request uses it serves that request and is then forgotten.
func (c *viewCache) weigh(id string, v *view, weight int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok && el.Value.(*cached).view == v {
		e := el.Value.(*cached)
		c.total += weight - e.weight
		e.weight = weight
	}
	for c.total > c.limit && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

func (c *viewCache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.byID[id]; ok {
		c.remove(el)
	}
}

func (c *viewCache) remove(el *list.Element) {
	e := c.order.Remove(el).(*cached)
	delete(c.byID, e.id)
	c.total -= e.weight
}
