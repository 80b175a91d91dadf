package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A camera gets credentials for the certificate that weir camera add made, with libcurl as the C
// SDK does. With them it sends to the stream of its own name, over the same address, and to no
// other.
func TestCameraWithCertificate(t *testing.T) {
	waits(t)
	needTool(t, "curl", "openssl", "ffmpeg")
	s := start(t, "", "--camera-listen", "127.0.0.1:0")
	dir := t.TempDir()
	file := func(kind string) string { return filepath.Join(dir, "cam1."+kind+".pem") }
	printed := string(s.run("weir", "camera", "add", "cam1", "--out", dir))
	address := regexp.MustCompile(`CONTROL_PLANE_URI=(\S+)`).FindStringSubmatch(printed)
	if address == nil || !strings.Contains(printed, "ca-path="+file("ca")+",role-aliases=camera") {
		t.Fatalf("weir camera add printed\n%s", printed)
	}
	camera := address[1]
	program(t, "openssl", "verify", "-CAfile", file("ca"), "-purpose", "sslclient", file("cert"))

	get := func(more ...string) string {
		t.Helper()
		return string(program(t, "curl", append([]string{"--silent", "--show-error",
			"--cacert", file("ca"), "--tlsv1.2", "--header", "x-amzn-iot-thingname: cam1",
			"--write-out", "%{http_code}", camera + "/role-aliases/camera/credentials"},
			more...)...))
	}
	withCertificate := []string{"--cert", file("cert"), "--key", file("key")}
	if got := get(); !strings.HasSuffix(got, "}403") {
		t.Errorf("without a certificate: %s", got)
	}
	get(append(withCertificate, "--tls-max", "1.2")...)
	body, ok := strings.CutSuffix(get(withCertificate...), "200")
	var answer struct {
		Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken, Expiration string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || !ok {
		t.Fatalf("%v\n%s", err, body)
	}
	got := answer.Credentials
	form := regexp.MustCompile(`\A\{"credentials":\{"accessKeyId":"ASIA[A-Z2-7]{16}",` +
		`"secretAccessKey":"[A-Za-z0-9]{40}","sessionToken":"[A-Za-z0-9_-]+",` +
		`"expiration":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}\}\z`)
	if !form.MatchString(body) || len(got.SessionToken) > 2048 {
		t.Errorf("the answer is\n%s", body)
	}
	if end, err := time.Parse(time.RFC3339, got.Expiration); err != nil ||
		time.Until(end) < 50*time.Minute || time.Until(end) > time.Hour {
		t.Errorf("the credentials end at %s", got.Expiration)
	}

	root := s.env
	s.env = append(root[:len(root):len(root)], "AWS_ACCESS_KEY_ID="+got.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY="+got.SecretAccessKey, "AWS_SESSION_TOKEN="+got.SessionToken,
		"AWS_ENDPOINT_URL="+camera, "AWS_CA_BUNDLE="+file("ca"))
	film := filepath.Join(dir, "film.mkv")
	program(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=10",
		"-t", "3", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", film)
	s.run("weir", "put-media", "--stream-name", "cam1", "--create", film)
	s.cameraIsRefused("put-media", "--stream-name", "cam2", "--create", film)
	s.cameraIsRefused("list-streams")
	own := s.env
	s.env = root
	s.run("weir", "create-stream", "--stream-name", "cam2", "--data-retention-in-hours", "1")
	if got := string(s.run("weir", "list-fragments", "--stream-name", "cam1",
		"--fragment-selector", everythingPast("SERVER_TIMESTAMP"),
		"--query", "length(Fragments)")); strings.TrimSpace(got) != "3" {
		t.Errorf("cam1 has %s fragments", got)
	}

	s.env = own
	ended := s.cameraSends("cam1")
	s.env = root
	s.cutsOff("cam1")
	ended()
	if got := get(withCertificate...); !strings.HasSuffix(got, "}403") {
		t.Errorf("disabled: %s", got)
	}
	s.run("weir", "camera", "enable", "cam1")
	s.run("weir", "camera", "renew", "cam1", "--out", dir)
	if got := get(withCertificate...); !strings.HasSuffix(got, "}200") {
		t.Errorf("renewed: %s", got)
	}
}

// cameraIsRefused runs a command that must fail because no policy allows it.
func (s *server) cameraIsRefused(args ...string) {
	s.t.Helper()
	if _, errs, err := s.try("weir", args...); err == nil ||
		!strings.Contains(string(errs), "AccessDenied") {
		s.t.Errorf("weir %s: %v\n%s", strings.Join(args, " "), err, errs)
	}
}

// cutsOff disables a camera that sends, and waits until the server has ended its connection.
func (s *server) cutsOff(camera string) {
	s.t.Helper()
	began := time.Now()
	s.run("weir", "camera", "disable", camera)
	asked := time.Since(began)
	for !strings.Contains(s.log.String(), `reason="no longer authorized"`) {
		if time.Since(began) > time.Minute {
			s.t.Fatalf("weir camera disable took %s, and the camera still sends %s later", asked,
				time.Since(began)-asked)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// cameraSends sends to a stream, with the credentials of the environment, until the server ends
// the connection. It returns once the first fragment is stored; ended waits for the end.
func (s *server) cameraSends(stream string) (ended func()) {
	s.t.Helper()
	source := exec.Command("ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i",
		"testsrc2=size=96x64:rate=10", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-f",
		"matroska", "pipe:1")
	media, err := source.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	send := s.command(s.t.Context(), "weir", "put-media", "--stream-name", stream, "--json", "-")
	send.Stdin = media
	acks, err := send.StdoutPipe()
	if err == nil {
		err = errors.Join(source.Start(), send.Start())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _, _ = source.Process.Kill(), source.Wait() })
	lines := bufio.NewScanner(acks)
	for lines.Scan() && !strings.Contains(lines.Text(), "PERSISTED") {
	}
	if err := lines.Err(); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		for lines.Scan() {
		}
		if err := send.Wait(); err == nil {
			s.t.Error("weir put-media that was cut off ends with success")
		}
	}
}
