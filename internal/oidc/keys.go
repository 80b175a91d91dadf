package oidc

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"weir/internal/api"
)

// algorithms are those that tokens may be signed with. None is symmetric, because anybody who has
// the public key could sign with it (RFC 8725 section 3.1).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256,
	jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Shorter RSA keys are weak (RFC 7518 section 3.3); longer ones are slow to check.
const minRSABits, maxRSABits = 2048, 8192

// How often keys are fetched.
const (
	fetchAgain = time.Minute    // at most, whatever tokens come
	fetchAge   = time.Hour      // at least, if somebody asks
	keepKeys   = 24 * time.Hour // keys that cannot be fetched again
	fetchTime  = 5 * time.Second
)

// parseKeys reads a JSON Web Key Set and leaves out keys of other kinds and uses (RFC 7517 section
// 5). A set without any key that can verify is an error.
func parseKeys(data []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("keys: no JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > api.MaxProviderKeys {
		return nil, fmt.Errorf("keys: more than %d", api.MaxProviderKeys)
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(text) != nil || !key.Valid() || !key.IsPublic() ||
			key.Use != "" && key.Use != "sig" || key.Algorithm != "" &&
			!slices.Contains(algorithms, jose.SignatureAlgorithm(key.Algorithm)) {
			continue
		}
		if of, ok := key.Key.(*rsa.PublicKey); ok &&
			(of.N.BitLen() < minRSABits || of.N.BitLen() > maxRSABits) {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("keys: none in the set is a public key that verifies signatures")
	}
	return keys, nil
}

// find returns the key of an ID. Without an ID there must be only one key.
func find(keys []jose.JSONWebKey, id string) *jose.JSONWebKey {
	if id == "" && len(keys) == 1 {
		return &keys[0]
	}
	for i := range keys {
		if id != "" && keys[i].KeyID == id {
			return &keys[i]
		}
	}
	return nil
}

// source has the keys of a provider, and fetches them when they are needed.
type source struct {
	provider Provider
	log      *slog.Logger

	mu       sync.Mutex
	keys     []jose.JSONWebKey
	fetched  time.Time
	tried    time.Time
	err      error         // of the last try
	fetching chan struct{} // closed when the running fetch ends; nil: none is running
}

// key returns the key of an ID. It returns nil when the provider has no such key, and an error when
// the keys could not be fetched. It fetches again when the key is missing or the keys are old, but
// no more often than fetchAgain, because a stranger can make up tokens with IDs of keys that do not
// exist.
func (s *source) key(ctx context.Context, client *http.Client, now time.Time, id string) (
	*jose.JSONWebKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		key, age := find(s.keys, id), now.Sub(s.fetched)
		switch {
		case s.provider.Keys != nil, key != nil && age < fetchAge:
			return key, nil
		case s.fetching == nil && !s.tried.IsZero() && now.Sub(s.tried) < fetchAgain:
			if s.err != nil && (key == nil || age > keepKeys) {
				return nil, s.err
			}
			return key, nil
		case s.fetching != nil && key != nil && age < keepKeys:
			return key, nil
		case s.fetching == nil:
			s.fetching = make(chan struct{})
			go s.fetch(context.WithoutCancel(ctx), client, now)
		}
		done := s.fetching
		s.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// fetch reads the keys from their source.
func (s *source) fetch(ctx context.Context, client *http.Client, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	keys, err := s.download(ctx, client)
	if err != nil { // once, and not for each token that waits for it
		s.log.Warn("keys of a provider cannot be fetched", "provider", s.provider.Name,
			"error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tried, s.err = now, err; err == nil {
		s.keys, s.fetched = keys, now
	}
	close(s.fetching)
	s.fetching = nil
}

func (s *source) download(ctx context.Context, client *http.Client) ([]jose.JSONWebKey, error) {
	at := s.provider.KeysURL
	if at == "" {
		issuer := strings.TrimSuffix(s.provider.Issuer, "/")
		data, err := get(ctx, client, issuer+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		var about struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(data, &about); err != nil {
			return nil, fmt.Errorf("configuration of %s: %w", s.provider.Name, err)
		}
		of, err := url.Parse(about.Keys)
		own, _ := url.Parse(issuer)
		// Otherwise the provider could make Weir call any address in its network.
		if err != nil || Name(about.Issuer) != s.provider.Name || of.Scheme != "https" ||
			own == nil || of.Host != own.Host {
			return nil, fmt.Errorf("configuration of %s: it is another issuer's, or its keys are "+
				"on another host; name the URL of the keys", s.provider.Name)
		}
		at = about.Keys
	}
	data, err := get(ctx, client, at)
	if err != nil {
		return nil, err
	}
	return parseKeys(data)
}

// get fetches a document.
func get(ctx context.Context, client *http.Client, at string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", at, answer.Status)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, api.MaxProviderAnswer+1))
	if err == nil && len(data) > api.MaxProviderAnswer {
		err = fmt.Errorf("GET %s: more than %d bytes", at, api.MaxProviderAnswer)
	}
	return data, err
}

// newClient makes the client that fetches keys. It follows no redirects.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 32 << 10
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
