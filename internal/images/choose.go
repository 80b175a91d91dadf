package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/still"
	"weir/internal/store"
)

const (
	// imageLookBack is how long before a moment the fragment with its frame may begin.
	imageLookBack = api.MaxFragmentDuration + 10*time.Second
	// imageLinger is how long after its end a frame is still the newest. Fragments of one camera
	// follow one another within that time, even by the times of their arrival.
	imageLinger = time.Second
	// maxChain bounds how many fragments before a frame are searched for a key frame: muxers of
	// live streams may begin a fragment for each frame (docs/reference/producers.md, "Other
	// muxers").
	maxChain = 512
	// maxOpened is how many fragments are opened for a page before the rest of its moments is left
	// to the next page. With such muxers each moment could otherwise open maxChain fragments.
	maxOpened = 2 * maxChain
	// listPage is how many fragments are listed at once.
	listPage = 1000
)

// pictures is the video of a fragment.
type pictures struct {
	info    store.FragmentInfo
	track   *media.Track
	run     int           // index of the track's run
	frames  []media.Frame // access units, in decode order
	times   []int64       // when they are shown: milliseconds on the producer's clock
	offsets []int64       // where they begin in the run's payload, and where the last one ends
	end     int64         // when the last one ends
}

// shot is the image of one moment.
type shot struct {
	chain  []piece // what must be decoded, the frame itself last; empty if failed
	key    still.Key
	failed api.ImageError
	image  *still.Image
	cached bool // the image was there
}

func (s *shot) done() bool { return s.image != nil || s.failed != "" }

func release(shots []shot) {
	for i := range shots {
		if shots[i].image != nil {
			shots[i].image.Release()
		}
	}
}

// piece is a part of a fragment's video: frames from (included) to (not included), in decode order.
type piece struct {
	*pictures
	from, to int
}

// footage is what the images of a call are chosen from.
type footage struct {
	s      *Service
	stream *store.Stream
	clock  store.TimestampKind
	found  []store.FragmentInfo // by timestamp and number
	videos map[int64]*media.Track
	opened map[store.Number]*pictures
	opens  int // how often a fragment was opened since shots was called
}

func (f *footage) start(i *store.FragmentInfo) int64 {
	if f.clock == store.ProducerTimestamp {
		return i.ProducerTimestamp
	}
	return i.ServerTimestamp
}

// shots chooses the frames of the moments, which ascend. If that takes long, it does so only for
// the first ones.
func (s *Service) shots(ctx context.Context, stream *store.Stream, clock store.TimestampKind,
	moments []int64) ([]shot, error) {
	if len(moments) == 0 {
		return nil, nil
	}
	f := s.footage(stream, clock)
	if err := f.list(ctx, moments[0], moments[len(moments)-1]); err != nil {
		return nil, err
	}
	return f.shots(ctx, moments)
}

func (s *Service) footage(stream *store.Stream, clock store.TimestampKind) *footage {
	return &footage{s: s, stream: stream, clock: clock, videos: map[int64]*media.Track{},
		opened: map[store.Number]*pictures{}}
}

// shots chooses the frames of the moments from what was found: of all, or of the first ones
// (maxOpened).
func (f *footage) shots(ctx context.Context, moments []int64) ([]shot, error) {
	shots := make([]shot, len(moments))
	f.opens = 0
	for i, at := range moments {
		if f.opens >= maxOpened {
			return shots[:i], nil
		}
		p, frame, err := f.choose(ctx, at)
		if err == nil && p != nil {
			shots[i].chain, err = f.chain(ctx, p, frame)
		}
		switch {
		case errors.Is(err, store.ErrCorrupt) || errors.Is(err, still.ErrMedia):
			shots[i].failed = api.ImageMediaError
		case err != nil:
			return nil, err
		case p == nil:
			shots[i].failed = api.ImageNoMedia
		}
	}
	return shots, nil
}

// list finds the fragments that may have frames of the moments.
func (f *footage) list(ctx context.Context, first, last int64) error {
	r := store.TimeRange{Clock: f.clock, End: last,
		Start: max(first-imageLookBack.Milliseconds(), 0)}
	for after, more := store.Number(0), true; more; {
		page, err := f.s.store.List(ctx, f.stream.ID, store.Query{Range: &r, After: after,
			Order: store.ByNumber, Limit: listPage})
		if err != nil {
			return fmt.Errorf("list fragments: %w", err)
		}
		more = len(page) == listPage
		for i := range page {
			video, err := f.video(ctx, page[i].TrackSet)
			if err != nil {
				return err
			}
			if video != nil && page[i].Span(video.Number) != nil {
				f.found = append(f.found, page[i])
			}
			after = page[i].Number
		}
	}
	slices.SortFunc(f.found, func(a, b store.FragmentInfo) int {
		return cmp.Or(cmp.Compare(f.start(&a), f.start(&b)), cmp.Compare(a.Number, b.Number))
	})
	return nil
}

// video returns the first video track of a track set, or nil.
func (f *footage) video(ctx context.Context, set int64) (*media.Track, error) {
	if t, ok := f.videos[set]; ok {
		return t, nil
	}
	tracks, err := f.s.store.TrackSet(ctx, f.stream.ID, set)
	if err != nil {
		return nil, fmt.Errorf("read tracks: %w", err)
	}
	i := slices.IndexFunc(tracks, func(t media.Track) bool { return t.Kind == media.Video })
	if i < 0 {
		f.videos[set] = nil
		return nil, nil
	}
	f.videos[set] = &tracks[i]
	return &tracks[i], nil
}

// choose finds the newest frame that is not after a moment: in the last fragment that began before
// it, or in one of up to maxChain fragments before that. If only a fragment without such a frame
// has begun, it is the first frame of that. It returns nil if there is none.
func (f *footage) choose(ctx context.Context, at int64) (*pictures, int, error) {
	n, _ := slices.BinarySearchFunc(f.found, at+1, func(i store.FragmentInfo, t int64) int {
		return cmp.Compare(f.start(&i), t)
	})
	var begun *pictures // has no frame yet
	for i := n - 1; i >= max(n-maxChain, 0); i-- {
		info := &f.found[i]
		p, err := f.open(ctx, info)
		if errors.Is(err, store.ErrGone) {
			continue
		} else if err != nil {
			return nil, 0, err
		}
		local := at - f.start(info) + info.ProducerTimestamp
		frame := -1
		for j, t := range p.times {
			if t <= local && (frame < 0 || t >= p.times[frame]) {
				frame = j
			}
		}
		switch {
		case frame < 0 && begun == nil:
			begun = p
		case frame >= 0 && local < p.end+imageLinger.Milliseconds():
			return p, frame, nil
		case frame >= 0:
			i = 0 // earlier fragments ended even earlier
		}
	}
	if begun == nil {
		return nil, 0, nil
	}
	first := 0
	for j, t := range begun.times {
		if t < begun.times[first] {
			first = j
		}
	}
	return begun, first, nil
}

// open reads the frame table of a fragment. Errors are store.ErrGone if it is gone or has no video,
// store.ErrCorrupt, and still.ErrMedia if its codec cannot be decoded.
func (f *footage) open(ctx context.Context, info *store.FragmentInfo) (*pictures, error) {
	if p := f.opened[info.Number]; p != nil {
		return p, nil
	}
	video, err := f.video(ctx, info.TrackSet)
	if err != nil {
		return nil, err
	}
	if video == nil {
		return nil, store.ErrGone
	}
	if _, err := codecOf(video); err != nil {
		return nil, err
	}
	f.opens++
	m, err := f.s.store.Open(ctx, f.stream.ID, *info)
	if errors.Is(err, store.ErrNotFound) {
		return nil, store.ErrGone
	} else if err != nil {
		return nil, fmt.Errorf("open fragment: %w", err)
	}
	defer m.Close() // it was only read from
	p := &pictures{info: *info, track: video, run: m.Fragment().RunOf(video.Number)}
	if p.run < 0 {
		return nil, store.ErrGone
	}
	run := m.Fragment().Runs[p.run].Units()
	scale := int64(video.Timescale)
	at := run.BaseDecodeTime
	p.frames, p.offsets = run.Frames, []int64{0}
	for i := range p.frames {
		frame := &p.frames[i]
		shown := at + int64(frame.CompositionOffset)
		at += int64(frame.Duration)
		p.times = append(p.times, (shown*1000+scale/2)/scale)
		p.end = max(p.end, (shown+int64(frame.Duration))*1000/scale)
		p.offsets = append(p.offsets, p.offsets[i]+int64(frame.Size))
	}
	if len(p.frames) == 0 {
		return nil, store.ErrGone
	}
	f.opened[info.Number] = p
	return p, nil
}

// codecOf returns the codec of a track.
func codecOf(t *media.Track) (still.Codec, error) {
	if _, err := media.SPSOf(t); err != nil {
		return "", fmt.Errorf("%w: %w", still.ErrMedia, err)
	}
	if t.CodecID == media.CodecHEVC {
		return still.H265, nil
	}
	return still.H264, nil
}

// chain lists what must be decoded for a frame: everything from the last frame at which decoding
// may begin, in this fragment or in those that it continues, to the frame itself.
func (f *footage) chain(ctx context.Context, p *pictures, frame int) ([]piece, error) {
	var chain []piece
	var before []store.FragmentInfo // fragments before p, newest first
	leading := p.frames[frame].Marks&media.Leading != 0
	size := int64(0)
	for range maxChain {
		entry := p.entry(frame, &leading)
		size += p.offsets[frame+1] - p.offsets[max(entry, 0)]
		if after := p.afterLeading(entry); after > entry+1 && after <= frame {
			chain = append(chain, piece{p, after, frame + 1}, piece{p, entry, entry + 1})
		} else {
			chain = append(chain, piece{p, max(entry, 0), frame + 1})
		}
		if entry >= 0 {
			slices.Reverse(chain)
			return chain, nil
		}
		if size > api.MaxFragmentBytes {
			break
		}
		if len(before) == 0 {
			var err error
			before, err = f.s.store.List(ctx, f.stream.ID, store.Query{Order: store.ByNumberNewest,
				After: p.info.Number, Limit: 32})
			if err != nil {
				return nil, fmt.Errorf("list fragments: %w", err)
			}
		}
		if len(before) == 0 || !continues(p, &before[0]) {
			break
		}
		next, err := f.open(ctx, &before[0])
		if errors.Is(err, store.ErrGone) {
			break
		} else if err != nil {
			return nil, err
		}
		p, before, frame = next, before[1:], len(next.frames)-1
	}
	return nil, errNoPicture
}

// entry returns the last frame up to the given one, in decode order, at which decoding may begin,
// or -1. For a leading picture it returns the one before that, and clears leading once the first is
// passed.
func (p *pictures) entry(frame int, leading *bool) int {
	for i := frame; i >= 0; i-- {
		if f := &p.frames[i]; f.Key || f.Marks&media.Open != 0 {
			if !*leading {
				return i
			}
			*leading = false
		}
	}
	return -1
}

// afterLeading returns the first frame after an entry that is not a leading picture of it. A
// decoder that begins at the entry lacks what those refer to, and ffmpeg stops at the first of
// them.
func (p *pictures) afterLeading(entry int) int {
	if entry < 0 || p.frames[entry].Marks&media.Open == 0 {
		return entry + 1
	}
	for entry++; entry < len(p.frames) && p.frames[entry].Marks&media.Leading != 0; entry++ {
	}
	return entry
}

// continues reports whether a fragment continues the pictures of the one before.
func continues(p *pictures, before *store.FragmentInfo) bool {
	span, own := before.Span(p.track.Number), p.info.Span(p.track.Number)
	if span == nil || own == nil || before.TrackSet != p.info.TrackSet || before.Partial {
		return false
	}
	gap := own.BaseDecodeTime - (span.BaseDecodeTime + span.Duration)
	most := int64(p.track.Timescale) / 5
	return -most < gap && gap < most
}
