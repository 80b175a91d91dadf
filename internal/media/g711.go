package media

import (
	"encoding/binary"
	"fmt"
)

// CodecACM is the Matroska codec ID of audio that a WAVEFORMATEX describes
// (draft-ietf-cellar-codec, "A_MS/ACM").
const CodecACM = "A_MS/ACM"

// Format tags of a WAVEFORMATEX (RFC 2361 appendix A).
const (
	formatALaw  = 6
	formatMuLaw = 7
)

// G711Config is what a WAVEFORMATEX says of G.711 audio.
type G711Config struct {
	MuLaw      bool // μ-law; otherwise A-law
	Channels   int  // also the bytes of a sample
	SampleRate int  // Hz
}

// Silence returns the byte for silence (ITU-T G.711 tables 1 and 2).
func (c *G711Config) Silence() byte {
	if c.MuLaw {
		return 0xff
	}
	return 0xd5
}

// CodecString returns the RFC 6381 name of the audio in MP4, which is that of its sample entry.
func (c *G711Config) CodecString() string {
	if c.MuLaw {
		return "ulaw"
	}
	return "alaw"
}

// G711Of parses the codec private data of a G.711 track. Errors are ErrMissingCodecPrivate,
// ErrInvalidCodecPrivate, and ErrUnsupportedCodec for other codecs of A_MS/ACM too.
func G711Of(t *Track) (*G711Config, error) {
	if t.CodecID != CodecACM || t.Kind != Audio {
		return nil, unsupported(t)
	}
	b := t.CodecPrivate
	if len(b) == 0 {
		return nil, inTrack(t, ErrMissingCodecPrivate)
	}
	if len(b) < 16 {
		return nil, inTrack(t, fmt.Errorf("%w: WAVEFORMATEX of %d bytes", ErrInvalidCodecPrivate,
			len(b)))
	}
	tag := binary.LittleEndian.Uint16(b)
	if tag != formatALaw && tag != formatMuLaw {
		return nil, inTrack(t, fmt.Errorf("%w: format tag %d", ErrUnsupportedCodec, tag))
	}
	c := &G711Config{MuLaw: tag == formatMuLaw, Channels: int(binary.LittleEndian.Uint16(b[2:])),
		SampleRate: int(binary.LittleEndian.Uint32(b[4:]))}
	if c.Channels < 1 || c.Channels > 8 || c.SampleRate < 1 || c.SampleRate > 0xffff {
		return nil, inTrack(t, fmt.Errorf("%w: %d channels at %d Hz", ErrInvalidCodecPrivate,
			c.Channels, c.SampleRate))
	}
	return c, nil
}
