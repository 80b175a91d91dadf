package playback

import (
	"context"
	"math"
	"time"

	"weir/internal/api"
	"weir/internal/manifest"
	"weir/internal/media"
	"weir/internal/sessionurl"
	"weir/internal/store"
	"weir/internal/timeline"
)

// OpenDASH serves GetDASHStreamingSessionURL, as OpenHLS serves GetHLSStreamingSessionURL.
func (s *Service) OpenDASH(ctx context.Context, stream store.Stream, principal string,
	given *api.GetDASHStreamingSessionURLInput) (Opened, error) {
	now := s.clock()
	if err := s.allowSessionURL(stream.ID, openDASH, now); err != nil {
		return Opened{}, err
	}
	if err := api.Validate(given); err != nil {
		return Opened{}, err
	}
	in := *given
	in.ApplyDefaults()
	p := &parameters{
		format: dashFragmentedMP4, discontinuity: timeline.DiscontinuityOnGap,
		timestamps: in.DisplayFragmentTimestamp == api.DisplayTimestampAlways,
		numbers:    in.DisplayFragmentNumber == api.DisplayNumberAlways,
		max:        in.MaxManifestFragmentResults,
	}
	if err := p.choose(&stream, in.PlaybackMode, in.DASHFragmentSelector, now); err != nil {
		return Opened{}, err
	}
	return s.open(ctx, &stream, p, principal, time.Duration(in.Expires)*time.Second, now)
}

// DASHManifest serves GetDASHManifest. The error is ResourceNotFound if everything that it listed
// is past retention.
func (s *Service) DASHManifest(ctx context.Context, token string) (*Playlist, error) {
	o, err := s.sessionOf(ctx, token, getManifest, dashFragmentedMP4)
	if err != nil {
		return nil, err
	}
	var text *Playlist
	err = s.look(ctx, o, func(v *view) error {
		for len(v.described) < len(v.state.Generations) {
			d, err := s.represent(ctx, o, v, len(v.described))
			if err != nil {
				return err
			}
			v.described = append(v.described, d)
		}
		text, err = v.manifest(o)
		return err
	})
	return text, err
}

// representations describes the session's tracks in one generation.
type representations [timeline.MaxTracks]*manifest.Representation

// represent describes the session's tracks in a generation of the view's state.
func (s *Service) represent(ctx context.Context, o *request, v *view, generation int,
) (d representations, err error) {
	c, err := v.class(ctx, s, o, v.state.Generations[generation].Set)
	if err != nil {
		return d, err
	}
	for i := range o.p.tracks {
		t := trackNumbered(c.tracks, o.p.tracks[i].Number)
		if t == nil {
			continue
		}
		r := &manifest.Representation{ID: t.Number, Video: t.Kind == media.Video,
			Timescale: int64(t.Timescale), Bandwidth: o.p.rates[i], FrameRate: o.p.frameRate}
		if r.Codecs, err = media.CodecString(t); err != nil {
			return d, o.p.format.check(t)
		}
		if !r.Video {
			describeSound(r, t)
		} else if sps, err := media.SPSOf(t); err == nil {
			r.Width, r.Height = sps.Width, sps.Height
			r.SARWidth, r.SARHeight = sps.SARWidth, sps.SARHeight
		} else {
			r.Width, r.Height = t.Width, t.Height
		}
		d[i] = r
	}
	return d, nil
}

// describeSound fills in sampling rate and channels.
func describeSound(r *manifest.Representation, t *media.Track) {
	if config, err := media.AACOf(t); err == nil {
		r.SamplingRate, r.ChannelConfig = config.OutputRate, config.ChannelConfig
		if config.PS && r.ChannelConfig == 1 {
			r.ChannelConfig = 2 // parametric stereo turns one channel into two
		}
	} else if config, err := media.G711Of(t); err == nil {
		r.SamplingRate = config.SampleRate
		if config.Channels <= 2 { // 1 and 2 are mono and stereo in every list of configurations
			r.ChannelConfig = config.Channels
		}
	}
}

// presentationDelay is how far behind live players stay, in target durations, as with HLS.
const presentationDelay = 3

// manifest returns the manifest of the current state.
func (v *view) manifest(o *request) (*Playlist, error) {
	t, r := v.state, v.rules
	from, to := t.Window(r, o.now.UnixMilli(), o.edge())
	if from == to {
		return nil, errNoFragments()
	}
	update := max(1000, t.Target*500)
	closes := v.closes(to, update)
	key := textKey{from: t.Gone + int64(from), to: t.Gone + int64(to),
		end: o.now.UnixMilli() >= closes}
	ends := v.presented(&t.Entries[to-1]) + t.Entries[to-1].Length()
	if step := silenceStep * t.Target * 1000; !key.end {
		key.silent = max(0, (o.now.UnixMilli()-r.Zero-ends)/step) * step
	}
	if v.whole != nil && v.wholeKey == key {
		return v.whole, nil
	}
	m := manifest.MPD{
		Static: key.end, AvailabilityStart: r.Zero, Publish: v.published(o, from, to),
		MinBuffer: t.Target * 1000, MaxSegment: max(t.Target*1000+500, t.Longest(r, from, to)),
		Extended: o.p.timestamps || o.p.numbers, TimeURI: sessionurl.DASHTimeName,
		UpdatePeriod: update, Delay: presentationDelay * t.Target * 1000,
	}
	size := 4096
	var numbers [timeline.MaxTracks]int64
	for i := range r.Tracks {
		v.write(o, i, from, to)
		size += len(v.text[i].body)
		numbers[i] = t.Dropped[i] + 1
	}
	for i := range t.Entries[:to] {
		e := &t.Entries[i]
		if n := len(m.Periods); i >= from && (n == 0 || m.Periods[n-1].ID != e.Period) {
			last := i + 1
			for last < to && t.Entries[last].Period == e.Period {
				last++
			}
			m.Periods = append(m.Periods, v.period(o, i, last, numbers))
		}
		for j := range r.Tracks {
			if e.Duration[j] >= 0 {
				numbers[j]++
			}
		}
	}
	if closes != math.MaxInt64 {
		m.Duration = t.End()
	}
	if m.Static {
		m.Publish = max(m.Publish, closes)
	} else {
		m.BufferDepth = v.depth(from, to, ends) + key.silent
		if key.silent > 0 {
			m.Publish = max(m.Publish, r.Zero+ends+key.silent)
		}
	}
	// The fragment that ends a silence may have begun before the silence was published.
	m.Publish = max(m.Publish, v.publish)
	v.publish = m.Publish
	v.whole = &Playlist{Text: m.Append(make([]byte, 0, size)), pool: v.pool}
	v.wholeKey = key
	return v.whole, nil
}

// silenceStep is how many target durations the time-shift buffer grows by while a camera is silent
// (DESIGN.md, "DASH").
const silenceStep = 2

// lastUpdates is how many updates a replay goes on for after its last segment is listed (DESIGN.md,
// "DASH").
const lastUpdates = 2

// depth returns how far the time-shift buffer of the entries [from, to) reaches back from ends, the
// presentation time of their end. It reaches to the first of them, or to the one after a gap in
// which a player has shown everything before, if enough follows (DESIGN.md, "DASH").
func (v *view) depth(from, to int, ends int64) int64 {
	const margin = 250 // sound and pictures do not begin at the same time
	delay := presentationDelay * v.state.Target * 1000
	next := ends
	for i := to - 1; i >= from; i-- {
		e := &v.state.Entries[i]
		at := v.presented(e)
		if next-at-e.Length() > delay && ends-next >= delay {
			return ends - next - min(margin, v.state.Entries[i+1].Length()/2)
		}
		next = at
	}
	return ends - next
}

// closes returns from when on a manifest that lists the entries before to is static, in Unix
// milliseconds.
func (v *view) closes(to int, update int64) int64 {
	switch t := v.state; {
	case to < len(t.Entries) || !t.Finished(v.rules):
		return math.MaxInt64
	case v.rules.Mode == timeline.LiveReplay:
		return t.Entries[to-1].Due + lastUpdates*update
	}
	return 0
}

// presented returns when an entry is presented, in milliseconds of presentation time.
func (v *view) presented(e *timeline.Entry) int64 {
	return v.state.Presented(v.rules.Scaled(v.state.Generations[e.Generation].Scales), e)
}

// published returns when the entries [from, to) were all there: when the last one came, or was due.
func (v *view) published(o *request, from, to int) int64 {
	at := o.session.CreatedMillis
	for i := range v.state.Entries[from:to] {
		switch e := &v.state.Entries[from+i]; v.rules.Mode {
		case timeline.Live:
			at = max(at, e.Server)
		case timeline.LiveReplay:
			at = max(at, e.Due)
		}
	}
	return at
}

// period describes the period of the entries [from, to). numbers are those of the next segments.
func (v *view) period(o *request, from, to int, numbers [timeline.MaxTracks]int64,
) manifest.Period {
	t := v.state
	p := t.PeriodOf(&t.Entries[from])
	generation := t.Entries[from].Generation
	out := manifest.Period{ID: p.ID, Start: p.Start}
	for i := range v.rules.Tracks {
		lines := v.text[i].lines(t.Gone+int64(from), t.Gone+int64(to))
		d := v.described[generation][i]
		if len(lines) == 0 || d == nil {
			continue
		}
		out.Sets = append(out.Sets, manifest.AdaptationSet{
			Representation: d, Independent: t.Entries[to-1].Independent[i],
			Offset: p.Offset(d.Timescale), StartNumber: numbers[i],
			InitURI:  sessionurl.DASHInitURI(o.token, d.ID, generation),
			MediaURI: sessionurl.DASHMediaURI(o.token, d.ID), Timeline: lines,
		})
	}
	return out
}

// timelineEntry describes the segment of an entry.
func (v *view) timelineEntry(o *request, track int, e *timeline.Entry) *manifest.TimelineEntry {
	s := &manifest.TimelineEntry{Time: e.Begin[track], Duration: e.Ticks[track],
		Timestamp: e.Timestamp + e.Slice.From, HasTimestamp: o.p.timestamps}
	if o.p.numbers {
		s.Number = o.stream.FormatNumber(e.Number)
	}
	return s
}

// DASHInitSegment serves GetMP4InitFragment of DASH sessions.
func (s *Service) DASHInitSegment(ctx context.Context, token string, ref sessionurl.InitSegment,
) ([]byte, error) {
	return s.initSegment(ctx, token, dashFragmentedMP4, ref)
}

// DASHSegment serves GetMP4MediaFragment of DASH sessions, in which a segment is named by its
// number. The error is ResourceNotFound as for MediaSegment.
func (s *Service) DASHSegment(ctx context.Context, token string, ref sessionurl.DASHSegment,
) (*Segment, error) {
	o, err := s.sessionOf(ctx, token, getMediaSegment, dashFragmentedMP4)
	if err != nil {
		return nil, err
	}
	track := o.p.track(ref.Track)
	if track < 0 {
		return nil, noTrack(ref.Track)
	}
	at, err := s.numbered(ctx, o, track, int64(ref.Number))
	if err != nil {
		return nil, err
	}
	return s.mediaSegment(ctx, o, *at)
}

// numbered finds a segment by its number. It asks the store only if the timeline does not have the
// segment yet.
func (s *Service) numbered(ctx context.Context, o *request, track int, number int64,
) (ref *sessionurl.Segment, err error) {
	find := func(v *view) error {
		i := v.state.Find(track, number-1)
		if i < 0 || i >= v.state.Revealed(v.rules, o.now.UnixMilli()) {
			return noFragment()
		}
		ref = o.segmentRef(o.p.tracks[track].Number, &v.state.Entries[i])
		return nil
	}
	v := s.views.get(o.session.ID, o.session.ExpiresMillis)
	v.mu.Lock()
	if v.state != nil && v.token == o.token {
		err = find(v)
	}
	v.mu.Unlock()
	if ref == nil {
		err = s.look(ctx, o, find)
	}
	return ref, err
}
