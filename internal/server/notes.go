package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/connections"
	"weir/internal/throttle"
)

// noteKind is what similar lines of the log have in common.
type noteKind struct {
	who    string // access key, or the site of a caller without a verified one
	what   string // message and operation
	reason string
	stream string // only for callers with a verified key: others could name any number
}

// Whoever has a key, or many addresses, can name any number of streams, each of which would make
// another kind of line. So one caller, and all strangers together, get noteRate lines about
// refusals a second, and as many events of the audit log, after the first noteBurst. Further ones
// count as repetitions of one line.
const (
	noteRate  = 25
	noteBurst = 200
)

// due is throttle.Notes.Due for a kind that a caller, "" for all strangers, may make many of.
// Beyond the caller's share, kinds only differ by caller, message and reason.
func (s *Server) due(
	rates *throttle.Buckets[string], caller string, kind noteKind,
) (left int, ok bool) {
	left, ok = s.notes.Due(kind)
	coarser := noteKind{who: "all of " + caller, what: kind.what, reason: kind.reason}
	switch {
	case !ok:
		return 0, false
	case rates.Allow(caller, noteRate, noteBurst, s.clock()):
		return left + s.notes.Left(coarser), true
	}
	return s.notes.Due(coarser)
}

// noteRefused is the message of lines about refusals.
const noteRefused = "refused"

// note writes a line at info, unless there was a similar one a moment ago.
func (s *Server) note(req *request, message, reason, stream string, attrs ...slog.Attr) {
	if !req.logger.Enabled(req.Context(), slog.LevelInfo) {
		return
	}
	kind := noteKind{who: req.signer(), what: message + " " + req.operation, reason: reason,
		stream: stream}
	var left int
	var ok bool
	switch {
	case req.signer() == "":
		kind.who, kind.stream = s.siteOf(req.Request).String(), ""
		left, ok = s.due(s.noteRates, "", kind)
	case message == noteRefused:
		left, ok = s.due(s.noteRates, req.principal.Share(), kind)
	default: // what is allowed has limits of its own
		left, ok = s.notes.Due(kind)
	}
	if !ok {
		return
	}
	line := []slog.Attr{slog.String(logOperation, req.operation)}
	if stream != "" {
		line = append(line, slog.String(logStream, shorten(stream)))
	}
	line = append(append(line, attrs...), slog.String(logRemote, req.RemoteAddr))
	if left > 0 {
		line = append(line, slog.Int(logRepeated, left))
	}
	req.log().LogAttrs(req.Context(), slog.LevelInfo, message, line...)
}

// warn logs that something runs short. Whoever causes that must not be able to fill the log.
func (s *Server) warn(text string, attrs ...slog.Attr) {
	left, ok := s.notes.Due(noteKind{what: text})
	if !ok {
		return
	}
	if left > 0 {
		attrs = append(attrs, slog.Int(logRepeated, left))
	}
	s.log.LogAttrs(context.Background(), slog.LevelWarn, text, attrs...)
}

// siteOf returns the site of a request's sender, behind any trusted proxies.
func (s *Server) siteOf(r *http.Request) netip.Prefix {
	return connections.SiteOf(netip.AddrPortFrom(s.callerOf(r).address, 0))
}

// noteRefusal writes the line about a signed call that is refused.
func (s *Server) noteRefusal(req *request, answer *api.Error) {
	attrs := []slog.Attr{
		slog.String(logErrorType, string(answer.Code)),
		slog.String(logError, shorten(answer.Message)),
	}
	if req.signer() == "" {
		if claimed := auth.ClaimedKey(req.Request); claimed != "" {
			attrs = append(attrs, slog.String(logClaimedKey, claimed))
		}
	}
	stream := req.stream
	if stream == "" && req.operation == opPutMedia {
		stream = req.Header.Get(api.HeaderStreamName) + req.Header.Get(api.HeaderStreamARN)
	}
	s.note(req, noteRefused, string(answer.Code), stream, attrs...)
}
