package server

import (
	"context"

	"weir/internal/api"
	"weir/internal/playback"
)

// Content types. AWS sends application/x-mpegURL for playlists, which validators complain about;
// the registered name (RFC 8216 section 10) plays everywhere.
var (
	typePlaylist = headerValue{"application/vnd.apple.mpegurl"}
	typeMP4      = headerValue{"video/mp4"}
	typeTS       = headerValue{"video/mp2t"} // RFC 3555 section 4.2.9
)

// A playlist changes with every fragment and must not be kept. A fragment of a session never
// changes; it may be kept by the player alone, because its URL is the right to it, and not for much
// longer than the shortest session lives.
var (
	cachePlaylist = headerValue{"no-store"}
	cacheFragment = headerValue{"private, max-age=300, immutable"}
)

func (s *Server) getHLSStreamingSessionURL(
	ctx context.Context, req *request, in *api.GetHLSStreamingSessionURLInput,
) (*api.GetHLSStreamingSessionURLOutput, error) {
	stream, err := s.namedStream(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	token, err := s.playback.OpenHLS(ctx, stream, in)
	if err != nil {
		return nil, storeError(err)
	}
	return &api.GetHLSStreamingSessionURLOutput{
		HLSStreamingSessionURL: playback.SessionURL(s.baseURL(req.Request), token),
	}, nil
}

func (s *Server) hlsMasterPlaylist(ctx context.Context, req *request) (response, error) {
	token, err := playback.ParseToken(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	text, err := s.playback.MasterPlaylist(ctx, token)
	if err != nil {
		return nil, err
	}
	return playlist(text), nil
}

func (s *Server) hlsMediaPlaylist(ctx context.Context, req *request) (response, error) {
	token, err := playback.ParseToken(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	ref, err := playback.ParseMediaPlaylist(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	list := s.playback.MediaPlaylist
	if ref.IFramesOnly {
		list = s.playback.IFramePlaylist
	}
	text, err := list(ctx, token, ref.Track)
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

func (s *Server) mp4InitFragment(ctx context.Context, req *request) (response, error) {
	token, err := playback.ParseToken(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	ref, err := playback.ParseInitSegment(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	data, err := s.playback.InitSegment(ctx, token, ref.Track, ref.Sequence)
	if err != nil {
		return nil, err
	}
	return &content{contentType: typeMP4, cacheControl: cacheFragment, text: data, ranges: true},
		nil
}

func (s *Server) mp4MediaFragment(ctx context.Context, req *request) (response, error) {
	return s.mediaFragment(ctx, req, typeMP4, s.playback.MediaSegment)
}

func (s *Server) tsFragment(ctx context.Context, req *request) (response, error) {
	return s.mediaFragment(ctx, req, typeTS, s.playback.TSSegment)
}

func (s *Server) mediaFragment(ctx context.Context, req *request, contentType headerValue,
	find func(ctx context.Context, token string, ref playback.SegmentRef) (*playback.Segment,
		error),
) (response, error) {
	token, err := playback.ParseToken(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	ref, err := playback.ParseSegment(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	segment, err := find(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	return segmentContent(contentType, segment), nil
}

func segmentContent(contentType headerValue, segment *playback.Segment) *content {
	return &content{
		contentType: contentType, cacheControl: cacheFragment, ranges: true,
		media: segment, length: segment.Length,
		close: segment.Close,
	}
}
