package playback

import (
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/mpegts"
	"weir/internal/store"
)

// liveHeadroom is the part of the measured peak that is added for fragments which are yet to come.
const liveHeadroom = 4

// measure fills in the parameters that are measured on what the session begins with: frame rate and bit rates, of segments as they
// are sent, and how far pictures are reordered.
func (p *parameters) measure(sel *selection) {
	var frames, length int64                  // of video: frames, and ticks that they last
	var peaks, bytes, millis [maxTracks]int64 // of each playlist; a transport stream has one, with the EXTINF of its first track
	for i := range sel.fragments {
		f := &sel.fragments[i]
		tracks := sel.classes[i].tracks
		var muxed int64
		for j := range p.tracks {
			span := f.Span(p.tracks[j].number)
			t := trackNumbered(tracks, p.tracks[j].number)
			if span == nil || t == nil || span.Duration <= 0 {
				continue
			}
			scale := int64(t.Timescale)
			size := p.segmentSize(t, span, len(p.tracks) == 1 || j == 0)
			// RFC 8216 section 4.1: the bit rate of a segment is its size over its EXTINF, which is in whole milliseconds; not less than
			// over what it really lasts.
			listed := max(1, extinf(span, scale))
			rate := max(bitRate(size, listed, 1000), bitRate(size, span.Duration, scale))
			peaks[j] = max(peaks[j], rate)
			muxed += rate
			list := j
			if p.format == hlsMPEGTS {
				list = 0
			}
			bytes[list] += size
			if list == j {
				millis[list] += listed
			}
			if t.Kind == media.Video {
				frames += int64(span.Frames)
				length += rescale(span.Duration, scale, media.VideoTimescale)
				p.advance = max(p.advance, rescale(span.Reorder, scale, media.VideoTimescale))
				if end := p.keyFrameEnd(t, span); end > 0 {
					p.iframes = max(p.iframes, bitRate(end, span.Duration, scale))
				}
			}
		}
		if p.format == hlsMPEGTS {
			p.bandwidth = max(p.bandwidth, muxed)
		}
	}
	if p.format != hlsMPEGTS {
		// The peak of a variant is the sum of its renditions' (RFC 8216 section 4.3.4.2).
		for _, peak := range peaks {
			p.bandwidth += peak
		}
	}
	if p.mode != onDemand {
		p.bandwidth += p.bandwidth / liveHeadroom
		p.iframes = 0
	}
	if length > 0 {
		p.frameRate = (frames*100*media.VideoTimescale + length/2) / length
	}
	for i := range bytes {
		if millis[i] > 0 {
			p.average += bitRate(bytes[i], millis[i], 1000)
		}
	}
	p.bandwidth = max(p.bandwidth, p.average, 1)
}

// bitRate is bits per second, rounded up.
func bitRate(bytes, duration, timescale int64) int64 {
	return (bytes*8*timescale + duration - 1) / duration
}

// segmentSize is how many bytes a run makes in a segment: exact for MP4, not less than exact for a transport stream, of which clock says
// that the run carries its clock and tables.
func (p *parameters) segmentSize(t *media.Track, span *store.Span, clock bool) int64 {
	if p.format == hlsMPEGTS {
		return mpegts.SizeAtMost(t, span.Frames, span.Size, span.Duration, clock)
	}
	return fmp4.MediaHeaderSize(t.Kind, span.Shape, span.Frames, span.Size) + span.Size
}

// keyFrameEnd is how many bytes of a segment a player must fetch to show its first frame: 0 when that is no key frame, or cannot be said.
func (p *parameters) keyFrameEnd(t *media.Track, span *store.Span) int64 {
	switch {
	case t.Kind != media.Video || !span.KeyStart:
		return 0
	case p.format == hlsMPEGTS:
		return mpegts.KeyFrameEnd(t, span.FirstSize, span.Frames == 1)
	}
	return fmp4.MediaHeaderSize(t.Kind, span.Shape, span.Frames, span.Size) + span.FirstSize
}

func trackNumbered(tracks []media.Track, number int) *media.Track {
	for i := range tracks {
		if tracks[i].Number == number {
			return &tracks[i]
		}
	}
	return nil
}

// resolution is the size to show the picture at, square pixels: after cropping, the width stretched by the sample aspect ratio (RFC
// 8216 section 4.3.4.2: "the optimal pixel resolution at which to display"). An SPS that cannot be read leaves what Matroska
// declares, and without that 0, since RESOLUTION is optional.
func resolution(t *media.Track) (width, height int) {
	sps, err := media.SPSOf(t)
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
