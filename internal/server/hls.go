package server

import (
	"context"

	"weir/internal/api"
	"weir/internal/playback"
	"weir/internal/sessionurl"
)

// Content types. AWS sends application/x-mpegURL for playlists, which validators complain about;
// the registered name (RFC 8216 section 10) plays everywhere.
var (
	typePlaylist = headerValue{"application/vnd.apple.mpegurl"}
	typeTS       = headerValue{"video/mp2t"} // RFC 3555 section 4.2.9
)

func (s *Server) getHLSStreamingSessionURL(
	ctx context.Context, req *request, in *api.GetHLSStreamingSessionURLInput,
) (*api.GetHLSStreamingSessionURLOutput, error) {
	opened, err := s.playback.OpenHLS(ctx, req.target, req.principal.ARN, in)
	if err != nil {
		return nil, err
	}
	req.session = opened.ID
	return &api.GetHLSStreamingSessionURLOutput{
		HLSStreamingSessionURL: sessionurl.HLSSession(s.playbackURL(req.Request), opened.Token),
	}, nil
}

func (s *Server) hlsMasterPlaylist(ctx context.Context, token string, _ noRef) (response, error) {
	text, err := s.playback.MasterPlaylist(ctx, token)
	if err != nil {
		return nil, err
	}
	return playlist(text), nil
}

func (s *Server) hlsMediaPlaylist(ctx context.Context, token string,
	ref sessionurl.MediaPlaylist) (response, error) {
	var text *playback.Playlist
	var err error
	if ref.IFramesOnly {
		text, err = s.playback.IFramePlaylist(ctx, token, ref.Track)
	} else {
		text, err = s.playback.ReloadPlaylist(ctx, token, ref)
	}
	if err != nil {
		return nil, err
	}
	answer := playlist(text.Text)
	answer.zipped = text.Gzip
	return answer, nil
}

func playlist(text []byte) *content {
	return &content{contentType: typePlaylist, cacheControl: cachePlaylist, text: text,
		compressible: true}
}

func (s *Server) mp4InitFragment(ctx context.Context, token string,
	ref sessionurl.InitSegment) (response, error) {
	data, err := s.playback.InitSegment(ctx, token, ref.Track, ref.Sequence)
	if err != nil {
		return nil, err
	}
	return initContent(data), nil
}

func (s *Server) mp4MediaFragment(ctx context.Context, token string,
	ref sessionurl.Segment) (response, error) {
	segment, err := s.playback.MediaSegment(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	return segmentContent(typeMP4, segment), nil
}

// mp4PartialFragment is not cacheable: if the server restarts in the middle of a fragment, another
// part may get the same name.
func (s *Server) mp4PartialFragment(ctx context.Context, token string,
	ref sessionurl.Part) (response, error) {
	part, err := s.playback.MediaPart(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	answer := segmentContent(typeMP4, part)
	answer.cacheControl = cachePlaylist
	return answer, nil
}

func (s *Server) tsFragment(ctx context.Context, token string,
	ref sessionurl.Segment) (response, error) {
	segment, err := s.playback.TSSegment(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	return segmentContent(typeTS, segment), nil
}
