package images

import (
	"context"
	"errors"
	"time"

	"weir/internal/api"
	"weir/internal/still"
	"weir/internal/store"
)

// Check is the answer of calls that need images where none can be made, otherwise nil.
func (s *Service) Check() error {
	if s.decoder == nil || s.decoder.Available() != nil {
		return api.NewError(api.InvalidArgumentException, messageNoDecoder)
	}
	return nil
}

// OfFragment makes the images of a fragment that its stream's configuration, which is valid,
// asks for: one every sampling interval from the given moment on, or from the fragment's start when
// that is later, in milliseconds on the configured clock. Each is handed to take, which must not
// keep it, and which is not called for those that cannot be made. GetImages goes before it.
//
// Errors are *api.Error when there is no ffmpeg, those of take, that of ctx, and faults of store
// and disk.
func (s *Service) OfFragment(ctx context.Context, stream *store.Stream,
	info *store.FragmentInfo, c *api.ImageGenerationConfiguration, from int64,
	take func(at int64, image *still.Image) error) error {
	if err := s.Check(); err != nil {
		return err
	}
	spec := still.Spec{PNG: c.Format == api.ImagePNG, Width: c.WidthPixels, Height: c.HeightPixels}
	var err error
	if spec.Quality, err = api.JPEGQuality(c.FormatConfig); err != nil {
		return err
	}
	clock := store.ServerTimestamp
	if c.ImageSelectorType == api.SelectorProducerTimestamp {
		clock = store.ProducerTimestamp
	}
	r := s.request(stream, spec)
	defer r.album.Close()
	f := s.footage(stream, clock)
	f.found = []store.FragmentInfo{*info}
	p, err := f.open(ctx, info)
	switch {
	case errors.Is(err, store.ErrGone), errors.Is(err, store.ErrCorrupt),
		errors.Is(err, still.ErrMedia):
		return nil // nothing that can be shown
	case err != nil:
		return err
	}
	start := f.start(info)
	end := min(p.end-info.ProducerTimestamp, api.MaxFragmentDuration.Milliseconds()) + start
	for at := max(from, start); at < end; {
		var moments []int64
		for m := at; m < end && len(moments) < api.MaxImagesPage; m += int64(c.SamplingInterval) {
			moments = append(moments, m)
		}
		done, err := r.take(ctx, f, moments, take)
		if err != nil {
			return err
		}
		at += int64(done) * int64(c.SamplingInterval)
	}
	return nil
}

// take makes the images of the first of some moments, and returns of how many.
func (r *request) take(ctx context.Context, f *footage, moments []int64,
	take func(at int64, image *still.Image) error) (done int, err error) {
	shots, err := f.shots(ctx, moments)
	if err != nil {
		return 0, err
	}
	defer func() { release(shots) }()
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	enter := func(ctx context.Context) (func(), error) { // the time runs from here
		leave, err := r.decoder.EnterLast(ctx)
		if err == nil {
			time.AfterFunc(r.pageTime, cancel)
		}
		return leave, err
	}
	err = r.develop(limited, shots, enter)
	if err != nil && (ctx.Err() != nil || limited.Err() == nil) {
		return 0, imageError(err)
	}
	for i := range shots {
		r.metrics.count(&shots[i])
		if shots[i].image == nil {
			continue
		}
		if err := take(moments[i], shots[i].image); err != nil {
			return 0, err
		}
	}
	return len(shots), nil
}
