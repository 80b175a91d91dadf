package server

import (
	"context"

	"weir/internal/playback"
	"weir/internal/sessionurl"
)

var typeMP4 = headerValue{"video/mp4"}

// A playlist changes with every fragment and must not be cached. A fragment of a session never
// changes. Only the player may cache it, because its URL is the right to it, and not for much
// longer than the shortest session lasts.
var (
	cachePlaylist = headerValue{"no-store"}
	cacheFragment = headerValue{"private, max-age=300, immutable"}
)

// noRef is what the query of a session's manifest names beside the session: nothing.
type noRef struct{}

func parseNoRef(string) (noRef, error) { return noRef{}, nil }

// sessionAction is the handler of a session's action: whoever has the token may have what the rest
// of the query names.
func sessionAction[Ref any](s *Server, parse func(query string) (Ref, error),
	answer func(ctx context.Context, token string, ref Ref) (response, error)) handler {
	return func(ctx context.Context, req *request) (response, error) {
		token, err := sessionurl.ParseToken(req.URL.RawQuery)
		if err != nil {
			return nil, err
		}
		ref, err := parse(req.URL.RawQuery)
		if err != nil {
			return nil, err
		}
		ctx = playback.From(playback.OnWait(ctx, req.vouch), s.callerOf(req.Request).address)
		return answer(ctx, token, ref)
	}
}

func initContent(data []byte) *content {
	return &content{contentType: typeMP4, cacheControl: cacheFragment, text: data, ranges: true}
}

func segmentContent(contentType headerValue, segment *playback.Segment) *content {
	return &content{
		contentType: contentType, cacheControl: cacheFragment, ranges: true,
		media: segment, length: segment.Length,
		close: segment.Close,
	}
}
