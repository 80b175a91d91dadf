package playback

import (
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/mpegts"
	"weir/internal/store"
	"weir/internal/timeline"
)

// A peak is raised by 1/liveHeadroom of it, for fragments that are yet to come.
const liveHeadroom = 4

// measured is a segment of a playlist: its size, and its EXTINF in milliseconds.
type measured struct{ bytes, millis int64 }

// measure fills in the parameters that are measured on what the session begins with: frame rate,
// bit rates of segments as they are sent, and how far pictures are reordered. target is the
// session's target duration in seconds.
func (p *parameters) measure(sel *selection, target int64) {
	var frames, length int64 // of video: frames, and ticks that they last
	// by playlist; a transport stream has one, with the EXTINF of its first track that has frames
	var lists [timeline.MaxTracks][]measured
	var iframes []measured // a key frame lasts until the next one
	for i := range sel.fragments {
		f := &sel.fragments[i]
		first := -1 // of the packaged tracks with frames
		for j := range p.tracks {
			span := f.Span(p.tracks[j].Number)
			t := trackNumbered(sel.classes[i].tracks, p.tracks[j].Number)
			if pictures := f.Span(p.tracks[0].Number); span == nil && t != nil && j > 0 &&
				pictures != nil {
				span = silentSpan(t,
					timeline.Millis(pictures, scaleOf(sel.classes[i].tracks, p.tracks[0])))
			}
			if span == nil || t == nil || span.Duration <= 0 {
				continue
			}
			if first < 0 {
				first = j
			}
			scale := int64(t.Timescale)
			segment := measured{p.segmentSize(t, span, first == j),
				max(1, timeline.Millis(span, scale))}
			switch {
			case p.format != hlsMPEGTS:
				lists[j] = append(lists[j], segment)
			case first == j:
				lists[0] = append(lists[0], segment)
			default:
				lists[0][len(lists[0])-1].bytes += segment.bytes
			}
			if t.Kind == media.Video {
				frames += int64(span.Frames)
				length += timeline.Rescale(span.Duration, scale, media.VideoTimescale)
				p.advance = max(p.advance,
					timeline.Rescale(span.Reorder, scale, media.VideoTimescale))
				if end := p.keyFrameEnd(t, span); end > 0 {
					iframes = append(iframes, measured{bytes: end})
				}
				if n := len(iframes); n > 0 {
					iframes[n-1].millis += segment.millis
				}
			}
		}
	}
	// the rates of a variant are the sums of its renditions' (RFC 8216 section 4.3.4.2)
	for i, list := range lists {
		p.rates[i] = peakRate(list, target)
		p.bandwidth += p.rates[i]
		p.average += averageRate(list)
	}
	if p.iframes = peakRate(iframes, target); p.mode != timeline.OnDemand {
		p.bandwidth += p.bandwidth / liveHeadroom
		p.iframes = 0
		for i := range p.rates {
			p.rates[i] += p.rates[i] / liveHeadroom
		}
	}
	if length > 0 {
		p.frameRate = (frames*100*media.VideoTimescale + length/2) / length
	}
	p.bandwidth = max(p.bandwidth, p.average, 1)
}

// peakRate returns the peak segment bit rate of RFC 8216 section 4.1: the greatest of any
// contiguous segments that together last between half and one and a half target durations. For a
// list without such segments it returns the average rate.
func peakRate(list []measured, target int64) int64 {
	least, most := target*1000/2, target*1000*3/2
	peak, found := int64(0), false
	for i := range list {
		var run measured
		for _, s := range list[i:] {
			if run.bytes, run.millis = run.bytes+s.bytes, run.millis+s.millis; run.millis > most {
				break
			}
			if run.millis >= least {
				peak, found = max(peak, bitRate(run.bytes, run.millis, 1000)), true
			}
		}
	}
	if !found {
		return averageRate(list)
	}
	return peak
}

// averageRate returns the bit rate of all segments together.
func averageRate(list []measured) int64 {
	var all measured
	for _, s := range list {
		all.bytes, all.millis = all.bytes+s.bytes, all.millis+s.millis
	}
	if all.millis == 0 {
		return 0
	}
	return bitRate(all.bytes, all.millis, 1000)
}

// bitRate returns bits per second, rounded up.
func bitRate(bytes, duration, timescale int64) int64 {
	return (bytes*8*timescale + duration - 1) / duration
}

// segmentSize returns how many bytes a run takes in a segment: exactly for MP4, an upper estimate
// for a transport stream. clock says that the run carries the clock and the tables of the transport
// stream.
func (p *parameters) segmentSize(t *media.Track, span *store.Span, clock bool) int64 {
	if p.format == hlsMPEGTS {
		return mpegts.SizeAtMost(t, span.Frames, span.Size, span.Duration, clock)
	}
	return fmp4.MediaHeaderSize(t.Kind, span.Traits, span.Frames, span.Size) + span.Size
}

// keyFrameEnd returns how many bytes of a segment a player must fetch to show its first frame, 0 if
// that is not a key frame or cannot be said.
func (p *parameters) keyFrameEnd(t *media.Track, span *store.Span) int64 {
	switch {
	case t.Kind != media.Video || !span.KeyStart:
		return 0
	case p.format == hlsMPEGTS:
		return mpegts.KeyFrameEnd(t, span.FirstSize, span.Frames == 1)
	}
	return fmp4.MediaHeaderSize(t.Kind, span.Traits, span.Frames, span.Size) + span.FirstSize
}

func trackNumbered(tracks []media.Track, number int) *media.Track {
	for i := range tracks {
		if tracks[i].Number == number {
			return &tracks[i]
		}
	}
	return nil
}
