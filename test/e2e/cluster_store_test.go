package e2e_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"weir/internal/store/cluster/clustertest"
)

// tunnel starts an HTTP proxy that connects every client to one address, whatever name it asks for,
// and returns its URL.
func tunnel(t *testing.T, address string) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", address)
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(to, from)
		io.Copy(from, to)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// An object store speaks TLS with a certificate that a private authority signed, and finds the
// bucket by the name of the host. A node stores a recording there, another one plays it, and a
// check reads all of it.
func TestClusterStoreByHostOverTLS(t *testing.T) {
	waits(t)
	const domain = "s3.test"
	pair := newKeyPair(t, t.TempDir(), "*."+domain)
	gateway := clustertest.StartGatewayOf(t, clustertest.GatewayKind{Domain: domain,
		Cert: pair.certificate, Key: pair.key})
	site := newClusterSiteOver(t, gateway)
	site.objects = clustertest.URL("https://"+domain, "site") + "&style=virtual"
	site.env = []string{"HTTPS_PROXY=" + tunnel(t, gateway.Address()),
		"SSL_CERT_FILE=" + pair.certificate}
	one, two := site.node(), site.node()
	one.run("weir", "create-stream", "--stream-name", "cam", "--data-retention-in-hours", "24")
	camera := &crashCamera{stream: "cam", base: time.Now().Add(-time.Hour).UnixMilli(), round: 16,
		acked: map[int]string{}}
	must(t, camera.push(one))
	camera.check(t, two)

	check := exec.Command(weirBinary, "check", "--deep", "--database", site.database, "--objects",
		site.objects)
	check.Env = append(append(os.Environ(), "AWS_ACCESS_KEY_ID="+clustertest.AccessKey,
		"AWS_SECRET_ACCESS_KEY="+clustertest.SecretKey), site.env...)
	out, err := check.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("all is well")) {
		t.Errorf("check: %v\n%s", err, out)
	}
}
