package server

import (
	"net/http/httptest"
	"testing"

	"weir/internal/access"
	"weir/internal/api"
)

// A stranger has one place in the table, whatever stream it names and whichever address of its
// network it uses, so that it cannot push out producers. Callers with a key have a place for each
// stream.
func TestPenaltyOfStrangersIsOne(t *testing.T) {
	t.Parallel()
	of := func(remote, key, stream string) penaltyKey {
		r := httptest.NewRequest("POST", "/putMedia", nil)
		r.RemoteAddr = remote
		r.Header.Set(api.HeaderStreamName, stream)
		req := &request{Request: r, operation: opPutMedia}
		if key != "" {
			req.principal = &access.Principal{AccessKeyID: key}
		}
		return new(Server).penaltyOf(req, &route{path: "/putMedia"})
	}
	if a, b := of("[2001:db8::1]:1", "", "cam1"), of("[2001:db8::2:3:4:5]:2", "", "cam2"); a != b {
		t.Errorf("%+v and %+v of one stranger", a, b)
	}
	stranger := of("192.0.2.1:1", "", "cam1")
	for _, other := range []penaltyKey{
		of("192.0.2.2:1", "", "cam1"), of("[2001:db8:0:1::1]:1", "", "cam1"),
		of("192.0.2.1:1", "AKID", "cam1"),
	} {
		if other == stranger {
			t.Errorf("%+v of two clients", other)
		}
	}
	if of("192.0.2.1:1", "AKID", "cam1") == of("192.0.2.1:1", "AKID", "cam2") {
		t.Error("one place for two cameras")
	}
}
