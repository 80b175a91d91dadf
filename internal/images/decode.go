package images

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"weir/internal/api"
	"weir/internal/fmp4"
	"weir/internal/media"
	"weir/internal/still"
	"weir/internal/store"
)

// imageVersion is part of the keys of images: a new version makes all images again.
const imageVersion = 2

// request is what all images of a call have in common.
type request struct {
	*Service
	stream *store.Stream
	spec   still.Spec
	album  *still.Album
}

// request opens the stream's album, which the caller closes. It must come before any call to the
// store, so that a stream that is deleted meanwhile leaves no images (still.Album).
func (s *Service) request(stream *store.Stream, spec still.Spec) *request {
	return &request{s, stream, spec, s.cache.Album(string(stream.ID))}
}

// develop makes the images of the shots, or finds them in the cache. Afterwards each shot has an
// image or has failed, unless there is an error: that of ctx, of the decoder, or of the cache.
func (r *request) develop(ctx context.Context, shots []shot,
	enter func(context.Context) (func(), error)) error {
	for i := range shots {
		if len(shots[i].chain) > 0 {
			shots[i].key = r.key(shots[i].chain)
		}
	}
	rolls := r.undeveloped(shots)
	if len(rolls) == 0 {
		return nil
	}
	if err := r.decoder.Available(); err != nil {
		return err
	}
	leave, err := enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, film := range r.undeveloped(shots) { // others may have made them meanwhile
		if err := r.expose(ctx, film); err != nil {
			return err
		}
	}
	return nil
}

// key returns the key of the image of a chain: everything that it is made from.
func (r *request) key(chain []piece) still.Key {
	b := []byte{imageVersion}
	for _, p := range chain {
		b = binary.AppendUvarint(b, uint64(p.info.Number))
		b = binary.AppendUvarint(b, uint64(p.info.PayloadCRC))
		b = binary.AppendUvarint(b, uint64(p.from))
		b = binary.AppendUvarint(b, uint64(p.to))
	}
	track := chain[0].track
	return still.MakeKey(b, []byte(r.stream.ID), []byte(track.CodecID), track.CodecPrivate,
		fmt.Appendf(nil, "%t %d %d %d", r.spec.PNG, r.spec.Quality, r.spec.Width, r.spec.Height))
}

// scene is a series of frames that are decoded together, for one or more shots.
type scene struct {
	chain []piece // the longest of the shots' chains
	shots []*shot
}

// roll is the scenes of one codec configuration, which one process can decode.
type roll []scene

// undeveloped finds images in the cache, and returns what must be decoded for the rest.
func (r *request) undeveloped(shots []shot) (rolls []roll) {
	var last *shot
	for i := range shots {
		sh := &shots[i]
		if sh.done() {
			continue
		}
		if sh.image = r.album.Get(sh.key); sh.image != nil {
			sh.cached = true
			continue
		}
		first := sh.chain[0]
		switch {
		case last == nil || !sameDecoder(last.chain[0].track, first.track):
			rolls = append(rolls, roll{{sh.chain, []*shot{sh}}})
		case last.chain[0].pictures == first.pictures && last.chain[0].from == first.from:
			last := rolls[len(rolls)-1]
			t := &last[len(last)-1]
			t.shots = append(t.shots, sh)
			if countFrames(sh.chain) > countFrames(t.chain) {
				t.chain = sh.chain
			}
		default:
			current := &rolls[len(rolls)-1]
			*current = append(*current, scene{sh.chain, []*shot{sh}})
		}
		last = sh
	}
	return rolls
}

func sameDecoder(a, b *media.Track) bool {
	return a.CodecID == b.CodecID && bytes.Equal(a.CodecPrivate, b.CodecPrivate)
}

func countFrames(chain []piece) (n int) {
	for _, p := range chain {
		n += p.to - p.from
	}
	return n
}

// expose makes the images of a roll in one process. If that stops at bad media, each missing image
// gets a process of its own, so that only bad ones fail.
func (r *request) expose(ctx context.Context, film roll) error {
	if err := r.process(ctx, film); err == nil || !mediaFault(err) {
		return err
	}
	for i := range film {
		for _, sh := range film[i].shots {
			if sh.done() {
				continue
			}
			err := r.process(ctx, roll{{sh.chain, []*shot{sh}}})
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, store.ErrGone):
				sh.failed = api.ImageNoMedia
			case err != nil && mediaFault(err):
				sh.failed = api.ImageMediaError
				r.log.Debug("image cannot be made", "stream", r.stream.Name, "fragment",
					r.stream.FormatNumber(sh.chain[len(sh.chain)-1].info.Number), "error", err)
			case err != nil:
				return err
			}
		}
	}
	return nil
}

// mediaFault reports whether an error is about the media.
func mediaFault(err error) bool {
	return errors.Is(err, still.ErrMedia) || errors.Is(err, store.ErrCorrupt) ||
		errors.Is(err, store.ErrGone)
}

// process makes the images of a roll in one process.
func (r *request) process(ctx context.Context, film roll) error {
	track := *film[0].chain[0].track
	codec, err := codecOf(&track)
	if err != nil {
		return err
	}
	track.Timescale = 1 // frame n is shown n seconds after zero
	init, err := fmp4.InitSegment(&track)
	if err != nil {
		return fmt.Errorf("%w: %w", still.ErrMedia, err)
	}
	job := &still.Job{Spec: r.spec, Codec: codec}
	wanted := map[int][]*shot{} // by frame
	scripts := make([]script, len(film))
	for i := range film {
		if i > 0 {
			scripts[i].start = scripts[i-1].end
		}
		first := film[i].chain[0]
		job.Open = job.Open || first.frames[first.from].Marks&media.Open != 0
		scripts[i].arrange(film[i].chain)
		for _, sh := range film[i].shots {
			frame := scripts[i].shown[countFrames(sh.chain)-1]
			if wanted[frame] == nil {
				job.Frames = append(job.Frames, frame)
			}
			wanted[frame] = append(wanted[frame], sh)
		}
	}
	slices.Sort(job.Frames)
	job.Write = func(w io.Writer) error {
		if _, err := w.Write(init); err != nil {
			return err
		}
		for i := range film {
			if err := r.feed(ctx, w, &track, film[i].chain, &scripts[i]); err != nil {
				return err
			}
		}
		return nil
	}
	job.Made = func(frame int, data []byte) error {
		for _, sh := range wanted[frame] {
			if sh.image, err = r.album.Put(sh.key, data); err != nil {
				return err
			}
		}
		return nil
	}
	defer func(began time.Time) {
		r.metrics.decode.Observe(time.Since(began).Seconds())
	}(time.Now())
	return r.decoder.Run(ctx, job)
}

// script says when the frames of a scene are decoded and shown, in whole seconds.
type script struct {
	start, end int   // the scene's own seconds
	shown      []int // by frame in decode order
}

// arrange shows the frames of a chain in order of their times, none before it is decoded.
func (s *script) arrange(chain []piece) {
	type timed struct {
		at    int64
		frame int
	}
	var frames []timed
	for _, p := range chain {
		for _, t := range p.times[p.from:p.to] {
			frames = append(frames, timed{t, len(frames)})
		}
	}
	slices.SortStableFunc(frames, func(a, b timed) int { return int(a.at - b.at) })
	delay := 0
	s.shown = make([]int, len(frames))
	for rank, f := range frames {
		delay = max(delay, f.frame-rank)
		s.shown[f.frame] = s.start + rank
	}
	for i := range s.shown {
		s.shown[i] += delay
	}
	s.end = s.start + len(frames) + delay
}

// feed writes the frames of a scene as fragmented MP4.
func (r *request) feed(ctx context.Context, w io.Writer, track *media.Track, chain []piece,
	script *script) error {
	frame := 0
	for _, p := range chain {
		run := media.Run{Track: track.Number, Frames: slices.Clone(p.frames[p.from:p.to])}
		base := script.start + frame
		for i := range run.Frames {
			f := &run.Frames[i]
			f.Duration, f.CompositionOffset = 1, int32(script.shown[frame]-script.start-frame)
			frame++
		}
		header, err := fmp4.AppendMediaHeader(nil, track, &run, uint32(base)+1, int64(base))
		if err != nil {
			return fmt.Errorf("write frames: %w", err)
		}
		if _, err := w.Write(header); err != nil {
			return err
		}
		if err := r.copyFrames(ctx, w, p); err != nil {
			return err
		}
	}
	return nil
}

// copyFrames writes the bytes of the frames of a piece.
func (r *request) copyFrames(ctx context.Context, w io.Writer, p piece) error {
	m, err := r.store.Open(ctx, r.stream.ID, p.info)
	if errors.Is(err, store.ErrNotFound) {
		return store.ErrGone
	} else if err != nil {
		return fmt.Errorf("open fragment: %w", err)
	}
	defer m.Close() // it was only read from
	body, err := m.Payload(p.run)
	if err != nil {
		return fmt.Errorf("open payload: %w", err)
	}
	from, to := p.offsets[p.from], p.offsets[p.to]
	_, err = body.Slice(from, to-from).WriteTo(w)
	return err
}
