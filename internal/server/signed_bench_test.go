package server

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// BenchmarkSignedCall is a whole call of the API, from the request to the answer, without a
// network: what a signature, a principal and a decision cost beside the rest.
func BenchmarkSignedCall(b *testing.B) {
	x := newBench(b)
	x.now = time.Now()
	srv := x.process()
	const body = `{"StreamName":"camera"}`
	signed := httptest.NewRequest("POST", "http://weir.example/describeStream", nil)
	x.signer.Sign(signed, []byte(body))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "http://weir.example/describeStream",
			strings.NewReader(body))
		r.Header = signed.Header
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
}
