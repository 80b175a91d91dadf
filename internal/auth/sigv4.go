package auth

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Service is the service name in the scope of every Kinesis Video Streams signature.
const Service = "kinesisvideo"

const (
	maxSkew    = 5 * time.Minute // either way, as AWS has it
	maxExpires = 7 * 24 * 60 * 60
	// bytes of the Authorization header or of the query; real ones are below 2 KiB
	maxAuthorization = 16 << 10
	maxSignedHeaders = 100
)

// Keys finds the secret and the holder (P) of an access key.
type Keys[P any] interface {
	// Find returns the secret of an access key that is used with a session token, "" for none, and
	// its holder. The error is an *Error: the key does not exist, or the token is wrong or has
	// expired.
	Find(accessKeyID, sessionToken string) (secret string, holder P, err error)
}

// Verifier checks signatures. It is safe for concurrent use.
type Verifier[P any] struct {
	Keys         Keys[P]
	Service      string // the scope's service; "" means Service
	Region       string // the server's region, for StrictRegion
	StrictRegion bool   // refuse scopes of another region
	// headers, in lower case, that must be signed if a request has them
	MustSign []string
	Clock    func() time.Time // nil means time.Now
	// Hosts are values of Host that clients may have signed although a proxy has replaced it: those
	// in the URL that clients use. They must be names of this server only, or somebody could send
	// it a request that was meant for another one.
	Hosts []string
}

// Identity is who signed a request.
type Identity[P any] struct {
	AccessKeyID string
	Region      string    // of the credential scope, as the client gave it
	SignedAt    time.Time // as the client gave it
	Presigned   bool      // in the query form
	Holder      P         // as Keys has it
}

// claim is a parsed signature, of either form.
type claim struct {
	accessKeyID string
	scope       scope
	terminator  string
	at          time.Time
	expires     time.Duration // query form; 0 for the header form
	signed      []string      // lower-case
	signature   string
	token       string
}

const mismatch = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access " +
	"Key and signing method. Consult the service documentation for details."

func incomplete(format string, args ...any) *Error {
	return &Error{IncompleteSignature, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Error {
	return &Error{InvalidSignature, fmt.Sprintf(format, args...)}
}

// Verify checks the signature of a request from net/http's server. body is the whole body of a JSON
// call; nil means a body that is still to come (PutMedia), which the signature does not cover. The
// error is an *Error.
func (v *Verifier[P]) Verify(r *http.Request, body []byte) (Identity[P], error) {
	h, err := v.VerifyHead(r)
	if err != nil {
		return Identity[P]{}, err
	}
	return h.Verify(body)
}

// Head is a signature of which all but the signature itself was checked.
type Head[P any] struct {
	v      *Verifier[P]
	r      *http.Request
	claim  *claim
	secret string // that would prove the claim
	holder P
}

// VerifyHead checks all of a signature that can be checked without the body: its form, key, session
// token, scope, time and signed headers. The signature may still be wrong, which Head.Verify finds
// out. The error is an *Error.
func (v *Verifier[P]) VerifyHead(r *http.Request) (*Head[P], error) {
	c, err := parseClaim(r)
	if err != nil {
		return nil, err
	}
	secret, holder, err := v.Keys.Find(c.accessKeyID, c.token)
	if err != nil {
		return nil, err
	}
	if err := v.checkClaim(r, c); err != nil {
		return nil, err
	}
	return &Head[P]{v, r, c, secret, holder}, nil
}

// Verify checks the signature itself. body is as in Verifier.Verify, and the error is an *Error.
func (h *Head[P]) Verify(body []byte) (Identity[P], error) {
	r, c := h.r, h.claim
	hashes, err := payloadHashes(r, body)
	if err != nil {
		return Identity[P]{}, err
	}
	if !slices.ContainsFunc(h.v.hosts(r), func(host string) bool {
		return c.matches(r, host, h.secret, hashes)
	}) {
		return Identity[P]{}, &Error{InvalidSignature, mismatch + c.explain(r, h.secret, hashes)}
	}
	return Identity[P]{AccessKeyID: c.accessKeyID, Region: c.scope.region, SignedAt: c.at,
		Presigned: c.expires > 0, Holder: h.holder}, nil
}

// checkClaim checks scope, time and signed headers.
func (v *Verifier[P]) checkClaim(r *http.Request, c *claim) error {
	if err := v.checkScope(c); err != nil {
		return err
	}
	if err := v.checkTime(c); err != nil {
		return err
	}
	for _, name := range v.MustSign {
		if len(r.Header.Values(name)) > 0 && !slices.Contains(c.signed, name) {
			return invalid("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

func (v *Verifier[P]) checkScope(c *claim) error {
	service := cmp.Or(v.Service, Service)
	switch {
	case c.terminator != terminator:
		return invalid("Credential should be scoped with a valid terminator: '%s', not '%s'.",
			terminator, c.terminator)
	case c.scope.service != service:
		return invalid("Credential should be scoped to correct service: '%s'.", service)
	case c.scope.region == "" || v.StrictRegion && c.scope.region != v.Region:
		return invalid("Credential should be scoped to a valid region, not '%s'.", c.scope.region)
	case c.scope.date != c.at.Format(dateFormat):
		return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version "+
			"of date from HTTP: '%s' != '%s', from '%s'.",
			c.scope.date, c.at.Format(dateFormat), c.at.Format(timeFormat))
	case !slices.Contains(c.signed, "host"):
		return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}

func (v *Verifier[P]) checkTime(c *claim) error {
	clock := v.Clock
	if clock == nil {
		clock = time.Now
	}
	now := clock().UTC()
	life, lifeText := maxSkew, "5 min."
	if c.expires > 0 {
		life, lifeText = c.expires, strconv.Itoa(int(c.expires/time.Second))+" sec."
	}
	if oldest := now.Add(-life); c.at.Before(oldest.Truncate(time.Second)) {
		return invalid("Signature expired: %s is now earlier than %s (%s - %s)",
			c.at.Format(timeFormat), oldest.Format(timeFormat), now.Format(timeFormat), lifeText)
	}
	if latest := now.Add(maxSkew); c.at.After(latest) {
		return invalid("Signature not yet current: %s is still later than %s (%s + 5 min.)",
			c.at.Format(timeFormat), latest.Format(timeFormat), now.Format(timeFormat))
	}
	return nil
}

// payloadHashes lists what the client may have signed as the payload's hash.
func payloadHashes(r *http.Request, body []byte) ([]string, error) {
	declared := fold(r.Header.Get("X-Amz-Content-Sha256"))
	if body == nil {
		// The hash of a body that nobody has seen yet cannot be checked.
		if declared != "" && declared != unsignedPayload &&
			!strings.EqualFold(declared, emptyHash) {
			return nil, invalid(
				"The value of 'x-amz-content-sha256' must be %s for a streamed body, not '%.64s'.",
				unsignedPayload, declared)
		}
		return []string{emptyHash, unsignedPayload}, nil
	}
	hash := hashHex(body)
	switch {
	case declared == "" || strings.EqualFold(declared, hash):
		return []string{hash}, nil
	case declared == unsignedPayload:
		return []string{unsignedPayload}, nil
	}
	return nil, invalid(
		"The provided 'x-amz-content-sha256' header does not match what was computed.")
}

// hosts lists the possible values of Host in a signature, first the one that was received.
func (v *Verifier[P]) hosts(r *http.Request) []string {
	return append([]string{headerValue(r, "host")}, v.Hosts...)
}

// hostPattern matches what an answer may repeat of a Host: a name or an address, with or without a
// port.
var hostPattern = regexp.MustCompile(
	`\A[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?\z|\A\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?\z`)

// explain says how a proxy may be the reason that a signature does not match: by the Host that
// arrived. If the proxy says which Host came to it, and the signature matches that one, nothing
// else is wrong. The request is still refused, because anybody can say so.
func (c *claim) explain(r *http.Request, secret string, hashes []string) string {
	host, before := headerValue(r, "host"), headerValue(r, "x-forwarded-host")
	if !hostPattern.MatchString(host) {
		return ""
	}
	if hostPattern.MatchString(before) && c.matches(r, before, secret, hashes) {
		return fmt.Sprintf(" The key is right: the request was signed for the Host '%s', and a "+
			"proxy has changed that to '%s'. "+
			"Let the proxy pass Host on, or name the signed one in the server's advertised URL.",
			before, host)
	}
	return fmt.Sprintf(
		" The request arrived with the Host '%s'; if another was signed, a proxy has changed it.",
		host)
}

// matches computes the signature of each form that the client may have signed, and compares in
// constant time.
func (c *claim) matches(r *http.Request, host, secret string, hashes []string) bool {
	received := func(name string) string {
		if name == "host" {
			return host
		}
		return headerValue(r, name)
	}
	forms := []func(string) string{received}
	if slices.Contains(c.signed, "connection") || slices.Contains(c.signed, "transfer-encoding") {
		forms = append(forms, func(name string) string {
			switch name {
			case "connection":
				return "keep-alive"
			case "transfer-encoding":
				return "chunked"
			}
			return received(name)
		})
	}
	at := c.at.Format(timeFormat)
	for _, value := range forms {
		for _, hash := range hashes {
			want := signature(secret, c.scope, at, canonicalRequest(r, c.signed, value, hash))
			if subtle.ConstantTimeCompare([]byte(want), []byte(c.signature)) == 1 {
				return true
			}
		}
	}
	return false
}

// parseClaim finds the signature of a request. The header form takes precedence, and then covers
// the query.
func parseClaim(r *http.Request) (*claim, error) {
	if h := r.Header.Values("Authorization"); len(h) > 0 {
		return parseHeader(r, h)
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-") {
		return parseQuery(r)
	}
	return nil, &Error{MissingAuthenticationToken, "Missing Authentication Token"}
}

func parseHeader(r *http.Request, values []string) (*claim, error) {
	if len(values) > 1 {
		return nil, incomplete("The Authorization header is given more than once.")
	}
	if len(values[0]) > maxAuthorization {
		return nil, incomplete("The Authorization header is too long.")
	}
	name, rest, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if name != algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm': '%.24s'.", name) // or a token
	}
	fields := map[string]string{}
	for _, f := range strings.FieldsFunc(rest, func(c rune) bool {
		return c == ',' || c == ' ' || c == '\t'
	}) {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			return nil, incomplete(
				"'%.64s' not a valid key=value pair (missing equal-sign) in Authorization header.",
				f)
		}
		if _, twice := fields[k]; twice {
			return nil, incomplete("Authorization header has '%.64s' more than once.", k)
		}
		fields[k] = v
	}
	var missing []string
	for _, k := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[k] == "" {
			missing = append(missing, "Authorization header requires '"+k+"' parameter.")
		}
	}
	at, ok := requestTime(r)
	if !ok {
		missing = append(missing,
			"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if missing != nil {
		return nil, incomplete("%s", strings.Join(missing, " "))
	}
	c := &claim{at: at, signature: fields["Signature"],
		token: fold(r.Header.Get("X-Amz-Security-Token"))}
	return c, c.fill(fields["Credential"], fields["SignedHeaders"])
}

// requestTime returns the time of a request in the header form, to the second, in UTC.
func requestTime(r *http.Request) (time.Time, bool) {
	for _, name := range []string{"X-Amz-Date", "Date"} {
		text := fold(r.Header.Get(name))
		if text == "" {
			continue
		}
		t, err := time.Parse(timeFormat, text)
		if err != nil && name == "Date" {
			t, err = http.ParseTime(text)
		}
		return t.UTC(), err == nil
	}
	return time.Time{}, false
}

func parseQuery(r *http.Request) (*claim, error) {
	if len(r.URL.RawQuery) > maxAuthorization {
		return nil, incomplete("The query is too long.")
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		k, v, _ := strings.Cut(part, "=")
		k = decode(k)
		if !strings.HasPrefix(k, "X-Amz-") {
			continue
		}
		if _, twice := fields[k]; twice {
			return nil, incomplete("The query has '%.64s' more than once.", k)
		}
		fields[k] = decode(v)
	}
	var missing []string
	for _, k := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
		"X-Amz-Signature", "X-Amz-SignedHeaders"} {
		if fields[k] == "" {
			missing = append(missing, "AWS query-string parameters must include '"+k+"'.")
		}
	}
	if len(missing) == 6 {
		return nil, &Error{MissingAuthenticationToken, "Missing Authentication Token"}
	}
	if missing != nil {
		return nil, incomplete("%s Re-examine the query-string parameters.",
			strings.Join(missing, " "))
	}
	if a := fields["X-Amz-Algorithm"]; a != algorithm {
		return nil, incomplete("Unsupported AWS 'algorithm': '%.64s'.", a)
	}
	at, err := time.Parse(timeFormat, fields["X-Amz-Date"])
	if err != nil {
		return nil, incomplete("Date must be in ISO-8601 'basic format'. Got '%.64s'. See "+
			"http://en.wikipedia.org/wiki/ISO_8601", fields["X-Amz-Date"])
	}
	expires, err := strconv.Atoi(fields["X-Amz-Expires"])
	if err != nil || expires < 1 || expires > maxExpires {
		return nil, incomplete("X-Amz-Expires must be a number of seconds between 1 and %d.",
			maxExpires)
	}
	c := &claim{at: at, expires: time.Duration(expires) * time.Second,
		signature: fields["X-Amz-Signature"],
		token:     fields["X-Amz-Security-Token"]}
	if c.token == "" {
		c.token = fold(r.Header.Get("X-Amz-Security-Token"))
	}
	return c, c.fill(fields["X-Amz-Credential"], fields["X-Amz-SignedHeaders"])
}

// longestID is the length of the longest access key ID that is repeated to anybody. IDs of AWS and
// Weir have 20 characters, secrets 40.
const longestID = 32

// ClaimedKey returns the access key ID that a request claims to be signed with, for logs; "": none.
// Nobody has verified it.
func ClaimedKey(r *http.Request) string {
	_, credential, signed := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !signed && strings.Contains(r.URL.RawQuery, "X-Amz-Credential=") {
		credential = r.URL.Query().Get("X-Amz-Credential")
	}
	credential, _, _ = strings.Cut(credential, ",")
	if !strings.Contains(credential, "/") {
		return ""
	}
	id, _ := splitCredential(credential)
	return id
}

// splitCredential splits a credential (ID/DATE/REGION/SERVICE/aws4_request) into an access key ID
// that may be repeated, and the rest. Some people put the secret in the ID's place, which may have
// slashes; so only the beginning is returned of what is longer than an ID.
func splitCredential(credential string) (id, rest string) {
	at := len(credential)
	for range 4 {
		if i := strings.LastIndexByte(credential[:at], '/'); i >= 0 {
			at = i
		}
	}
	id, rest = credential[:at], credential[at:]
	if len(id) > longestID {
		id = id[:4] + "…"
	}
	return id, rest
}

// fill parses the credential and the list of signed headers.
func (c *claim) fill(credential, signedHeaders string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[0] == "" {
		id, rest := splitCredential(credential)
		return incomplete("Credential must have exactly 5 slash-delimited elements, e.g. "+
			"keyid/date/region/service/term, got '%.128s'", id+rest)
	}
	c.accessKeyID = parts[0]
	c.scope = scope{date: parts[1], region: parts[2], service: parts[3]}
	c.terminator = parts[4]
	c.signed = strings.Split(strings.ToLower(signedHeaders), ";")
	if len(c.signed) > maxSignedHeaders {
		return incomplete("SignedHeaders lists more than %d headers.", maxSignedHeaders)
	}
	// One long header that is listed again and again would make verifying expensive.
	if names := slices.Sorted(slices.Values(c.signed)); len(slices.Compact(names)) < len(names) {
		return incomplete("SignedHeaders lists a header more than once.")
	}
	return nil
}
