package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"weir/internal/api"
)

var typeChunks = headerValue{"video/webm"} // of the service's answers with Matroska (docs/reference/service.md, "GetMedia output")

// The calls that read what is stored, beside HLS.

func (s *Server) listFragments(ctx context.Context, req *request, in *api.ListFragmentsInput) (
	*api.ListFragmentsOutput, error) {
	stream, err := s.namedStream(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	return s.playback.ListFragments(ctx, stream, in)
}

func (s *Server) getMediaForFragmentList(ctx context.Context, req *request) (response, error) {
	in := new(api.GetMediaForFragmentListInput)
	if err := decode(req, in); err != nil {
		return nil, err
	}
	stream, err := s.namedStream(ctx, req, in.StreamRef)
	if err != nil {
		return nil, err
	}
	list, err := s.playback.GetMediaForFragmentList(stream, in)
	if err != nil {
		return nil, err
	}
	return chunks{list.Write}, nil
}

// chunks is an answer of Matroska chunks, whose length nobody knows before.
type chunks struct {
	write func(ctx context.Context, w io.Writer) error
}

func (c chunks) send(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h["Content-Type"] = typeChunks
	h["Cache-Control"] = cachePlaylist
	h["X-Content-Type-Options"] = contentNosniff
	w.WriteHeader(http.StatusOK)
	return c.write(r.Context(), &patientWriter{w, http.NewResponseController(w)})
}

// patientWriter gives the client answerTimeout for each write, however many there are.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (p *patientWriter) Write(b []byte) (int, error) {
	// Only writers of tests have no deadlines.
	_ = p.control.SetWriteDeadline(time.Now().Add(answerTimeout))
	n, err := p.w.Write(b)
	if err != nil {
		return n, fmt.Errorf("send media: %w", err)
	}
	return n, nil
}
