package playback

import (
	"context"
	"crypto/rand"
	"math"
	"slices"
	"strings"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/manifest"
	"weir/internal/media"
	"weir/internal/store"
)

// OpenHLS does GetHLSStreamingSessionURL: it checks the request against the stream (docs/reference/service.md, "Session inputs"), selects what the session begins
// with, registers it, and returns the token of its URL.
//
// Errors are *api.Error: ClientLimitExceeded (too many calls for this stream), InvalidArgument, NoDataRetention, ResourceNotFound
// (nothing to play), UnsupportedStreamMediaType, MissingCodecPrivateData and InvalidCodecPrivateData; anything else is a fault.
func (s *Service) OpenHLS(ctx context.Context, stream store.Stream, in *api.GetHLSStreamingSessionURLInput) (string, error) {
	now := s.clock()
	if err := s.allowSessionURL(stream.ID, now); err != nil {
		return "", err
	}
	p, expires, err := hlsParameters(&stream, in, now)
	if err != nil {
		return "", err
	}
	p.switching = s.switching
	var sel *selection
	switch p.mode {
	case live:
		sel, err = s.selectLive(ctx, &stream, p, now)
	case liveReplay:
		sel, err = s.selectReplay(ctx, &stream, p, now)
	default:
		sel, err = s.selectRange(ctx, &stream, p, p.max)
	}
	if err != nil {
		return "", err
	}
	if len(sel.fragments) == 0 {
		return "", errNoFragments()
	}
	if err := sel.settle(p.format); err != nil {
		return "", err
	}
	if p.format == hlsMPEGTS {
		if err := checkTS(sel.tracks); err != nil {
			return "", err
		}
	}
	first := begin(p, sel, now.UnixMilli())

	id := make([]byte, 16)
	rand.Read(id) // never fails
	session := store.Session{
		ID: string(id), Stream: stream.ID,
		CreatedMillis: now.UnixMilli(), ExpiresMillis: now.Add(expires).UnixMilli(),
		Parameters: p.encode(), Checkpoint: first.encode(len(p.tracks)),
	}
	closed, err := s.store.OpenSession(ctx, session, s.limits.SessionsPerStream)
	if err != nil {
		return "", storeError("register session", err)
	}
	for _, id := range closed {
		s.views.drop(id)
	}
	s.views.expire(now.UnixMilli())
	return s.tokens.Seal(auth.Claims{SessionID: session.ID, Expires: time.UnixMilli(session.ExpiresMillis)}), nil
}

// hlsParameters checks a request, as far as it can be without looking at fragments, and fills in the defaults.
func hlsParameters(stream *store.Stream, given *api.GetHLSStreamingSessionURLInput, now time.Time) (*parameters, time.Duration, error) {
	if err := api.Validate(given); err != nil {
		return nil, 0, err
	}
	in := *given
	if in.HLSFragmentSelector != nil {
		selector := *in.HLSFragmentSelector
		in.HLSFragmentSelector = &selector
	}
	in.ApplyDefaults()
	if stream.RetentionHours == 0 {
		return nil, 0, api.NewError(api.NoDataRetentionException, api.MessageNoDataRetention)
	}
	p := &parameters{
		format: hlsFragmentedMP4, mode: live, selector: store.ServerTimestamp,
		timestamps: in.DisplayFragmentTimestamp == api.DisplayTimestampAlways,
		max:        in.MaxMediaPlaylistFragmentResults,
	}
	if in.ContainerFormat == api.ContainerMPEGTS {
		p.format = hlsMPEGTS
	}
	if in.HLSFragmentSelector.FragmentSelectorType == api.SelectorProducerTimestamp {
		p.selector = store.ProducerTimestamp
	}
	switch in.DiscontinuityMode {
	case api.DiscontinuityNever:
		p.discontinuity = discontinuityNever
	case api.DiscontinuityOnDiscontinuity:
		p.discontinuity = discontinuityOnGap
	default:
		p.discontinuity = discontinuityAlways
	}
	if in.PlaybackMode != api.PlaybackModeLive {
		p.mode = onDemand
		if in.PlaybackMode == api.PlaybackModeLiveReplay {
			p.mode = liveReplay
		}
		r := in.HLSFragmentSelector.TimestampRange
		p.start, p.end = int64(*r.StartTimestamp), math.MaxInt64 // LIVE_REPLAY without an end: until the session expires
		if r.EndTimestamp != nil {
			p.end = int64(*r.EndTimestamp)
		}
		if p.end == 0 {
			p.end = -1 // to the store 0 is no bound; nothing lies in the millisecond between
		}
		if p.selector == store.ServerTimestamp {
			// The end may be now, which the wire rounds to the nearest millisecond.
			if r.EndTimestamp != nil && p.end > now.Round(time.Millisecond).UnixMilli() {
				return nil, 0, api.Errorf(api.InvalidArgumentException, "End timestamp %d must not be in the future.", p.end)
			}
			if p.start < retentionEdge(stream, now) {
				return nil, 0, api.Errorf(api.InvalidArgumentException,
					"Start timestamp %d is outside of the stream retention period.", p.start)
			}
		}
	}
	return p, time.Duration(in.Expires) * time.Second, nil
}

// begin fills in the parameters that the selection decides, and makes state 0 of a session that is created at a time
// (milliseconds).
func begin(p *parameters, sel *selection, now int64) *timeline {
	p.trackSet = sel.reference
	for i := range sel.tracks {
		t := &sel.tracks[i]
		p.tracks = append(p.tracks, packagedTrack{number: t.Number, kind: t.Kind, timescale: int64(t.Timescale)})
	}
	r := p.rules()
	target := sel.target(r)
	p.measure(sel, target)
	p.origin, _ = r.start(&sel.fragments[0])
	r.origin, r.opened = p.origin, now
	t := &timeline{cursor: sel.cursor, target: target}
	if p.mode == liveReplay {
		t.due = now
		for i := range min(p.max, replayAhead) - 1 {
			t.due -= sel.length(&sel.fragments[min(i, len(sel.fragments)-1)])
		}
	}
	var known []*class // one of each generation
	for i := range sel.fragments {
		f, c := &sel.fragments[i], sel.classes[i].only(p.tracks)
		t.serverTime = max(t.serverTime, f.ServerTimestamp)
		index := slices.IndexFunc(known, c.equal)
		if index < 0 {
			index = len(known)
		}
		if !t.include(r, &piece{FragmentInfo: *f}, candidate{index, c.generation()}) {
			continue
		}
		if index == len(known) {
			known = append(known, c)
		}
		if track := trackNumbered(c.tracks, p.tracks[0].number); p.mode == onDemand && track != nil {
			if span := f.Span(track.Number); span != nil {
				t.entries[len(t.entries)-1].iframe = p.keyFrameEnd(track, span)
			}
		}
	}
	if p.mode == live {
		p.first = sel.fragments[0].Number
	}
	return t
}

// replayAhead is how many fragments LIVE_REPLAY lists at once: players begin three segments, or three target durations, before
// the end of a playlist, which is then its beginning, and have something to play while they wait for the next one.
const replayAhead = 3

// MasterPlaylist does GetHLSMasterPlaylist. It depends on the session's parameters alone and never changes.
func (s *Service) MasterPlaylist(ctx context.Context, token string) ([]byte, error) {
	o, err := s.session(ctx, token, getMasterPlaylist)
	if err != nil {
		return nil, err
	}
	tracks, err := s.packagedTracks(ctx, o)
	if err != nil {
		return nil, err
	}
	m := manifest.Master{FrameRate: float64(o.p.frameRate) / 100, Bandwidth: o.p.bandwidth, Average: o.p.average,
		URI: MediaPlaylistRef{Track: tracks[0].Number}.uri(token)}
	if len(tracks) > 1 && o.p.format != hlsMPEGTS {
		m.AudioURI = MediaPlaylistRef{Track: tracks[1].Number}.uri(token)
	}
	codecs := make([]string, len(tracks))
	for i := range tracks {
		if codecs[i], err = media.CodecString(&tracks[i]); err != nil {
			return nil, checkCodec(&tracks[i])
		}
	}
	m.Codecs = strings.Join(codecs, ",")
	if v := &tracks[0]; v.Kind == media.Video {
		m.Width, m.Height = resolution(v)
		if o.p.iframes > 0 {
			m.IFramesURI = MediaPlaylistRef{Track: v.Number, IFramesOnly: true}.uri(token)
			m.IFramesCodecs, m.IFramesBandwidth = codecs[0], o.p.iframes
		}
	}
	return m.Append(nil), nil
}

// packagedTracks describes the session's tracks, in the order of its parameters: video first.
func (s *Service) packagedTracks(ctx context.Context, o *open) ([]media.Track, error) {
	set, err := s.store.TrackSet(ctx, o.stream.ID, o.p.trackSet)
	if err != nil {
		return nil, storeError("read tracks", err)
	}
	tracks := candidates(set)
	return slices.DeleteFunc(tracks, func(t media.Track) bool { return o.p.track(t.Number) < 0 }), nil
}

// segmentRef names an entry's segment.
func (o *open) segmentRef(track int, e *entry) *SegmentRef {
	muxed := o.p.format == hlsMPEGTS
	ref := &SegmentRef{Track: track, Number: o.stream.FormatNumber(e.number),
		StartOffset: e.part.from, EndOffset: e.part.until,
		SkipLeading: e.skips[o.p.track(track)] || muxed && e.skips[0],
	}
	if muxed || track != o.p.tracks[0].number {
		ref.SilenceStart, ref.SilenceEnd = e.silence.from, e.silence.until
	}
	return ref
}
