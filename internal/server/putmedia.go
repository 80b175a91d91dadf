package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"weir/internal/api"
	"weir/internal/ingest"
	"weir/internal/store"
)

// Timeouts of a PutMedia connection; ingest.Limits has the others.
const (
	endTimeout = 5 * time.Second // for the end of the answer

	refusedTimeout = time.Second // for a refused producer to read the reason
	refusedBytes   = 4 << 20     // of its body that are discarded in the meantime
)

// errStopping ends the connections whose fragment takes too long to end when the server stops.
var errStopping = errors.New("the server is stopping")

// putMedia checks what can be checked before the first byte of media, and starts the connection.
func (s *Server) putMedia(ctx context.Context, req *request) (response, error) {
	in, err := api.ParsePutMedia(req.Header.Values)
	if err != nil {
		return nil, err
	}
	req.input = in
	if err := s.permitCall(ctx, req); err != nil {
		return nil, err
	}
	if req.ContentLength == 0 && req.Header.Get("Content-Length") == "" {
		return nil, api.NewError(api.InvalidArgumentException, "The request has no body. Send "+
			"media over HTTP/1.1 with Transfer-Encoding: chunked, or with a Content-Length.")
	}
	stream := req.target
	if req.leave, err = s.quotas.Connect(opPutMedia, stream.ID,
		req.principal.Share()); err != nil {
		return nil, err
	}
	return &putMediaResponse{server: s, req: req, in: in, stream: stream}, nil
}

// putMediaResponse is a PutMedia connection from its 200 on.
type putMediaResponse struct {
	server *Server
	req    *request
	in     *api.PutMediaInput
	stream store.Stream
}

// send answers 200 before it reads a byte of the body. Producers wait for that answer, and net/http
// would otherwise discard the beginning of the body on the first write
// (docs/reference/producers.md, "Full duplex"). Then ingest reads and acknowledges until either
// side ends.
func (p *putMediaResponse) send(w http.ResponseWriter, r *http.Request) error {
	s := p.server
	if !s.enter() {
		return api.NewError(api.ServiceUnavailable, "The server is stopping.")
	}
	defer s.producers.Done()
	control := http.NewResponseController(w)
	if err := control.EnableFullDuplex(); err != nil {
		return fmt.Errorf("put media: %w", err)
	}
	if expectsContinue(r) {
		w.WriteHeader(http.StatusContinue)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	// No request can follow a body that is not read to its end.
	h.Set("Connection", "close")
	w.WriteHeader(http.StatusOK)
	if err := control.Flush(); err != nil {
		return fmt.Errorf("put media: %w", err)
	}

	// The connection ends with its body, or with the server. The request's context would end it
	// earlier, when an acknowledgement cannot be delivered, and complete fragments would be lost.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	defer cancel(nil)
	conn := &producerConnection{ResponseController: control}
	ctx, watch := s.last(ctx, p.req)
	defer watch.release()
	ended, unwatched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(unwatched)
		select {
		case <-s.drained:
			cancel(errStopping)
		case <-ctx.Done(): // revoked
		case <-ended:
			return
		}
		select {
		case <-time.After(lastAcks):
			conn.cut()
		case <-ended:
		}
	}()
	defer func() { close(ended); <-unwatched }() // not after the handler

	s.note(p.req, "producer connected", "", p.stream.Name,
		slog.String(logTimecodes, string(p.in.TimecodeType)),
		slog.String(logUserAgent, shorten(r.UserAgent())))
	start := time.Now()
	penalty := s.penaltyOf(p.req, nil)
	penalty.acks = true
	connection := ingest.New(ingest.Options{
		Stream:        p.stream,
		Store:         s.store,
		TimecodeType:  p.in.TimecodeType,
		ProducerStart: p.in.ProducerStart,
		Principal:     p.req.principal.Share(),
		NoAcks:        !p.in.Acks,
		Drain:         watch.closing,
		Deadlines:     conn,
		Memory:        s.ingest.Memory,
		Resends:       s.ingest.Resends,
		Numbers:       s.ingest.Numbers,
		Edge:          s.ingest.Edge,
		Clock:         s.clock,
		Logger:        p.req.log(),
		Metrics:       s.ingest.Metrics,
		Limits:        s.ingest.Limits,
		Event:         s.event,
		Stored: func() {
			s.penalties.Succeeded(penalty)
			s.quotas.Stored(ctx, p.stream.ID)
		},
		Unplayable: func(why string) {
			s.note(p.req, "producer sends what cannot be played", why, p.stream.Name,
				slog.String(logReason, shorten(why)))
		},
		Room: func(ctx context.Context, bytes int64) error {
			return s.roomFor(ctx, &p.stream, bytes)
		},
		Hold: func(*ingest.Error) time.Duration {
			delay := s.penalties.Failed(penalty)
			if delay > 0 {
				s.metrics.delayed.Inc()
			}
			return delay
		},
	})
	err := connection.Run(ctx, s.quotas.Body(ctx, p.stream.ID, r.Body),
		&ackWriter{w: w, control: control})
	if err != nil && watch.revoked.Load() {
		err = fmt.Errorf("%w: %w", errRevoked, err)
	}
	p.note(err, connection.Summary(), time.Since(start))
	// Do not wait for what the producer sends after the end of its connection.
	_ = control.SetReadDeadline(time.Unix(1, 0))
	_ = control.SetWriteDeadline(time.Now().Add(endTimeout))
	return nil
}

// producerConnection is the HTTP connection for ingest. After cut it refuses every write, because a
// producer that does not read must not delay the end of the server.
type producerConnection struct {
	*http.ResponseController
	mu    sync.Mutex
	isCut bool
}

// SetWriteDeadline implements ingest.Deadlines.
func (c *producerConnection) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isCut {
		return nil
	}
	return c.ResponseController.SetWriteDeadline(t)
}

func (c *producerConnection) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	// If this fails the connection is gone, which will do.
	_ = c.ResponseController.SetWriteDeadline(time.Unix(1, 0))
}

// refuseBody prepares an error answer to a request whose body may never come: producers wait for
// the answer first, while net/http would read some of the body before it sends one. The returned
// function sends the answer. If the producer has begun to send, it also reads on for a moment:
// closing a connection with unread data resets it, and the answer may be lost.
func refuseBody(w http.ResponseWriter, req *request) (after func()) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // only writers of tests cannot
	w.Header().Set("Connection", "close")
	return func() {
		_ = control.Flush()
		_ = control.SetReadDeadline(time.Now().Add(refusedTimeout))
		if !expectsContinue(req.Request) {
			_, _ = io.Copy(io.Discard, io.LimitReader(req.Body, refusedBytes))
		}
		_ = control.SetReadDeadline(time.Unix(1, 0))
	}
}

// expectsContinue reports whether the client sends its body only after a 100.
func expectsContinue(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// note logs the end of a connection.
func (p *putMediaResponse) note(err error, sum ingest.Summary, took time.Duration) {
	reason := endReason(err, sum)
	p.req.ending, p.req.received = reason, sum.Bytes
	attrs := []slog.Attr{
		slog.String(logReason, reason),
		slog.Int("fragments", sum.Fragments), slog.Int("resends", sum.Resends),
		slog.Int("partials", sum.Partials), slog.Int("dropped", sum.Dropped),
		slog.Int64("frames", sum.Frames), slog.Int64(logBytes, sum.Bytes),
		slog.Float64("seconds", took.Round(time.Millisecond).Seconds()),
	}
	if err != nil {
		attrs = append(attrs, slog.String(logError, shorten(err.Error())))
	}
	p.server.note(p.req, "producer ended", reason, p.stream.Name, attrs...)
}

// endReason says in a word or two why a connection has ended.
func endReason(err error, sum ingest.Summary) string {
	var told *ingest.Error
	switch {
	case err == nil && sum.Unended:
		return "connection closed"
	case err == nil:
		return "end of body"
	case errors.As(err, &told):
		return told.ID.Code()
	case errors.Is(err, ingest.ErrIdle):
		return "idle"
	case errors.Is(err, errRevoked):
		return "no longer authorized"
	case errors.Is(err, ingest.ErrDrained), errors.Is(err, errStopping):
		return "server stopping"
	}
	return "interrupted"
}

// ackWriter sends each acknowledgement in its own HTTP chunk, because producers ignore a second one
// in a chunk (docs/reference/producers.md, "Acknowledgements"). ingest sets the write deadline,
// because some producers read nothing until they have sent everything.
type ackWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// WriteAck implements ingest.AckWriter.
func (a *ackWriter) WriteAck(ack []byte) error {
	if _, err := a.w.Write(ack); err != nil {
		return fmt.Errorf("write acknowledgement: %w", err)
	}
	if err := a.control.Flush(); err != nil {
		return fmt.Errorf("write acknowledgement: %w", err)
	}
	return nil
}
