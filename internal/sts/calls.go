package sts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/policy"
)

// Call is a signed call of the STS API.
type Call struct {
	Principal *access.Principal
	Form      Form
	// Conditions are the condition keys of the request but for those of its principal. Actions add
	// their own.
	Conditions policy.Context
	// Decided takes the decision, once that is made, before anything is minted: for the audit.
	Decided func(action, resource string, allowed bool)
}

// Service answers the STS API. It is safe for use by many goroutines.
type Service struct {
	access  *access.Registry
	minter  *Minter
	account string
	now     func() time.Time
}

// NewService makes a service whose credentials a minter makes. now is time.Now when nil.
func NewService(of *access.Registry, m *Minter, account string, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{of, m, account, now}
}

type action func(s *Service, ctx context.Context, c *Call) (any, error)

var actions = map[string]action{
	"AssumeRole":        (*Service).assumeRole,
	"GetCallerIdentity": (*Service).callerIdentity,
	"GetSessionToken":   (*Service).sessionToken,
}

// Do does what a call asks for. The error is an *Error, or a fault of the server.
func (s *Service) Do(ctx context.Context, c *Call) (*Answer, error) {
	name, err := c.Form.Action()
	if err != nil {
		return nil, err
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

// mint makes credentials that last so long.
func (s *Service) mint(
	ctx context.Context, c access.Claims, length time.Duration,
) (credentials, error) {
	c.Issued = s.now().UTC().Truncate(time.Second)
	c.Expires = c.Issued.Add(length)
	made, err := s.minter.Mint(ctx, c)
	if errors.Is(err, ErrTooLong) {
		return credentials{}, &Error{PackedPolicyTooLarge, "Packed policy consumes more than " +
			"100% of allotted space, please use smaller policy."}
	}
	return credentialsOf(made, c.Expires), err
}

// deny is the refusal of an action, in the words of AWS. It says the same of a role that does not
// exist as of one that may not be assumed.
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

func (s *Service) assumeRole(ctx context.Context, c *Call) (any, error) {
	const name = "sts:AssumeRole"
	arn := c.Form.values.Get("RoleArn")
	session, err := c.Form.text("RoleSessionName", "roleSessionName", sessionNames, true)
	if err != nil {
		return nil, err
	}
	external, err := c.Form.text("ExternalId", "externalId", externalIDs, false)
	if err != nil {
		return nil, err
	}
	tags, err := c.Form.tags()
	if err != nil {
		return nil, err
	}
	if n := len(arn); n < api.MinRoleARN || n > api.MaxRoleARN {
		return nil, invalid("Value '%.64s' at 'roleArn' failed to satisfy constraint: "+
			"Member must have length between %d and %d", arn, api.MinRoleARN, api.MaxRoleARN)
	}
	err = c.Form.refuse("SerialNumber", "TokenCode", "SourceIdentity", "PolicyArns",
		"TransitiveTagKeys", "ProvidedContexts")
	if err != nil {
		return nil, err
	}
	role, err := s.access.RoleByARN(arn)
	if err != nil {
		return nil, c.deny(name, arn)
	}
	c.addRoleKeys(session, external, tags, role)
	needed := []string{name}
	if len(tags) > 0 {
		needed = append(needed, "sts:TagSession")
	}
	for _, each := range needed {
		if !s.mayAssume(c, each, role) {
			return nil, c.deny(each, arn)
		}
	}
	c.Decided(name, arn, true)
	length, err := c.roleDuration(role)
	if err != nil {
		return nil, err
	}
	claims := access.Claims{Kind: access.Role, Name: role.Name, ID: role.ID, SessionName: session,
		Tags: tags}
	if c.Form.values.Has("Policy") {
		document, err := policy.Parse([]byte(c.Form.values.Get("Policy")))
		if err != nil {
			return nil, &Error{MalformedPolicyDocument, err.Error()}
		}
		claims.Policies = []policy.Named{{Name: "session policy", Document: document}}
	}
	made, err := s.mint(ctx, claims, length)
	return assumeRoleResult{Credentials: made, AssumedRoleUser: assumedRoleUser{
		role.ID + ":" + session,
		"arn:aws:sts::" + s.account + ":assumed-role/" + role.Name + "/" + session}}, err
}

// addRoleKeys adds the condition keys of AssumeRole (Service Authorization Reference, "AWS Security
// Token Service").
func (c *Call) addRoleKeys(session, external string, tags map[string]string,
	role access.RoleInfo) {
	c.Conditions.Set("sts:RoleSessionName", session)
	if external != "" {
		c.Conditions.Set("sts:ExternalId", external)
	}
	c.Conditions.SetTags("aws:ResourceTag/", role.Tags)
	if len(tags) > 0 {
		c.Conditions.SetTags("aws:RequestTag/", tags)
		c.Conditions.Set("aws:TagKeys", slices.Sorted(maps.Keys(tags))...)
	}
}

// mayAssume asks both sides. A role that trusts the account leaves it to the caller's own policies;
// one that names the caller needs no more, unless the caller has a session policy.
func (s *Service) mayAssume(c *Call, name string, role access.RoleInfo) bool {
	p := c.Principal
	if _, err := s.access.Current(p); err != nil {
		return false
	}
	conditions := maps.Clone(c.Conditions)
	own := s.access.Decide(p, name, role.ARN, conditions) // adds the keys of the principal
	if p.IsRoot() {
		conditions.Set("aws:PrincipalArn", p.ARN)
		conditions.Set("aws:PrincipalAccount", s.account)
		conditions.Set("aws:PrincipalType", "Account")
		conditions.Set("aws:userid", p.UserID)
	}
	caller := policy.Caller{ARNs: []string{p.ARN}, Account: s.account}
	if rest, ok := strings.CutPrefix(p.ARN, "arn:aws:sts::"+s.account+":assumed-role/"); ok {
		of, _, _ := strings.Cut(rest, "/")
		caller.ARNs = append(caller.ARNs, "arn:aws:iam::"+s.account+":role/"+of)
	}
	trust := policy.DecideTrust(policy.Request{Action: name, Resource: role.ARN,
		Context: conditions}, caller, role.Trust)
	switch {
	case own.Explicit, !trust.Allowed:
		return false
	case trust.Account, len(p.Bounds) > 0:
		return own.Allowed
	}
	return true
}

// roleDuration is how long the credentials of a role are asked to last. Chained ones last an hour
// at most (IAM user guide, "Role chaining").
func (c *Call) roleDuration(role access.RoleInfo) (time.Duration, error) {
	length, err := c.Form.duration(api.MinTemporary, api.MaxRoleSession, api.DefaultRoleSession)
	switch p := c.Principal; {
	case err != nil:
		return 0, err
	case length > role.MaxSession:
		return 0, &Error{ValidationError,
			"The requested DurationSeconds exceeds the MaxSessionDuration set for this role."}
	case length > api.MaxChainedSession && (p.Kind == access.Role || p.Kind == access.Camera):
		return 0, &Error{ValidationError, "The requested DurationSeconds exceeds the 1 hour " +
			"session limit for roles assumed by role chaining."}
	}
	return length, nil
}
