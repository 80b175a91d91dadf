package server

import (
	"context"

	"weir/internal/api"
)

// The calls that read what is stored, beside HLS.

func (s *Server) listFragments(ctx context.Context, req *request, in *api.ListFragmentsInput) (
	*api.ListFragmentsOutput, error) {
	stream, err := s.namedStream(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	return s.playback.ListFragments(ctx, stream, in)
}
