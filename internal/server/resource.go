package server

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/oidc"
	"weir/internal/store"
)

// read reads the input of a call into in, and decides whether the call may be done. From then on
// the request has the streams that the call is about.
func (s *Server) read(ctx context.Context, req *request, in api.Input) error {
	if err := decode(req, in); err != nil {
		return err
	}
	return s.permitCall(ctx, req)
}

// permitCall decides whether a call may be done by the table of the API: its operation's action, on
// each resource that its input names. Only then does it say that a stream does not exist.
func (s *Server) permitCall(ctx context.Context, req *request) error {
	resources := api.Find(req.operation).Resources
	for i := range resources {
		if err := s.permitResource(ctx, req, &resources[i]); err != nil {
			return err
		}
	}
	return nil
}

// holders are the members that name a holder of policies.
var holders = map[string]access.Holder{"UserName": access.HolderUser,
	"RoleName": access.HolderRole, "ThingName": access.HolderCamera}

// permitResource decides on one resource of a call, and finds the stream if it is one.
func (s *Server) permitResource(ctx context.Context, req *request, r *api.Resource) error {
	switch r.Kind {
	case api.ResourceCaller:
		return s.permitOwn(req)
	case api.ResourceStreams:
		return s.permitStreams(ctx, req, req.input.(*api.GetStreamStatusInput).StreamNames)
	}
	member, name := r.Named(req.input)
	resource := anyResource
	switch {
	case member == "":
	case r.Kind == api.ResourceNewStream:
		req.stream, resource = name, s.arnToBe(name)
	case member == "SessionId":
		return s.permitSession(ctx, req, name)
	case r.Kind == api.ResourceStream, r.Kind == api.ResourceSession:
		find := s.namedStream
		if strings.HasSuffix(member, "ARN") {
			find = s.streamOfARN
		}
		var err error
		req.target, err = find(ctx, req, name)
		return err
	case r.Kind == api.ResourceHolder:
		resource = s.access.HolderARN(holders[member], name)
	case r.Kind == api.ResourceKey:
		req.user = s.access.KeyUser(name)
		resource = s.access.HolderARN(access.HolderUser, req.user)
	case r.Kind == api.ResourcePolicy:
		resource = s.access.PolicyARN(name)
	case r.Kind == api.ResourceProvider:
		resource = s.access.ProviderARN(oidc.Name(name))
	default:
		return errUndecided
	}
	return s.permit(req, resource, nil)
}

// permitStreams decides on each of the named streams. Those that the caller may not ask about are
// left out, as if they did not exist, so that one forbidden stream does not cost a page of a list.
// It is an error when none is left.
func (s *Server) permitStreams(ctx context.Context, req *request, names []string) error {
	var refused error
	var granted *verdict
	for _, name := range names {
		req.verdict = nil // the last name's stream says nothing about this one
		stream, err := s.namedStream(ctx, req, name)
		switch {
		case req.verdict == nil: // the store failed before anybody decided
			return err
		case !req.verdict.allowed:
			refused = err
			continue
		}
		granted = req.verdict
		if err == nil {
			req.targets = append(req.targets, stream)
		} else if !errors.Is(err, &api.Error{Code: api.ResourceNotFoundException}) {
			return err
		}
	}
	req.stream = ""
	if granted == nil {
		return refused
	}
	req.verdict = granted
	return nil
}

// permitSession decides by the stream of a session. A caller who may not do it to any session does
// not learn which exist.
func (s *Server) permitSession(ctx context.Context, req *request, text string) error {
	id, err := hex.DecodeString(text)
	if err != nil {
		return err // the table of the API has made sure of that
	}
	session, err := s.store.Session(ctx, string(id))
	if err == nil {
		req.target, err = s.store.StreamByID(ctx, session.Stream)
	}
	if errors.Is(err, store.ErrNotFound) {
		return s.permit(req, anyResource, nil)
	} else if err != nil {
		return err
	}
	req.stream = req.target.Name
	return s.permit(req, s.arn(&req.target), &req.target)
}
