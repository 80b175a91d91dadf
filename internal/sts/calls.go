package sts

import (
	"context"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/policy"
)

// Call is a call of the STS API.
type Call struct {
	Principal *access.Principal // who signed it; nil: nobody
	Form      Form
	// Conditions are the condition keys of the request, without those of its principal. Actions add
	// their own.
	Conditions policy.Context
	// Decided receives the decision before anything is minted, for the audit log.
	Decided func(action, resource string, allowed bool)
	// Identified receives a verified web identity: provider, audience and subject, separated by
	// colons, as CloudTrail has the principal of a web identity. Its error becomes the call's: the
	// identity calls too often.
	Identified func(identity string) error
}

// Service answers the STS API. It is safe for concurrent use.
type Service struct {
	access     *access.Registry
	minter     *Minter
	identities Identities
	account    string
	now        func() time.Time
}

// NewService returns a service whose credentials m makes. now is time.Now when nil.
func NewService(of *access.Registry, m *Minter, who Identities, account string,
	now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{of, m, who, account, now}
}

// Rotate is Minter.Rotate.
func (s *Service) Rotate(ctx context.Context, revoke bool) error {
	return s.minter.Rotate(ctx, revoke)
}

type action func(s *Service, ctx context.Context, c *Call) (any, error)

var actions = map[string]action{
	"AssumeRole":        (*Service).assumeRole,
	webIdentity:         (*Service).assumeRoleWithWebIdentity,
	"GetCallerIdentity": (*Service).callerIdentity,
	"GetSessionToken":   (*Service).sessionToken,
}

// Do answers a call. The error is an *Error, or a fault of the server.
func (s *Service) Do(ctx context.Context, c *Call) (*Answer, error) {
	name, err := c.Form.Action()
	if err != nil {
		return nil, err
	}
	if c.Principal == nil && name != webIdentity {
		return nil, &Error{"MissingAuthenticationToken",
			"Request is missing Authentication Token"}
	}
	result, err := actions[name](s, ctx, c)
	if err != nil {
		return nil, err
	}
	return &Answer{name, result}, nil
}

// callerIdentity needs no permission, and no policy takes it away (STS API reference,
// "GetCallerIdentity").
func (s *Service) callerIdentity(_ context.Context, c *Call) (any, error) {
	c.Decided("sts:GetCallerIdentity", "*", true)
	return callerIdentityResult{UserID: c.Principal.UserID, Account: s.account,
		ARN: c.Principal.ARN}, nil
}

// sessionToken needs no permission, but a policy may deny it (STS API reference,
// "GetSessionToken").
func (s *Service) sessionToken(ctx context.Context, c *Call) (any, error) {
	const name = "sts:GetSessionToken"
	p := c.Principal
	if p.Kind != access.Root && p.Kind != access.Key {
		c.Decided(name, "*", false)
		return nil, &Error{AccessDenied, "Cannot call GetSessionToken with session credentials"}
	}
	if s.access.Decide(p, name, "*", c.Conditions).Explicit {
		return nil, c.deny(name, "*")
	}
	c.Decided(name, "*", true)
	if err := c.Form.refuse("SerialNumber", "TokenCode"); err != nil {
		return nil, err
	}
	usual, id := api.DefaultUserSession, p.UserID
	if p.IsRoot() {
		usual, id = api.MaxRootSession, ""
	}
	length, err := c.Form.duration(api.MinTemporary, api.MaxUserSession, usual)
	if err != nil {
		return nil, err
	}
	if p.IsRoot() {
		length = min(length, api.MaxRootSession) // as AWS does
	}
	made, err := s.mint(ctx, access.Claims{Kind: access.Session, Name: p.Name, ID: id,
		Parent: p.AccessKeyID}, length)
	return sessionTokenResult{Credentials: made}, err
}

// deny refuses an action, in the words of AWS. It says the same for a role that does not exist as
// for one that may not be assumed.
func (c *Call) deny(name, resource string) error {
	c.Decided(name, resource, false)
	return &Error{AccessDenied, "User: " + c.Principal.ARN + " is not authorized to perform: " +
		name + " on resource: " + shorten(resource)}
}

func shorten(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
