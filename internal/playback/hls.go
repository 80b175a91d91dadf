package playback

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/manifest"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
)

// Opened is a session that has been opened.
type Opened struct {
	Token string // of its URL
	ID    string // in hexadecimal digits
}

// OpenHLS serves GetHLSStreamingSessionURL: it checks the request against the stream
// (docs/reference/service.md, "Session inputs"), selects what the session begins with, and
// registers the session. principal is the ARN of who opens it.
//
// Errors are *api.Error: ClientLimitExceeded (too many calls for this stream), InvalidArgument,
// NoDataRetention, ResourceNotFound (nothing to play), UnsupportedStreamMediaType,
// MissingCodecPrivateData and InvalidCodecPrivateData; store.ErrNotFound if the stream was deleted;
// anything else is a fault.
func (s *Service) OpenHLS(ctx context.Context, stream store.Stream, principal string,
	in *api.GetHLSStreamingSessionURLInput) (Opened, error) {
	now := s.clock()
	if err := s.allowSessionURL(stream.ID, openHLS, now); err != nil {
		return Opened{}, err
	}
	p, expires, err := hlsParameters(&stream, in, now)
	if err != nil {
		return Opened{}, err
	}
	return s.open(ctx, &stream, p, principal, expires, now)
}

// open registers a session. p has the parameters that are known without the session's fragments.
func (s *Service) open(
	ctx context.Context, stream *store.Stream, p *parameters,
	principal string, expires time.Duration, now time.Time,
) (Opened, error) {
	p.switching = s.switching
	var err error
	var sel *selection
	switch p.mode {
	case timeline.Live:
		sel, err = s.selectLive(ctx, stream, p, now)
	case timeline.LiveReplay:
		sel, err = s.selectReplay(ctx, stream, p, now)
	default:
		sel, err = s.selectRange(ctx, stream, p, p.max)
	}
	if err != nil {
		return Opened{}, err
	}
	if len(sel.fragments) == 0 {
		return Opened{}, errNoFragments()
	}
	if err := sel.settle(p.format); err != nil {
		return Opened{}, err
	}
	if p.format == hlsMPEGTS {
		if err := checkTS(sel.tracks); err != nil {
			return Opened{}, err
		}
	}
	if p.partTarget, err = s.partTargetOf(ctx, stream, p, sel); err != nil {
		return Opened{}, err
	}
	p.partHoldBack = s.edge.Burst(stream.ID).Milliseconds() // begin replaces it
	first := begin(p, sel, now.UnixMilli())

	id := make([]byte, 16)
	rand.Read(id) // never fails
	session := store.Session{
		ID: string(id), Stream: stream.ID, Kind: p.kind(), Principal: principal,
		CreatedMillis: now.UnixMilli(), ExpiresMillis: now.Add(expires).UnixMilli(),
		Parameters: p.encode(), Checkpoint: first.Encode(len(p.tracks)),
	}
	closed, err := s.store.OpenSession(ctx, session, s.limits.sessions(p.format))
	if err != nil {
		return Opened{}, fmt.Errorf("register session: %w", err)
	}
	for _, id := range closed {
		s.views.drop(id)
	}
	s.views.expire(now.UnixMilli())
	token := s.tokens.Seal(auth.Claims{SessionID: session.ID,
		Expires: time.UnixMilli(session.ExpiresMillis)})
	return Opened{Token: token, ID: hex.EncodeToString(id)}, nil
}

// hlsParameters checks a request, except for what depends on fragments, and fills in the defaults.
func hlsParameters(stream *store.Stream, given *api.GetHLSStreamingSessionURLInput,
	now time.Time) (*parameters, time.Duration, error) {
	if err := api.Validate(given); err != nil {
		return nil, 0, err
	}
	in := *given
	in.ApplyDefaults()
	p := &parameters{
		format:     hlsFragmentedMP4,
		timestamps: in.DisplayFragmentTimestamp == api.DisplayTimestampAlways,
		max:        in.MaxMediaPlaylistFragmentResults,
	}
	if in.ContainerFormat == api.ContainerMPEGTS {
		p.format = hlsMPEGTS
	}
	switch in.DiscontinuityMode {
	case api.DiscontinuityNever:
		p.discontinuity = timeline.DiscontinuityNever
	case api.DiscontinuityOnDiscontinuity:
		p.discontinuity = timeline.DiscontinuityOnGap
	default:
		p.discontinuity = timeline.DiscontinuityAlways
	}
	if err := p.choose(stream, in.PlaybackMode, in.HLSFragmentSelector, now); err != nil {
		return nil, 0, err
	}
	return p, time.Duration(in.Expires) * time.Second, nil
}

// choose fills in which fragments of a stream a session has. Defaults are applied already.
func (p *parameters) choose(stream *store.Stream, mode api.PlaybackMode,
	selector *api.FragmentSelector, now time.Time) error {
	if stream.RetentionHours == 0 {
		return api.NewError(api.NoDataRetentionException, api.MessageNoDataRetention)
	}
	p.mode, p.selector = timeline.Live, store.ServerTimestamp
	if selector.FragmentSelectorType == api.SelectorProducerTimestamp {
		p.selector = store.ProducerTimestamp
	}
	if mode == api.PlaybackModeLive {
		return nil
	}
	p.mode = timeline.OnDemand
	if mode == api.PlaybackModeLiveReplay {
		p.mode = timeline.LiveReplay
	}
	r := selector.TimestampRange
	// LIVE_REPLAY without an end: until the session expires
	p.start, p.end = int64(*r.StartTimestamp), math.MaxInt64
	if r.EndTimestamp != nil {
		p.end = int64(*r.EndTimestamp)
	}
	if p.selector == store.ServerTimestamp {
		// The end may be now, which the wire rounds to the nearest millisecond.
		if r.EndTimestamp != nil && p.end > now.Round(time.Millisecond).UnixMilli() {
			return api.Errorf(api.InvalidArgumentException,
				"End timestamp %d must not be in the future.", p.end)
		}
		if p.start < stream.RetentionEdge(now) {
			return api.Errorf(api.InvalidArgumentException,
				"Start timestamp %d is outside of the stream retention period.", p.start)
		}
	}
	return nil
}

// begin fills in the parameters that the selection decides, and makes state 0 of a session that is
// created at a time (milliseconds).
func begin(p *parameters, sel *selection, now int64) *timeline.State {
	p.trackSet = sel.reference
	for i := range sel.tracks {
		t := &sel.tracks[i]
		p.tracks = append(p.tracks,
			timeline.Track{Number: t.Number, Kind: t.Kind, Timescale: int64(t.Timescale)})
	}
	target := sel.target(p.rules())
	p.settleParts(sel, target)
	r := p.rules()
	p.measure(sel, target)
	p.origin, _ = r.Start(&sel.fragments[0])
	r.Origin, r.Opened = p.origin, now
	t := &timeline.State{Cursor: sel.cursor, Target: target}
	if p.mode == timeline.LiveReplay {
		t.Due = r.FirstDue(now, sel.fragments)
	}
	switch r.Zero = p.origin; {
	case p.mode == timeline.LiveReplay:
		r.Zero = t.Due - sel.length(&sel.fragments[0])
	case p.mode == timeline.Live || p.selector == store.ServerTimestamp:
		r.Zero = sel.fragments[0].ServerTimestamp
	}
	var known []*class // one of each generation
	for i := range sel.fragments {
		f, c := &sel.fragments[i], sel.classes[i].only(p.tracks)
		t.ServerTime = max(t.ServerTime, f.ServerTimestamp)
		index := slices.IndexFunc(known, c.equal)
		if index < 0 {
			index = len(known)
		}
		if !t.Include(r, f, timeline.Match{Index: index, Generation: c.generation()}) {
			continue
		}
		if index == len(known) {
			known = append(known, c)
		}
		if track := trackNumbered(c.tracks, p.tracks[0].Number); p.mode == timeline.OnDemand &&
			track != nil {
			if span := f.Span(track.Number); span != nil {
				t.Entries[len(t.Entries)-1].KeyFrameEnd = p.keyFrameEnd(track, span)
			}
		}
	}
	if p.mode == timeline.Live {
		p.first = sel.fragments[0].Number
	}
	if r.Periods {
		p.zero = t.Align(r)
	}
	return t
}

// MasterPlaylist serves GetHLSMasterPlaylist. The playlist depends only on the session's parameters
// and never changes.
func (s *Service) MasterPlaylist(ctx context.Context, token string) ([]byte, error) {
	o, err := s.sessionOf(ctx, token, getMasterPlaylist, hlsFragmentedMP4, hlsMPEGTS)
	if err != nil {
		return nil, err
	}
	tracks, err := s.packagedTracks(ctx, o)
	if err != nil {
		return nil, err
	}
	m := manifest.Master{FrameRate: float64(o.p.frameRate) / 100, Bandwidth: o.p.bandwidth,
		Average: o.p.average,
		URI:     sessionurl.MediaPlaylist{Track: tracks[0].Number}.URI(token)}
	if len(tracks) > 1 && o.p.format != hlsMPEGTS {
		m.AudioURI = sessionurl.MediaPlaylist{Track: tracks[1].Number}.URI(token)
	}
	codecs := make([]string, len(tracks))
	for i := range tracks {
		if codecs[i], err = media.CodecString(&tracks[i]); err != nil {
			return nil, o.p.format.check(&tracks[i])
		}
	}
	m.Codecs = strings.Join(codecs, ",")
	if v := &tracks[0]; v.Kind == media.Video {
		m.Width, m.Height = v.Resolution()
		if o.p.iframes > 0 {
			m.IFramesURI = sessionurl.MediaPlaylist{Track: v.Number, IFramesOnly: true}.URI(token)
			m.IFramesCodecs, m.IFramesBandwidth = codecs[0], o.p.iframes
		}
	}
	return m.Append(nil), nil
}

// packagedTracks describes the session's tracks, in the order of its parameters: video first.
func (s *Service) packagedTracks(ctx context.Context, o *request) ([]media.Track, error) {
	set, err := s.store.TrackSet(ctx, o.stream.ID, o.p.trackSet)
	if err != nil {
		return nil, fmt.Errorf("read tracks: %w", err)
	}
	tracks := firstTracks(set)
	return slices.DeleteFunc(tracks, func(t media.Track) bool {
		return o.p.track(t.Number) < 0
	}), nil
}

// segmentRef names an entry's segment.
func (o *request) segmentRef(track int, e *timeline.Entry) *sessionurl.Segment {
	muxed := o.p.format == hlsMPEGTS
	ref := &sessionurl.Segment{Track: track, Number: o.stream.FormatNumber(e.Number),
		StartOffset: e.Slice.From, EndOffset: e.Slice.Until,
		SkipLeading: e.Skips[o.p.track(track)] || muxed && e.Skips[0],
	}
	if muxed || track != o.p.tracks[0].Number {
		ref.SilenceStart, ref.SilenceEnd = e.Silence.From, e.Silence.Until
	}
	return ref
}

// segment describes an entry of listed, or the open one. msn is its media sequence number.
func (v *view) segment(o *request, track int, e *timeline.Entry, msn int64) manifest.Segment {
	number := v.rules.Tracks[track].Number
	uri := o.segmentRef(number, e).URI(o.token, o.p.format == hlsMPEGTS)
	if o.p.partTarget > 0 && e.Slice.Until != 0 { // perhaps its fragment is not stored yet
		uri = sessionurl.Part{Track: number, Sequence: msn,
			Part: sessionurl.WholeSegment}.URI(o.token)
	}
	return manifest.Segment{
		Discontinuities: int(e.Tags[track]),
		DateTime:        e.Date + e.Later[track],
		HasDateTime:     o.p.timestamps || o.p.partTarget > 0,
		Duration:        v.rules.Lasts(e, track),
		Gap:             e.Gap != nil,
		URI:             uri,
	}
}

// mapURI returns the EXT-X-MAP that an entry needs; transport streams need none.
func (v *view) mapURI(o *request, track int, e *timeline.Entry) string {
	if v.rules.Muxed {
		return ""
	}
	return sessionurl.InitSegment{Track: v.rules.Tracks[track].Number,
		Sequence: e.Generation}.URI(o.token)
}
