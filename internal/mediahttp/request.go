package mediahttp

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// What a byte may be part of.
const (
	ofPath  = 1 << iota // of a target, where it stands for itself: letters, digits, some marks
	ofQuery             // of a target: printable ASCII but space
	ofName              // the name of a field: letters, digits, hyphens
	ofValue             // the value of a field: printable ASCII
	ofHost              // the value of Host: names and addresses with their port
)

var classes = func() (c [256]uint8) {
	for b := range c {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-':
			c[b] = ofPath | ofQuery | ofName | ofValue | ofHost
		case b == '.', b == '_':
			c[b] = ofPath | ofQuery | ofValue | ofHost
		case b == '/', b == '~':
			c[b] = ofPath | ofQuery | ofValue
		case b == ':', b == '[', b == ']':
			c[b] = ofQuery | ofValue | ofHost
		case b > ' ' && b < 0x7f:
			c[b] = ofQuery | ofValue
		case b == ' ':
			c[b] = ofValue
		}
	}
	return c
}()

// all reports whether there is something and every byte of it is of the class.
func all(text string, class uint8) bool {
	for i := range len(text) {
		if classes[text[i]]&class == 0 {
			return false
		}
	}
	return text != ""
}

// request is what a connection reads its requests into, one after the other.
type request struct {
	http.Request
	url    url.URL
	fields http.Header
	values []string // of the fields, each of which has a piece of it
}

// keptFields is how many fields a connection has room for while it waits for its next request; browsers send some fifteen.
const keptFields = 32

// forget lets go of a request that was answered.
func (r *request) forget() {
	if len(r.values) > keptFields {
		r.fields, r.values = nil, nil
	}
	clear(r.fields)
	clear(r.values)
	r.Request, r.url, r.values = http.Request{}, url.URL{}, r.values[:0]
}

// parse reads a head, the empty line at its end included. It knows what all the world sends, spelt as all the world spells it, and
// reads it as http.ReadRequest does; anything else is not ok.
func (r *request) parse(head, remote string) (ok bool) {
	if r.fields == nil {
		r.fields = make(http.Header)
	}
	r.Request = http.Request{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, URL: &r.url, Header: r.fields, Body: http.NoBody, RemoteAddr: remote,
	}
	line, fields, _ := strings.Cut(head, "\r\n")
	if !r.parseLine(line) {
		return false
	}
	for fields != "\r\n" {
		if line, fields, ok = strings.Cut(fields, "\r\n"); !ok || !r.parseField(line) {
			return false
		}
	}
	return r.Host != ""
}

// parseLine reads a request line (RFC 9112 section 3).
func (r *request) parseLine(line string) (ok bool) {
	r.Method, line, _ = strings.Cut(line, " ")
	if r.RequestURI, ok = strings.CutSuffix(line, " HTTP/1.1"); !ok {
		return false
	}
	path, query, asks := strings.Cut(r.RequestURI, "?")
	r.url = url.URL{Path: path, RawQuery: query}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && all(path, ofPath) && (all(query, ofQuery) || !asks)
}

// parseField reads a field line (RFC 9112 section 5). Those of a request that has a body, or wants more than an answer, are not ok.
func (r *request) parseField(line string) (ok bool) {
	name, value, colon := strings.Cut(line, ":")
	value = strings.Trim(value, " ")
	if !colon || !all(name, ofName) || value != "" && !all(value, ofValue) {
		return false
	}
	switch name = textproto.CanonicalMIMEHeaderKey(name); name {
	case "Host":
		ok = r.Host == "" && all(value, ofHost)
		r.Host = value
		return ok
	case "Connection":
		switch {
		case strings.EqualFold(value, "close"):
			r.Close = true
		case !strings.EqualFold(value, "keep-alive"):
			return false
		}
	case "Content-Length", "Transfer-Encoding", "Trailer", "Expect", "Upgrade", "Pragma":
		return false
	}
	n := len(r.values)
	r.values = append(r.values, value)
	if more := r.Header[name]; more != nil {
		r.Header[name] = append(more, value)
	} else {
		r.Header[name] = r.values[n : n+1 : n+1]
	}
	return true
}
