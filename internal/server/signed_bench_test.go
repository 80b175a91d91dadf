package server

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store"
)

// BenchmarkSignedCall measures a whole call of the API, from the request to the answer, without a
// network: what a signature, a principal and a decision add to it.
func BenchmarkSignedCall(b *testing.B) {
	x := newBench(b)
	x.now = time.Now()
	_, err := x.access.PutPolicy(b.Context(), "one-stream", "", []byte(`{"Version":"2012-10-17",
		"Statement":[{"Effect":"Allow","Action":["kinesisvideo:Describe*","kinesisvideo:Get*"],
		"Resource":"arn:aws:kinesisvideo:*:*:stream/${aws:username}/*",
		"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},
		{"Effect":"Deny","Action":"kinesisvideo:Delete*","Resource":"*"}]}`), store.NewDocument)
	fatal(b, err)
	_, pair, err := x.access.CreateUser(b.Context(), "camera", nil, []string{"one-stream"})
	fatal(b, err)
	_, err = x.access.CreateRole(b.Context(), access.RoleInput{Name: "viewers",
		Policies: []string{"viewer"}, Trust: []byte(`{"Version":"2012-10-17","Statement":[{
		"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}]}`)})
	fatal(b, err)
	role, err := x.access.Role("viewers")
	fatal(b, err)
	token := strings.Repeat("token", 200)
	x.access.SetTemporary(oneToken{token: token, Claims: access.Claims{Kind: access.Role,
		AccessKeyID: "ASIAVIEWER", Secret: "s", Name: "viewers", ID: role.ID, SessionName: "bob",
		Expires: x.now.Add(time.Hour)}})
	srv := x.process()
	for name, credentials := range map[string]auth.Credentials{
		"root": x.signer.Credentials,
		"user": {AccessKeyID: pair.AccessKeyID, SecretAccessKey: pair.SecretAccessKey},
		"role": {AccessKeyID: "ASIAVIEWER", SecretAccessKey: "s", SessionToken: token},
	} {
		b.Run(name, func(b *testing.B) {
			const body = `{"StreamName":"camera"}`
			signer := x.signer
			signer.Credentials = credentials
			signed := httptest.NewRequest("POST", "http://weir.example/describeStream", nil)
			signer.Sign(signed, []byte(body))
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
		})
	}
}
