package auth

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials are what a client signs with.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string // only of temporary credentials, else ""
}

// Signer is the client's side of Signature Version 4.
type Signer struct {
	Credentials
	Region  string
	Service string           // "" means the constant Service
	Clock   func() time.Time // nil means time.Now
}

func (s *Signer) now() time.Time {
	if s.Clock == nil {
		return time.Now().UTC()
	}
	return s.Clock().UTC()
}

func (s *Signer) scope(at time.Time) scope {
	return scope{date: at.Format(dateFormat), region: s.Region, service: cmp.Or(s.Service, Service)}
}

// Sign signs a request, whose body is all of body, in the header form: it sets X-Amz-Date,
// X-Amz-Security-Token and Authorization. It signs Host, Content-Type and all X-Amz… headers, which
// must not be changed afterwards.
func (s *Signer) Sign(r *http.Request, body []byte) {
	at := s.prepare(r)
	signed := []string{"host"}
	for name := range r.Header {
		if n := strings.ToLower(name); n == "content-type" || strings.HasPrefix(n, "x-amz") {
			signed = append(signed, n)
		}
	}
	s.authorize(r, at, signed, hashHex(body))
}

// SignPutMedia signs a PutMedia request like the C producers: the payload hash is that of the empty
// string, and connection and transfer-encoding are signed too. It makes the request's body chunked.
func (s *Signer) SignPutMedia(r *http.Request) {
	r.ContentLength = -1
	r.TransferEncoding = []string{"chunked"}
	r.Header.Set("Connection", "keep-alive")
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "weir") // net/http would add its own after signing
	}
	at := s.prepare(r)
	signed := []string{"connection", "host", "transfer-encoding", "user-agent"}
	for name := range r.Header {
		if n := strings.ToLower(name); strings.HasPrefix(n, "x-amz") &&
			n != "x-amz-security-token" {
			signed = append(signed, n)
		}
	}
	s.authorize(r, at, signed, emptyHash)
}

// prepare sets the headers that every signature has, and returns its time.
func (s *Signer) prepare(r *http.Request) time.Time {
	at := s.now()
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", at.Format(timeFormat))
	if s.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", s.SessionToken)
	}
	return at
}

func (s *Signer) authorize(r *http.Request, at time.Time, signed []string, payloadHash string) {
	slices.Sort(signed)
	sc := s.scope(at)
	value := func(name string) string { return headerValue(r, name) }
	sig := signature(s.SecretAccessKey, sc, at.Format(timeFormat),
		canonicalRequest(r, signed, value, payloadHash))
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		algorithm, s.AccessKeyID, sc, strings.Join(signed, ";"), sig))
}

// Presign returns the URL of a request in the query form, valid for a given time (at most seven
// days, in whole seconds). It signs only the header Host; body is the request's body, nil for none.
// It does not change the request.
func (s *Signer) Presign(r *http.Request, body []byte, expires time.Duration) (*url.URL, error) {
	seconds := int64(expires / time.Second)
	if seconds < 1 || seconds > maxExpires {
		return nil, fmt.Errorf("presign: %v is not between a second and seven days", expires)
	}
	at := s.now()
	sc := s.scope(at)
	signed := *r
	signed.URL = new(*r.URL)
	query := []string{
		"X-Amz-Algorithm=" + algorithm,
		"X-Amz-Credential=" + encode(s.AccessKeyID+"/"+sc.String()),
		"X-Amz-Date=" + at.Format(timeFormat),
		"X-Amz-Expires=" + strconv.FormatInt(seconds, 10),
		"X-Amz-SignedHeaders=host",
	}
	if s.SessionToken != "" {
		query = append(query, "X-Amz-Security-Token="+encode(s.SessionToken))
	}
	if r.URL.RawQuery != "" {
		query = append([]string{r.URL.RawQuery}, query...)
	}
	signed.URL.RawQuery = strings.Join(query, "&")
	value := func(name string) string { return headerValue(&signed, name) }
	sig := signature(s.SecretAccessKey, sc, at.Format(timeFormat),
		canonicalRequest(&signed, []string{"host"}, value, hashHex(body)))
	signed.URL.RawQuery += "&X-Amz-Signature=" + sig
	return signed.URL, nil
}
