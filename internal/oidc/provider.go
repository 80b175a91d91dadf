// Package oidc verifies tokens of the OpenID Connect providers that an administrator has named:
// issuer, audience, time and signature. What their identities may do is decided elsewhere.
package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/policy"
	"weir/internal/store"
)

// Provider is an OpenID Connect provider whose tokens are accepted.
type Provider struct {
	// Name is the issuer without https://, and without a slash at its end: what trust policies
	// call it (IAM user guide, "Available keys for AWS OIDC federation").
	Name      string    `json:"-"`
	Issuer    string    `json:"issuer"`     // the URL, as iss has it
	ClientIDs []string  `json:"client_ids"` // of which aud must have one
	Created   time.Time `json:"created"`
	// Keys is a JSON Web Key Set (RFC 7517), and KeysURL is where there is one. Without either, the
	// issuer's configuration says where (OpenID Connect Discovery 1.0, section 4).
	Keys     json.RawMessage `json:"keys,omitempty"`
	KeysURL  string          `json:"keys_url,omitempty"`
	Revision int64           `json:"-"`
}

// Name returns the name of the provider with an issuer, which may already be a name.
func Name(issuer string) string {
	return strings.TrimSuffix(strings.TrimPrefix(issuer, "https://"), "/")
}

// check refuses a provider that is impossible, or whose conditions no policy could name.
func (p *Provider) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("provider: %w: "+format, append([]any{access.ErrInvalid}, args...)...)
	}
	at, err := url.Parse(p.Issuer)
	switch {
	case err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil ||
		at.RawQuery != "" || at.Fragment != "" || len(p.Issuer) > api.MaxIssuer:
		return bad("its URL must be https://HOST, without a query, of at most %d characters",
			api.MaxIssuer)
	case policy.Reserved(Name(p.Issuer)):
		// its claims would pass for what the server says about a request: aws:SourceIp
		return bad("%q is the prefix of condition keys of others", Name(p.Issuer))
	case len(p.ClientIDs) == 0 || len(p.ClientIDs) > api.MaxClientIDs:
		return bad("it needs 1 to %d client IDs", api.MaxClientIDs)
	case p.Keys != nil && p.KeysURL != "":
		return bad("keys come from a document or from a URL, not from both")
	case p.KeysURL != "" && !mayFetch(p.KeysURL):
		return bad("the URL of its keys must be https")
	}
	for _, id := range p.ClientIDs {
		if n := utf8.RuneCountInString(id); n < 1 || n > api.MaxClientID {
			return bad("a client ID has 1 to %d characters", api.MaxClientID)
		}
	}
	if p.Keys != nil {
		if _, err := parseKeys(p.Keys); err != nil {
			return bad("%w", err)
		}
	}
	return nil
}

// mayFetch reports whether keys may be fetched from a URL: over TLS, or from this machine.
func mayFetch(text string) bool {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" || at.User != nil {
		return false
	}
	ip := net.ParseIP(at.Hostname())
	return at.Scheme == "https" || at.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// Put writes a provider, or another version of it, which keeps the time of its creation. revision
// is that of store.Documents. Errors are access.ErrInvalid, access.ErrLimit and those of
// PutDocument.
func Put(ctx context.Context, r *access.Registry, p Provider, revision int64) (Provider, error) {
	if err := p.check(); err != nil {
		return Provider{}, err
	}
	p.Name = Name(p.Issuer)
	have := r.Documents(access.KindProvider)
	i := slices.IndexFunc(have, func(d store.Document) bool { return d.Name == p.Name })
	if i < 0 && len(have) >= api.MaxProviders {
		return Provider{}, fmt.Errorf("%d providers: %w", len(have), access.ErrLimit)
	}
	p.Created = r.Now().UTC().Truncate(time.Millisecond)
	if i >= 0 {
		if old, err := read(have[i]); err == nil && !old.Created.IsZero() {
			p.Created = old.Created
		}
	}
	data, err := json.Marshal(p)
	if err != nil {
		return Provider{}, err
	}
	if len(data) > store.MaxDocument {
		return Provider{}, fmt.Errorf("provider: %w: it has more than %d bytes", access.ErrInvalid,
			store.MaxDocument)
	}
	p.Revision, err = r.PutDocument(ctx, access.KindProvider, p.Name, data, revision)
	return p, err
}

// List lists the providers by name. One that cannot be read has no issuer, so none of its tokens is
// accepted.
func List(r *access.Registry) (list []Provider) {
	for _, d := range r.Documents(access.KindProvider) {
		p, err := read(d)
		if err != nil {
			p = Provider{Name: d.Name, Revision: d.Revision}
		}
		list = append(list, p)
	}
	return list
}

// Delete deletes a provider. Credentials of its identities remain valid until they end.
func Delete(ctx context.Context, r *access.Registry, name string, revision int64) error {
	return r.DeleteDocument(ctx, access.KindProvider, name, revision)
}

// read reads a document. It refuses a member that this version does not know.
func read(d store.Document) (p Provider, err error) {
	decoder := json.NewDecoder(bytes.NewReader(d.Data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return Provider{}, fmt.Errorf("provider %q: damaged, or of a newer version: %w", d.Name,
			err)
	}
	p.Name, p.Revision = d.Name, d.Revision
	return p, nil
}
