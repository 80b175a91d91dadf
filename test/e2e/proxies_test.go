package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/api"
	"weir/internal/auth"
	"weir/test/output"
)

// proxyConfiguration takes the first block of a language from docs/operations.md, so that what is
// tested is what the page says, and puts a test's addresses and files in.
func proxyConfiguration(t *testing.T, language string, with map[string]string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatalf("docs/operations.md has no configuration in %s", language)
	}
	config := string(block[1])
	for old, now := range with {
		if !strings.Contains(config, old) {
			t.Fatalf("the configuration has no %q:\n%s", old, config)
		}
		config = strings.ReplaceAll(config, old, now)
	}
	return config
}

// certificateFor makes a certificate for localhost that signs itself, and returns the files of
// certificate, key, and both in one.
func certificateFor(t *testing.T) (cert, key, both string) {
	t.Helper()
	dir := t.TempDir()
	cert, key, both = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"),
		filepath.Join(dir, "both.pem")
	program(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
		cert)
	var all []byte
	for _, file := range []string{cert, key} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	if err := os.WriteFile(both, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return cert, key, both
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// behindProxy is a server, and a proxy in front of it that speaks TLS at the server's advertised
// URL.
type behindProxy struct {
	*server
	public string // https://localhost:PORT
	port   string
	roots  *x509.CertPool
}

// startBehindProxy starts a server, and runs a proxy with what configure makes of the port, the
// server's address and the certificate's files.
func startBehindProxy(t *testing.T,
	configure func(dir, port, backend, cert, key, both string) []string) *behindProxy {
	t.Helper()
	p := &behindProxy{port: freePort(t), roots: x509.NewCertPool()}
	p.public = "https://localhost:" + p.port
	cert, key, both := certificateFor(t)
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	p.roots.AppendCertsFromPEM(pem)
	address := "127.0.0.1:" + freePort(t)
	p.server = start(t, "", "--listen", address, "--advertise-url", p.public)
	command := configure(t.TempDir(), p.port, address, cert, key, both)
	proxy := exec.Command(command[0], command[1:]...)
	log := &output.Buffer{}
	proxy.Stdout, proxy.Stderr = log, log
	proxy.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = proxy.Wait() }()
	t.Cleanup(func() {
		_ = proxy.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = proxy.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s:\n%s", command[0], log.Tail(4<<10))
		}
	})
	until := time.Now().Add(20 * time.Second)
	for {
		conn, err := p.dial()
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-ended:
			t.Fatalf("%s ended early:\n%s", command[0], log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(until) {
			t.Fatalf("%s does not answer: %v\n%s", command[0], err, log)
		}
	}
	// Of the two variables AWS_CA_BUNDLE wins: SSL_CERT_FILE names a file without certificates.
	p.env = append(p.env, "AWS_CA_BUNDLE="+cert, "SSL_CERT_FILE="+os.DevNull)
	return p
}

func (p *behindProxy) dial() (net.Conn, error) {
	return tls.Dial("tcp", "127.0.0.1:"+p.port,
		&tls.Config{RootCAs: p.roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
}

func TestNginxAsDocumented(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg", "openssl")
	nginx := nginxPath(t)
	checkProxy(t, func(dir, port, backend, cert, key, both string) []string {
		site := proxyConfiguration(t, "nginx", map[string]string{
			"listen 443": "listen 127.0.0.1:" + port, "video.example.com.pem": cert,
			"video.example.com.key": key,
			"127.0.0.1:8480":        backend,
		})
		config := filepath.Join(dir, "nginx.conf")
		text := "load_module " + nginxStream(t) + ";\ndaemon off; error_log stderr; events {}\n" +
			"pid " + filepath.Join(dir, "pid") + ";\n" + site
		writeFile(t, config, text)
		return []string{nginx, "-e", "stderr", "-c", config, "-p", dir}
	})
}

// nginxStream is the file of nginx's stream module.
func nginxStream(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"} {
		file := filepath.Join(dir, "ngx_stream_module.so")
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	missing(t, "nginx has no stream module; `make deps` installs it")
	return ""
}

func TestHAProxyAsDocumented(t *testing.T) {
	waits(t)
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		haproxy = "/usr/sbin/haproxy"
	}
	needTool(t, haproxy, "ffmpeg", "openssl")
	checkProxy(t, func(dir, port, backend, cert, key, both string) []string {
		config := filepath.Join(dir, "haproxy.cfg")
		writeFile(t, config, proxyConfiguration(t, "haproxy", map[string]string{
			"bind :443": "bind 127.0.0.1:" + port, "video.example.com.pem": both,
			"127.0.0.1:8480": backend,
		}))
		return []string{haproxy, "-db", "-f", config}
	})
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkProxy sends 16 MB through a proxy, one half only after fragments of the other have been
// acknowledged, plays all of it through the proxy, and looks at the chunks that acknowledgements
// come in.
func checkProxy(t *testing.T, configure func(dir, port, backend, cert, key, both string) []string) {
	t.Helper()
	p := startBehindProxy(t, configure)
	source := filepath.Join(t.TempDir(), "source.mkv")
	program(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i",
		"testsrc2=size=640x360:duration=2:rate=25", "-vf", "noise=alls=100:allf=t",
		"-c:v", "libx264", "-preset", "ultrafast", "-qp", "8", "-g", "5", "-cluster_time_limit",
		"1", "-threads", "1", source)
	media, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	if len(media) < 8<<20 {
		t.Fatalf("the source has only %d bytes", len(media))
	}
	p.run("weir", "create-stream", "--stream-name", "cam1", "--data-retention-in-hours", "1")
	p.sendInHalves(media)
	session := p.hls("cam1", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		"FragmentSelectorType=SERVER_TIMESTAMP,TimestampRange={StartTimestamp=10m "+
			"ago,EndTimestamp=now}")
	if !strings.HasPrefix(session, p.public+"/hls/") {
		t.Errorf("the session's URL is %s, not of the proxy %s", session, p.public)
	}
	compareHashes(t, "packets", frameHashes(t, source, "0:v", true),
		frameHashes(t, session, "0:v", true))
	p.checkAckChunks(media)
}

// sendInHalves runs put-media on its standard input, and holds the second half back until
// something of the first is stored. A proxy that collects requests or answers never gets that far.
func (p *behindProxy) sendInHalves(media []byte) {
	t := p.t
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := p.command(ctx, "weir", "put-media", "--stream-name", "cam1", "--json", "-")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, out := startPiped(t, cmd)
	go func() { _, _ = in.Write(media[:len(media)/2]) }()
	acks := bufio.NewScanner(out)
	held := true
	for acks.Scan() {
		var ack struct{ EventType string }
		if err := json.Unmarshal(acks.Bytes(), &ack); err != nil {
			t.Fatal(err)
		}
		if held && ack.EventType == "PERSISTED" {
			held = false
			go func() {
				_, _ = in.Write(media[len(media)/2:])
				_ = in.Close()
			}()
		}
	}
	if err := cmd.Wait(); err != nil || held {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if !strings.Contains(stderr.String(), "connections: 1") {
		t.Errorf("put-media needed more than one connection:\n%s", stderr.String())
	}
}

// checkAckChunks sends all of a file at once, which has a cluster every 200 ms, and reads the
// answer as it comes from the connection: SDKs drop the second acknowledgement of a chunk.
func (p *behindProxy) checkAckChunks(media []byte) {
	t := p.t
	t.Helper()
	p.run("weir", "create-stream", "--stream-name", "cam2", "--data-retention-in-hours", "1")
	keys, err := auth.LoadOrCreateKeys(filepath.Join(p.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	body, sending := io.Pipe()
	defer body.Close()
	req, err := http.NewRequest(http.MethodPost, p.public+"/putMedia", body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		api.HeaderStreamName: "cam2", api.HeaderTimecodeType: "RELATIVE",
		api.HeaderAcknowledgment: "1",
		api.HeaderProducerStart:  fmt.Sprintf("%d.000", time.Now().Unix()),
	} {
		req.Header.Set(name, value)
	}
	signer := auth.Signer{Credentials: keys.Default().Credentials(), Region: "us-west-2"}
	signer.SignPutMedia(req)
	conn, err := p.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	go func() { _ = req.Write(conn) }()
	go func() { _, _ = sending.Write(media); _ = sending.Close() }()

	in := bufio.NewReader(conn)
	for line := "."; strings.TrimSpace(line) != ""; {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	persisted := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d PERSISTED: %v", persisted, err)
		}
		size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		chunk := make([]byte, size+2)
		if _, err := io.ReadFull(in, chunk); err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			break
		}
		if n := bytes.Count(chunk, []byte(`"EventType"`)); n != 1 {
			t.Errorf("%d acknowledgements in a chunk: %s", n, chunk)
		}
		persisted += bytes.Count(chunk, []byte(`"PERSISTED"`))
	}
	if persisted < 10 {
		t.Errorf("only %d fragments were acknowledged", persisted)
	}
}
