package e2e_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const nginxConfig = `
daemon off; user root; worker_processes 2; pid %[1]s/nginx.pid; error_log %[1]s/error.log;
events { worker_connections 256; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen %[2]s; root %[1]s/files; default_type video/mp4; }
}`

// mirror fetches the segments into files that nginx can send.
func mirror(b *testing.B, urls []string) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o755); err != nil {
		b.Fatal(err)
	}
	for i, u := range urls {
		res, err := http.Get(u)
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("%s: %v", res.Status, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "files", fmt.Sprintf("%d.mp4", i)), body,
			0o644); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// nginxPath is where nginx is. Debian has it where only root looks.
func nginxPath(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	const path = "/usr/sbin/nginx"
	needTool(t, path)
	return path
}

// startSelf runs this binary as another process until the test ends. The variable tells it what to
// do. It returns the address that the process prints.
func startSelf(b *testing.B, variable, value string) (u string, pid int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+value)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(address), cmd.Process.Pid
}

// startNginx returns the URLs of the mirrored files, and the processes that send them; with a key
// pair over TLS.
func startNginx(b *testing.B, nginx, dir string, segments int,
	pair *keyPair) (urls []string, pids []int) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	config, scheme, listen := filepath.Join(dir, "nginx.conf"), "http", address
	if pair != nil {
		scheme = "https"
		listen += fmt.Sprintf(" ssl; ssl_protocols TLSv1.3; ssl_certificate %s; "+
			"ssl_certificate_key %s", pair.certificate, pair.key)
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, listen), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(nginx, "-c", config, "-p", dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Signal(os.Interrupt); cmd.Wait() })
	for i := range segments {
		urls = append(urls, fmt.Sprintf("%s://%s/%d.mp4", scheme, address, i))
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return urls, children(b, cmd.Process.Pid)
		}
		if time.Now().After(deadline) {
			b.Fatal("nginx does not answer")
		}
	}
}

// children are the processes that a process has started.
func children(b *testing.B, pid int) (pids []int) {
	b.Helper()
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range strings.Fields(string(list)) {
		child, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, child)
	}
	return pids
}

// keyPair is a certificate of 127.0.0.1 and other names that signs itself, with its files.
type keyPair struct {
	certificate, key string // paths of PEM files
	parsed           *x509.Certificate
}

func newKeyPair(t testing.TB, dir string, names ...string) *keyPair {
	t.Helper()
	fatal := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:  names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	fatal(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(err)
	pair := &keyPair{certificate: filepath.Join(dir, "certificate.pem"),
		key: filepath.Join(dir, "key.pem")}
	pair.parsed, err = x509.ParseCertificate(der)
	fatal(err)
	fatal(os.WriteFile(pair.certificate,
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	fatal(os.WriteFile(pair.key,
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return pair
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
