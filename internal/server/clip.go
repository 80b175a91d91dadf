package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"weir/internal/api"
	"weir/internal/clip"
)

// The clip of a link never changes, and its ETag identifies it.
var cacheClip = headerValue{"private, max-age=300, immutable"}

// getClip answers with the clip or, if asked to, with a link to it.
func (s *Server) getClip(ctx context.Context, req *request) (response, error) {
	in := &api.GetClipInput{}
	if err := s.read(ctx, req, in); err != nil {
		return nil, err
	}
	r := clip.RequestOf(in)
	life, err := clip.ParseQuery(req.URL.RawQuery, &r)
	if err != nil {
		return nil, err
	}
	stream := req.target
	if life > 0 {
		token, err := s.clips.Link(ctx, stream, r, life)
		if err != nil {
			return nil, err
		}
		link := clip.URL(s.playbackURL(req.Request), token)
		return jsonResponse{clip.LinkOutput{ClipURL: link}}, nil
	}
	c, err := s.clips.Open(ctx, stream, r)
	if err != nil {
		return nil, err
	}
	return clipContent(ctx, c, cachePlaylist), nil
}

// linkedClip answers with the clip of a link.
func (s *Server) linkedClip(ctx context.Context, req *request) (response, error) {
	token, err := clip.ParseToken(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	c, err := s.clips.OpenLink(ctx, token)
	if err != nil {
		return nil, err
	}
	return clipContent(ctx, c, cacheClip), nil
}

func clipContent(ctx context.Context, c *clip.Clip, cache headerValue) *content {
	return &content{contentType: typeMP4, cacheControl: cache, ranges: true, etag: c.ETag(),
		media: clipWriter{ctx, c}, length: c.Size(), close: c.Close, paced: true}
}

// clipWriter is a clip as a rangeWriter.
type clipWriter struct {
	ctx context.Context
	c   *clip.Clip
}

func (w clipWriter) WriteRange(to io.Writer, from, length int64) error {
	return w.c.WriteRange(w.ctx, to, from, length)
}

// pacedWriter gives a client time for a long answer piece by piece. With one deadline for the whole
// answer, a client that is stuck would hold its resources for as long as a day of video may take.
type pacedWriter struct {
	to      io.Writer
	control *http.ResponseController
}

func (w pacedWriter) Write(p []byte) (int, error) {
	w.extend(int64(len(p)))
	return w.to.Write(p)
}

// ReadFrom implements io.ReaderFrom, by which files come.
func (w pacedWriter) ReadFrom(src io.Reader) (int64, error) {
	file, ok := src.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	w.extend(file.N)
	return io.Copy(w.to, src)
}

func (w pacedWriter) extend(n int64) {
	_ = w.control.SetWriteDeadline(answerDeadline(n)) // only writers of tests lack deadlines
}

// answerDeadline is the time by which a client must have taken an answer with so many bytes of
// media.
func answerDeadline(n int64) time.Time {
	return time.Now().Add(answerTimeout + time.Duration(n/slowestClient)*time.Second)
}
