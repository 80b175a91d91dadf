package playback

import (
	"encoding/binary"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/store"
	"weir/internal/timeline"
)

// The parameters in a session's row are a version byte and then varints (encoding/binary): unsigned
// ones marked u, zigzag ones s.
//
//	2 | u format  u mode  u selector  u discontinuity  u timestamps  u switching  u max  s start
//	    s end  u last  s origin  u first  u track set  u frame rate  u bandwidth  u average
//	    u I-frames  u advance  u tracks  tracks·( u number  u kind  u timescale )
//	    DASH: u numbers  s zero  tracks·u rate
//	3 | of a session with parts: the same, and  u part target  u part hold back
const (
	parametersVersion = 2
	parametersParts   = 3
)

// format is what a session's URLs deliver.
type format uint8

const (
	hlsFragmentedMP4 format = 1
	hlsMPEGTS        format = 2
	// MPEG-DASH, fragmented MP4; such sessions are a kind of their own
	dashFragmentedMP4 format = 3
)

// parameters is everything about a session that never changes.
type parameters struct {
	format        format
	mode          timeline.Mode
	selector      store.TimestampKind
	discontinuity timeline.DiscontinuityMode
	timestamps    bool // EXT-X-PROGRAM-DATE-TIME before every segment
	// a change of codec private data begins a generation; otherwise such fragments are left out
	switching  bool
	max        int   // MaxMediaPlaylistFragmentResults
	start, end int64 // ON_DEMAND, LIVE_REPLAY: the range, milliseconds, both included
	// LIVE_REPLAY: the last commit that belongs to the session; 0: no bound
	last      int64
	origin    int64        // T0, milliseconds
	first     store.Number // LIVE: the smallest number that the token opens
	trackSet  int64        // the reference fragment's
	frameRate int64        // hundredths of a frame per second; 0: no video
	bandwidth int64        // peak bits per second
	average   int64        // bits per second over everything
	iframes   int64        // peak bits per second of the I-frame playlist; 0: there is none
	advance   int64        // MPEG_TS: ticks by which decode times are earlier
	tracks    []timeline.Track
	rates     [timeline.MaxTracks]int64 // DASH: peak bits per second of each track
	numbers   bool                      // DASH: fragment numbers in the manifest
	zero      int64                     // DASH: the clock at presentation time 0, milliseconds
	// LIVE, fragmented MP4: PART-TARGET, milliseconds; 0: there are no parts
	partTarget   int64
	partHoldBack int64 // PART-HOLD-BACK, milliseconds
}

// span returns the range of an ON_DEMAND or LIVE_REPLAY session.
func (p *parameters) span() *store.TimeRange {
	return &store.TimeRange{Clock: p.selector, Start: p.start, End: p.end}
}

// kind returns the kind by which sessions are counted.
func (p *parameters) kind() uint8 {
	if p.format == dashFragmentedMP4 {
		return 1
	}
	return 0
}

// Protocol returns the protocol of the sessions of a kind (store.Session.Kind): api.ProtocolHLS or
// api.ProtocolDASH.
func Protocol(kind uint8) string {
	if kind == 1 {
		return api.ProtocolDASH
	}
	return api.ProtocolHLS
}

// sessions returns how many sessions of a format's kind a stream may have.
func (l *Limits) sessions(f format) int {
	if f == dashFragmentedMP4 {
		return l.DASHSessionsPerStream
	}
	return l.HLSSessionsPerStream
}

func (p *parameters) rules() *timeline.Rules {
	return &timeline.Rules{Mode: p.mode, Selector: p.selector, Discontinuity: p.discontinuity,
		Tolerance: api.DiscontinuityTolerance.Microseconds(), Max: p.max,
		Muxed:   p.format == hlsMPEGTS,
		Periods: p.format == dashFragmentedMP4, Zero: p.zero,
		From: p.start, Until: p.end, Last: p.last, Origin: p.origin,
		MaxChanges: api.MaxCodecPrivateDataChanges, PartTarget: p.partTarget,
		Smooth: p.partTarget > 0 && !p.timestamps, Tracks: p.tracks}
}

// track returns the index of the packaged track with the given number, or -1.
func (p *parameters) track(number int) int {
	for i := range p.tracks {
		if p.tracks[i].Number == number {
			return i
		}
	}
	return -1
}

// lists reports whether the session has a media playlist of the track with the given number: in a
// transport stream all tracks are in the first one's.
func (p *parameters) lists(number int) bool {
	i := p.track(number)
	return i == 0 || i > 0 && p.format != hlsMPEGTS
}

func (p *parameters) encode() []byte {
	b := []byte{parametersVersion}
	if p.partTarget > 0 {
		b[0] = parametersParts
	}
	u := func(v int64) { b = binary.AppendUvarint(b, uint64(v)) }
	s := func(v int64) { b = binary.AppendVarint(b, v) }
	u(int64(p.format))
	u(int64(p.mode))
	u(int64(p.selector))
	u(int64(p.discontinuity))
	u(timeline.Bit(p.timestamps))
	u(timeline.Bit(p.switching))
	u(int64(p.max))
	s(p.start)
	s(p.end)
	u(p.last)
	s(p.origin)
	u(int64(p.first))
	u(p.trackSet)
	u(p.frameRate)
	u(p.bandwidth)
	u(p.average)
	u(p.iframes)
	u(p.advance)
	u(int64(len(p.tracks)))
	for _, t := range p.tracks {
		u(int64(t.Number))
		u(int64(t.Kind))
		u(t.Timescale)
	}
	if p.format == dashFragmentedMP4 {
		u(timeline.Bit(p.numbers))
		s(p.zero)
		for i := range p.tracks {
			u(p.rates[i])
		}
	}
	if p.partTarget > 0 {
		u(p.partTarget)
		u(p.partHoldBack)
	}
	return b
}

func decodeParameters(data []byte) (*parameters, error) {
	r := timeline.Reader{Data: data}
	version := r.Byte()
	if version != parametersVersion && version != parametersParts {
		return nil, timeline.ErrForm
	}
	p := &parameters{
		format:        format(r.Unsigned()),
		mode:          timeline.Mode(r.Unsigned()),
		selector:      store.TimestampKind(r.Unsigned()),
		discontinuity: timeline.DiscontinuityMode(r.Unsigned()),
		timestamps:    r.Unsigned() != 0,
		switching:     r.Unsigned() != 0,
		max:           int(r.Unsigned()),
		start:         r.Signed(),
		end:           r.Signed(),
		last:          r.Unsigned(),
		origin:        r.Signed(),
		first:         store.Number(r.Unsigned()),
		trackSet:      r.Unsigned(),
		frameRate:     r.Unsigned(),
		bandwidth:     r.Unsigned(),
		average:       r.Unsigned(),
		iframes:       r.Unsigned(),
		advance:       r.Unsigned(),
	}
	n := r.Unsigned()
	if n < 1 || n > timeline.MaxTracks {
		return nil, timeline.ErrForm
	}
	for range n {
		p.tracks = append(p.tracks,
			timeline.Track{Number: int(r.Unsigned()), Kind: media.Kind(r.Unsigned()),
				Timescale: r.Unsigned()})
	}
	for _, t := range p.tracks {
		if t.Timescale < 1 {
			return nil, timeline.ErrForm
		}
	}
	if p.format == dashFragmentedMP4 {
		p.numbers, p.zero = r.Unsigned() != 0, r.Signed()
		for i := range p.tracks {
			p.rates[i] = r.Unsigned()
		}
	}
	if version == parametersParts {
		p.partTarget, p.partHoldBack = r.Unsigned(), r.Unsigned()
	}
	if r.Bad || len(r.Data) != 0 || p.format < hlsFragmentedMP4 || p.format > dashFragmentedMP4 ||
		p.mode < timeline.Live || p.mode > timeline.LiveReplay || p.max < 1 {
		return nil, timeline.ErrForm
	}
	return p, nil
}
