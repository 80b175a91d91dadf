package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/audit"
	"weir/internal/auth"
	"weir/internal/cameras"
	"weir/internal/sts"
)

// unaudited are operations that read what is stored, as often as somebody watches. They are audited
// only when they are refused.
var unaudited = []string{"ListFragments", "GetImages", "GetMediaForFragmentList",
	"ListFragmentTags", "GetStreamStatus", "GetServerStatus", "GetPermissions"}

// refusals are the errors that mean that somebody may not do something.
var refusals = []api.ErrorCode{api.AccessDeniedException, api.NotAuthorizedException,
	sts.AccessDenied}

// audited is what only the audit log needs to know about a request.
type audited struct {
	refusal  string // the message, if the answer is an error
	session  string // id of the session that it opened or closed, in hexadecimal digits
	lasting  bool   // a connection of PutMedia or GetMedia that has begun
	left     bool   // its begin event was left out, so its end event is too
	received int64  // bytes of media, by PutMedia
	ending   string // why a connection of PutMedia ended
	identity string // the web identity, or the principal who made the sign-in code
	handed   string // ID of the access key that a sign-in code opened
}

// auditEvent returns what the audit log says about a request so far.
func (s *Server) auditEvent(req *request, kind string) audit.Event {
	e := audit.Event{Event: kind, RequestID: req.id, Action: req.operation, Stream: req.stream,
		Remote: s.auditRemote(req.Request), UserAgent: shorten(req.UserAgent()), Allowed: true,
		Outcome: audit.OK, Session: req.session}
	if op := api.Find(req.operation); op != nil {
		e.Action = op.Action()
	} else if req.sts {
		e.Action = "sts:" + req.operation
	} else if req.operation == opSignIn {
		e.Action = "weir:" + opSignIn
	}
	if v := req.verdict; v != nil && v.resource != anyResource {
		e.Resource = v.resource
	}
	switch p := req.principal; {
	case p != nil:
		e.Principal, e.AccessKey = p.ARN, p.AccessKeyID
	case req.identity != "":
		e.Principal, e.AccessKey = shorten(req.identity), req.handed
	default:
		e.Allowed, e.AccessKey = false, auth.ClaimedKey(req.Request)
	}
	if req.sts && req.verdict != nil {
		e.Resource = shorten(req.verdict.resource)
	}
	if code := api.ErrorCode(req.errorType); code != "" {
		e.Outcome = req.errorType
		if slices.Contains(refusals, code) {
			e.Allowed = false
		}
		if !e.Allowed {
			e.Reason = shorten(req.refusal)
		}
	}
	return e
}

// auditRemote returns the address and port of a connection, or, if that comes from a trusted proxy,
// the address that the proxy reports.
func (s *Server) auditRemote(r *http.Request) string {
	remote, _ := netip.ParseAddrPort(r.RemoteAddr) // a Unix socket has none
	if at := s.callerOf(r).address; at != remote.Addr().Unmap() {
		return at.String()
	}
	return r.RemoteAddr
}

// auditBegin writes that a connection of PutMedia or GetMedia begins.
func (s *Server) auditBegin(req *request) {
	if req.operation == opPutMedia || req.operation == opGetMedia {
		req.lasting = true
		e := s.auditEvent(req, audit.Begin)
		if req.left = !s.auditDue(req, &e); !req.left {
			s.audit.Write(e)
		}
	}
}

// auditCredentials writes what the credentials endpoint of cameras did. The action has the name
// that AWS gives it (Service Authorization Reference, "AWS IoT"), and the key is the new one.
// Refusals are repeated as rarely as those of strangers, because a camera that is disabled keeps
// asking.
func (s *Server) auditCredentials(endpoint http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var did cameras.Report
		endpoint.ServeHTTP(w, r.WithContext(cameras.Into(r.Context(), &did)))
		if did.Alias == "" {
			return
		}
		e := audit.Event{Event: audit.Call, Action: "iot:AssumeRoleWithCertificate",
			Resource:  s.access.HolderARN(access.HolderRole, did.Alias),
			AccessKey: did.AccessKeyID, Remote: s.auditRemote(r), UserAgent: shorten(r.UserAgent()),
			Allowed: did.AccessKeyID != "", Outcome: audit.OK, Reason: shorten(did.Refusal)}
		header := map[string][]string(w.Header()) // spelt as AWS does
		if id := header[headerRequestID]; len(id) == 1 {
			e.RequestID = id[0]
		}
		if did.Camera != "" {
			e.Principal = s.access.HolderARN(access.HolderCamera, did.Camera)
		}
		if !e.Allowed {
			e.Outcome = string(api.AccessDeniedException)
			left, ok := s.due(s.auditRates, "", noteKind{who: s.siteOf(r).String(),
				what: "audit " + e.Action, reason: did.Refusal, stream: did.Camera})
			if !ok {
				return
			}
			e.Repeated = int64(left)
		}
		s.audit.Write(e)
	})
}

// auditEnd writes the result of a signed request, or of a sign-in with a code.
func (s *Server) auditEnd(w *recorder, req *request, took time.Duration) {
	if !req.signed && req.operation != opSignIn {
		return
	}
	e := s.auditEvent(req, audit.Call)
	if e.Principal == "" && req.errorType == "" { // a browser's preflight
		return
	}
	switch {
	case e.Allowed && slices.Contains(unaudited, req.operation), req.left:
		return
	case req.lasting:
		e.Event, e.Millis, e.Bytes = audit.End, took.Milliseconds(), w.bytes
		if req.operation == opPutMedia {
			e.Bytes = req.received
		}
		if req.ending != "" {
			e.Outcome = req.ending
		}
	case !s.auditDue(req, &e):
		return
	}
	s.audit.Write(e)
}

// reading are operations that are audited although they neither change anything nor hand out
// rights, besides those whose names begin with List and Describe.
var reading = []string{"GetDataEndpoint", "GetPolicy", "GetRole", "SimulatePolicy",
	"GetCallerIdentity"}

// auditDue reports whether to write an event, and sets how many events like it were left out, so
// that nobody can flood the log and drive out what others did.
//
// Failures of callers who have not proved to have a key make at most one event of a kind in ten
// seconds, as in the log, even if a provider vouches for the caller. For a caller with a key, all
// failures and reads share one limit, and each kind of change of one thing has its own: a script
// that deletes 10,000 streams has an event for each.
func (s *Server) auditDue(req *request, e *audit.Event) bool {
	if req.principal == nil && req.errorType != "" {
		left, ok := s.due(s.auditRates, "", noteKind{who: s.siteOf(req.Request).String(),
			what: "audit " + req.operation, reason: req.errorType})
		e.Repeated = int64(left)
		return ok
	}
	bounded := e.Principal
	if req.principal != nil {
		bounded = req.principal.Share()
	}
	if req.errorType == "" && !strings.HasPrefix(req.operation, "Describe") &&
		!strings.HasPrefix(req.operation, "List") && !slices.Contains(reading, req.operation) {
		bounded += " " + e.Action + " " + e.Resource
	}
	kind := noteKind{who: bounded, what: "audit " + e.Action, reason: e.Outcome}
	if s.auditRates.Allow(bounded, noteRate, noteBurst, s.clock()) {
		e.Repeated = int64(s.notes.Left(kind))
		return true
	}
	left, ok := s.notes.Due(kind)
	e.Repeated = int64(left)
	return ok
}
