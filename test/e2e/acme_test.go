package e2e_test

import (
	"bufio"
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
	"strconv"
	"testing"
	"time"

	"weir/test/output"
)

// background starts a program that is killed when the test ends.
func background(t *testing.T, env []string, command ...string) {
	t.Helper()
	cmd, log := exec.Command(command[0], command[1:]...), &output.Buffer{}
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", command[0], log.Tail(8<<10))
		}
	})
}

// pebble runs Let's Encrypt's ACME server for tests, with a name server that resolves every name
// to this machine. It validates at the given ports. pebble returns its directory, the CA file to
// reach it with, and the address that tells the root it issues under. good is how long its
// certificates are valid.
func pebble(t *testing.T, httpPort, tlsPort string, good time.Duration,
) (directory, ca, management string) {
	t.Helper()
	needTool(t, "pebble", "pebble-challtestsrv")
	cert, key, _ := certificateFor(t)
	names, listens := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	manages := "127.0.0.1:" + freePort(t)
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listens, "managementListenAddress": manages, "certificate": cert,
		"privateKey": key, "httpPort": number(httpPort), "tlsPort": number(tlsPort),
		"certificateValidityPeriod": int(good.Seconds())}})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "pebble.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	background(t, nil, "pebble-challtestsrv", "-dns01", names, "-defaultIPv6", "", "-http01", "",
		"-https01", "", "-tlsalpn01", "", "-management", "127.0.0.1:"+freePort(t))
	background(t, []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0"}, "pebble", "-config",
		config, "-dnsserver", names)
	until := time.Now().Add(time.Minute)
	for _, address := range []string{names, listens, manages} { // names: over TCP, too
		for {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(until) {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	_, port, _ := net.SplitHostPort(listens)
	_, manage, _ := net.SplitHostPort(manages)
	return "https://localhost:" + port + "/dir", cert, "https://localhost:" + manage
}

// fetchText gets a URL, trusting the certificates in PEM.
func fetchText(t *testing.T, url string, pem []byte) []byte {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return text
}

// The server gets its certificate from an ACME authority, which validates by a TLS handshake or,
// if port 443 leads elsewhere, over HTTP. After a restart the server still has it.
func TestACME(t *testing.T) {
	prepares(t)
	const host = "video.example.com"
	for _, challenge := range []string{"TLS-ALPN-01", "HTTP-01"} {
		t.Run(challenge, func(t *testing.T) {
			waits(t)
			port, plain := freePort(t), freePort(t)
			flags := []string{"--listen", "127.0.0.1:" + port, "--acme", host}
			validated := port
			if challenge == "HTTP-01" {
				flags = append(flags, "--redirect-http", "127.0.0.1:"+plain)
				validated = freePort(t) // nobody there
			}
			directory, ca, management := pebble(t, plain, validated, 24*time.Hour)
			trusted, err := os.ReadFile(ca)
			if err != nil {
				t.Fatal(err)
			}
			roots := issuedUnder(t, management, trusted)
			data := filepath.Join(t.TempDir(), "data")
			flags = append(flags, "--data", data, "--acme-directory", directory, "--acme-ca", ca,
				"--acme-contact", "admin@example.com")
			shown := func(flags ...string) (serial string) {
				t.Helper()
				server, log := exec.Command(weirBinary, append([]string{"serve"}, flags...)...),
					&output.Buffer{}
				server.Stdout, server.Stderr = log, log
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
				defer func() {
					_ = server.Process.Signal(os.Interrupt)
					if err := server.Wait(); err != nil || t.Failed() {
						t.Errorf("%v\n%s", err, log.Tail(8<<10))
					}
				}()
				for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
					conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: roots,
						ServerName: host})
					if err == nil {
						defer conn.Close()
						return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
					}
					if time.Now().After(until) {
						t.Fatalf("no certificate of the authority: %v", err)
					}
				}
			}
			first := shown(flags...)
			info, err := os.Stat(filepath.Join(data, "acme"))
			if err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%v, %v", info, err)
			}
			for i, flag := range flags { // so that no other one can come
				if flag == "--acme-ca" {
					flags[i+1] = rootFile(t)
				}
			}
			if again := shown(flags...); again != first {
				t.Errorf("after a restart the certificate is %s, not %s", again, first)
			}
		})
	}
}

// issuedUnder returns the root certificates that pebble issues under.
func issuedUnder(t *testing.T, management string, trusted []byte) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(fetchText(t, management+"/roots/0", trusted))
	return roots
}

// A certificate that is about to expire is replaced while the server runs: new connections get the
// new one, and open connections continue.
func TestACMERenews(t *testing.T) {
	waits(t)
	const host = "video.example.com"
	port := freePort(t)
	directory, ca, management := pebble(t, freePort(t), port, 15*time.Second)
	trusted, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := issuedUnder(t, management, trusted)
	background(t, nil, weirBinary, "serve", "--listen", "127.0.0.1:"+port, "--acme", host,
		"--data", filepath.Join(t.TempDir(), "data"), "--acme-directory", directory,
		"--acme-ca", ca)
	connect := func(until time.Time, old string) (conn *tls.Conn, serial string) {
		t.Helper()
		for {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{RootCAs: roots,
				ServerName: host})
			if err == nil {
				serial = conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
				if serial != old {
					return conn, serial
				}
				conn.Close()
			}
			if time.Now().After(until) {
				t.Fatalf("no certificate of the authority but %q: %v", old, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	conn, first := connect(time.Now().Add(time.Minute), "")
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func() {
		t.Helper()
		fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		answer, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body)
		}
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer, err)
		}
	}
	ask()
	renewed, _ := connect(time.Now().Add(2*time.Minute), first)
	renewed.Close()
	ask()
}

// rootFile is the file of an authority that nobody has.
func rootFile(t *testing.T) string {
	cert, _, _ := certificateFor(t)
	return cert
}
