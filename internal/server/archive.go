package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"weir/internal/api"
	"weir/internal/fragments"
)

// as in the service's answers with Matroska (docs/reference/service.md, "GetMedia output")
var typeChunks = headerValue{"video/webm"}

// The calls that read what is stored, beside HLS.

func (s *Server) listFragments(ctx context.Context, req *request, in *api.ListFragmentsInput) (
	*api.ListFragmentsOutput, error) {
	err := s.quotas.Points(req.target.ID, cmp.Or(in.MaxResults, api.MaxListFragments), 0)
	if err != nil {
		return nil, err
	}
	return s.fragments.ListFragments(ctx, req.target, in)
}

func (s *Server) listFragmentTags(ctx context.Context, req *request,
	in *api.ListFragmentTagsInput) (*api.ListFragmentTagsOutput, error) {
	err := s.quotas.Points(req.target.ID, 0, cmp.Or(in.MaxResults, api.MaxTaggedFragments))
	if err != nil {
		return nil, err
	}
	return s.fragments.ListFragmentTags(ctx, req.target, in)
}

func (s *Server) getMediaForFragmentList(ctx context.Context, req *request) (response, error) {
	in := new(api.GetMediaForFragmentListInput)
	if err := s.read(ctx, req, in); err != nil {
		return nil, err
	}
	stream := req.target
	list, err := s.fragments.GetMediaForFragmentList(stream, in)
	if err == nil {
		err = s.quotas.Points(stream.ID, 0, len(in.Fragments))
	}
	if err == nil {
		req.leave, err = s.quotas.Connect(req.operation, stream.ID, req.principal.Share())
	}
	if err != nil {
		return nil, err
	}
	return chunks{func(ctx context.Context, w *patientWriter) error {
		return list.Write(ctx, s.quotas.Answer(ctx, stream.ID, w))
	}}, nil
}

func (s *Server) getMedia(ctx context.Context, req *request) (response, error) {
	in := new(api.GetMediaInput)
	if err := s.read(ctx, req, in); err != nil {
		return nil, err
	}
	stream := req.target
	leave, err := s.quotas.Connect(opGetMedia, stream.ID, req.principal.Share())
	req.leave = leave
	var media *fragments.MediaStream
	if err == nil {
		media, err = s.fragments.GetMedia(ctx, stream, in)
	}
	if err != nil {
		s.media.failed(err)
		return nil, err
	}
	return chunks{func(ctx context.Context, w *patientWriter) error {
		defer media.Close()
		s.media.connections.Inc()
		defer s.media.connections.Dec()
		ctx, watch := s.last(ctx, req)
		defer watch.release()
		sink := &mediaSink{s.quotas.Answer(ctx, stream.ID, w), w, s.media}
		err := media.Write(ctx, watch.closing, sink)
		if err != nil && ctx.Err() == nil {
			s.media.errors.Inc()
		}
		return err
	}}, nil
}

// mediaSink is where GetMedia writes.
type mediaSink struct {
	io.Writer
	to      *patientWriter // below that
	metrics *mediaMetrics
}

// Flush implements fragments.MediaSink.
func (s *mediaSink) Flush() error { return s.to.flush() }

// Sent implements fragments.MediaSink.
func (s *mediaSink) Sent(behind time.Duration) {
	s.metrics.fragments.Inc()
	s.metrics.behind.Observe(behind.Seconds())
}

// chunks is an answer of Matroska chunks, whose length is not known in advance.
type chunks struct {
	write func(ctx context.Context, w *patientWriter) error
}

func (c chunks) send(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h["Content-Type"] = typeChunks
	h["Cache-Control"] = cachePlaylist
	h["X-Content-Type-Options"] = contentNosniff
	control := http.NewResponseController(w)
	// The body has arrived. Its deadline would end the request's context, which is how net/http
	// reports that the client has left.
	_ = control.SetReadDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	return c.write(r.Context(), &patientWriter{w, control})
}

// patientWriter gives the client answerTimeout for each write, however many there are.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (p *patientWriter) Write(b []byte) (int, error) {
	// Only writers of tests lack deadlines.
	_ = p.control.SetWriteDeadline(time.Now().Add(answerTimeout))
	n, err := p.w.Write(b)
	if err != nil {
		return n, fmt.Errorf("send media: %w", err)
	}
	return n, nil
}

func (p *patientWriter) flush() error {
	_ = p.control.SetWriteDeadline(time.Now().Add(answerTimeout))
	if err := p.control.Flush(); err != nil {
		return fmt.Errorf("send media: %w", err)
	}
	return nil
}
