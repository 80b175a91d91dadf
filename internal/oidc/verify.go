package oidc

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	// Names of claims are case-sensitive (RFC 7519 section 7.3), which encoding/json does not
	// respect. One that occurs twice is an error.
	"github.com/go-jose/go-jose/v4/json"

	"weir/internal/access"
	"weir/internal/api"
)

// Codes of errors (STS API reference, "AssumeRoleWithWebIdentity", "Errors").
const (
	InvalidToken  api.ErrorCode = "InvalidIdentityToken"
	Expired       api.ErrorCode = "ExpiredTokenException"
	Communication api.ErrorCode = "IDPCommunicationError"
)

// Error says why a token is refused.
type Error struct {
	Code    api.ErrorCode
	Message string
}

// Error returns "Code: message".
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

func invalid(format string, args ...any) error {
	return &Error{InvalidToken, fmt.Sprintf(format, args...)}
}

// leeway is how much clocks may differ.
const leeway = 30 * time.Second

// Identity is a user or machine that a provider vouches for.
type Identity struct {
	Provider Provider
	Subject  string
	Audience string // the client ID
	// Claims are those whose values are strings, booleans or lists of strings.
	Claims map[string][]string
	// Tags are the session tags that the provider sets, and Transitive the keys of those that go on
	// to other roles (IAM user guide, "Pass session tags using AssumeRoleWithWebIdentity").
	Tags       map[string]string
	Transitive []string
}

// Options of a Verifier. All have defaults.
type Options struct {
	Client *http.Client // fetches keys; it must not follow redirects
	Clock  func() time.Time
	Logger *slog.Logger
}

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	access *access.Registry
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	mu      sync.Mutex
	sources map[string]*source // by name of the provider
}

// NewVerifier returns a verifier for tokens of the providers in a registry.
func NewVerifier(of *access.Registry, o Options) *Verifier {
	v := &Verifier{access: of, client: o.Client, now: o.Clock, log: o.Logger,
		sources: map[string]*source{}}
	if v.client == nil {
		v.client = newClient()
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	return v
}

// Verify returns the identity that a token is about. The error is an *Error.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	if len(token) > api.MaxWebIdentityToken {
		return nil, invalid("The token has more than %d characters", api.MaxWebIdentityToken)
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, invalid("The token is no JSON Web Token that an algorithm here signs")
	}
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claimed) != nil {
		return nil, invalid("The claims of the token are no JSON")
	}
	from := v.source(Name(claimed.Issuer))
	if from == nil {
		return nil, invalid("No OpenIDConnect provider found in your account for %.255s",
			claimed.Issuer)
	}
	now := v.now()
	header := signed.Signatures[0].Header
	key, err := from.key(ctx, v.client, now, header.KeyID)
	if err != nil {
		return nil, &Error{Communication, "The keys of the provider could not be fetched"}
	}
	if key == nil || key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, invalid("The provider has no key like that of the token")
	}
	payload, err := signed.Verify(key.Key)
	if err != nil {
		return nil, invalid("The signature of the token is wrong")
	}
	return identify(from.provider, payload, now)
}

// source returns the keys of the provider of a name, as it is now; nil when there is none.
func (v *Verifier) source(name string) *source {
	d, ok := v.access.Document(access.KindProvider, name)
	v.mu.Lock()
	defer v.mu.Unlock()
	if !ok {
		delete(v.sources, name)
		return nil
	}
	if have := v.sources[name]; have != nil && have.provider.Revision == d.Revision {
		return have
	}
	p, err := read(d)
	if err != nil {
		v.log.Error("tokens of a provider are refused: it cannot be read",
			"provider", name, "error", err)
		return nil
	}
	s := &source{provider: p, log: v.log}
	if p.Keys != nil {
		if s.keys, err = parseKeys(p.Keys); err != nil {
			v.log.Error("tokens of a provider are refused: its keys cannot be read",
				"provider", name, "error", err)
			return nil
		}
	}
	v.sources[name] = s
	return s
}

// identify reads claims whose signature is valid (RFC 7519 section 4.1, OpenID Connect Core 1.0
// section 3.1.3.7).
func identify(p Provider, payload []byte, now time.Time) (*Identity, error) {
	var c struct {
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"`
		Expires  *float64        `json:"exp"`
		Begins   *float64        `json:"nbf"`
		Issued   *float64        `json:"iat"`
		Tags     struct {
			Principal  map[string]json.RawMessage `json:"principal_tags"`
			Transitive []string                   `json:"transitive_tag_keys"`
		} `json:"https://aws.amazon.com/tags"`
	}
	var all map[string]any
	if json.Unmarshal(payload, &c) != nil || json.Unmarshal(payload, &all) != nil {
		return nil, invalid("The claims of the token cannot be read")
	}
	seen := make(map[string]bool, len(all))
	for name := range all { // the condition keys of policies have no case
		key := strings.ToLower(name)
		if seen[key] {
			return nil, invalid("Two claims of the token differ in case only")
		}
		seen[key] = true
	}
	seconds := float64(now.UnixMilli()) / 1000
	audience := slices.IndexFunc(p.ClientIDs, func(id string) bool {
		return slices.Contains(texts(c.Audience), id)
	})
	switch early, late := seconds+leeway.Seconds(), seconds-leeway.Seconds(); {
	case c.Expires == nil || !(*c.Expires <= math.MaxInt64):
		return nil, invalid("The token has no time at which it ends")
	case *c.Expires <= late:
		return nil, &Error{Expired, fmt.Sprintf("Token expired: current date/time %d must be "+
			"before the expiration date/time %.0f", now.Unix(), *c.Expires)}
	case c.Begins != nil && *c.Begins > early, c.Issued != nil && *c.Issued > early:
		return nil, invalid("The token is not valid yet")
	case audience < 0:
		return nil, invalid("Incorrect token audience")
	case c.Subject == "" || len(c.Subject) > api.MaxSubject:
		return nil, invalid("The token has no subject of at most %d characters", api.MaxSubject)
	}
	out := &Identity{Provider: p, Subject: c.Subject, Audience: p.ClientIDs[audience],
		Claims: map[string][]string{}, Tags: map[string]string{}, Transitive: c.Tags.Transitive}
	for name, value := range all {
		if list := plain(value); list != nil {
			out.Claims[name] = list
		}
	}
	out.Claims["aud"] = []string{out.Audience}
	for key, value := range c.Tags.Principal {
		list := texts(value)
		if len(list) != 1 {
			return nil, invalid("A session tag of the token has not one value")
		}
		out.Tags[key] = list[0]
	}
	return out, nil
}

// texts reads a string, or a list of strings.
func texts(data []byte) (list []string) {
	var one string
	if json.Unmarshal(data, &one) == nil && !bytes.Equal(data, []byte("null")) {
		return []string{one}
	}
	if json.Unmarshal(data, &list) != nil {
		return nil
	}
	return list
}

// plain returns a claim in the form of conditions; nil for one that has no such form.
func plain(value any) (list []string) {
	switch value := value.(type) {
	case string:
		return []string{value}
	case bool:
		return []string{fmt.Sprint(value)}
	case []any:
		for _, item := range value {
			text, ok := item.(string)
			if !ok {
				return nil
			}
			list = append(list, text)
		}
	}
	return list
}
