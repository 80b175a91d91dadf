package images

import (
	"context"
	"errors"
	"time"

	"weir/internal/api"
	"weir/internal/still"
	"weir/internal/store"
)

// Check returns the error for calls that need images if none can be made, otherwise nil.
func (s *Service) Check() error {
	if s.decoder == nil || s.decoder.Available() != nil {
		return api.NewError(api.InvalidArgumentException, messageNoDecoder)
	}
	return nil
}

// OfFragment makes the images of a fragment that its stream's valid configuration asks for: one
// every sampling interval, from the moment from on, or from the fragment's start if that is later.
// Moments are milliseconds on the configured clock. It calls take for each image that can be made;
// take must not keep it. GetImages goes first (still.Decoder.EnterLast).
//
// Errors are *api.Error if there is no ffmpeg, store.ErrNotFound if the stream was deleted, those
// of take, that of ctx, and faults of store and disk.
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
		return nil // there is nothing to show
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

// take makes the images of the first ones of the moments, and returns how many those are.
func (r *request) take(ctx context.Context, f *footage, moments []int64,
	take func(at int64, image *still.Image) error) (done int, err error) {
	shots, err := f.shots(ctx, moments)
	if err != nil {
		return 0, err
	}
	defer func() { release(shots) }()
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	enter := func(ctx context.Context) (func(), error) { // pageTime begins with the turn
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
