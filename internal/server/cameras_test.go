package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/cameras"
)

// newCamerasSite is a site with a listener for cameras, and the camera cam1, whose client trusts
// only the authority in its CA file.
func newCamerasSite(
	t *testing.T, change ...func(*Options),
) (s *site, cam1 *http.Client, address string) {
	t.Helper()
	var on Listeners
	for _, l := range []*net.Listener{&on.Main, &on.Cameras} {
		var err error
		*l, err = net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
	}
	var service *cameras.Service
	make := func(o *Options) {
		service = cameras.New(cameras.Options{Access: o.Access,
			Mint: func(context.Context, access.Claims) (auth.Credentials, error) {
				return auth.Credentials{AccessKeyID: "ASIA0", SecretAccessKey: "s"}, nil
			}})
		o.Cameras = service
	}
	on.CamerasTLS = &tls.Config{GetConfigForClient: func(
		*tls.ClientHelloInfo,
	) (*tls.Config, error) {
		return service.TLS(context.Background(), nil)
	}}
	st, _ := openStore(t)
	s = newSiteOn(t, st, on, append(change, make)...)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	request, err := cameras.NewRequest("cam1", key)
	must(t, err)
	issued, err := service.Add(t.Context(), cameras.AddInput{Name: "cam1", Request: request})
	must(t, err)
	block, _ := pem.Decode(issued.Certificate)
	ca := x509.NewCertPool()
	ca.AppendCertsFromPEM(issued.CA)
	cam1 = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca,
		Certificates: []tls.Certificate{{Certificate: [][]byte{block.Bytes},
			PrivateKey: key}}}, ForceAttemptHTTP2: true}}
	t.Cleanup(cam1.CloseIdleConnections)
	return s, cam1, "https://" + on.Cameras.Addr().String()
}

// signedCall posts a signed call with a client.
func (s *site) signedCall(c *http.Client, address, body string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, address,
		strings.NewReader(body))
	must(s.t, err)
	s.signer.Sign(r, []byte(body))
	res, err := c.Do(r)
	must(s.t, err)
	defer res.Body.Close()
	var answer map[string]string
	must(s.t, json.NewDecoder(res.Body).Decode(&answer))
	for _, text := range answer {
		return res, text
	}
	return res, ""
}

// A camera finds everything that it calls at one address, under one authority, whatever is
// advertised to others. URLs that it may pass on lead to the main address.
func TestCamerasListener(t *testing.T) {
	t.Parallel()
	s, cam1, address := newCamerasSite(t, func(o *Options) {
		o.AdvertiseURL = "https://video.example"
	})
	const credentials = "/role-aliases/camera/credentials"
	res, body := s.fetch(cam1, "GET", address+credentials, "x-amzn-iot-thingname: cam1")
	if res.StatusCode != 200 || res.ProtoMajor != 1 ||
		!strings.HasPrefix(body, `{"credentials":{"accessKeyId":"ASIA0","secretAccessKey":"s",`) {
		t.Errorf("%s %s %s", res.Proto, res.Status, body)
	}
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	if _, got := s.signedCall(cam1, address+"/getDataEndpoint",
		`{"StreamName":"cam1","APIName":"PUT_MEDIA"}`); got != address {
		t.Errorf("the data endpoint of cameras is %s, not %s", got, address)
	}
	if got := s.ok("/getDataEndpoint", `{"StreamName":"cam1","APIName":"PUT_MEDIA"}`)["DataEndpoint"]; got != "https://video.example" {
		t.Errorf("the data endpoint of others is %s", got)
	}
	if _, got := s.signedCall(cam1, address+"/getHLSStreamingSessionURL",
		`{"StreamName":"cam1"}`); !strings.HasPrefix(got, "https://video.example/hls/v1/") {
		t.Errorf("a session is at %s", got)
	}

	for _, path := range []string{"/player", "/metrics", "/hls/v1/getHLSMasterPlaylist.m3u8",
		"/role-aliases/../healthz", "/role-aliases//camera/credentials", "/Role-Aliases/camera"} {
		if res, body := s.fetch(cam1, "GET", address+path); res.StatusCode != 404 {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	if res, _ := s.fetch(cam1, "GET", address+"/healthz"); res.StatusCode != 200 {
		t.Errorf("/healthz: %s", res.Status)
	}
	if res, _ := s.fetch(cam1, "POST", address+credentials); res.StatusCode != 405 {
		t.Errorf("POST of credentials: %s", res.Status)
	}
	if res, _ := s.fetch(s.client, "GET", s.url+credentials); res.StatusCode != 404 {
		t.Errorf("credentials at the main address: %s", res.Status)
	}
}

// Without an advertised URL, sessions that are opened there are at the main address's port. A
// camera URL is what cameras are told.
func TestCameraURL(t *testing.T) {
	t.Parallel()
	s, cam1, address := newCamerasSite(t, func(o *Options) {
		o.CameraURL = "https://cameras.example:8443/"
	})
	s.ok("/createStream", `{"StreamName":"cam1","DataRetentionInHours":1}`)
	s.record()
	if _, got := s.signedCall(cam1, address+"/getDataEndpoint",
		`{"StreamName":"cam1","APIName":"PUT_MEDIA"}`); got != "https://cameras.example:8443" {
		t.Errorf("the data endpoint is %s", got)
	}
	s.server.camerasBase = ""
	if _, got := s.signedCall(cam1, address+"/getHLSStreamingSessionURL",
		`{"StreamName":"cam1"}`); !strings.HasPrefix(got, s.url+"/hls/v1/") {
		t.Errorf("a session is at %s, not at %s", got, s.url)
	}
	for _, url := range []string{"http://cameras.example", "https://cameras.example/path",
		"cameras.example"} {
		if err := CheckCameraURL(url); err == nil {
			t.Errorf("%s is a camera URL", url)
		}
	}
}

// certificateRequest returns a certificate signing request for a new key, as JSON.
func certificateRequest(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	request, err := cameras.NewRequest(name, key)
	must(t, err)
	text, err := json.Marshal(string(request))
	must(t, err)
	return string(text)
}

func TestLifeOfACamera(t *testing.T) {
	t.Parallel()
	s, cam1, address := newCamerasSite(t)
	added := s.ok("/weir/addCamera", `{"ThingName":"cam2","CertificateDays":30,"Tags":{"site":"n"},`+
		`"CertificateSigningRequest":`+certificateRequest(t, "cam2")+`}`)
	if !strings.HasPrefix(added["CertificatePem"].(string), "-----BEGIN CERTIFICATE-----") ||
		!strings.HasPrefix(added["CaCertificatePem"].(string), "-----BEGIN CERTIFICATE-----") ||
		added["CameraURL"] != address {
		t.Errorf("%v", added)
	}
	shown := s.ok("/weir/describeCamera", `{"ThingName":"cam2"}`)["CameraInfo"].(map[string]any)
	first := shown["Certificates"].([]any)[0].(map[string]any)
	days := time.Until(time.UnixMilli(int64(first["NotAfter"].(float64)*1000))).Hours() / 24
	if shown["Status"] != "Active" || shown["Policies"].([]any)[0] != "camera" || days < 29 ||
		days > 30 {
		t.Errorf("%v", shown)
	}
	s.ok("/weir/renewCamera", `{"ThingName":"cam2","OverlapSeconds":3600,`+
		`"CertificateSigningRequest":`+certificateRequest(t, "cam2")+`}`)
	s.ok("/weir/revokeCameraCertificate", `{"ThingName":"cam2","SerialNumber":"`+
		first["SerialNumber"].(string)+`"}`)
	page := s.ok("/weir/listCameras", `{"MaxResults":1}`)
	if names := listed(page, "CameraInfoList", "ThingName"); len(names) != 1 ||
		names[0] != "cam1" {
		t.Errorf("the first page is %v", page)
	}
	page = s.ok("/weir/listCameras", `{"NextToken":"`+page["NextToken"].(string)+`"}`)
	cam2 := page["CameraInfoList"].([]any)[0].(map[string]any)
	if len(cam2["Certificates"].([]any)) != 1 ||
		cam2["RevokedSerialNumbers"].([]any)[0] != first["SerialNumber"] {
		t.Errorf("the second page is %v", page)
	}

	const credentials = "/role-aliases/camera/credentials"
	for _, step := range []struct {
		call   string
		status int
	}{{"disable", 403}, {"enable", 200}, {"delete", 403}} {
		s.ok("/weir/"+step.call+"Camera", `{"ThingName":"cam1"}`)
		if res, body := s.fetch(cam1, "GET", address+credentials); res.StatusCode != step.status {
			t.Errorf("after %s: %s %s", step.call, res.Status, body)
		}
	}
	for _, c := range []struct {
		path, body, code string
		status           int
	}{
		{"disableCamera", `{"ThingName":"cam1"}`, "ResourceNotFoundException", 404},
		{"addCamera", `{"ThingName":"cam2","CertificateSigningRequest":` +
			certificateRequest(t, "cam2") + `}`, "ResourceInUseException", 400},
		{"addCamera", `{"ThingName":"cam3"}`, "InvalidArgumentException", 400},
		{"addCamera", `{"ThingName":"cam3","CertificateSigningRequest":"cam3"}`,
			"InvalidArgumentException", 400},
		{"renewCamera", `{"ThingName":"cam3","CertificateSigningRequest":` +
			certificateRequest(t, "cam3") + `}`, "ResourceNotFoundException", 404},
		{"revokeCameraCertificate", `{"ThingName":"cam2","SerialNumber":"0123"}`,
			"ResourceNotFoundException", 404},
	} {
		s.call("/weir/"+c.path, c.body).fails(t, c.status, c.code, "")
	}
	if res, text := s.signedCall(cam1, address+"/weir/listCameras", `{}`); res.StatusCode != 404 {
		t.Errorf("administration at the address of cameras: %s %s", res.Status, text)
	}
}

// Whoever may add cameras cannot give them rights that it may not give away.
func TestWhoAddsCameras(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.putPolicy("installer", `{"Effect":"Allow","Action":["weir:AddCamera","weir:RenewCamera",`+
		`"weir:AttachPolicy"],"Resource":["arn:aws:sts::*:assumed-role/camera/north-*",`+
		`"arn:aws:iam::*:policy/producer"]}`)
	installer := s.newKey("ann", "installer")
	add := func(name, more string) answer {
		return s.as(installer, "/weir/addCamera", `{"ThingName":"`+name+`"`+more+
			`,"CertificateSigningRequest":`+certificateRequest(t, name)+`}`)
	}
	for name, more := range map[string]string{"north-1": "", "north-2": `,"Policies":["producer"]`} {
		if a := add(name, more); a.status != 200 {
			t.Errorf("%s%s: %d %s", name, more, a.status, a.body)
		}
	}
	add("south-1", "").fails(t, 403, refused, "")
	add("north-3", `,"Policies":["administrator"]`).fails(t, 403, refused, "policy/administrator")
	add("north-3", `,"RoleAliases":["viewers"]`).fails(t, 403, refused, "role/viewers")
	s.as(installer, "/weir/disableCamera", `{"ThingName":"north-1"}`).fails(t, 403, refused, "")
}
