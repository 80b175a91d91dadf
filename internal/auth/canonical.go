package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	algorithm       = "AWS4-HMAC-SHA256"
	terminator      = "aws4_request"
	timeFormat      = "20060102T150405Z"
	dateFormat      = "20060102"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	// SHA-256 of no bytes
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

func hashHex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// scope is the credential scope: what a signing key is valid for.
type scope struct {
	date, region, service string
}

func (s scope) String() string {
	return s.date + "/" + s.region + "/" + s.service + "/" + terminator
}

// signingKey derives the key of a scope.
func signingKey(secret string, s scope) []byte {
	key := hmacSHA256([]byte("AWS4"+secret), s.date)
	key = hmacSHA256(key, s.region)
	key = hmacSHA256(key, s.service)
	return hmacSHA256(key, terminator)
}

// signature returns the hexadecimal signature of a canonical request made at a time written in
// timeFormat.
func signature(secret string, s scope, at, canonical string) string {
	toSign := algorithm + "\n" + at + "\n" + s.String() + "\n" + hashHex([]byte(canonical))
	return hex.EncodeToString(hmacSHA256(signingKey(secret, s), toSign))
}

// canonicalRequest puts a request into the one form that both sides sign. signed are header names
// in lower case; value returns the values of each.
func canonicalRequest(r *http.Request, signed []string, value func(name string) string,
	payloadHash string) string {
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	b.WriteString(canonicalPath(r.URL.EscapedPath()))
	b.WriteByte('\n')
	b.WriteString(canonicalQuery(r.URL.RawQuery))
	b.WriteByte('\n')
	for _, name := range signed {
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(value(name))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(signed, ";"))
	b.WriteByte('\n')
	b.WriteString(payloadHash)
	return b.String()
}

// canonicalPath removes empty and dot segments (RFC 3986 section 6) and encodes the path, as it is
// on the wire, once more, like every service except S3.
func canonicalPath(wire string) string {
	var out []string
	segments := strings.Split(wire, "/")
	for _, s := range segments {
		switch s {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, encode(s))
		}
	}
	path := "/" + strings.Join(out, "/")
	if last := segments[len(segments)-1]; len(out) > 0 &&
		(last == "" || last == "." || last == "..") {
		path += "/"
	}
	return path
}

// canonicalQuery decodes the parameters, encodes them in the one allowed way and sorts them,
// without the signature itself.
func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	type pair struct{ key, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		p := pair{encode(decode(k)), encode(decode(v))}
		if p.key == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.key)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

// encode is AWS's UriEncode: everything but the unreserved characters of RFC 3986 becomes %XX.
func encode(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' ||
			c == '.' || c == '_' || c == '~' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// decode reverses the percent encoding and '+' of a query; a '%' without two digits stands for
// itself.
func decode(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b = append(b, ' ')
		case s[i] == '%' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				b = append(b, '%')
				continue
			}
			b = append(b, byte(n))
			i += 2
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// fold trims a header value and replaces each run of blanks inside with one space.
func fold(s string) string {
	s = strings.Trim(s, " \t")
	if !strings.Contains(s, "  ") && !strings.Contains(s, "\t") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r == ' ' || r == '\t'
	}), " ")
}

// headerValue returns the value of a header as signed, including headers that net/http keeps
// outside of the header map. The request is one that net/http's server has received, or that its
// client is about to send.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		if r.Host != "" {
			return fold(r.Host)
		}
		return fold(r.URL.Host)
	case "transfer-encoding":
		if v := r.Header.Values(name); len(v) > 0 {
			break
		}
		return strings.Join(r.TransferEncoding, ",")
	case "content-length":
		if v := r.Header.Values(name); len(v) > 0 {
			break
		}
		if r.ContentLength >= 0 {
			return strconv.FormatInt(r.ContentLength, 10)
		}
	}
	values := r.Header.Values(name)
	if len(values) == 1 {
		return fold(values[0])
	}
	folded := make([]string, len(values))
	for i, v := range values {
		folded[i] = fold(v)
	}
	return strings.Join(folded, ",")
}
