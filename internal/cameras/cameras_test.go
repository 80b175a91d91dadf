package cameras

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/memory"
)

var start = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// site is a service over TLS with the test's clock. Its tokens are indexes of claims.
type site struct {
	*testing.T
	*Service
	access  *access.Registry
	store   store.Documents
	dir     string
	address string
	log     bytes.Buffer

	mu     sync.Mutex
	time   time.Time
	claims []access.Claims
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.time
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.time = s.time.Add(d)
}

func (s *site) mint(_ context.Context, c access.Claims) (auth.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.AccessKeyID = fmt.Sprintf("ASIA%016d", len(s.claims))
	c.Secret = strings.Repeat("s", 40)
	s.claims = append(s.claims, c)
	return auth.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.Secret,
		SessionToken: fmt.Sprintf("token-%d", len(s.claims)-1)}, nil
}

// Open implements access.Temporary.
func (s *site) Open(token string, _ time.Time) (access.Claims, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int
	if _, err := fmt.Sscanf(token, "token-%d", &n); err != nil || n >= len(s.claims) {
		return access.Claims{}, &auth.Error{Code: auth.UnrecognizedClient}
	}
	return s.claims[n], nil
}

func newSite(t *testing.T, change ...func(*Options)) *site {
	t.Helper()
	s := &site{T: t, dir: t.TempDir(), store: memory.New(time.Now), time: start}
	s.open(change...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	config, err := s.TLS(t.Context(), []string{"localhost", "weir.example"})
	s.must(err)
	server := &http.Server{Handler: s.Service, TLSConfig: config,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	s.address = listener.Addr().String()
	return s
}

// open starts the server.
func (s *site) open(change ...func(*Options)) {
	s.Helper()
	keys, err := auth.LoadOrCreateKeys(filepath.Join(s.dir, "credentials"))
	s.must(err)
	s.access, err = access.Open(s.Context(), access.Options{Store: s.store, Keys: keys,
		KeyFile: filepath.Join(s.dir, "access.key"), Account: "000000000000", Clock: s.clock})
	s.must(err)
	s.access.SetTemporary(s)
	o := Options{Access: s.access, Mint: s.mint, Clock: s.clock,
		Logger: slog.New(slog.NewTextHandler(&s.log, nil))}
	for _, f := range change {
		f(&o)
	}
	s.Service = New(o)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (s *site) request(name string, key crypto.Signer) []byte {
	s.Helper()
	r, err := NewRequest(name, key)
	s.must(err)
	return r
}

// device is what a camera has.
type device struct {
	*site
	name        string
	key         crypto.Signer
	certificate tls.Certificate
	ca          *x509.CertPool
	issued      Issued
}

func (s *site) device(name string, key crypto.Signer, issued Issued) *device {
	s.Helper()
	block, err := x509.ParseCertificate(decodePEM(s.T, issued.Certificate))
	s.must(err)
	ca := x509.NewCertPool()
	if !ca.AppendCertsFromPEM(issued.CA) {
		s.Fatal("there is no certificate in the CA file")
	}
	return &device{s, name, key, tls.Certificate{Certificate: [][]byte{block.Raw},
		PrivateKey: key}, ca, issued}
}

func (s *site) add(name string, change ...func(*AddInput)) *device {
	s.Helper()
	key := newKey(s.T)
	in := AddInput{Name: name, Request: s.request(name, key)}
	for _, f := range change {
		f(&in)
	}
	issued, err := s.Add(s.Context(), in)
	s.must(err)
	return s.device(name, key, issued)
}

// get sends a request as it is on the wire, and returns the answer.
func (d *device) get(request string, change ...func(*tls.Config)) string {
	d.Helper()
	config := &tls.Config{RootCAs: d.ca, ServerName: "weir.example",
		// Whatever authorities the server names, as OpenSSL does.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &d.certificate, nil
		},
		Time: func() time.Time { // not the server's clock, which the test sets back
			if now := d.clock(); now.After(start) {
				return now
			}
			return start
		}}
	for _, f := range change {
		f(config)
	}
	conn, err := tls.Dial("tcp", d.address, config)
	d.must(err)
	defer conn.Close()
	d.must(conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, request)
	d.must(err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	d.must(err)
	body, err := io.ReadAll(res.Body)
	d.must(err)
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

// libcurl is the request of PROD-C: that of libcurl, with the one header that
// IotCredentialProvider.c adds. It speaks HTTP/1.1, to an address with a port.
func libcurl(alias, thing string) string {
	return "GET /role-aliases/" + alias + "/credentials HTTP/1.1\r\nHost: weir.example:8443\r\n" +
		"Accept: */*\r\nx-amzn-iot-thingname: " + thing + "\r\n\r\n"
}

// refused checks for a status, and a message in the form of AWS IoT with these words.
func (d *device) refused(request string, status int, words string) {
	d.Helper()
	answer := d.get(request)
	code, body, _ := strings.Cut(answer, " ")
	var message map[string]string
	d.must(json.Unmarshal([]byte(body), &message))
	if code != fmt.Sprint(status) || len(message) != 1 ||
		!strings.Contains(message["message"], words) {
		d.Errorf("got %s, want %d and %q", answer, status, words)
	}
}

// works checks for credentials, and returns their principal.
func (d *device) works(request string) *access.Principal {
	d.Helper()
	code, body, _ := strings.Cut(d.get(request), " ")
	var got struct{ Credentials credentials }
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != "200" {
		d.Fatalf("got %s %s, %v", code, body, err)
	}
	_, p, err := d.access.Find(got.Credentials.AccessKeyID, got.Credentials.SessionToken)
	d.must(err)
	return p
}

func (d *device) may(p *access.Principal, action, stream string, want bool) {
	d.Helper()
	if got := d.access.Decide(p, "kinesisvideo:"+action, "arn:aws:kinesisvideo:us-west-2:"+
		"000000000000:stream/"+stream+"/1795000000000", nil).Allowed; got != want {
		d.Errorf("%s of %s by %s: %v", action, stream, p.ARN, got)
	}
}

// A camera gets credentials in the exact form that the producers' libraries parse, and may use them
// for its own stream.
func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cam := s.add("cam1")
	embedded := "GET /role-aliases/camera/credentials HTTP/1.1\r\naccept: */*\r\n" +
		"host: weir.example\r\nx-amzn-iot-thingname: cam1\r\n\r\n" // EMB iot_credential_provider.c
	silent := "GET /role-aliases/camera/credentials HTTP/1.1\r\nHost: weir.example\r\n\r\n"
	for i, request := range []string{libcurl("camera", "cam1"), embedded, silent} {
		want := fmt.Sprintf(`200 {"credentials":{"accessKeyId":"ASIA%016d",`+
			`"secretAccessKey":"ssssssssssssssssssssssssssssssssssssssss",`+
			`"sessionToken":"token-%d","expiration":"2026-11-29T13:00:00Z"}}`, i, i)
		if got := cam.get(request); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	p := cam.works(libcurl("camera", "cam1"))
	if p.Kind != access.Camera || p.Thing != "cam1" ||
		p.ARN != "arn:aws:sts::000000000000:assumed-role/camera/cam1" {
		t.Errorf("%+v", p)
	}
	cam.may(p, "PutMedia", "cam1", true)
	cam.may(p, "CreateStream", "cam1", true)
	cam.may(p, "PutMedia", "cam2", false)
	cam.may(p, "PutMedia", "cam11", false)
	cam.may(p, "GetMedia", "cam1", false)

	cam.refused(libcurl("camera", "cam2"), 403, "is of cam1, not of cam2")
	cam.refused(libcurl("nothing", "cam1"), 404, "no role alias nothing")
	for _, path := range []string{"/role-aliases/camera", "/role-aliases//credentials",
		"/role-aliases/camera/credentials/", "/role-aliases/a/b/credentials"} {
		cam.refused("GET "+path+" HTTP/1.1\r\nHost: weir.example\r\n\r\n", 404, "Not found")
	}
}

// Without a certificate that is valid now and has the right content, a client is refused and told
// why.
func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cam := s.add("cam1")
	other := newSite(t).add("cam1")
	get := libcurl("camera", "cam1")
	with := func(c tls.Certificate) *device {
		d := *cam
		d.certificate = c
		return &d
	}
	with(tls.Certificate{}).refused(get, 403, "No client certificate")
	with(other.certificate).refused(get, 403, "not of an authority")
	with(selfSigned(t, "cam1", x509.ExtKeyUsageClientAuth)).refused(get, 403, "not of an authority")
	config, err := s.TLS(t.Context(), nil)
	s.must(err)
	own, err := config.GetCertificate(cameTo(nil))
	s.must(err)
	with(*own).refused(get, 403, "not one for clients")
	long := with(cam.certificate)
	for range 8 {
		long.certificate.Certificate = append(long.certificate.Certificate,
			cam.certificate.Certificate[0])
	}
	long.refused(get, 403, "more than 7 others")

	s.must(s.access.DisableCamera(t.Context(), "cam1"))
	cam.refused(get, 403, "is disabled")
	s.must(s.access.EnableCamera(t.Context(), "cam1"))
	cam.works(get)
	if got := strings.Count(s.log.String(), "is disabled"); got != 1 {
		t.Errorf("the log tells it %d times:\n%s", got, &s.log)
	}
	s.must(s.access.DeleteCamera(t.Context(), "cam1"))
	cam.refused(get, 403, "no camera cam1")
	again := s.add("cam1")
	cam.refused(get, 403, "was replaced")
	again.works(get)

	s.pass(-48 * time.Hour)
	again.refused(get, 403, "not valid before 2026-11-28T12:00:00Z")
	s.pass(48*time.Hour + 365*24*time.Hour + time.Second)
	again.refused(get, 403, "expired at 2027-11-29T12:00:00Z")
}

func selfSigned(t *testing.T, name string, usage x509.ExtKeyUsage) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(7),
		Subject: pkix.Name{CommonName: name}, NotBefore: start.Add(-time.Hour),
		NotAfter: start.AddDate(2, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{usage},
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// After a renewal the old certificate is refused, at once or after the overlap, but its credentials
// stay valid. After a revocation they do not.
func TestRenewAndRevoke(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	get := libcurl("camera", "cam1")
	first := s.add("cam1")
	p := first.works(get)
	renew := func(overlap time.Duration) *device {
		t.Helper()
		key := newKey(t)
		issued, err := s.Renew(ctx, "cam1", s.request("cam1", key), 30*24*time.Hour, overlap)
		s.must(err)
		return s.device("cam1", key, issued)
	}
	second := renew(0)
	first.refused(get, 403, "was replaced")
	first.may(p, "PutMedia", "cam1", true)
	third := renew(time.Hour)
	second.works(get)
	third.works(get)
	if list := s.List(); len(list) != 1 || len(list[0].Certificates) != 2 ||
		list[0].Certificates[0].Serial != third.issued.Serial ||
		!list[0].Certificates[0].NotAfter.Equal(start.Add(30*24*time.Hour)) ||
		!list[0].Certificates[1].Until.Equal(start.Add(time.Hour)) {
		t.Errorf("%+v", list)
	}
	s.pass(time.Hour)
	second.refused(get, 403, "was replaced")
	p = third.works(get)
	if _, err := s.Revoke(ctx, "cam1", strings.ToUpper(third.issued.Serial)); err != nil {
		t.Fatal(err)
	}
	third.refused(get, 403, "was revoked")
	third.may(p, "PutMedia", "cam1", false)
	for serial, want := range map[string]error{"17": access.ErrNotFound, "": access.ErrInvalid,
		"x": access.ErrInvalid, strings.Repeat("11", 21): access.ErrInvalid} {
		if _, err := s.Revoke(ctx, "cam1", serial); !errors.Is(err, want) {
			t.Errorf("revoke %q: %v", serial, err)
		}
	}
	for range 5 {
		renew(time.Hour)
	}
	if _, err := s.Renew(ctx, "cam1", s.request("cam1", newKey(t)), 0,
		time.Hour); !errors.Is(err, access.ErrLimit) {
		t.Errorf("a sixth certificate: %v", err)
	}
	renew(0).works(get)
}

// A camera with a certificate of the operator's authority is accepted once it was added, or by its
// certificate alone if so configured, but never with a certificate of the other kind.
func TestClientCA(t *testing.T) {
	t.Parallel()
	ca := selfSigned(t, "Plant 7", x509.ExtKeyUsageAny)
	use := func(o *Options) { o.ClientCAs = []*x509.Certificate{ca.Leaf} }
	s := newSite(t, use)
	own := s.add("cam1")
	signed := func(serial int64, name string, dns ...string) *device {
		t.Helper()
		key := newKey(t)
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: dns,
			NotBefore: start, NotAfter: start.AddDate(1, 0, 0)}
		for name := range strings.SplitSeq(name, "|") {
			template.Subject.ExtraNames = append(template.Subject.ExtraNames,
				pkix.AttributeTypeAndValue{Type: commonName, Value: name})
		}
		der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(),
			ca.PrivateKey)
		s.must(err)
		d := *own
		d.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		return &d
	}
	signed(100, "cam1").refused(libcurl("camera", "cam1"), 403, "own authority only")
	cam2 := signed(0xabc, "Camera two", "cam2", "cam3")
	get := libcurl("camera", "cam2")
	cam2.refused(get, 403, "no camera cam2")
	_, err := s.Add(t.Context(), AddInput{Name: "cam2"})
	s.must(err)
	cam2.may(cam2.works(get), "PutMedia", "cam2", true)
	cam2.refused(libcurl("camera", "cam3"), 403, "no camera cam3")
	cam2.refused(libcurl("camera", "cam1"), 403, "not of cam1")
	_, err = s.Revoke(t.Context(), "cam2", "0A:BC")
	s.must(err)
	cam2.refused(get, 403, "was revoked")
	signed(0xabd, "cam2").works(get)
	signed(102, "no name!").refused(get, 403, "names no thing")
	signed(103, "cam2|another").refused(get, 403, "names no thing")
	signed(104, "another|cam2").refused(get, 403, "names no thing")

	if _, err := New(Options{Access: s.access, Mint: s.mint}).Add(t.Context(),
		AddInput{Name: "cam4"}); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("a camera without any authority: %v", err)
	}
}

// With AcceptUnregistered a certificate is enough. The camera is then listed, and can be disabled.
func TestAcceptUnregistered(t *testing.T) {
	t.Parallel()
	ca := selfSigned(t, "Plant 7", x509.ExtKeyUsageAny)
	s := newSite(t, func(o *Options) {
		o.ClientCAs, o.AcceptUnregistered = []*x509.Certificate{ca.Leaf}, true
	})
	cam := s.add("cam1")
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start,
		Subject: pkix.Name{CommonName: "cam9"}, NotAfter: start.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	s.must(err)
	cam.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	p := cam.works(libcurl("camera", "cam9"))
	cam.may(p, "PutMedia", "cam9", true)
	cam.may(p, "PutMedia", "cam1", false)
	if list := s.List(); len(list) != 2 || list[1].Name != "cam9" || !list[1].External {
		t.Errorf("%+v", list)
	}
	s.must(s.access.DisableCamera(t.Context(), "cam9"))
	cam.refused(libcurl("camera", "cam9"), 403, "is disabled")
}

// A role alias gives the rights of a role if the camera's list and the role's trust policy both
// allow it.
func TestRoleAliases(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, principal := range map[string]string{"viewers": `{"Service":"` + iotService + `"}`,
		"people": `{"AWS":"000000000000"}`, "others": `{"Service":"` + iotService + `"}`} {
		_, err := s.access.CreateRole(t.Context(), access.RoleInput{Name: name,
			Policies: []string{"viewer"}, Trust: []byte(`{"Version":"2012-10-17","Statement":[{
			"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}]}`)})
		s.must(err)
	}
	cam := s.add("cam1", func(in *AddInput) { in.Roles = []string{"viewers", "people"} })
	p := cam.works(libcurl("viewers", "cam1"))
	if p.ARN != "arn:aws:sts::000000000000:assumed-role/viewers/cam1" || p.Thing != "cam1" {
		t.Errorf("%+v", p)
	}
	cam.may(p, "GetMedia", "cam2", true)
	cam.may(p, "PutMedia", "cam1", false)
	cam.refused(libcurl("people", "cam1"), 403, "may not use the role alias people")
	cam.refused(libcurl("others", "cam1"), 403, "may not use the role alias others")
	s.must(s.access.DisableCamera(t.Context(), "cam1"))
	cam.may(p, "GetMedia", "cam2", false)
	if _, err := s.Add(t.Context(), AddInput{Name: "cam2", Roles: []string{"nobody"},
		Request: s.request("cam2", newKey(t))}); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("a role that is not there: %v", err)
	}
}
