package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"weir/internal/api"
	"weir/internal/policy"
	"weir/internal/store"
)

// verdict is the decision on a signed call and the question, so that it can be asked again while a
// connection lasts.
type verdict struct {
	request  *request
	action   string // such as kinesisvideo:PutMedia
	resource string // ARN, or anyResource
	allowed  bool
	reason   string // why not; "" when it is allowed

	tags  map[string]string // of the stream
	sets  map[string]string // tags that the call sets
	names []string          // keys of all tags that it sets or removes
}

// anyResource is the resource of calls that name none (IAM user guide, "Resource").
const anyResource = "*"

// errUndecided says that a handler answered a signed call without a decision, which is a fault of
// the server.
var errUndecided = errors.New("the call was answered although nobody decided whether it is allowed")

// maxConditionAgent is how many bytes of a User-Agent conditions see. Those of AWS's SDKs have 100
// to 400.
const maxConditionAgent = 512

// permit decides whether a signed call may be done, by its signer's policies, the action of its
// operation, and the resource. stream is the resource's stream, if there is one. The error is the
// refusal.
//
// It is called before anything is said about the resource, so that a refusal does not reveal
// whether the resource exists.
func (s *Server) permit(req *request, resource string, stream *store.Stream) error {
	err := s.permitAction(req, api.Find(req.operation).Action(), resource, stream)
	if err == nil && stream != nil {
		// a refused call counts for no stream, or strangers would use up its limit
		err = s.quotas.StreamCall(req.operation, stream.ID)
	}
	return err
}

// permitAction is permit for any action. It counts towards no limit.
func (s *Server) permitAction(req *request, action, resource string, stream *store.Stream) error {
	v := &verdict{request: req, action: action, resource: resource}
	v.sets, v.names = requestTags(req.input)
	if stream != nil {
		v.tags = stream.Tags
	}
	return s.judge(v)
}

// judge decides on a call, and returns the refusal.
func (s *Server) judge(v *verdict) error {
	s.decide(v)
	s.decided(v)
	if v.allowed {
		return nil
	}
	code := api.AccessDeniedException
	if op := api.Find(v.request.operation); op.Service == api.Media ||
		op.Service == api.ArchivedMedia {
		code = api.NotAuthorizedException // which their models have
	}
	return api.NewError(code, v.reason)
}

// decided counts a decision, and notes it in its request.
func (s *Server) decided(v *verdict) {
	v.request.verdict = v
	result := "allowed"
	if !v.allowed {
		result = "denied"
	}
	s.metrics.decisions.WithLabelValues(v.request.operation, result).Inc()
}

// decide fills in the decision.
func (s *Server) decide(v *verdict) {
	p := v.request.principal
	if p == nil { // nobody has signed
		v.allowed, v.reason = false, "The call is not signed."
		return
	}
	var c policy.Context
	if !p.IsRoot() { // who is asked nothing
		c = s.conditions(v)
	}
	d := s.access.Decide(p, v.action, v.resource, c)
	if v.allowed = d.Allowed; v.allowed {
		v.reason = ""
		return
	}
	why := "because no identity-based policy allows the " + v.action + " action"
	switch {
	case d.Explicit:
		why = "with an explicit deny in an identity-based policy: " + d.Policy
	case len(p.Bounds) > 0 && policy.Decide(policy.Request{Action: v.action,
		Resource: v.resource, Context: c}, p.Policies).Allowed:
		why = "because no session policy allows the " + v.action + " action"
	}
	v.reason = fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s",
		p.ARN, v.action, v.resource, why)
}

// readTags updates the tags of the stream that a decision is about. If the stream cannot be read,
// they stay: a connection to a lost stream ends by itself.
func (s *Server) readTags(ctx context.Context, v *verdict) {
	id := v.request.target.ID
	if id == "" {
		return
	}
	if stream, err := s.store.StreamByID(ctx, id); err == nil {
		v.tags = stream.Tags
	}
}

// conditions returns the condition keys of a call, without those of its principal
// (docs/policies.md, "Condition keys").
func (s *Server) conditions(v *verdict) policy.Context {
	req, now := v.request, s.clock().UTC()
	from := s.callerOf(req.Request)
	c := policy.Context{}
	c.Set("aws:CurrentTime", now.Format(time.RFC3339))
	c.Set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	c.Set("aws:SecureTransport", strconv.FormatBool(from.secure))
	if from.address.IsValid() {
		c.Set("aws:SourceIp", from.address.WithZone("").String())
	}
	if agent := req.UserAgent(); agent != "" {
		c.Set("aws:UserAgent", agent[:min(len(agent), maxConditionAgent)])
	}
	c.SetTags("aws:ResourceTag/", v.tags)
	c.SetTags("aws:RequestTag/", v.sets)
	if len(v.names) > 0 {
		c.Set("aws:TagKeys", v.names...)
	}
	return c
}

// requestTags returns the tags that a call sets, and the keys of all that it sets or removes.
func requestTags(input any) (tags map[string]string, keys []string) {
	tags, keys = api.TagsOf(input)
	if keys == nil {
		keys = slices.Sorted(maps.Keys(tags))
	}
	return tags, keys
}

// errRevoked ends the connections of callers who have lost the right to them.
var errRevoked = errors.New("the caller is no longer authorized")

// decideAgain is how often a connection is decided again even if nobody has changed a policy:
// conditions may depend on the time of day and on the tags of the stream.
const decideAgain = time.Minute

// revokedTime is how long a connection may take to end by itself once its right is lost.
const revokedTime = 3 * time.Second

// lasting is a connection that ends when its caller loses the right to it, or with the server.
type lasting struct {
	// closing is closed when the connection should end at its next fragment.
	closing chan struct{}
	revoked atomic.Bool // because the right to it is lost
	release func()      // ends the watching
}

// last watches a connection. It decides again as soon as keys or policies change, when temporary
// credentials end, and every decideAgain. If a connection whose right is lost does not end in time,
// the context ends, with errRevoked as its cause.
func (s *Server) last(ctx context.Context, req *request) (context.Context, *lasting) {
	ctx, cancel := context.WithCancelCause(ctx)
	done, ended := make(chan struct{}), make(chan struct{})
	l := &lasting{closing: make(chan struct{})}
	l.release = func() { close(done); <-ended; cancel(nil) }
	v := *req.verdict
	go func() {
		defer close(ended)
		var over <-chan time.Time
		if at := req.principal.Expires; !at.IsZero() {
			timer := time.NewTimer(at.Sub(s.clock()))
			defer timer.Stop()
			over = timer.C
		}
		again := time.NewTicker(decideAgain)
		defer again.Stop()
		for {
			changed := s.access.Changed()
			if s.decide(&v); !v.allowed {
				break
			}
			select {
			case <-changed:
			case <-over:
				over = nil // decide says the rest
			case <-again.C:
				s.readTags(ctx, &v)
			case <-s.stopping:
				close(l.closing)
				return
			case <-done:
				return
			}
		}
		l.revoked.Store(true)
		close(l.closing)
		select {
		case <-time.After(revokedTime):
			cancel(errRevoked)
		case <-done:
		}
	}()
	return ctx, l
}
