package mpegts

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"weir/internal/media"
)

// ErrInvalidFrame says that the bytes of a frame do not fit the track's codec private data.
var ErrInvalidFrame = errors.New("invalid media frame")

// Check returns an error if a track cannot be carried. Errors are those of media.CodecString.
// G.711, and AAC for which there is no ADTS header (960 samples a frame, a sampling rate outside of
// the table, channels in a program config element), are media.ErrUnsupportedCodec.
func Check(t *media.Track) error {
	_, err := newCoder(t)
	return err
}

// coder turns the frames of a track into an elementary stream.
type coder struct {
	streamType byte
	video      bool

	// Video: NAL units with lengths become a byte stream (14496-10 annex B). Each access unit
	// begins with a delimiter, as 13818-1 clauses 2.14.1 and 2.17.1 demand. Those where playing may
	// begin carry the parameter sets.
	lengthSize int
	hevc       bool
	delimiter  []byte // with its start code
	sets       []byte // parameter sets of the codec private data, with start codes
	needs      int    // bits of the kinds of parameter sets in sets

	adts [7]byte // AAC: header of an empty frame
}

var startCode = [4]byte{0, 0, 0, 1}

func newCoder(t *media.Track) (*coder, error) {
	if _, err := media.CodecString(t); err != nil {
		return nil, err
	}
	c := &coder{video: t.Kind == media.Video}
	var sets [][]byte
	switch t.CodecID {
	case media.CodecAVC:
		config, err := media.ParseAVCConfig(t.CodecPrivate)
		if err != nil {
			return nil, err
		}
		c.streamType, c.lengthSize = 0x1b, config.LengthSize
		c.delimiter = []byte{0, 0, 0, 1, 0x09, 0xf0} // any kind of picture may follow
		sets = slices.Concat(config.SPS, config.PPS)
		c.needs = 1<<7 | 1<<8
		if len(config.PPS) == 0 {
			c.needs = 1 << 7
		}
	case media.CodecHEVC:
		config, err := media.ParseHEVCConfig(t.CodecPrivate)
		if err != nil {
			return nil, err
		}
		c.streamType, c.lengthSize, c.hevc = 0x24, config.LengthSize, true
		c.delimiter = []byte{0, 0, 0, 1, 0x46, 0x01, 0x50}
		for kind, list := range [][][]byte{config.VPS, config.SPS, config.PPS} {
			sets = append(sets, list...)
			if len(list) > 0 {
				c.needs |= 1 << kind
			}
		}
	case media.CodecAAC:
		config, err := media.AACOf(t)
		if err != nil {
			return nil, err
		}
		c.streamType = 0x0f
		rate := slices.Index(adtsRates[:], config.SampleRate)
		if rate < 0 || config.ChannelConfig < 1 || config.ChannelConfig > 7 ||
			config.FrameLength != 1024 {
			return nil, fmt.Errorf("track %d (%s): %w: no ADTS for %d samples a frame at %d Hz, "+
				"channel configuration %d",
				t.Number, t.CodecID, media.ErrUnsupportedCodec, config.FrameLength,
				config.SampleRate, config.ChannelConfig)
		}
		// The header describes only the core coder, with its object type in two bits. Players find
		// SBR and PS in the frames (14496-3 clause 1.6.6, implicit signalling), as in every HE-AAC
		// broadcast.
		profile, channels := byte(config.CoreObjectType-1), byte(config.ChannelConfig)
		c.adts = [7]byte{0xff, 0xf1, profile<<6 | byte(rate)<<2 | channels>>2, channels << 6, 0,
			0x1f, 0xfc}
	default:
		return nil, fmt.Errorf("track %d: codec %s: %w", t.Number, t.CodecID,
			media.ErrUnsupportedCodec)
	}
	for _, s := range sets {
		c.sets = append(append(c.sets, startCode[:]...), s...)
	}
	return c, nil
}

// adtsRates is the table of sampling frequencies (14496-3 table 1.18).
var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000,
	11025, 8000, 7350}

// maxADTS is the length of the longest frame that an ADTS header can describe in 13 bits, header
// included.
const maxADTS = 1<<13 - 1

// appendADTS appends an AAC frame after its header.
func (c *coder) appendADTS(dst, frame []byte) []byte {
	h := c.adts
	n := len(frame) + len(h)
	h[3] |= byte(n >> 11)
	h[4] = byte(n >> 3)
	h[5] |= byte(n << 5)
	return append(append(dst, h[:]...), frame...)
}

// picture is what look finds out about a video frame.
type picture struct {
	size      int64 // bytes of the byte stream; 0: the frame has no NAL units and is left out
	delimiter bool  // one must be added
	sets      bool  // the codec private data's parameter sets must be added
}

// kindOf returns the bit of a parameter set's kind, and whether the NAL unit is an access unit
// delimiter. first is its first byte.
func (c *coder) kindOf(first byte) (set int, delimiter bool) {
	if c.hevc {
		switch typ := first >> 1 & 0x3f; {
		case typ >= 32 && typ <= 34:
			return 1 << (typ - 32), false
		default:
			return 0, typ == 35
		}
	}
	switch typ := first & 0x1f; typ {
	case 7, 8:
		return 1 << typ, false
	default:
		return 0, typ == 9
	}
}

// look reads the headers of a frame's NAL units, which must fill the frame exactly. entry says that
// playing may begin here.
func (c *coder) look(w *window, at, size int64, entry bool) (picture, error) {
	var p picture
	have, units := 0, 0
	for end := at + size; at < end; {
		if end-at < int64(c.lengthSize) {
			return p, fmt.Errorf("%d bytes after its last NAL unit", end-at)
		}
		head, err := w.bytes(at, int(min(int64(c.lengthSize)+1, end-at)))
		if err != nil {
			return p, err
		}
		var n int64
		for _, b := range head[:c.lengthSize] {
			n = n<<8 | int64(b)
		}
		at += int64(c.lengthSize)
		if n > end-at {
			return p, fmt.Errorf("NAL unit of %d bytes where %d are left", n, end-at)
		}
		if n == 0 {
			continue
		}
		set, delimiter := c.kindOf(head[c.lengthSize])
		have |= set
		if units == 0 {
			p.delimiter = !delimiter
		}
		units++
		p.size += n + int64(len(startCode))
		at += n
	}
	if units == 0 {
		return picture{}, nil
	}
	if p.delimiter {
		p.size += int64(len(c.delimiter))
	}
	if p.sets = entry && have&c.needs != c.needs; p.sets {
		p.size += int64(len(c.sets))
	}
	return p, nil
}

// appendPicture appends the byte stream of a frame. p is what look found.
func (c *coder) appendPicture(dst, frame []byte, p picture) []byte {
	if p.delimiter {
		dst = append(dst, c.delimiter...)
		if p.sets {
			dst = append(dst, c.sets...)
		}
	}
	first := true
	for len(frame) >= c.lengthSize {
		n := 0
		for _, b := range frame[:c.lengthSize] {
			n = n<<8 | int(b)
		}
		frame = frame[c.lengthSize:]
		if n = min(n, len(frame)); n == 0 {
			continue
		}
		dst = append(append(dst, startCode[:]...), frame[:n]...)
		if first && p.sets && !p.delimiter { // after the frame's own delimiter
			dst = append(dst, c.sets...)
		}
		first = false
		frame = frame[n:]
	}
	return dst
}

// window reads small pieces of a payload, mostly in order, in larger reads.
type window struct {
	src  io.ReaderAt
	at   int64
	data []byte
	buf  [4096]byte
}

// bytes returns n bytes, at most 4096, from an offset. They are valid until the next call.
func (w *window) bytes(at int64, n int) ([]byte, error) {
	if at < w.at || at+int64(n) > w.at+int64(len(w.data)) {
		got, err := w.src.ReadAt(w.buf[:], at)
		if got < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, &readError{err}
		}
		w.at, w.data = at, w.buf[:got]
	}
	return w.data[at-w.at:][:n], nil
}

// readError is a failure to read, which is not the frame's fault.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }
