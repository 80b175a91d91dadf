package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/connections"
	"weir/internal/fair"
	"weir/internal/store"
	"weir/internal/sts"
)

// Attribute keys of log lines.
const (
	logRequestID  = "request_id"
	logOperation  = "operation"
	logMethod     = "method"
	logPath       = "path" // without the query: it may hold a session token
	logStatus     = "status"
	logError      = "error"
	logErrorType  = "error_type"
	logBytes      = "bytes"
	logDuration   = "duration"
	logRemote     = "remote"
	logAccessKey  = "access_key"
	logStream     = "stream"
	logStack      = "stack"
	logReason     = "reason"
	logUserAgent  = "user_agent"
	logTimecodes  = "timecodes"   // ABSOLUTE or RELATIVE
	logRepeated   = "repeated"    // similar lines that were left out since the last one
	logClaimedKey = "claimed_key" // access key of a signature that was not accepted
)

// Headers of answers, spelt as by AWS, which http.Header.Set would not do. SDKs read
// x-amzn-ErrorType, the documentation has x-amz-ErrorType.
const (
	headerRequestID  = "x-amzn-RequestId"
	headerErrorType  = "x-amzn-ErrorType"
	headerErrorType2 = "x-amz-ErrorType"
)

// response is a handler's answer. An error of send comes too late to be answered, so it is only
// logged.
type response interface {
	send(w http.ResponseWriter, r *http.Request) error
}

// handler does one operation. Server.fail answers its error, which must be an *api.Error, an
// *auth.Error, or a fault of the server.
type handler func(ctx context.Context, req *request) (response, error)

// request is a request that is being served.
type request struct {
	*http.Request
	id        string
	operation string
	stream    string // the stream that it turned out to be about, for the log
	body      []byte // of signed requests but PutMedia
	// a part of the body will not be read: the connection ends with the answer
	unread    bool
	logger    *slog.Logger       // the server's; log adds attributes of the request
	principal *access.Principal  // the verified signer; nil before
	input     any                // of a call, once it is read
	target    store.Stream       // allowed ones that a call is about; else none
	targets   []store.Stream     // likewise, for a call about many
	user      string             // for a call about a key, its user; "": root
	verdict   *verdict           // the decision whether it is allowed, once made
	errorType string             // of the answer, for the log
	signed    bool               // the route asks for a signature
	sts       bool               // of the STS API
	share     *connections.Share // of an HTTP/2 connection; nil for HTTP/1.1
	leave     func()             // ends the connection, if it is one that lasts; else nil
	audited
}

// signer returns the access key of a signed request once it is verified; "" before.
func (req *request) signer() string {
	if req.principal == nil {
		return ""
	}
	return req.principal.AccessKeyID
}

// vouch notes that the request has shown a valid signature or token.
func (req *request) vouch() {
	connections.Of(req.Request).Vouch()
	req.share.Release()
}

// log returns a logger that names the request. It is made when needed, because most requests log
// nothing, and making one costs as much as finding a fragment.
func (req *request) log() *slog.Logger {
	l := req.logger.With(logRequestID, req.id)
	if key := req.signer(); key != "" {
		l = l.With(logAccessKey, key)
	}
	return l
}

// jsonResponse is the output struct of a call.
type jsonResponse struct{ output any }

func (j jsonResponse) send(w http.ResponseWriter, _ *http.Request) error {
	var data []byte
	var err error
	if large, ok := j.output.(interface{ AppendJSON([]byte) []byte }); ok {
		data = large.AppendJSON(nil)
	} else if data, err = json.Marshal(j.output); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(data)
	return err
}

// input is an input struct of package api.
type input[T any] interface {
	*T
	api.Input
}

// call makes a handler from a function, which maps an input struct to an output struct or to a
// response that writes itself. The function is only called when the call is allowed.
func call[T any, I input[T], O any](s *Server,
	do func(ctx context.Context, req *request, in I) (O, error)) handler {
	return func(ctx context.Context, req *request) (response, error) {
		in := I(new(T))
		if err := s.read(ctx, req, in); err != nil {
			return nil, err
		}
		out, err := do(ctx, req, in)
		if err != nil {
			return nil, err
		}
		if answer, ok := any(out).(response); ok {
			return answer, nil
		}
		return jsonResponse{out}, nil
	}
}

// decode reads the body of a call into an input struct and checks it.
func decode(req *request, in api.Input) error {
	if err := api.DecodeJSON(req.body, in); err != nil {
		return err
	}
	req.input = in
	return api.Validate(in)
}

// ServeHTTP answers one request of the main listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, s.main) }

// serve answers one request: id, route, signature, handler, answer, penalty, metrics and one log
// line.
func (s *Server) serve(plain http.ResponseWriter, r *http.Request, at *port) {
	start := time.Now() // monotonic; the injected clock is for dates
	w := &recorder{ResponseWriter: plain}
	req := &request{Request: r, id: newRequestID(), operation: opUnknown, logger: s.log}
	if r.ProtoMajor == 2 {
		if req.share = connections.Of(r).Enter(r); req.share == nil {
			panic(http.ErrAbortHandler) // resets the stream
		}
		defer req.share.Leave()
	}
	w.Header()[headerRequestID] = []string{req.id}
	at.count(r)
	rt, methods := at.routes.find(r)
	if rt == nil || rt.needs != signed {
		connections.Of(r).Settle() // the head is complete, and nothing of a body will be kept
	}
	level := slog.LevelDebug
	if rt != nil {
		req.operation, level = rt.operation, rt.level
		req.signed, req.sts = rt.needs == signed, rt.path == stsPath
		if rt.operation == opGetMedia { // whose answers have no end
			w.live = s.metrics.sent.WithLabelValues(opGetMedia)
		}
	}
	// Deadlines stay on a kept-alive connection after a request, so each request sets its own.
	control := http.NewResponseController(w)
	if rt == nil || rt.needs != token { // their answers say how long they may take
		// only writers of tests lack deadlines
		_ = control.SetWriteDeadline(start.Add(s.answerTime))
	}
	if req.operation != opPutMedia && r.Body != http.NoBody {
		// net/http reads an unexpected body before it answers, and without a deadline would wait
		// for it for ever.
		_ = control.SetReadDeadline(start.Add(s.bodyTime))
	}
	defer func() {
		fault := recover()
		if fault != nil {
			s.recovered(w, req, fault)
		}
		took := time.Since(start)
		s.metrics.observe(req.operation, w, took)
		if req.leave != nil {
			req.leave()
		}
		s.logAccess(w, req, level, took)
		s.auditEnd(w, req, took)
		if fault != nil && w.status != 0 && req.errorType == "" {
			// the answer has begun and cannot be completed: break off the connection
			panic(http.ErrAbortHandler)
		}
	}()

	if rt == nil || rt.plain == nil {
		s.serveAPI(w, req, rt, methods)
	} else {
		rt.plain.ServeHTTP(w, r)
	}
}

// serveAPI answers requests that need a key or a token, and all unknown ones. methods are those of
// the path if there is no route.
func (s *Server) serveAPI(w *recorder, req *request, rt *route, methods string) {
	allowOrigin(w.Header())
	if req.Method == http.MethodOptions && methods != "" {
		preflight(w, req.Request, methods)
		return
	}
	var answer response
	var err error
	switch {
	case rt == nil:
		err = unknownOperation(w, req, methods)
	default:
		if rt.needs == signed {
			err = s.authenticate(w, req)
			if err != nil && req.sts {
				err = sts.SignatureError(err)
			}
		}
		if err == nil && req.principal != nil {
			err = s.quotas.Call(req.principal.Share())
		}
		if err == nil {
			answer, err = rt.handle(s.sharing(req), req)
		}
		if err == nil && rt.needs == signed && req.verdict == nil {
			err = errUndecided
		}
		if err == nil {
			req.vouch()
		}
	}
	if err != nil {
		req.body = nil
		connections.Of(req.Request).Settle()
		// A player that keeps asking for a stream that went quiet is not retrying in a hot loop,
		// and it costs nothing to refuse session actions.
		if rt == nil || rt.needs == signed {
			if delay := s.penalties.Failed(s.penaltyOf(req, rt)); delay > 0 {
				s.metrics.delayed.Inc()
				s.wait(req.Context(), delay)
			}
		}
		s.fail(w, req, err)
		return
	}
	if rt.needs == signed {
		s.penalties.Succeeded(s.penaltyOf(req, rt))
	}
	s.auditBegin(req)
	if err := answer.send(w, req.Request); err != nil {
		if w.status == 0 {
			s.fail(w, req, err)
			return
		}
		req.log().Debug("answer broke off", logOperation, req.operation, logError, err)
		// The header has promised more than was sent: close the connection, so that the client
		// notices.
		panic(http.ErrAbortHandler)
	}
}

// sharing returns the context of a request, which says whose share of the machine it takes: its
// signer's, or an address's.
func (s *Server) sharing(req *request) context.Context {
	if req.principal == nil {
		return fair.As(req.Context(), s.siteOf(req.Request).String())
	}
	return fair.As(req.Context(), req.principal.Share())
}

// unknownOperation says what is wrong with a path or a method. AWS answers 200 with an odd body,
// which clients take for success.
func unknownOperation(w http.ResponseWriter, req *request, methods string) error {
	if methods != "" {
		w.Header().Set("Allow", methods)
		return &methodError{method: req.Method, path: req.URL.Path, allow: methods}
	}
	return api.UnknownOperation(req.URL.Path)
}

// methodError refuses a known path with a wrong method: 405.
type methodError struct{ method, path, allow string }

func (e *methodError) Error() string {
	return fmt.Sprintf("%s does not take %s; it takes %s.", shorten(e.path), shorten(e.method),
		e.allow)
}

// shorten limits how much of a caller's text an answer repeats.
func shorten(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// fail answers with an error. It is the only place where errors get AWS's wire form. An error that
// is not the API's is a fault of the server: it is logged here, once, and the caller only learns
// its ID.
func (s *Server) fail(w *recorder, req *request, err error) {
	status := 0 // that of the answer's code
	answer := storeAnswer(err)
	var method *methodError
	var refused *auth.Error
	var temporary *sts.Error
	switch {
	case errors.As(err, &answer):
	case errors.As(err, &refused):
		answer = api.NewError(api.ErrorCode(refused.Code), refused.Message)
	case errors.As(err, &temporary):
		answer = api.NewError(temporary.Code, temporary.Message)
		status = temporary.Status()
	case errors.As(err, &method):
		answer, status = api.NewError(api.UnknownOperationException, method.Error()),
			http.StatusMethodNotAllowed
	case answer != nil:
	default:
		answer = api.NewError(api.InternalFailure, api.MessageInternalFailure)
		if req.Context().Err() == nil {
			req.log().Error("internal failure", logOperation, req.operation, logStream, req.stream,
				logError, err)
		}
	}
	status = cmp.Or(status, answer.Status())
	req.errorType, req.refusal = string(answer.Code), answer.Message
	switch {
	case answer.Code == api.InternalFailure:
	case req.signed:
		s.noteRefusal(req, answer)
	case req.logger.Enabled(req.Context(), slog.LevelDebug):
		req.log().Debug("refused", logOperation, req.operation, logErrorType, req.errorType,
			logError, answer.Message)
	}
	body, form := answer.Body(), "application/json"
	if req.sts {
		body, form = sts.ErrorBody(req.id, answer, status), "text/xml"
	}
	// only writers of tests lack deadlines
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.answerTime))
	h := w.Header()
	h.Set("Content-Type", form)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h[headerErrorType] = []string{string(answer.Code)}
	h[headerErrorType2] = []string{string(answer.Code)}
	after := func() {}
	if req.operation == opPutMedia || req.unread {
		after = refuseBody(w, req)
	}
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that left needs no answer
	}
	after()
}

// recovered logs a panic of a handler, and answers it if no answer has begun.
func (s *Server) recovered(w *recorder, req *request, fault any) {
	if fault == http.ErrAbortHandler { //nolint:errorlint // compared with ==, as in net/http
		return
	}
	req.log().Error("panic", logOperation, req.operation, logError, fmt.Sprint(fault), logStack,
		string(debug.Stack()))
	if w.status == 0 {
		s.fail(w, req, api.NewError(api.InternalFailure, api.MessageInternalFailure))
	}
}

// logAccess writes a request's line.
func (s *Server) logAccess(w *recorder, req *request, level slog.Level, took time.Duration) {
	ctx := req.Context()
	if !req.logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String(logOperation, req.operation), slog.String(logMethod, req.Method),
		slog.String(logPath, shorten(req.URL.Path)),
		slog.Int(logStatus, w.status), slog.Int64(logBytes, w.bytes),
		slog.Duration(logDuration, took), slog.String(logRemote, req.RemoteAddr),
	}
	if req.stream != "" {
		attrs = append(attrs, slog.String(logStream, req.stream))
	}
	if req.errorType != "" {
		attrs = append(attrs, slog.String(logErrorType, req.errorType))
	}
	req.log().LogAttrs(ctx, level, "request", attrs...)
}

// newRequestID returns a random UUID (RFC 9562 version 4).
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	at := 0
	for _, part := range [][]byte{b[0:4], b[4:6], b[6:8], b[8:10], b[10:16]} {
		if at > 0 {
			text[at] = '-'
			at++
		}
		at += hex.Encode(text[at:], part)
	}
	return string(text[:])
}
