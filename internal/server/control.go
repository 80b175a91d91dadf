package server

import (
	"context"
	"errors"
	"maps"
	"slices"

	"weir/internal/api"
	"weir/internal/store"
)

// streamNotFound is the answer when a stream does not exist. Because of its status 404, producers
// then create it.
func streamNotFound() *api.Error {
	return api.NewError(api.ResourceNotFoundException, api.MessageStreamNotFound)
}

// storeAnswer returns the answer to an error of the store, and nil for any other error. A stream
// that was found may still be deleted in the middle of a call.
func storeAnswer(err error) *api.Error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return streamNotFound()
	case errors.Is(err, store.ErrVersion):
		return api.NewError(api.VersionMismatchException, api.MessageVersionMismatch)
	case errors.Is(err, store.ErrExists):
		return api.NewError(api.ResourceInUseException, "A stream with that name exists already.")
	case errors.Is(err, store.ErrFull):
		return api.NewError(api.ServiceUnavailable, api.MessageDiskFull)
	}
	return nil
}

// namedStream finds the stream that a call names, and decides whether the call may be done.
func (s *Server) namedStream(ctx context.Context, req *request,
	name string) (store.Stream, error) {
	req.stream = name
	stream, err := s.store.Stream(ctx, name)
	switch {
	case err == nil:
		err = s.permit(req, s.arn(&stream), &stream)
	case errors.Is(err, store.ErrNotFound):
		if err = s.permit(req, s.arnToBe(name), nil); err == nil {
			err = streamNotFound()
		}
	}
	return stream, err
}

// arnToBe is the ARN of a stream that does not exist, so nobody knows its creation time: policies
// have stream/NAME/*, as for all streams of that name.
func (s *Server) arnToBe(name string) string { return api.FormatARN(s.region, s.account, name, 0) }

// streamOfARN is namedStream by an ARN. An ARN with another partition, region, account, kind of
// resource or creation time names no resource here.
func (s *Server) streamOfARN(ctx context.Context, req *request, text string) (store.Stream, error) {
	arn, err := api.ParseARN(text)
	if err != nil {
		return store.Stream{}, err
	}
	req.stream = arn.Name
	here := text == api.FormatARN(s.region, s.account, arn.Name, arn.CreatedMillis)
	var stream store.Stream
	if here {
		stream, err = s.store.Stream(ctx, arn.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.Stream{}, err
		}
		here = err == nil && stream.CreatedMillis == arn.CreatedMillis
	}
	if !here {
		if err := s.permit(req, text, nil); err != nil {
			return store.Stream{}, err
		}
		return store.Stream{}, streamNotFound()
	}
	return stream, s.permit(req, text, &stream)
}

func (s *Server) arn(stream *store.Stream) string {
	return api.FormatARN(s.region, s.account, stream.Name, stream.CreatedMillis)
}

func (s *Server) createStream(ctx context.Context, req *request,
	in *api.CreateStreamInput) (*api.CreateStreamOutput, error) {
	wanted := store.Stream{
		Name:           in.StreamName,
		RetentionHours: in.DataRetentionInHours,
		DeviceName:     in.DeviceName,
		MediaType:      in.MediaType,
		KMSKeyID:       in.KmsKeyId,
		Tags:           maps.Clone(in.Tags),
	}
	if in.StreamStorageConfiguration != nil {
		wanted.StorageTier = in.StreamStorageConfiguration.DefaultStorageTier
	}
	var err error
	if wanted.Settings, err = settingsBy(req.principal); err != nil {
		return nil, err
	}
	if err := s.quotas.NewStream(func(most int) (int, error) {
		list, err := s.store.ListStreams(ctx, "", "", most)
		return len(list), err
	}); err != nil {
		return nil, err
	}
	stream, err := s.store.CreateStream(ctx, wanted)
	if err != nil {
		return nil, err
	}
	return &api.CreateStreamOutput{StreamARN: s.arn(&stream)}, nil
}

func (s *Server) describeStream(_ context.Context, req *request,
	_ *api.DescribeStreamInput) (*api.DescribeStreamOutput, error) {
	return &api.DescribeStreamOutput{StreamInfo: s.streamInfo(&req.target)}, nil
}

// streamInfo describes a stream. It is ACTIVE as soon as it exists, because producers give up while
// it is not (docs/reference/producers.md, "Control calls").
func (s *Server) streamInfo(stream *store.Stream) api.StreamInfo {
	return api.StreamInfo{
		CreationTime:         api.Timestamp(stream.CreatedMillis),
		DataRetentionInHours: stream.RetentionHours,
		DeviceName:           api.NullIfEmpty(stream.DeviceName),
		KmsKeyId:             api.NullIfEmpty(stream.KMSKeyID),
		MediaType:            api.NullIfEmpty(stream.MediaType),
		Status:               api.StatusActive,
		StreamARN:            s.arn(stream),
		StreamName:           stream.Name,
		Version:              stream.Version,
	}
}

func (s *Server) listStreams(ctx context.Context, _ *request,
	in *api.ListStreamsInput) (*api.ListStreamsOutput, error) {
	after, err := api.DecodeNextToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	limit := in.Limit()
	// one more shows whether there is another page
	streams, err := s.store.ListStreams(ctx, in.Prefix(), after, limit+1)
	if err != nil {
		return nil, err
	}
	out := &api.ListStreamsOutput{StreamInfoList: []api.StreamInfo{}}
	if len(streams) > limit {
		streams = streams[:limit]
		next := api.EncodeNextToken(streams[limit-1].Name)
		out.NextToken = &next
	}
	for i := range streams {
		out.StreamInfoList = append(out.StreamInfoList, s.streamInfo(&streams[i]))
	}
	return out, nil
}

func (s *Server) updateStream(ctx context.Context, req *request,
	in *api.UpdateStreamInput) (*api.UpdateStreamOutput, error) {
	id := req.target.ID
	_, err := s.store.UpdateStream(ctx, id, in.CurrentVersion, func(st *store.Stream) error {
		if in.DeviceName != "" {
			st.DeviceName = in.DeviceName
		}
		if in.MediaType != "" {
			st.MediaType = in.MediaType
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateStreamOutput{}, nil
}

func (s *Server) updateDataRetention(ctx context.Context, req *request,
	in *api.UpdateDataRetentionInput) (*api.UpdateDataRetentionOutput, error) {
	id := req.target.ID
	_, err := s.store.UpdateStream(ctx, id, in.CurrentVersion, func(st *store.Stream) error {
		hours, err := in.NewRetention(st.RetentionHours)
		if err != nil {
			return err
		}
		st.RetentionHours = hours
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateDataRetentionOutput{}, nil
}

func (s *Server) deleteStream(ctx context.Context, req *request,
	in *api.DeleteStreamInput) (*api.DeleteStreamOutput, error) {
	stream := req.target
	if err := s.store.DeleteStream(ctx, stream.ID, in.CurrentVersion); err != nil {
		return nil, err
	}
	if err := s.images.Forget(stream.ID); err != nil {
		req.log().Warn("images of a deleted stream stay for an hour", logStream, stream.Name,
			logError, err)
	}
	return &api.DeleteStreamOutput{}, nil
}

// getDataEndpoint names this server for every API: one process serves them all.
func (s *Server) getDataEndpoint(_ context.Context, req *request,
	_ *api.GetDataEndpointInput) (*api.GetDataEndpointOutput, error) {
	return &api.GetDataEndpointOutput{DataEndpoint: s.baseURL(req.Request)}, nil
}

// tag adds tags to a stream, if it stays within the limit.
func (s *Server) tag(ctx context.Context, stream store.Stream, tags map[string]string) error {
	return s.store.TagStream(ctx, stream.ID, func(has map[string]string) error {
		maps.Copy(has, tags)
		if len(has) > api.MaxStreamTags {
			return api.Errorf(api.TagsPerResourceExceededLimitException,
				"The stream would have %d tags; the most is %d.", len(has), api.MaxStreamTags)
		}
		return nil
	})
}

// untag removes tags from a stream; keys that it does not have are ignored.
func (s *Server) untag(ctx context.Context, stream store.Stream, keys []string) error {
	return s.store.TagStream(ctx, stream.ID, func(has map[string]string) error {
		maps.DeleteFunc(has, func(key, _ string) bool { return slices.Contains(keys, key) })
		return nil
	})
}

func (s *Server) tagStream(ctx context.Context, req *request,
	in *api.TagStreamInput) (*api.TagStreamOutput, error) {
	if err := s.tag(ctx, req.target, in.Tags); err != nil {
		return nil, err
	}
	return &api.TagStreamOutput{}, nil
}

func (s *Server) untagStream(ctx context.Context, req *request,
	in *api.UntagStreamInput) (*api.UntagStreamOutput, error) {
	if err := s.untag(ctx, req.target, in.TagKeyList); err != nil {
		return nil, err
	}
	return &api.UntagStreamOutput{}, nil
}

func (s *Server) listTagsForStream(_ context.Context, req *request,
	_ *api.ListTagsForStreamInput) (*api.ListTagsForStreamOutput, error) {
	return &api.ListTagsForStreamOutput{Tags: req.target.Tags}, nil
}

// At AWS, TagResource and its kin are for signalling channels. Here they take streams, and there
// are no channels.
func (s *Server) tagResource(ctx context.Context, req *request,
	in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	if err := s.tag(ctx, req.target, in.Map()); err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, nil
}

func (s *Server) untagResource(ctx context.Context, req *request,
	in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	if err := s.untag(ctx, req.target, in.TagKeyList); err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, nil
}

func (s *Server) listTagsForResource(_ context.Context, req *request,
	_ *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	return &api.ListTagsForResourceOutput{Tags: req.target.Tags}, nil
}
