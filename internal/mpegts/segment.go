package mpegts

import (
	"errors"
	"fmt"
	"io"

	"weir/internal/media"
)

// Ticks of the 90 kHz clock.
const (
	timeOffset    = 10 * 90_000 // added to all times of a session
	clockLead     = 45_000      // from the clock reference to the decode time of what follows it
	clockInterval = 8_100       // between clock references
	maxAdvance    = 5 * 90_000
	// a longer gap comes from a clock that was set, not from a slow camera, and is not filled
	maxClockGap   = 60 * 90_000
	audioTogether = 27_000 // audio in one PES packet; clockInterval when audio carries the clock
)

// audioBytes is the most audio in one PES packet: sixteen transport packets.
const audioBytes = 16*roomPlain - pesHeader

// maxFrames bounds the plan of a segment.
const maxFrames = 1 << 24

// Input is one track of a segment.
type Input struct {
	Track *media.Track
	// of access units (media.Run.Units); without frames the track is only in the program map
	Run *media.Run
	// of the first frame in the session, in ticks of the track's timescale; it replaces
	// Run.BaseDecodeTime
	DecodeTime int64
	Payload    io.ReaderAt // the frames of Run, back to back
}

// Options are the constants of a session, and the counter, that a segment depends on.
type Options struct {
	// 90 kHz ticks by which decode times of video are earlier: the greatest media.Run.Reorder of
	// the session
	Advance int64
	Counter byte // continuity counter of the tables, modulo 16
	// CounterRepeats marks the tables' counter as one that does not follow that of the segment
	// before (discontinuity_indicator, clause 2.4.3.5): the segment is of the same fragment.
	CounterRepeats bool
}

// Segment is a segment that is being read. It is not safe for concurrent use.
type Segment struct {
	inputs  []track
	units   []unit
	size    int64
	counter [2]byte // continuity counters: video, audio
	next    int     // unit to be prepared
	current unit
	pes     []byte // current's PES packet
	left    []byte // the rest of pes, not in packets yet
	packets int64  // packets that left goes into
	started bool
	frame   []byte // scratch
	out     []byte // packets made and not read yet
	made    []byte // backing of out
	err     error
}

type track struct {
	Input
	coder *coder
	pid   uint16
	id    byte // stream_id
}

// NewSegment plans a segment of one video track, one audio track, or both, video first. It reads
// the headers of the video's NAL units, because their number and kinds decide the length. Errors
// are those of Check, ErrInvalidFrame if frames do not fit the codec private data, and those of the
// payloads. Memory is bounded by the number of frames, and while reading by the largest frame.
func NewSegment(inputs []Input, o Options) (*Segment, error) {
	s := &Segment{}
	video, audio, frames := -1, -1, 0
	for i, in := range inputs {
		c, err := newCoder(in.Track)
		if err != nil {
			return nil, err
		}
		if len(in.Run.Frames) > maxFrames {
			return nil, fmt.Errorf("run of track %d has %d frames, want %d at most",
				in.Track.Number, len(in.Run.Frames), maxFrames)
		}
		frames += len(in.Run.Frames)
		if in.DecodeTime < 0 || in.Track.Timescale == 0 {
			return nil, fmt.Errorf("track %d: decode time %d at %d ticks per second",
				in.Track.Number, in.DecodeTime, in.Track.Timescale)
		}
		t := track{Input: in, coder: c, pid: pidAudio, id: 0xc0}
		switch {
		case c.video && video < 0 && audio < 0:
			video, t.pid, t.id = i, pidVideo, 0xe0
		case !c.video && audio < 0:
			audio = i
		default:
			return nil, errors.New(
				"a segment has one video and one audio track at most, video first")
		}
		s.inputs = append(s.inputs, t)
	}
	if frames == 0 {
		return nil, errors.New("a segment without frames")
	}
	var pictures, sounds []unit
	var err error
	if video >= 0 {
		if pictures, err = s.pictures(video, min(max(o.Advance, 0), maxAdvance)); err != nil {
			return nil, err
		}
	}
	if audio >= 0 {
		together := int64(audioTogether)
		if len(pictures) == 0 {
			together = clockInterval
		}
		if sounds, err = s.sounds(audio, together); err != nil {
			return nil, err
		}
	}
	keep := 0
	if video >= 0 && len(inputs[video].Run.Frames) > 1 {
		keep = 1 // the first picture has the length that KeyFrameEnd promises
	}
	fill(pictures, keep)
	fill(sounds, 0)
	s.units = merge(pictures, sounds)
	s.size = 2 * packetSize
	for i := range s.units {
		s.size += s.units[i].packets * packetSize
	}

	streams := make([]stream, len(s.inputs))
	for i := range s.inputs {
		streams[i] = stream{s.inputs[i].pid, s.inputs[i].coder.streamType}
	}
	counter := tableCounter{o.Counter, o.CounterRepeats}
	s.made = appendPMT(appendPAT(nil, counter), counter, s.inputs[0].pid, streams)
	s.out = s.made
	return s, nil
}

// Size returns the length of the segment in bytes.
func (s *Segment) Size() int64 { return s.size }

// ticks returns a time of the track on the 90 kHz clock.
func ticks(t *media.Track, v int64) int64 {
	scale := int64(t.Timescale)
	return v/scale*90_000 + v%scale*90_000/scale + timeOffset
}

// pictures plans the PES packets of a video track: one per frame.
func (s *Segment) pictures(input int, advance int64) ([]unit, error) {
	t := &s.inputs[input]
	w := &window{src: t.Payload}
	units := make([]unit, 0, len(t.Run.Frames))
	at, time := int64(0), t.DecodeTime
	for i := range t.Run.Frames {
		f := &t.Run.Frames[i]
		p, err := t.coder.look(w, at, int64(f.Size), f.Key || i == 0)
		if err != nil {
			return nil, frameError(t.Track, i, err)
		}
		if p.size > 0 {
			units = append(units, unit{
				input: input, first: i, count: 1, at: at, bytes: int64(f.Size), picture: p,
				clock: true, entry: f.Key,
				pts: ticks(t.Track, time+int64(f.CompositionOffset)),
				dts: ticks(t.Track, time) - advance,
			})
		}
		at += int64(f.Size)
		time += int64(f.Duration)
	}
	for i := len(units) - 1; i >= 0; i-- {
		u := &units[i]
		u.dts = min(u.dts, u.pts)
		if i+1 < len(units) {
			u.dts = min(u.dts, units[i+1].dts-1)
		}
		u.measure(u.picture.size, roomClock)
		if i == 0 && u.entry && u.first == 0 {
			u.packets = max(u.packets, min(t.coder.entryPackets(u.bytes), u.mostPackets()))
		}
	}
	return units, nil
}

// sounds plans the PES packets of an audio track: several frames each.
func (s *Segment) sounds(input int, together int64) ([]unit, error) {
	t := &s.inputs[input]
	var units []unit
	at, time := int64(0), t.DecodeTime
	var size, end int64 // of the latest unit: bytes of its stream, and when it ends
	for i := range t.Run.Frames {
		f := &t.Run.Frames[i]
		n := int64(f.Size) + int64(len(t.coder.adts))
		if n > maxADTS {
			return nil, frameError(t.Track, i,
				fmt.Errorf("%d bytes are more than an ADTS frame holds", f.Size))
		}
		start := ticks(t.Track, time)
		time += int64(f.Duration)
		if f.Size > 0 {
			last := len(units) - 1
			if last < 0 || size+n > audioBytes || ticks(t.Track, time)-units[last].pts > together ||
				start != end {
				units = append(units, unit{input: input, first: i, at: at, pts: start, dts: start})
				size, last = 0, last+1
			}
			u := &units[last]
			u.count++
			u.bytes += int64(f.Size)
			size += n
			end = ticks(t.Track, time)
			u.measure(size, roomPlain)
		}
		at += int64(f.Size)
	}
	if input == 0 {
		for i := range units {
			u := &units[i]
			u.clock, u.entry = true, i == 0
			u.measure(u.size-pesHeader, roomClock)
		}
	}
	return units, nil
}

func frameError(t *media.Track, frame int, err error) error {
	var read *readError
	if errors.As(err, &read) {
		return fmt.Errorf("read frame %d of track %d: %w", frame, t.Number, err)
	}
	return fmt.Errorf("%w: frame %d of track %d (%s): %w", ErrInvalidFrame, frame, t.Number,
		t.CodecID, err)
}

// entryPackets returns how many packets a key frame of that size takes at the start of a segment,
// whatever is in it. It returns 0 if start codes are longer than the lengths that they replace:
// then the number of NAL units decides.
func (c *coder) entryPackets(bytes int64) int64 {
	if c.lengthSize != len(startCode) {
		return 0
	}
	return packetsOf(pesBoth+int64(len(c.delimiter)+len(c.sets))+bytes, roomClock)
}

// KeyFrameEnd returns where, in bytes from the start of a segment, its first video frame ends, if
// that is a key frame of that size. only says that it is the only frame of its run. KeyFrameEnd
// returns 0 if the end depends on what is in the frame, or if the track is not video.
func KeyFrameEnd(t *media.Track, bytes int64, only bool) int64 {
	c, err := newCoder(t)
	if err != nil || !c.video {
		return 0
	}
	n := c.entryPackets(bytes)
	if n == 0 {
		return 0
	}
	if only {
		n = (n + 15) &^ 15
	}
	return (2 + n) * packetSize
}

// Read reads the segment. It fails if a payload cannot be read, or has changed since the segment
// was planned.
func (s *Segment) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(s.out) == 0 {
			if err := s.step(); err != nil {
				if n > 0 {
					break
				}
				return 0, err
			}
		}
		k := copy(p[n:], s.out)
		s.out = s.out[k:]
		n += k
	}
	return n, nil
}

// step makes one more packet. It returns io.EOF at the end.
func (s *Segment) step() error {
	if s.err != nil {
		return s.err
	}
	if s.packets == 0 {
		if s.err = s.prepare(); s.err != nil {
			return s.err
		}
	}
	u := &s.current
	t := &s.inputs[u.input]
	counter := &s.counter[t.pid-pidVideo]
	h := packetHeader{pid: t.pid}
	if u.count == 0 {
		// Without payload the counter stays that of the packet before (clause 2.4.3.3).
		h.counter, h.clock, h.pcr = *counter-1, true, u.pcr
		s.made = appendPacket(s.made[:0], &h, 0)
		s.out, s.packets = s.made, 0
		return nil
	}
	room := roomPlain
	if !s.started {
		h.start, h.entry, h.clock, h.pcr = true, u.entry, u.clock, u.pcr
		if h.clock {
			room = roomClock
		}
	}
	n := min(room, len(s.left)-int(s.packets-1)) // leave a byte for each packet that follows
	h.counter = *counter
	*counter++
	s.made = append(appendPacket(s.made[:0], &h, n), s.left[:n]...)
	s.out, s.left = s.made, s.left[n:]
	s.packets--
	s.started = true
	return nil
}

// prepare reads the frames of the next unit and makes its PES packet.
func (s *Segment) prepare() error {
	if s.next == len(s.units) {
		return io.EOF
	}
	s.current = s.units[s.next]
	s.next++
	u := &s.current
	s.packets, s.started = u.packets, false
	if u.count == 0 {
		return nil
	}
	t := &s.inputs[u.input]
	if int64(cap(s.frame)) < u.bytes {
		s.frame = make([]byte, u.bytes)
	}
	data := s.frame[:u.bytes]
	if n, err := t.Payload.ReadAt(data, u.at); int64(n) < u.bytes {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read frame %d of track %d: %w", u.first, t.Track.Number, err)
	}
	if cap(s.pes) < int(u.size) {
		s.pes = make([]byte, 0, u.size)
	}
	pes := appendPES(s.pes[:0], t.id, u.pts, u.dts, u.size-u.headerSize())
	if t.coder.video {
		pes = t.coder.appendPicture(pes, data, u.picture)
	} else {
		frames := t.Run.Frames[u.first:]
		for count := u.count; count > 0; frames = frames[1:] {
			n := frames[0].Size
			if n == 0 {
				continue
			}
			pes = t.coder.appendADTS(pes, data[:n])
			data = data[n:]
			count--
		}
	}
	if int64(len(pes)) != u.size {
		return fmt.Errorf("frame %d of track %d is not what it was: %d bytes became %d", u.first,
			t.Track.Number, u.size, len(pes))
	}
	s.pes, s.left = pes, pes
	return nil
}

// SizeAtMost estimates, rarely too low, the length of a segment of a run from the number of its
// frames, its bytes, and its duration in ticks of the track's timescale. clock says that the run
// carries the segment's clock; the tables are then counted too.
func SizeAtMost(t *media.Track, frames int, bytes, duration int64, clock bool) int64 {
	c, err := newCoder(t)
	if err != nil || t.Timescale == 0 {
		return bytes
	}
	packets, n := int64(15), int64(frames)
	length := duration * 90_000 / int64(t.Timescale)
	if c.video {
		packets += n + (bytes+n*int64(pesBoth+len(c.delimiter)+roomPlain-roomClock)+
			int64(len(c.sets)))/roomPlain + 1
	} else {
		together := int64(audioTogether)
		if clock {
			together = clockInterval
		}
		bytes += n * int64(len(c.adts))
		groups := min(n, 2+bytes/(audioBytes/2)+n/max(1, together*n/max(1, length)))
		packets += groups + (bytes+groups*(pesHeader+roomPlain-roomClock))/roomPlain + 1
	}
	if clock {
		packets += 2 + min(length, maxClockGap)/clockInterval
	}
	return packets * packetSize
}
