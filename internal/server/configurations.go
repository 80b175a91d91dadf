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

func (s *Server) describeNotification(ctx context.Context, req *request,
	in *api.DescribeNotificationConfigurationInput,
) (*api.DescribeNotificationConfigurationOutput, error) {
	configured, err := s.namedSettings(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	return &api.DescribeNotificationConfigurationOutput{
		NotificationConfiguration: configured.Notification}, nil
}

func (s *Server) updateNotification(ctx context.Context, req *request,
	in *api.UpdateNotificationConfigurationInput,
) (*api.UpdateNotificationConfigurationOutput, error) {
	stream, err := s.namedStream(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	if c := in.NotificationConfiguration; c != nil {
		switch {
		case stream.RetentionHours == 0:
			return nil, api.NewError(api.NoDataRetentionException, api.MessageNoDataRetention)
		case c.Status == api.StatusEnabled && (s.notifier == nil || !s.notifier.Enabled()):
			return nil, api.NewError(api.InvalidArgumentException, "This server delivers no "+
				"notifications: --notification-allow says to which networks they may go.")
		}
	}
	err = s.configure(ctx, &stream, func(now *settings) {
		now.Notification = in.NotificationConfiguration
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateNotificationConfigurationOutput{}, nil
}
