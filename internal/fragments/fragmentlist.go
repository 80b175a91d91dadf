package fragments

import (
	"context"
	"errors"
	"fmt"
	"io"

	"weir/internal/api"
	"weir/internal/store"
)

// FragmentList is an answer of GetMediaForFragmentList.
type FragmentList struct {
	service *Service
	stream  store.Stream
	numbers []store.Number
}

// GetMediaForFragmentList checks a request for fragments of a stream by their numbers. The error is
// an *api.Error, InvalidArgument, if a number is not one of the stream's.
func (s *Service) GetMediaForFragmentList(stream store.Stream,
	in *api.GetMediaForFragmentListInput) (*FragmentList, error) {
	l := &FragmentList{service: s, stream: stream, numbers: make([]store.Number, len(in.Fragments))}
	for i, text := range in.Fragments {
		n, err := stream.ParseNumber(text)
		if err != nil {
			return nil, api.Errorf(api.InvalidArgumentException,
				"Fragment numbers are invalid : %s", text)
		}
		l.numbers[i] = n
	}
	return l, nil
}

// Write writes the chunks in the order of the request. In place of a fragment that is not there, or
// is damaged, it writes tags that say so (chunkWriter.failure). An error means that the answer is
// cut short: w has failed, ctx ended, or the store could not be read.
func (l *FragmentList) Write(ctx context.Context, w io.Writer) error {
	c := &chunkWriter{service: l.service, stream: &l.stream, w: w}
	for _, n := range l.numbers {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := l.service.store.Fragment(ctx, l.stream.ID, n)
		if err == nil {
			err = c.fragment(ctx, &f, false)
		} else {
			err = &errUnwritten{err}
		}
		var unwritten *errUnwritten
		if errors.As(err, &unwritten) {
			switch {
			case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrGone):
				err = c.failure(n, errChunkNotFound)
			case errors.Is(err, store.ErrCorrupt):
				err = c.failure(n, errChunkInternal)
			}
		}
		if err != nil {
			return fmt.Errorf("send fragments: %w", err)
		}
	}
	return nil
}
