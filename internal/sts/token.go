// Package sts makes and opens temporary credentials. Their session token contains, sealed,
// everything about them, so nothing is stored and every process that shares the store accepts them.
package sts

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"weir/internal/access"
	"weir/internal/api"
	"weir/internal/auth"
	"weir/internal/policy"
	"weir/internal/store"
)

// A token is the base64url form (RFC 4648 section 5, without padding) of
//
//	version (1 octet) | ID of the sealing key (4) | nonce (12) | ciphertext | tag (16)
//
// sealed with AES-256-GCM. The additional data are tokenContext, version and ID. The plain text is
// the JSON of tokenClaims, compressed (RFC 1951).
const (
	tokenVersion = 1
	keyIDSize    = 4
	headSize     = 1 + keyIDSize
	keySize      = 32
	tokenContext = "weir sts token"
	// maxClaims limits the JSON of what was sealed here.
	maxClaims = 64 << 10
)

// ErrTooLong refuses claims that do not fit into a token (STS API reference, "AssumeRole",
// PackedPolicyTooLarge).
var ErrTooLong = errors.New("session policies and tags do not fit into a session token")

// Minter makes and opens temporary credentials: it is an access.Temporary. It is safe for
// concurrent use.
type Minter struct {
	access *access.Registry
	now    func() time.Time
	maxAge time.Duration // age at which the sealing key is replaced; 0: never
	keys   atomic.Pointer[sealingKeys]
}

// sealingKeys are the present sealing keys. The first one seals.
type sealingKeys struct {
	list     []sealingKey
	revision int64 // of their document; it changes with the keys
}

type sealingKey struct {
	id      [keyIDSize]byte
	created time.Time
	aead    cipher.AEAD
}

// NewMinter returns a minter whose sealing keys are in a registry. A sealing key is replaced when
// it is as old as maxAge (0: never). now is time.Now when nil. It reads and writes nothing yet.
func NewMinter(of *access.Registry, maxAge time.Duration, now func() time.Time) *Minter {
	if now == nil {
		now = time.Now
	}
	return &Minter{access: of, now: now, maxAge: maxAge}
}

// keyDocument is the document sealingDocument of access.KindTokenKey.
type keyDocument struct {
	Keys []storedKey `json:"keys"` // the newest first
}

type storedKey struct {
	ID      []byte `json:"id"`
	Created int64  `json:"created"` // milliseconds since 1970
	Key     []byte `json:"key"`     // sealed
}

const sealingDocument = "sts"

// load returns the present sealing keys; none before the first one is made.
func (m *Minter) load() (*sealingKeys, error) {
	document, ok := m.access.Document(access.KindTokenKey, sealingDocument)
	if !ok {
		document.Revision = store.NewDocument
	}
	if have := m.keys.Load(); have != nil && have.revision == document.Revision {
		return have, nil
	}
	stored, revision, err := m.stored()
	if err != nil {
		return nil, err
	}
	keys := &sealingKeys{revision: revision}
	sealer, err := m.access.Sealer()
	if err != nil {
		return nil, err
	}
	for _, k := range stored.Keys {
		key, err := sealer.Open(access.KindTokenKey, sealingDocument, k.Key)
		if err != nil {
			return nil, err
		}
		aead, err := newAEAD(key)
		if err != nil || len(k.ID) != keyIDSize {
			return nil, errors.New("sealing key of tokens: damaged")
		}
		keys.list = append(keys.list, sealingKey{[keyIDSize]byte(k.ID),
			time.UnixMilli(k.Created), aead})
	}
	m.keys.Store(keys)
	return keys, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// stored reads the document of the keys and its revision; store.NewDocument when there is none.
func (m *Minter) stored() (d keyDocument, revision int64, err error) {
	document, ok := m.access.Document(access.KindTokenKey, sealingDocument)
	if !ok {
		return d, store.NewDocument, nil
	}
	if err := json.Unmarshal(document.Data, &d); err != nil {
		return d, 0, fmt.Errorf("sealing keys of tokens: damaged: %w", err)
	}
	return d, document.Revision, nil
}

// tokenClaims is access.Claims in the form of a token.
type tokenClaims struct {
	AccessKeyID string              `json:"a"`
	Secret      string              `json:"s"`
	Kind        access.Kind         `json:"k"`
	Name        string              `json:"n,omitempty"`
	ID          string              `json:"i,omitempty"`
	SessionName string              `json:"e,omitempty"`
	Parent      string              `json:"p,omitempty"`
	Policies    []tokenPolicy       `json:"d,omitempty"`
	PolicyNames []string            `json:"dn,omitempty"`
	Tags        map[string]string   `json:"t,omitempty"`
	Transitive  []string            `json:"tt,omitempty"`
	Context     map[string][]string `json:"c,omitempty"`
	Thing       string              `json:"th,omitempty"`
	ThingID     string              `json:"ti,omitempty"`
	Certificate string              `json:"tc,omitempty"`
	Issued      int64               `json:"f"` // seconds since 1970
	Expires     int64               `json:"u"` // likewise
}

type tokenPolicy struct {
	Name     string          `json:"n"`
	Document json.RawMessage `json:"d"`
}

// Mint makes credentials for c, with a new access key ID and secret. They end at Expires, rounded
// down to the second. ErrTooLong; access.ErrNoSeal; store.ErrFull when the first key cannot be
// stored.
func (m *Minter) Mint(ctx context.Context, c access.Claims) (auth.Credentials, error) {
	keys, err := m.fresh(ctx)
	if err != nil {
		return auth.Credentials{}, fmt.Errorf("mint credentials: %w", err)
	}
	if len(keys.list) == 0 {
		return auth.Credentials{}, errors.New("mint credentials: there is no sealing key")
	}
	t := tokenClaims{AccessKeyID: "ASIA" + auth.RandomText(16, idAlphabet),
		Secret: auth.NewKey().SecretAccessKey, Kind: c.Kind, Name: c.Name, ID: c.ID,
		SessionName: c.SessionName, Parent: c.Parent, PolicyNames: c.PolicyNames, Tags: c.Tags,
		Transitive: c.Transitive, Context: c.Context, Thing: c.Thing,
		ThingID: c.ThingID, Certificate: c.Certificate, Issued: c.Issued.Unix(),
		Expires: c.Expires.Unix()}
	for _, p := range c.Policies {
		t.Policies = append(t.Policies, tokenPolicy{p.Name, p.Document.Text()})
	}
	token, err := keys.list[0].seal(t)
	if err != nil {
		return auth.Credentials{}, err
	}
	return auth.Credentials{AccessKeyID: t.AccessKeyID, SecretAccessKey: t.Secret,
		SessionToken: token}, nil
}

// idAlphabet is that of access key IDs.
const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

func (k sealingKey) seal(t tokenClaims) (string, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("mint credentials: %w", err)
	}
	if len(text) > maxClaims {
		return "", ErrTooLong
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", fmt.Errorf("mint credentials: %w", err)
	}
	if _, err = w.Write(text); err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("mint credentials: %w", err)
	}
	head := append([]byte{tokenVersion}, k.id[:]...)
	token := base64.RawURLEncoding.EncodeToString(
		k.aead.Seal(bytes.Clone(head), nil, packed.Bytes(), sealedFor(head)))
	if len(token) > api.MaxSessionToken {
		return "", ErrTooLong
	}
	return token, nil
}

func sealedFor(head []byte) []byte { return append([]byte(tokenContext), head...) }

// errToken refuses what was not sealed here.
var errToken = &auth.Error{Code: auth.UnrecognizedClient,
	Message: "The security token included in the request is invalid."}

var errExpired = &auth.Error{Code: auth.ExpiredToken,
	Message: "The security token included in the request is expired"}

// Open implements access.Temporary. A token whose sealing key is gone counts as never sealed.
func (m *Minter) Open(token string, now time.Time) (access.Claims, error) {
	if len(token) > api.MaxSessionToken {
		return access.Claims{}, errToken
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(sealed) < headSize || sealed[0] != tokenVersion {
		return access.Claims{}, errToken
	}
	keys, err := m.load()
	if err != nil {
		return access.Claims{}, errToken
	}
	head := sealed[:headSize]
	for _, k := range keys.list {
		if !bytes.Equal(k.id[:], head[1:]) {
			continue
		}
		packed, err := k.aead.Open(nil, nil, sealed[headSize:], sealedFor(head))
		if err != nil {
			break
		}
		return claimsOf(packed, now)
	}
	return access.Claims{}, errToken
}

// claimsOf decodes what was sealed.
func claimsOf(packed []byte, now time.Time) (access.Claims, error) {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxClaims))
	if err != nil {
		return access.Claims{}, errToken
	}
	var t tokenClaims
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // an unknown member, from a newer version, may take away a right
	if err := d.Decode(&t); err != nil {
		return access.Claims{}, errToken
	}
	c := access.Claims{AccessKeyID: t.AccessKeyID, Secret: t.Secret, Kind: t.Kind, Name: t.Name,
		ID: t.ID, SessionName: t.SessionName, Parent: t.Parent, PolicyNames: t.PolicyNames,
		Tags: t.Tags, Transitive: t.Transitive, Context: t.Context,
		Thing: t.Thing, ThingID: t.ThingID, Certificate: t.Certificate,
		Issued: time.Unix(t.Issued, 0).UTC(), Expires: time.Unix(t.Expires, 0).UTC()}
	for _, p := range t.Policies {
		document, err := policy.Parse(p.Document)
		if err != nil {
			return access.Claims{}, errToken
		}
		c.Policies = append(c.Policies, policy.Named{Name: p.Name, Document: document})
	}
	if !now.Before(c.Expires) {
		return access.Claims{}, errExpired
	}
	return c, nil
}
