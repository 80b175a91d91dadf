package server

import (
	"context"
	"strconv"

	"weir/internal/api"
	"weir/internal/playback"
)

// Content types. AWS sends application/x-mpegURL for playlists, which validators complain about; the registered name
// (RFC 8216 section 10) plays everywhere.
var (
	typePlaylist = headerValue{"application/vnd.apple.mpegurl"}
	typeMP4      = headerValue{"video/mp4"}
	typeTS       = headerValue{"video/mp2t"} // RFC 3555 section 4.2.9
)

// A playlist changes with every fragment and must not be kept. A fragment of a session never changes; it may be kept by the
// player alone, because its URL is the right to it, and not for much longer than the shortest session lives.
var (
	cachePlaylist = headerValue{"no-store"}
	cacheFragment = headerValue{"private, max-age=300, immutable"}
)

// The session actions live below hlsPath; every URI in a playlist is relative to it.
const hlsPath = "/hls/v1/"

func (s *Server) getHLSStreamingSessionURL(
	ctx context.Context, req *request, in *api.GetHLSStreamingSessionURLInput,
) (*api.GetHLSStreamingSessionURLOutput, error) {
	stream, err := s.lookUp(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	token, err := s.playback.OpenHLS(ctx, stream, in)
	if err != nil {
		return nil, storeError(err)
	}
	return &api.GetHLSStreamingSessionURLOutput{
		HLSStreamingSessionURL: s.baseURL(req.Request) + hlsPath + "getHLSMasterPlaylist.m3u8?SessionToken=" + token,
	}, nil
}

func (s *Server) hlsMasterPlaylist(ctx context.Context, req *request) (response, error) {
	token, err := sessionToken(req)
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
	token, err := sessionToken(req)
	if err != nil {
		return nil, err
	}
	track, err := numberParameter(req, "TrackNumber", true)
	if err != nil {
		return nil, err
	}
	list := s.playback.MediaPlaylist
	switch only, err := parameter(req, "IFramesOnly", false); {
	case err != nil:
		return nil, err
	case only == "true":
		list = s.playback.IFramePlaylist
	case only != "" && only != "false":
		return nil, api.NewError(api.InvalidArgumentException, "The parameter IFramesOnly is neither true nor false.")
	}
	text, err := list(ctx, token, track)
	if err != nil {
		return nil, err
	}
	answer := playlist(text.Text)
	answer.zipped = text.Gzip
	return answer, nil
}

func playlist(text []byte) *content {
	return &content{contentType: typePlaylist, cacheControl: cachePlaylist, head: text, compressible: true}
}

func (s *Server) mp4InitFragment(ctx context.Context, req *request) (response, error) {
	token, err := sessionToken(req)
	if err != nil {
		return nil, err
	}
	track, err := numberParameter(req, "TrackNumber", true)
	if err != nil {
		return nil, err
	}
	sequence, err := numberParameter(req, "SequenceNumber", false)
	if err != nil {
		return nil, err
	}
	data, err := s.playback.InitSegment(ctx, token, track, sequence)
	if err != nil {
		return nil, err
	}
	return &content{contentType: typeMP4, cacheControl: cacheFragment, head: data, ranges: true}, nil
}

func (s *Server) mp4MediaFragment(ctx context.Context, req *request) (response, error) {
	return s.mediaFragment(ctx, req, typeMP4, s.playback.MediaSegment)
}

func (s *Server) tsFragment(ctx context.Context, req *request) (response, error) {
	return s.mediaFragment(ctx, req, typeTS, s.playback.TSSegment)
}

func (s *Server) mediaFragment(ctx context.Context, req *request, contentType headerValue,
	find func(ctx context.Context, token string, ref playback.SegmentRef) (*playback.Segment, error),
) (response, error) {
	token, err := sessionToken(req)
	if err != nil {
		return nil, err
	}
	ref, err := segmentRef(req)
	if err != nil {
		return nil, err
	}
	segment, err := find(ctx, token, ref)
	if err != nil {
		return nil, err
	}
	return &content{
		contentType: contentType, cacheControl: cacheFragment, ranges: true,
		head: segment.Header, body: segment.Body, bodyLength: segment.Length - int64(len(segment.Header)),
		close: segment.Close,
	}, nil
}

// segmentRef reads the parameters that name a media segment.
func segmentRef(req *request) (ref playback.SegmentRef, err error) {
	if ref.Track, err = numberParameter(req, "TrackNumber", true); err != nil {
		return ref, err
	}
	if ref.Number, err = parameter(req, "FragmentNumber", true); err != nil {
		return ref, err
	}
	start, err := numberParameter(req, "StartOffset", false)
	if err != nil {
		return ref, err
	}
	end, err := numberParameter(req, "EndOffset", false)
	if err != nil {
		return ref, err
	}
	skip, err := numberParameter(req, "SkipLeading", false)
	if err != nil {
		return ref, err
	}
	ref.StartOffset, ref.EndOffset, ref.SkipLeading = int64(start), int64(end), skip != 0
	if ref.SilenceStart, err = offsetParameter(req, "SilenceStart"); err != nil {
		return ref, err
	}
	ref.SilenceEnd, err = offsetParameter(req, "SilenceEnd")
	return ref, err
}

// offsetParameter reads a parameter that is a number of ticks, or absent.
func offsetParameter(req *request, name string) (int64, error) {
	text, err := parameter(req, name, false)
	if err != nil || text == "" {
		return 0, err
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, api.Errorf(api.InvalidArgumentException, "The parameter %s is not a number.", name)
	}
	return v, nil
}
