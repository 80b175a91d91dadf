package server

import (
	"net/http"
	"strings"
)

// A web page of any origin may call everything that a key or a token protects. Nothing here depends
// on cookies or on where a request comes from, so the origin says nothing. AWS excludes PutMedia;
// Weir does not.
const (
	corsMaxAge     = "86400" // seconds; browsers cap it themselves
	corsMaxHeaders = 64      // names in Access-Control-Request-Headers; the AWS SDKs send about ten
	corsMaxLength  = 4096    // bytes of that header
)

var (
	anyOrigin = headerValue{"*"}
	// exposedHeaders are the headers of an answer that scripts may read, besides the safelisted
	// ones.
	exposedHeaders = headerValue{
		"x-amzn-RequestId, x-amzn-ErrorType, x-amz-ErrorType, Content-Length, Content-Range, " +
			"Accept-Ranges, ETag, Date"}
)

// allowOrigin lets pages of any origin read the answer.
func allowOrigin(h http.Header) {
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Access-Control-Expose-Headers"] = exposedHeaders
}

// preflight answers an OPTIONS request for a path with the given methods. Each SDK sends different
// headers (authorization, x-amz-*, amz-sdk-*), so all headers are allowed whose names are valid.
func preflight(w http.ResponseWriter, r *http.Request, methods string) {
	h := w.Header()
	h.Set("Allow", methods)
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Max-Age", corsMaxAge)
	h.Set("Vary", "Access-Control-Request-Headers, Access-Control-Request-Method")
	if names, ok := headerNames(r.Header.Get("Access-Control-Request-Headers")); ok &&
		len(names) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(names, ", "))
	}
	w.WriteHeader(http.StatusNoContent)
}

// headerNames splits a list of header names; ok is false when it is too long or holds something
// else.
func headerNames(list string) (names []string, ok bool) {
	if len(list) > corsMaxLength {
		return nil, false
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToLower(strings.Trim(name, " \t"))
		if name == "" {
			continue
		}
		if strings.ContainsFunc(name, notTokenChar) || len(names) == corsMaxHeaders {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}

// notTokenChar reports whether c is not allowed in a header name (RFC 9110 section 5.6.2), in lower
// case.
func notTokenChar(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
		strings.ContainsRune("!#$%&'*+-.^_`|~", c))
}
