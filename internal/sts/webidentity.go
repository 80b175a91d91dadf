package sts

import (
	"context"
	"encoding/xml"
	"errors"
	"maps"
	"slices"

	"weir/internal/access"
	"weir/internal/oidc"
	"weir/internal/policy"
)

// webIdentity is the action that is not signed: its token is the proof.
const webIdentity = "AssumeRoleWithWebIdentity"

// assumeRoleWithWebIdentity makes credentials of a role for an identity that a provider vouches
// for. It says the same for a role that does not exist as for one that may not be assumed.
func (s *Service) assumeRoleWithWebIdentity(ctx context.Context, c *Call) (any, error) {
	const name = "sts:" + webIdentity
	a, err := s.readAssumption(c.Form)
	if err != nil {
		return nil, err
	}
	if err := c.Form.refuse("ProviderId"); err != nil { // of OAuth 2.0, without a signature
		return nil, err
	}
	who, err := s.identities.Verify(ctx, c.Form.values.Get("WebIdentityToken"))
	if err != nil {
		if refused := (*oidc.Error)(nil); errors.As(err, &refused) {
			err = &Error{refused.Code, refused.Message}
		}
		c.Decided(name, a.arn, false)
		return nil, err
	}
	provider := s.access.ProviderARN(who.Provider.Name)
	if err := c.Identified(provider + ":" + who.Audience + ":" + who.Subject); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(who.Tags)) {
		if a.tags == nil {
			a.tags = map[string]string{}
		}
		if err := addTag(a.tags, key, who.Tags[key]); err != nil {
			return nil, err
		}
	}
	for _, key := range who.Transitive {
		if _, ok := a.tags[key]; ok && !slices.Contains(a.transitive, key) {
			a.transitive = append(a.transitive, key)
		}
	}
	role, err := s.access.RoleByARN(a.arn)
	allowed := err == nil
	if allowed {
		for claim, values := range who.Claims {
			c.Conditions.Set(who.Provider.Name+":"+claim, values...)
		}
		c.Conditions.Set("aws:FederatedProvider", provider)
		c.addRoleKeys(&a, role)
		for _, each := range a.actions(name) {
			allowed = allowed && policy.DecideTrust(policy.Request{Action: each,
				Resource: role.ARN, Context: c.Conditions},
				policy.Caller{Federated: []string{provider, who.Provider.Name}},
				role.Trust).Allowed
		}
	}
	c.Decided(name, a.arn, allowed)
	if !allowed {
		return nil, &Error{AccessDenied, "Not authorized to perform " + name}
	}
	made, user, err := s.assume(ctx, &a, role, access.Claims{Context: map[string][]string{
		"aws:FederatedProvider":    {provider},
		who.Provider.Name + ":sub": {who.Subject},
		who.Provider.Name + ":aud": {who.Audience},
	}})
	return webIdentityResult{Credentials: made, AssumedRoleUser: user, Audience: who.Audience,
		Provider: who.Provider.Issuer, Subject: who.Subject}, err
}

// Identities verifies tokens of web identities. Its errors are *oidc.Error.
type Identities interface {
	Verify(ctx context.Context, token string) (*oidc.Identity, error)
}

type webIdentityResult struct {
	XMLName         xml.Name `xml:"AssumeRoleWithWebIdentityResult"`
	AssumedRoleUser assumedRoleUser
	Credentials     credentials
	Audience        string
	Provider        string
	Subject         string `xml:"SubjectFromWebIdentityToken"`
}
