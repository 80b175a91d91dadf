package server

import (
	"context"

	"weir/internal/api"
	"weir/internal/sessionurl"
)

var (
	typeManifest = headerValue{"application/dash+xml"} // ISO/IEC 23009-1 annex C
	typeText     = headerValue{"text/plain; charset=utf-8"}
)

func (s *Server) getDASHStreamingSessionURL(
	ctx context.Context, req *request, in *api.GetDASHStreamingSessionURLInput,
) (*api.GetDASHStreamingSessionURLOutput, error) {
	opened, err := s.playback.OpenDASH(ctx, req.target, req.principal.ARN, in)
	if err != nil {
		return nil, err
	}
	req.session = opened.ID
	return &api.GetDASHStreamingSessionURLOutput{
		DASHStreamingSessionURL: sessionurl.DASHSession(s.playbackURL(req.Request), opened.Token),
	}, nil
}

func (s *Server) dashManifest(ctx context.Context, token string, _ noRef) (response, error) {
	text, err := s.playback.DASHManifest(ctx, token)
	if err != nil {
		return nil, err
	}
	return &content{contentType: typeManifest, cacheControl: cachePlaylist, text: text.Text,
		compressible: true, zipped: text.Gzip}, nil
}

func (s *Server) dashInitFragment(ctx context.Context, token string,
	ref sessionurl.InitSegment) (response, error) {
	data, err := s.playback.DASHInitSegment(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	return initContent(data), nil
}

func (s *Server) dashMediaFragment(ctx context.Context, token string,
	ref sessionurl.DASHSegment) (response, error) {
	segment, err := s.playback.DASHSegment(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	return segmentContent(typeMP4, segment), nil
}

// dashTime returns the time, by which players of live manifests know what is available (UTCTiming,
// ISO/IEC 23009-1 clause 5.8.4.11). Anybody may ask.
func (s *Server) dashTime(context.Context, *request) (response, error) {
	now := s.clock().UTC().Format("2006-01-02T15:04:05.000Z")
	return &content{contentType: typeText, cacheControl: cachePlaylist, text: []byte(now)}, nil
}
