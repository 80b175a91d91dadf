package media

import (
	"errors"
	"fmt"
)

// MPEG-4 audio object types (ISO/IEC 14496-3 table 1.17) that the package distinguishes.
const (
	aotMain = 1
	aotLC   = 2
	aotSSR  = 3
	aotLTP  = 4
	aotSBR  = 5
	aotPS   = 29
)

// AACConfig is an AudioSpecificConfig (ISO/IEC 14496-3 clause 1.6.2.1).
type AACConfig struct {
	// what a player must decode, SBR and PS of the sync extension included: 2 AAC-LC, 5 HE-AAC, 29
	// HE-AAC v2, …
	ObjectType     int
	CoreObjectType int // the object type without SBR and PS
	SampleRate     int // Hz of the core coder: the timescale of the track
	OutputRate     int // Hz that comes out: twice SampleRate with SBR, as the config says
	Channels       int // of the core coder; PS turns one into two
	ChannelConfig  int // channelConfiguration; 0 when a program config element has the channels
	FrameLength    int // samples per frame at SampleRate: 1024 or 960
	SBR, PS        bool
}

var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025,
	8000, 7350}

// aacChannels is the number of channels of each channelConfiguration (table 1.19). 0 is reserved,
// or a program config element has the number.
var aacChannels = [16]int{0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0}

// ParseAACConfig reads an AudioSpecificConfig of the AAC family: Main, LC, SSR, LTP, with SBR and
// PS signalled hierarchically (object types 5 and 29) or in the backward-compatible sync extension.
// Anything else is ErrUnsupportedCodec; a broken config is ErrInvalidCodecPrivate.
func ParseAACConfig(asc []byte) (*AACConfig, error) {
	r := &bitReader{data: asc}
	c, err := readAACConfig(r)
	if err == nil {
		err = r.err
	}
	if errors.Is(err, ErrUnsupportedCodec) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: AudioSpecificConfig: %w", ErrInvalidCodecPrivate, err)
	}
	return c, nil
}

func readAACConfig(r *bitReader) (*AACConfig, error) {
	c := &AACConfig{}
	c.ObjectType = aacObjectType(r)
	c.CoreObjectType = c.ObjectType
	c.SampleRate = aacRate(r)
	c.OutputRate = c.SampleRate
	channels := r.u(4)
	c.ChannelConfig = int(channels)
	if c.ObjectType == aotSBR || c.ObjectType == aotPS {
		c.SBR, c.PS = true, c.ObjectType == aotPS
		c.OutputRate = aacRate(r)
		c.CoreObjectType = aacObjectType(r)
	}
	if r.err != nil {
		return nil, r.err
	}
	switch c.CoreObjectType {
	case aotMain, aotLC, aotSSR, aotLTP:
	default:
		return nil, fmt.Errorf("%w: MPEG-4 audio object type %d", ErrUnsupportedCodec,
			c.CoreObjectType)
	}

	// GASpecificConfig (clause 4.4.1).
	c.FrameLength = 1024
	if r.flag() {
		c.FrameLength = 960
	}
	if r.flag() { // dependsOnCoreCoder
		r.skip(14)
	}
	r.skip(1) // extensionFlag, which means nothing for these object types
	c.Channels = aacChannels[channels]
	if channels == 0 {
		c.Channels = programChannels(r)
	}
	if r.err != nil {
		return nil, r.err
	}
	if c.Channels == 0 {
		return nil, fmt.Errorf("channel configuration %d", channels)
	}
	if !c.SBR {
		c.readSyncExtension(r)
	}
	if c.SampleRate <= 0 || c.OutputRate <= 0 {
		return nil, errors.New("sample rate of 0 Hz")
	}
	return c, r.err
}

// readSyncExtension looks for the backward-compatible signalling of SBR and PS after the config of
// the core coder. It ignores other bytes, because muxers pad.
func (c *AACConfig) readSyncExtension(r *bitReader) {
	if r.left() < 16 {
		return
	}
	s := *r
	if s.u(11) != 0x2b7 || aacObjectType(&s) != aotSBR || !s.flag() {
		return
	}
	rate := aacRate(&s)
	if s.err != nil || rate == 0 {
		return
	}
	c.SBR, c.OutputRate, c.ObjectType = true, rate, aotSBR
	if s.left() >= 12 && s.u(11) == 0x548 && s.flag() {
		c.PS, c.ObjectType = true, aotPS
	}
}

func aacObjectType(r *bitReader) int {
	if t := r.u(5); t != 31 {
		return int(t)
	}
	return 32 + int(r.u(6))
}

func aacRate(r *bitReader) int {
	i := r.u(4)
	if i == 15 {
		return int(r.u(24))
	}
	if int(i) >= len(aacRates) {
		r.fail(fmt.Errorf("sampling frequency index %d", i))
		return 0
	}
	return aacRates[i]
}

// programChannels counts the channels of a program_config_element (clause 4.4.1.1).
func programChannels(r *bitReader) int {
	r.skip(4 + 2 + 4) // element_instance_tag, object_type, sampling_frequency_index
	front, side, back := int(r.u(4)), int(r.u(4)), int(r.u(4))
	lfe, data, coupling := int(r.u(2)), int(r.u(3)), int(r.u(4))
	for _, n := range []int{4, 4, 3} { // mono mix-down, stereo mix-down, matrix mix-down
		if r.flag() {
			r.skip(n)
		}
	}
	channels := lfe
	for range front + side + back {
		channels++
		if r.flag() { // is_cpe
			channels++
		}
		r.skip(4)
	}
	r.skip(4*lfe + 4*data + 5*coupling)
	r.align()
	r.skip(8 * int(r.u(8))) // comment
	return channels
}

// CutADTS returns an AAC frame without its ADTS header (ISO/IEC 14496-3 clause 1.A.3.2.1), which
// frames in Matroska should not have. A raw frame is never mistaken for one with a header: a raw
// frame whose first three bits are set is empty. ok is false if there is no header, or one for
// several raw frames.
func CutADTS(frame []byte) (raw []byte, ok bool) {
	const header, crc = 7, 2
	if len(frame) < header || frame[0] != 0xff || frame[1]&0xf6 != 0xf0 || frame[6]&3 != 0 ||
		int(frame[3]&3)<<11|int(frame[4])<<3|int(frame[5])>>5 != len(frame) {
		return nil, false
	}
	n := header
	if frame[1]&1 == 0 { // protection_absent
		n += crc
	}
	if len(frame) < n {
		return nil, false
	}
	return frame[n:], true
}
