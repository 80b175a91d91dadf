// Package recut turns the Matroska of files and muxers into the fragments that Kinesis Video
// Streams wants: each begins with a key frame. It can repeat such fragments, pace them, and give
// them the times of a clock.
package recut

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
)

// Frame is one coded frame on its way from a source to PutMedia.
type Frame struct {
	Start bool   // the frame opens a new fragment, whose timecode is its Time
	Track int    // Matroska TrackNumber
	Time  int64  // presentation time in milliseconds on the source's clock
	Key   bool   // random access point, as the source's Matroska says
	Data  []byte // the coded bytes; whoever receives the frame owns them
}

// Source supplies frames, fragment by fragment, in the order in which they are to be written.
type Source interface {
	// Next returns the next frame, and io.EOF after the last one. The very first frame has Start
	// set. A source that waits (a pipe, a pacer) stops waiting when ctx ends, if the operating
	// system lets it.
	Next(ctx context.Context) (Frame, error)
	// Tracks describes the tracks of the frames. It is valid once Next has returned the first
	// frame, and never changes.
	Tracks() []media.Track
}

// How much the order of a file's frames may differ from the order of their times before Recutter
// stops waiting.
const (
	audioCut = 2_000 // ms: length of the fragments of a source without video
	// ms that another track may be ahead of the video before its frames are no longer held back
	maxAhead = 2_000
	// ms that the video may get ahead while a new fragment waits for the last frames of the old one
	maxBehind = 1_000
	// pictures that may always be ahead: at one a second, B-frames are far ahead of the sound that
	// is written beside them
	minBehind = 4
	maxLate   = 8_000    // ms that another track's frame may be before the fragment it would be in
	maxHeld   = 16 << 20 // bytes that may be held back
	// ms of audio before the first key frame that are kept: an encoder's start-up delay, which
	// decoders need
	preroll    = 100
	maxRelated = int64(api.MaxFragmentDuration / 1e6)
)

// Recutter turns any Matroska of H.264 or H.265, with or without audio, into fragments as Kinesis
// Video Streams wants them: each starts with a key frame of the first video track, and its timecode
// is that frame's time. Clusters of files and of live pipes are not like that: ffmpeg cuts them by
// size and time, wherever key frames are (docs/reference/producers.md, "Other muxers").
//
// The frames of each track keep their order and, to the millisecond, their times. If the source's
// clock steps back, all times from there on are later by as much. Audio goes into the fragment of
// its time, even if the muxer wrote it a little before or after the key frame. A source without
// video is cut about every 2 s. Frames before the first key frame are dropped, except for the last
// 100 ms of audio. A Recutter is not safe for concurrent use.
type Recutter struct {
	r      *mkv.Reader
	notice func(string)

	tracks   []media.Track            // the tracks that are sent; nil until they are known
	cutTrack int                      // number of the track that cuts fragments
	scanners map[int]media.NALScanner // of tracks, for finding key frames in the bitstream
	// tracks that are left out, and for which a notice was given
	passed map[int]bool
	stats  map[int]*trackStats

	open    bool  // a fragment is open
	first   bool  // it is the first one
	start   int64 // its timecode
	size    int64 // bytes of its frames
	newest  int64 // greatest time of the cutting track
	dropped int   // frames before the first fragment
	headed  bool  // the cutting track has no picture in the fragment yet
	warned  bool  // a notice was given of open groups
	mended  bool  // a notice was given of frames that do not fit their codec private data

	// what is added to the source's times now, and what was until its clock last stepped back
	shift, before int64

	ready []Frame // to be returned by Next
	early []Frame // frames of other tracks ahead of the cutting track
	// the key frame that will open the next fragment, and frames of it, while other tracks catch up
	pending []Frame
	lagging map[int]bool // other tracks that have not reached the pending key frame
	behind  int          // frames of the cutting track after the pending key frame
	held    int          // bytes in early and pending
	err     error        // what Next returns once ready is empty
}

// trackStats is what is known of the frames of a track so far.
type trackStats struct {
	frames      int
	first, last int64 // lowest and greatest time, ms
	previous    int64 // time of the frame before, ms
	raw         int64 // the same on the source's clock
	size        int   // bytes of that frame
	late        bool  // a notice was given of frames that came too late
}

// New reads Matroska from r. notice, which may be nil, is called with a sentence about anything
// that is left out, corrected, or cannot be played.
func New(r io.Reader, notice func(string)) *Recutter {
	if notice == nil {
		notice = func(string) {}
	}
	return &Recutter{
		r:      mkv.NewReader(r, mkv.FileLimits()),
		notice: notice,
		passed: map[int]bool{},
		stats:  map[int]*trackStats{},
	}
}

// Tracks describes the tracks that are sent, nil before the first frame.
func (c *Recutter) Tracks() []media.Track { return c.tracks }

// Next returns the next frame, or io.EOF. If the input stops inside an element, it returns every
// whole frame first, then an error that wraps io.ErrUnexpectedEOF.
func (c *Recutter) Next(context.Context) (Frame, error) {
	for len(c.ready) == 0 {
		if c.err != nil {
			return Frame{}, c.err
		}
		if err := c.step(); err != nil {
			c.err = err
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				c.finish(err)
			}
		}
	}
	f := c.ready[0]
	c.ready[0] = Frame{}
	c.ready = c.ready[1:]
	return f, nil
}

// finish releases everything that is still held back at the end of the input.
func (c *Recutter) finish(end error) {
	if err := c.release(); err != nil {
		c.err = err
		return
	}
	if err := c.flushEarly(math.MaxInt64); err != nil {
		c.err = err
		return
	}
	if !c.open && errors.Is(end, io.EOF) {
		if c.tracks == nil {
			c.err = errors.New("the input holds no Matroska tracks")
		} else {
			c.err = errors.New("the input holds no key frame to start a fragment with")
		}
	}
}

// step handles one event of the reader.
func (c *Recutter) step() error {
	ev, err := c.r.Next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return fmt.Errorf("read matroska: %w", err)
	}
	switch ev.Kind {
	case mkv.TracksReady:
		return c.setTracks(c.r.Tracks())
	case mkv.Frame:
		return c.frame(ev)
	}
	return nil
}

// setTracks chooses the tracks to send and checks that players will be able to decode them.
func (c *Recutter) setTracks(all []media.Track) error {
	var tracks []media.Track
	scanners := map[int]media.NALScanner{}
	cut := 0
	for _, t := range all {
		if t.Kind != media.Video && t.Kind != media.Audio || len(tracks) == api.MaxTracks {
			if !c.passed[t.Number] {
				c.passed[t.Number] = true
				c.notice(fmt.Sprintf(
					"track %d (%s) is left out: only video and audio are sent, %d tracks at most",
					t.Number, t.CodecID, api.MaxTracks))
			}
			continue
		}
		scanner, err := scannerOf(&t)
		if err != nil {
			return err
		}
		scanners[t.Number] = scanner
		if c.tracks == nil {
			c.tellOfCodec(&t)
		}
		if t.Kind == media.Video && cut == 0 {
			cut = t.Number
		}
		tracks = append(tracks, t)
	}
	if len(tracks) == 0 {
		return errors.New("the input has neither a video nor an audio track")
	}
	if cut == 0 {
		cut = tracks[0].Number
	}
	if c.tracks != nil {
		if !sameTracks(c.tracks, tracks) {
			return errors.New(
				"the tracks change in mid-stream, which one PutMedia call cannot carry")
		}
		return nil
	}
	c.tracks, c.cutTrack, c.scanners = tracks, cut, scanners
	return nil
}

// frame reads one frame and puts it in its place.
func (c *Recutter) frame(ev mkv.Event) error {
	i := slices.IndexFunc(c.tracks, func(t media.Track) bool { return t.Number == ev.Track })
	if i < 0 {
		if !c.passed[ev.Track] {
			c.passed[ev.Track] = true
			c.notice(fmt.Sprintf(
				"frames of track %d are left out: the input does not describe that track",
				ev.Track))
		}
		return nil
	}
	t := &c.tracks[i]
	data, err := c.payload(t, ev)
	if err != nil {
		return err
	}
	at, err := c.time(t, ev)
	if err != nil {
		return err
	}
	f := Frame{Track: ev.Track, Time: at, Key: ev.Key, Data: data}
	content := c.scanners[t.Number].Scan(data)
	if content.Picture() && content.Known() {
		open := content.Open(ev.Key && !ev.KeyUnknown)
		f.Key = content.Sync() || open
		c.warn(open)
	} else if ev.KeyUnknown {
		f.Key = c.scanners[t.Number].Zero()
	}
	// a key frame may follow its parameter sets in a block of its own
	cut := f.Key && !c.headed && f.Track == c.cutTrack
	f.Time = c.steady(t, at, cut && t.Kind == media.Video)
	// the second field of a picture may be called a key frame, too
	cut = cut && !(c.open && f.Time == c.lastStart())
	s := c.count(f)
	s.raw, s.size = at, len(data)
	if f.Track != c.cutTrack {
		return c.other(f)
	}
	c.headed = !content.Picture() && (cut || c.headed)
	if t.Kind == media.Audio {
		cut = !c.open || f.Time-c.lastStart() >= audioCut
	}
	return c.cutting(f, cut)
}

// warn gives a notice, once, of open groups of pictures.
func (c *Recutter) warn(open bool) {
	if open && !c.warned {
		c.warned = true
		c.notice("the source has open groups of pictures (key frames that are not IDR): players " +
			"cannot begin or seek everywhere, and browsers may show nothing live; encode with " +
			"closed groups (x264: open-gop=0)")
	}
}

func (c *Recutter) count(f Frame) *trackStats {
	s := c.stats[f.Track]
	if s == nil {
		s = &trackStats{first: f.Time, last: f.Time}
		c.stats[f.Track] = s
	}
	s.frames++
	s.first, s.last, s.previous = min(s.first, f.Time), max(s.last, f.Time), f.Time
	return s
}

// cutting handles a frame of the cutting track; cut says that a fragment starts with it.
func (c *Recutter) cutting(f Frame, cut bool) error {
	if cut {
		// if the fragment before still waits for its audio, it has waited long enough
		if err := c.release(); err != nil {
			return err
		}
		before := f.Time - 1
		if !c.open {
			before -= preroll
		}
		if err := c.flushEarly(before); err != nil {
			return err
		}
		c.pending = append([]Frame{f}, c.early...)
		c.held += len(f.Data)
		c.lagging, c.behind = map[int]bool{}, 0
		for number, s := range c.stats {
			if number != c.cutTrack && c.open && s.last < f.Time && s.last >= f.Time-c.late() {
				c.lagging[number] = true
			}
		}
		c.early = nil
		return c.releaseUnlessLagging()
	}
	if len(c.pending) > 0 {
		c.pending = append(c.pending, f)
		c.held += len(f.Data)
		c.behind++
		if f.Time > c.pending[0].Time+maxBehind && c.behind >= minBehind || c.held > maxHeld {
			return c.release()
		}
		return nil
	}
	if !c.open {
		c.dropped++
		return nil
	}
	return c.place(f)
}

// other handles a frame of any other track.
func (c *Recutter) other(f Frame) error {
	switch {
	case len(c.pending) > 0:
		if f.Time < c.pending[0].Time {
			return c.emit(f)
		}
		c.pending = append(c.pending, f)
		c.held += len(f.Data)
		delete(c.lagging, f.Track)
		return c.releaseUnlessLagging()
	case !c.open:
		c.hold(f)
		for len(c.early) > 0 && (f.Time-c.early[0].Time > maxAhead || c.held > maxHeld) {
			c.held -= len(c.early[0].Data)
			c.early = c.early[1:]
			c.dropped++
		}
		return nil
	}
	return c.place(f)
}

// Length returns the play time of what was read so far, in milliseconds: how much later a
// repetition must start to follow without a gap. It is exact for video of a constant frame rate
// that the file declares, and for AAC without video.
func (c *Recutter) Length() int64 {
	s := c.stats[c.cutTrack]
	if s == nil {
		return 0
	}
	i := slices.IndexFunc(c.tracks, func(t media.Track) bool { return t.Number == c.cutTrack })
	t := &c.tracks[i]
	if t.CodecID == media.CodecAAC {
		if cfg, err := media.ParseAACConfig(t.CodecPrivate); err == nil && cfg.SampleRate > 0 {
			return (int64(s.frames)*int64(cfg.FrameLength)*1000 +
				int64(cfg.SampleRate)/2) / int64(cfg.SampleRate)
		}
	}
	switch {
	case t.DefaultDuration > 0:
		return s.last - s.first + (t.DefaultDuration+500_000)/1_000_000
	case s.frames > 1:
		return s.last - s.first + (s.last-s.first)/int64(s.frames-1)
	}
	return 40
}
