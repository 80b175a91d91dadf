package media

import (
	"errors"
	"fmt"
)

// Errors about a track's codec, for errors.Is. Functions that take a Track put its codec ID and
// number into the text.
var (
	ErrMissingCodecPrivate = errors.New("codec private data missing")
	ErrInvalidCodecPrivate = errors.New("codec private data invalid")
	ErrUnsupportedCodec    = errors.New("codec not supported for playback")
)

// Packaged reports whether playback packages tracks of this kind and codec as fMP4: H.264, H.265
// and AAC. It does not check the codec private data; CodecString does.
func Packaged(t *Track) bool {
	switch t.CodecID {
	case CodecAVC, CodecHEVC:
		return t.Kind == Video
	case CodecAAC:
		return t.Kind == Audio
	}
	return false
}

// CodecString returns the RFC 6381 name of a track that MP4 can carry: avc1.PPCCLL, the lower-case
// hex of avcC bytes 1 to 3; hvc1.… as HEVCConfig.CodecString; mp4a.40.N with the object type; alaw
// or ulaw, the sample entry of G.711 (MP4RA, "Codecs"). Errors are ErrMissingCodecPrivate,
// ErrInvalidCodecPrivate and ErrUnsupportedCodec. There is none for a track that InitSegment of
// package fmp4 can describe.
func CodecString(t *Track) (string, error) {
	if t.CodecID != CodecACM && !Packaged(t) {
		return "", unsupported(t)
	}
	switch t.CodecID {
	case CodecACM:
		c, err := G711Of(t)
		if err != nil {
			return "", err
		}
		return c.CodecString(), nil
	case CodecAVC:
		c, err := avcConfig(t)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("avc1.%02x%02x%02x", c.Profile, c.Compatibility, c.Level), nil
	case CodecHEVC:
		c, err := hevcConfig(t)
		if err != nil {
			return "", err
		}
		return c.CodecString(), nil
	default:
		c, err := AACOf(t)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("mp4a.40.%d", c.ObjectType), nil
	}
}

// Dimensions returns the size in pixels of an H.264 or H.265 track after cropping, from its SPS,
// whatever Matroska declares. Errors are as for CodecString.
func Dimensions(t *Track) (w, h int, err error) {
	s, err := SPSOf(t)
	if err != nil {
		return 0, 0, err
	}
	return s.Width, s.Height, nil
}

// SPSOf parses the first sequence parameter set in the codec private data of an H.264 or H.265
// track. Errors are as for CodecString.
func SPSOf(t *Track) (*SPS, error) {
	if !Packaged(t) || t.Kind != Video {
		return nil, unsupported(t)
	}
	var s *SPS
	var err error
	if t.CodecID == CodecAVC {
		c, cerr := avcConfig(t)
		if cerr != nil {
			return nil, cerr
		}
		s, err = ParseAVCSPS(c.SPS[0])
	} else {
		c, cerr := hevcConfig(t)
		if cerr != nil {
			return nil, cerr
		}
		s, err = parseHEVCSPS(c.SPS[0])
	}
	return s, inTrack(t, err)
}

// AACOf parses the codec private data of an AAC track. Errors are as for CodecString.
func AACOf(t *Track) (*AACConfig, error) {
	if !Packaged(t) || t.CodecID != CodecAAC {
		return nil, unsupported(t)
	}
	if len(t.CodecPrivate) == 0 {
		return nil, inTrack(t, ErrMissingCodecPrivate)
	}
	c, err := ParseAACConfig(t.CodecPrivate)
	return c, inTrack(t, err)
}

func avcConfig(t *Track) (*AVCConfig, error) {
	if len(t.CodecPrivate) == 0 {
		return nil, inTrack(t, ErrMissingCodecPrivate)
	}
	c, err := ParseAVCConfig(t.CodecPrivate)
	return c, inTrack(t, err)
}

func hevcConfig(t *Track) (*HEVCConfig, error) {
	if len(t.CodecPrivate) == 0 {
		return nil, inTrack(t, ErrMissingCodecPrivate)
	}
	c, err := ParseHEVCConfig(t.CodecPrivate)
	return c, inTrack(t, err)
}

func unsupported(t *Track) error { return inTrack(t, ErrUnsupportedCodec) }

func inTrack(t *Track, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("track %d (%s): %w", t.Number, t.CodecID, err)
}

// Resolution returns the size to show the picture at, in square pixels: after cropping, the width
// stretched by the sample aspect ratio (RFC 8216 section 4.3.4.2: "the optimal pixel resolution at
// which to display"). If the SPS cannot be read, it is what Matroska declares, or 0, because
// RESOLUTION is optional.
func (t *Track) Resolution() (width, height int) {
	sps, err := SPSOf(t)
	if err != nil {
		return t.Width, t.Height
	}
	width = sps.Width
	if sps.SARWidth > 0 && sps.SARHeight > 0 {
		if w := (sps.Width*sps.SARWidth + sps.SARHeight/2) / sps.SARHeight; w > 0 {
			width = w
		}
	}
	return width, sps.Height
}
