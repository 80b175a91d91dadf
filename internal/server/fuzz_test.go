package server

import (
	"net/http/httptest"
	"strings"
	"testing"

	"weir/internal/api"
	"weir/internal/negotiate"
)

// Whatever strangers write into paths, ranges, tokens and lists of headers, there is an answer.
func FuzzRequestParts(f *testing.F) {
	f.Add("/putMedia", "bytes=0-", "YWZ0ZXIvY2FtMQ==", "authorization,x-amz-date", "gzip;q=0.5")
	f.Add("//hls/../PutMedia/", "bytes=-5", "", "a\"b", ",;gzip")
	f.Add("/hls/v1/x", "bytes=1", "", "", "")
	f.Add("", "bytes=18446744073709551615-", "====", ",,,", "gzip;q=")
	s, err := New(Options{Region: "us-west-2", Account: "000000000000"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, span, token, headers, accept string) {
		r := httptest.NewRequest("POST", "/", nil)
		r.URL.Path = path
		if rt, _ := s.main.routes.find(r); rt != nil && rt.path != path && rt.path != playerFiles &&
			!(rt.needs == signed && strings.EqualFold(rt.path, path)) &&
			!(rt.operation == opPutMedia &&
				strings.EqualFold(rt.path, "/"+strings.TrimLeft(path, "/"))) {
			t.Errorf("%q is routed to %s", path, rt.path)
		}
		const total = 1000
		if from, length, ok, satisfiable := parseRange(span, total); ok && satisfiable &&
			(from < 0 || length <= 0 || from+length > total) {
			t.Errorf("%q gives %d bytes from %d", span, length, from)
		}
		if name, err := api.DecodeNextToken(token); err == nil && name != "" {
			again, err := api.DecodeNextToken(api.EncodeNextToken(name))
			if err != nil || again != name {
				t.Errorf("token %q: %q, %v", token, again, err)
			}
		}
		if names, ok := headerNames(headers); ok {
			for _, name := range names {
				if strings.ContainsAny(name, "\r\n ,:") {
					t.Errorf("%q is taken for a header", name)
				}
			}
		}
		negotiate.Gzip(accept)
	})
}
