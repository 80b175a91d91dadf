package sts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/policy"
)

// assumption is the request to assume a role, by any action.
type assumption struct {
	arn         string // of the role
	session     string
	tags        map[string]string
	transitive  []string       // keys of tags
	policies    []policy.Named // that bound the session
	policyNames []string       // likewise
	length      time.Duration
}

// readAssumption reads the parameters that all these actions have.
func (s *Service) readAssumption(f Form) (a assumption, err error) {
	a.session, err = f.text("RoleSessionName", "roleSessionName", sessionNames, true)
	if err != nil {
		return a, err
	}
	a.arn = f.values.Get("RoleArn")
	if n := len(a.arn); n < api.MinRoleARN || n > api.MaxRoleARN {
		return a, invalid("Value '%.64s' at 'roleArn' failed to satisfy constraint: "+
			"Member must have length between %d and %d", a.arn, api.MinRoleARN, api.MaxRoleARN)
	}
	if f.values.Has("Policy") {
		text := f.values.Get("Policy")
		document, err := policy.Parse([]byte(text))
		if err != nil && utf8.RuneCountInString(text) > policy.MaxDocument {
			return a, tooLarge
		} else if err != nil {
			return a, &Error{MalformedPolicyDocument, err.Error()}
		}
		a.policies = []policy.Named{{Name: "session policy", Document: document}}
	}
	if a.policyNames, err = f.policyNames(s.access.PolicyARN("")); err != nil {
		return a, err
	}
	a.length, err = f.duration(api.MinTemporary, api.MaxRoleSession, api.DefaultRoleSession)
	return a, err
}

// assume makes the credentials, after the request was allowed. claims has what the caller adds.
func (s *Service) assume(ctx context.Context, a *assumption, role access.RoleInfo,
	claims access.Claims) (credentials, assumedRoleUser, error) {
	user := assumedRoleUser{role.ID + ":" + a.session,
		"arn:aws:sts::" + s.account + ":assumed-role/" + role.Name + "/" + a.session}
	if a.length > role.MaxSession {
		return credentials{}, user, &Error{ValidationError,
			"The requested DurationSeconds exceeds the MaxSessionDuration set for this role."}
	}
	for _, name := range a.policyNames {
		if _, err := s.access.Policy(name); err != nil {
			return credentials{}, user, invalid("there is no policy '%.128s' of 'policyArns'",
				name)
		}
	}
	claims.Kind, claims.Name, claims.ID = access.Role, role.Name, role.ID
	claims.SessionName, claims.Tags, claims.Transitive = a.session, a.tags, a.transitive
	claims.Policies, claims.PolicyNames = a.policies, a.policyNames
	made, err := s.mint(ctx, claims, a.length)
	return made, user, err
}

// tooLarge refuses policies and tags that do not fit into a token.
var tooLarge = &Error{PackedPolicyTooLarge,
	"Packed policy consumes more than 100% of allotted space, please use smaller policy."}

// mint makes credentials that are valid for a given time.
func (s *Service) mint(
	ctx context.Context, c access.Claims, length time.Duration,
) (credentials, error) {
	c.Issued = s.now().UTC().Truncate(time.Second)
	c.Expires = c.Issued.Add(length)
	made, err := s.minter.Mint(ctx, c)
	if errors.Is(err, ErrTooLong) {
		err = tooLarge
	}
	return credentialsOf(made, c.Expires), err
}

// assumeRole makes credentials of a role for a principal that the role trusts.
func (s *Service) assumeRole(ctx context.Context, c *Call) (any, error) {
	const name = "sts:AssumeRole"
	a, err := s.readAssumption(c.Form)
	if err != nil {
		return nil, err
	}
	external, err := c.Form.text("ExternalId", "externalId", externalIDs, false)
	if err != nil {
		return nil, err
	}
	if a.tags, a.transitive, err = c.sessionTags(); err != nil {
		return nil, err
	}
	err = c.Form.refuse("SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts")
	if err != nil {
		return nil, err
	}
	role, err := s.access.RoleByARN(a.arn)
	if err != nil {
		return nil, c.deny(name, a.arn)
	}
	if external != "" {
		c.Conditions.Set("sts:ExternalId", external)
	}
	c.addRoleKeys(&a, role)
	for _, each := range a.actions(name) {
		if !s.mayAssume(c, each, role) {
			return nil, c.deny(each, a.arn)
		}
	}
	c.Decided(name, a.arn, true)
	if p := c.Principal; a.length > api.MaxChainedSession &&
		(p.Kind == access.Role || p.Kind == access.Camera) {
		return nil, &Error{ValidationError, "The requested DurationSeconds exceeds the 1 hour " +
			"session limit for roles assumed by role chaining."}
	}
	made, user, err := s.assume(ctx, &a, role, c.Principal.Device())
	return assumeRoleResult{Credentials: made, AssumedRoleUser: user}, err
}

// sessionTags reads the tags of a call, and adds those that the caller's own session passes on (IAM
// user guide, "Pass session tags in AWS STS", "Chaining roles with session tags").
func (c *Call) sessionTags() (tags map[string]string, transitive []string, err error) {
	if tags, err = c.Form.tags(); err != nil {
		return nil, nil, err
	}
	if transitive, err = c.Form.transitive(tags); err != nil {
		return nil, nil, err
	}
	inherited := c.Principal.Transitive()
	for _, key := range slices.Sorted(maps.Keys(inherited)) {
		if err := addTag(tags, key, inherited[key]); err != nil {
			return nil, nil, err
		}
		transitive = append(transitive, key)
	}
	return tags, transitive, nil
}

// actions returns the actions that must be allowed: the call's, and passing tags.
func (a *assumption) actions(first string) []string {
	if len(a.tags) > 0 {
		return []string{first, "sts:TagSession"}
	}
	return []string{first}
}

// addRoleKeys adds the condition keys of a call that assumes a role (Service Authorization
// Reference, "AWS Security Token Service").
func (c *Call) addRoleKeys(a *assumption, role access.RoleInfo) {
	c.Conditions.Set("sts:RoleSessionName", a.session)
	c.Conditions.SetTags("aws:ResourceTag/", role.Tags)
	if len(a.tags) > 0 {
		c.Conditions.SetTags("aws:RequestTag/", a.tags)
		c.Conditions.Set("aws:TagKeys", slices.Sorted(maps.Keys(a.tags))...)
	}
	if len(a.transitive) > 0 {
		c.Conditions.Set("sts:TransitiveTagKeys", a.transitive...)
	}
}

// mayAssume asks both sides. If the role trusts the account, the caller's own policies must allow
// it too. If the role names the caller, that is enough, unless the caller has a session policy.
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
		caller.ARNs = append(caller.ARNs, s.access.HolderARN(access.HolderRole, of))
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
