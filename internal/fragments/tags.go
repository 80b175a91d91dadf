package fragments

import (
	"context"
	"errors"
	"fmt"

	"weir/internal/api"
	"weir/internal/store"
)

// ListFragmentTags returns the tags of one page of the fragments that ListFragments would list. It
// reads the head of each record, but no media. After api.TaggedFragmentsTime it ends the page
// early. A fragment that is gone by now, or damaged, has no tags.
//
// A selector or token that does not fit the stream is an *api.Error, InvalidArgument.
func (s *Service) ListFragmentTags(ctx context.Context, stream store.Stream,
	in *api.ListFragmentTagsInput) (*api.ListFragmentTagsOutput, error) {
	t, found, more, err := s.page(ctx, &stream, in.NextToken, in.FragmentSelector, in.MaxResults)
	if err != nil {
		return nil, err
	}
	out := &api.ListFragmentTagsOutput{FragmentTags: []api.FragmentTags{}}
	began := s.clock()
	for i := range found {
		f := &found[i]
		tags, err := s.tags(ctx, &stream, f)
		if err != nil {
			return nil, err
		}
		if len(tags) > 0 {
			out.FragmentTags = append(out.FragmentTags, api.FragmentTags{
				FragmentNumber:    stream.FormatNumber(f.Number),
				ProducerTimestamp: api.Timestamp(f.ProducerTimestamp),
				ServerTimestamp:   api.Timestamp(f.ServerTimestamp), Tags: tags})
		}
		t.after = f.Number
		if i < len(found)-1 && s.clock().Sub(began) > api.TaggedFragmentsTime {
			more = true
			break
		}
	}
	if more {
		next := t.encode(&stream)
		out.NextToken = &next
	}
	return out, nil
}

func (s *Service) tags(ctx context.Context, stream *store.Stream, f *store.FragmentInfo) (
	[]api.FragmentTag, error) {
	m, err := s.store.Open(ctx, stream.ID, *f)
	if errors.Is(err, store.ErrGone) || errors.Is(err, store.ErrCorrupt) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	defer m.Close() // it is only read from: nothing can be lost
	var tags []api.FragmentTag
	for _, t := range m.Fragment().Tags {
		tags = append(tags, api.FragmentTag{Name: t.Name, Value: t.Value})
	}
	return tags, nil
}
