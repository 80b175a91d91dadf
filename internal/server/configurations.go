package server

import (
	"cmp"
	"context"

	"weir/internal/api"
	"weir/internal/store"
)

func (s *Server) describeStorage(ctx context.Context, req *request,
	in *api.DescribeStreamStorageConfigurationInput,
) (*api.DescribeStreamStorageConfigurationOutput, error) {
	stream, err := s.namedStream(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	return &api.DescribeStreamStorageConfigurationOutput{
		StreamARN: s.arn(&stream), StreamName: stream.Name,
		StreamStorageConfiguration: api.StreamStorageConfiguration{
			DefaultStorageTier: cmp.Or(stream.StorageTier, api.StorageTierHot)},
	}, nil
}

func (s *Server) updateStorage(ctx context.Context, req *request,
	in *api.UpdateStreamStorageConfigurationInput,
) (*api.UpdateStreamStorageConfigurationOutput, error) {
	stream, err := s.namedStream(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	_, err = s.store.UpdateStream(ctx, stream.ID, in.CurrentVersion, func(st *store.Stream) error {
		st.StorageTier = in.StreamStorageConfiguration.DefaultStorageTier
		return nil
	})
	if err != nil {
		return nil, storeError(err)
	}
	return &api.UpdateStreamStorageConfigurationOutput{}, nil
}
