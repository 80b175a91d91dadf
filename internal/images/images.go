// Package images decides which pictures GetImages and image generation return: which frame each
// moment has, what must be decoded for it, and which of them are made together. It feeds exactly
// these frames to a decoder and keeps the images; package still runs the decoder.
package images

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"weir/internal/api"
	"weir/internal/media"
	"weir/internal/still"
	"weir/internal/store"
)

// Decoder makes images; *still.Decoder is one.
type Decoder interface {
	Available() error
	Enter(ctx context.Context) (leave func(), err error)
	EnterLast(ctx context.Context) (leave func(), err error) // less urgent than Enter
	Run(ctx context.Context, j *still.Job) error
}

// pageTime is how long the images of a page may take. The next page has what is not made by then.
const pageTime = 25 * time.Second

// messageNoDecoder is the message if GetImages has no decoder.
const messageNoDecoder = "Making images needs ffmpeg, which is not installed on the server. " +
	"Install it (Debian and Ubuntu: apt install ffmpeg), or name it with --ffmpeg."

// Store is the part of store.Store that images are chosen and made from.
type Store interface {
	StreamByID(ctx context.Context, id store.StreamID) (store.Stream, error)
	List(ctx context.Context, id store.StreamID, q store.Query) ([]store.FragmentInfo, error)
	TrackSet(ctx context.Context, id store.StreamID, set int64) ([]media.Track, error)
	Open(ctx context.Context, id store.StreamID, f store.FragmentInfo) (store.Media, error)
}

// Options configure a Service. Store is required.
type Options struct {
	Store   Store
	Decoder Decoder      // nil: there is no ffmpeg
	Cache   *still.Cache // keeps images; required with a Decoder
	Metrics *Metrics     // nil: none
	Logger  *slog.Logger // nil: none
}

// Service makes images of stored fragments. It is safe for concurrent use.
type Service struct {
	store   Store
	decoder Decoder
	cache   *still.Cache
	metrics *Metrics
	log     *slog.Logger

	pageTime time.Duration // the constant pageTime, except in tests
}

// New makes a Service.
func New(o Options) *Service {
	s := &Service{store: o.Store, decoder: o.Decoder, cache: o.Cache, log: o.Logger,
		metrics: o.Metrics, pageTime: pageTime}
	if s.metrics == nil {
		s.metrics = newMetrics()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Page is the answer of GetImages.
type Page struct {
	Images    []Image
	NextToken string // "" for the last page
}

// Image is the result for one moment of a page.
type Image struct {
	Time  api.Timestamp  // the moment that was asked for
	Error api.ImageError // "" when there is an image
	Still *still.Image   // nil when there is none
}

// Close releases the images. It must be called once.
func (p *Page) Close() {
	for i := range p.Images {
		if image := p.Images[i].Still; image != nil {
			image.Release()
		}
	}
}

// Get makes a page of GetImages: for each moment, the newest frame that is not after it. The caller
// closes the page.
//
// Errors are *api.Error: InvalidArgument (also if there is no ffmpeg), NoDataRetention,
// ClientLimitExceeded (too many images are being made); store.ErrNotFound if the stream was
// deleted, store.ErrFull if images cannot be kept; anything else is a fault.
func (s *Service) Get(ctx context.Context, stream store.Stream, given *api.GetImagesInput,
) (*Page, error) {
	if err := api.Validate(given); err != nil {
		return nil, err
	}
	in := *given
	in.ApplyDefaults()
	if stream.RetentionHours == 0 {
		return nil, api.NewError(api.NoDataRetentionException, api.MessageNoDataRetention)
	}
	first, err := tokenOf(&in).parse(in.NextToken)
	if err != nil {
		return nil, err
	}
	if s.decoder == nil {
		return nil, api.NewError(api.InvalidArgumentException, messageNoDecoder)
	}
	spec := still.Spec{PNG: in.Format == api.ImagePNG, Width: in.WidthPixels,
		Height: in.HeightPixels}
	if spec.Quality, err = api.JPEGQuality(in.FormatConfig); err != nil {
		return nil, err
	}
	clock := store.ServerTimestamp
	if in.ImageSelectorType == api.SelectorProducerTimestamp {
		clock = store.ProducerTimestamp
	}
	moments, more := momentsOf(&in, first)
	r := s.request(&stream, spec)
	defer r.album.Close()
	shots, err := s.shots(ctx, &stream, clock, moments)
	if err != nil {
		return nil, err
	}
	more = more || len(shots) < len(moments)
	limited, cancel := context.WithTimeout(ctx, s.pageTime)
	defer cancel()
	err = r.develop(limited, shots, s.decoder.Enter)
	if err != nil && (ctx.Err() != nil || limited.Err() == nil) {
		release(shots)
		return nil, imageError(err)
	}
	page := &Page{}
	for i := range shots {
		if !shots[i].done() {
			if i > 0 {
				more = true
				break
			}
			shots[i].failed = api.ImageMediaError // it had the whole pageTime
		}
		s.metrics.count(&shots[i])
		page.Images = append(page.Images, Image{api.Timestamp(moments[i]), shots[i].failed,
			shots[i].image})
	}
	release(shots[len(page.Images):])
	if more {
		page.NextToken = tokenOf(&in).encode(first + int64(len(page.Images)))
	}
	return page, nil
}

// Forget deletes the kept images of a stream.
func (s *Service) Forget(id store.StreamID) error {
	if s.cache == nil {
		return nil
	}
	return s.cache.Forget(string(id))
}

// Sweep deletes images that are too old, and those of deleted streams for which Forget was not
// called. Errors are faults of the store and the disk.
func (s *Service) Sweep(ctx context.Context) error {
	if s.cache == nil {
		return nil
	}
	s.cache.Sweep()
	for _, id := range s.cache.Streams() {
		_, err := s.store.StreamByID(ctx, store.StreamID(id))
		if errors.Is(err, store.ErrNotFound) {
			err = s.cache.Forget(id)
		}
		if err != nil {
			return fmt.Errorf("sweep images: %w", err)
		}
	}
	return nil
}

// momentsOf returns the moments of a page that begins with the moment of the given index, in
// milliseconds, and whether others follow.
func momentsOf(in *api.GetImagesInput, first int64) (moments []int64, more bool) {
	at := int64(*in.StartTimestamp) + first*int64(in.SamplingInterval)
	for ; at <= int64(*in.EndTimestamp); at += int64(in.SamplingInterval) {
		if len(moments) == in.MaxResults {
			return moments, true
		}
		moments = append(moments, at)
	}
	return moments, false
}

// imageError turns the errors of package still into the errors of Get.
func imageError(err error) error {
	switch {
	case errors.Is(err, still.ErrMissing):
		return api.NewError(api.InvalidArgumentException, messageNoDecoder)
	case errors.Is(err, still.ErrForgotten):
		return fmt.Errorf("%w: %w", store.ErrNotFound, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case errors.Is(err, still.ErrBusy):
		return api.NewError(api.ClientLimitExceededException, "Too many images are being made.")
	}
	return err
}

// pageToken makes the tokens of a request: base64 of a mark, the range and interval of the request,
// and the index of the moment that a page begins with.
type pageToken [3]int64

const pageTokenMark = "images\x01"

func tokenOf(in *api.GetImagesInput) pageToken {
	return pageToken{int64(*in.StartTimestamp), int64(*in.EndTimestamp),
		int64(in.SamplingInterval)}
}

func (t pageToken) encode(first int64) string {
	b := []byte(pageTokenMark)
	for _, v := range append(t[:], first) {
		b = binary.AppendVarint(b, v)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// parse returns the index, 0 without a token.
func (t pageToken) parse(token string) (first int64, err error) {
	if token == "" {
		return 0, nil
	}
	b, err := base64.StdEncoding.DecodeString(token)
	rest, ok := bytes.CutPrefix(b, []byte(pageTokenMark))
	var values [4]int64
	for i := range values {
		v, n := binary.Varint(rest)
		ok = ok && n > 0
		values[i], rest = v, rest[max(n, 0):]
	}
	first = values[3]
	if err != nil || !ok || len(rest) > 0 || pageToken(values[:3]) != t || first < 0 ||
		first > api.MaxImagesRange.Milliseconds()/api.MinSamplingInterval {
		return 0, api.NewError(api.InvalidArgumentException,
			"The NextToken is not one that GetImages gave out for this range and interval.")
	}
	return first, nil
}

// errNoPicture says that a frame cannot be decoded, because what it needs is missing.
var errNoPicture = fmt.Errorf("%w: no key frame before it", still.ErrMedia)
