package server

import (
	"cmp"
	"context"

	"weir/internal/api"
	"weir/internal/store"
)

func (s *Server) describeStorage(_ context.Context, req *request,
	_ *api.DescribeStreamStorageConfigurationInput,
) (*api.DescribeStreamStorageConfigurationOutput, error) {
	stream := req.target
	return &api.DescribeStreamStorageConfigurationOutput{
		StreamARN: s.arn(&stream), StreamName: stream.Name,
		StreamStorageConfiguration: api.StreamStorageConfiguration{
			DefaultStorageTier: cmp.Or(stream.StorageTier, api.StorageTierHot)},
	}, nil
}

func (s *Server) updateStorage(ctx context.Context, req *request,
	in *api.UpdateStreamStorageConfigurationInput,
) (*api.UpdateStreamStorageConfigurationOutput, error) {
	id := req.target.ID
	_, err := s.store.UpdateStream(ctx, id, in.CurrentVersion, func(st *store.Stream) error {
		st.StorageTier = in.StreamStorageConfiguration.DefaultStorageTier
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateStreamStorageConfigurationOutput{}, nil
}

func (s *Server) describeNotification(_ context.Context, req *request,
	_ *api.DescribeNotificationConfigurationInput,
) (*api.DescribeNotificationConfigurationOutput, error) {
	configured, err := settingsOf(&req.target)
	if err != nil {
		return nil, err
	}
	return &api.DescribeNotificationConfigurationOutput{
		NotificationConfiguration: configured.Notification}, nil
}

func (s *Server) updateNotification(ctx context.Context, req *request,
	in *api.UpdateNotificationConfigurationInput,
) (*api.UpdateNotificationConfigurationOutput, error) {
	stream := req.target
	if c := in.NotificationConfiguration; c != nil {
		switch {
		case stream.RetentionHours == 0:
			return nil, api.NewError(api.NoDataRetentionException, api.MessageNoDataRetention)
		case c.Status == api.StatusEnabled && (s.notifier == nil || !s.notifier.Enabled()):
			return nil, api.NewError(api.InvalidArgumentException, "This server delivers no "+
				"notifications: --notification-allow says to which networks they may go.")
		}
	}
	err := s.configure(ctx, &stream, func(now *settings) {
		now.Notification = in.NotificationConfiguration
	})
	if err != nil {
		return nil, err
	}
	if s.notifier != nil {
		s.notifier.Hurry(stream.Name)
	}
	return &api.UpdateNotificationConfigurationOutput{}, nil
}
