package recut

import (
	"bytes"
	"fmt"
	"slices"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/mkv"
)

// scannerOf makes the scanner of a track, the zero one for codecs without NAL units. Missing or
// wrong codec private data is an error: the server would store the frames, but no player could ever
// start with them.
func scannerOf(t *media.Track) (media.NALScanner, error) {
	annexB := len(t.CodecPrivate) == 0 || bytes.HasPrefix(t.CodecPrivate, []byte{0, 0})
	switch {
	case t.CodecID == media.CodecAVC && annexB:
		return media.NALScanner{}, annexBError(t, "H.264")
	case t.CodecID == media.CodecHEVC && annexB:
		return media.NALScanner{}, annexBError(t, "H.265")
	case t.CodecID == media.CodecAAC && len(t.CodecPrivate) == 0:
		return media.NALScanner{}, fmt.Errorf("track %d: AAC without codec private data (ADTS in "+
			"Matroska), which no player can start with; remux it, such as with ffmpeg -c copy",
			t.Number)
	}
	scanner, err := media.NewNALScanner(t)
	if err != nil {
		return media.NALScanner{}, fmt.Errorf("%w; remux it, such as with ffmpeg -c copy, or ask "+
			"GStreamer's h264parse for stream-format=avc", err)
	}
	return scanner, nil
}

func annexBError(t *media.Track, codec string) error {
	return fmt.Errorf("track %d: %s without codec private data (Annex B in Matroska), which no "+
		"player can start with; remux it, such as with ffmpeg -c copy", t.Number, codec)
}

// sameTracks compares what a receiver learns of tracks at the start of a connection.
func sameTracks(a, b []media.Track) bool {
	return slices.EqualFunc(a, b, func(a, b media.Track) bool {
		return a.Number == b.Number && a.Kind == b.Kind && a.CodecID == b.CodecID &&
			bytes.Equal(a.CodecPrivate, b.CodecPrivate)
	})
}

// tellOfCodec warns of a track that the server stores although not every session can play it.
func (c *Recutter) tellOfCodec(t *media.Track) {
	_, err := media.CodecString(t)
	switch {
	case err == nil && t.CodecID == media.CodecACM:
		c.notice(fmt.Sprintf("track %d is G.711: HLS sessions refuse a stream with it, DASH and "+
			"clips take it; for HLS encode AAC (ffmpeg: -c:v copy -c:a aac)", t.Number))
	case err != nil && t.Kind == media.Audio:
		c.notice(fmt.Sprintf("%v: sessions and clips refuse a stream with it; encode AAC "+
			"(ffmpeg: -c:v copy -c:a aac)", err))
	case err != nil:
		c.notice(fmt.Sprintf("%v: sessions and clips refuse a stream with it; encode H.264 "+
			"(ffmpeg: -c:v libx264)", err))
	}
}

// payload reads a frame and brings it into the form that its codec private data announces:
// decompressed, with lengths in place of start codes, AAC without ADTS headers.
func (c *Recutter) payload(t *media.Track, ev mkv.Event) ([]byte, error) {
	data, err := c.r.AppendPayload(nil)
	if err != nil {
		return nil, fmt.Errorf("read matroska: %w", err)
	}
	if ev.Compressed {
		data, err = mkv.Inflate(data, api.MaxFragmentBytes)
		if err != nil {
			return nil, fmt.Errorf("track %d: %w", t.Number, err)
		}
	}
	if t.CodecID == media.CodecAAC {
		if raw, ok := media.CutADTS(data); ok {
			c.tellOfMending(t, "frames with ADTS headers")
			return raw, nil
		}
	} else if converted, ok := c.scanners[t.Number].FromAnnexB(data); ok {
		c.tellOfMending(t, "frames with start codes (Annex B) in place of lengths")
		return converted, nil
	}
	return data, nil
}

func (c *Recutter) tellOfMending(t *media.Track, what string) {
	if !c.mended {
		c.mended = true
		c.notice(fmt.Sprintf("track %d (%s): %s, which are put right here; what a producer sends "+
			"like that by itself is stored and cannot be played", t.Number, t.CodecID, what))
	}
}
