package clustertest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Credentials and bucket of every Gateway.
const (
	AccessKey = "weir-test"
	SecretKey = "weir-test-secret"
	Region    = "us-east-1"
	BucketOf  = "weir"
)

// Gateway is the S3 server of test/s3server, which is versitygw
// (https://github.com/versity/versitygw).
type Gateway struct {
	process
	kind GatewayKind
	bin  string
	port string
}

// GatewayKind says how a Gateway differs from the usual one.
type GatewayKind struct {
	Versions  bool   // a bucket can keep versions
	Domain    string // buckets are its subdomains; "": the first name in paths
	Cert, Key string // files: it speaks TLS
}

// Bucket returns the endpoint of the shared S3 server, and a prefix of its bucket BucketOf for this
// test alone.
func Bucket(t testing.TB) (endpoint, prefix string) {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.gateway == nil {
		g, err := startGateway(GatewayKind{})
		if err != nil {
			missing(t, "the S3 server of test/s3server", err)
		}
		shared.gateway = g
	}
	shared.schemas++
	return shared.gateway.Endpoint(), fmt.Sprint("test", shared.schemas)
}

// URL is the address of a prefix of the bucket, as weir serve --objects takes it.
func URL(endpoint, prefix string) string {
	return "s3://" + BucketOf + "/" + prefix + "?" + url.Values{"endpoint": {endpoint}}.Encode()
}

// StartGateway starts a server for one test.
func StartGateway(t testing.TB) *Gateway { return StartGatewayOf(t, GatewayKind{}) }

// StartGatewayOf starts a server of a kind for one test.
func StartGatewayOf(t testing.TB, kind GatewayKind) *Gateway {
	t.Helper()
	g, err := startGateway(kind)
	if err != nil {
		missing(t, "the S3 server of test/s3server", err)
	}
	t.Cleanup(g.remove)
	return g
}

// Endpoint is the URL of the server.
func (g *Gateway) Endpoint() string {
	if g.kind.Cert != "" {
		return "https://" + g.Address()
	}
	return "http://" + g.Address()
}

// Address is where the server listens.
func (g *Gateway) Address() string { return "127.0.0.1:" + g.port }

// Dir is the directory of the bucket: each object is a file in it.
func (g *Gateway) Dir() string { return filepath.Join(g.dir, "data", BucketOf) }

func startGateway(kind GatewayKind) (*Gateway, error) {
	bin, err := gatewayBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-s3-")
	if err != nil {
		return nil, err
	}
	g := &Gateway{process: process{dir: dir}, kind: kind, bin: bin}
	if err := os.MkdirAll(g.Dir(), 0o755); err != nil {
		return nil, err
	}
	for range 5 { // another process may be the first to take the port
		if g.port, err = freePort(); err == nil {
			err = g.Start()
		}
		if err == nil {
			return g, nil
		}
	}
	g.remove()
	return nil, err
}

// Start starts the server, again after Kill.
func (g *Gateway) Start() error {
	args := []string{"-listen", g.Address(), "-region", Region}
	if g.kind.Domain != "" {
		args = append(args, "-domain", g.kind.Domain)
	}
	if g.kind.Cert != "" {
		args = append(args, "-cert", g.kind.Cert, "-key", g.kind.Key)
	}
	directories := map[string]string{"-sidecar": "meta"}
	if g.kind.Versions {
		directories["-versions"] = "versions"
	}
	for name, dir := range directories {
		dir = filepath.Join(g.dir, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		args = append(args, name, dir)
	}
	cmd := exec.Command(g.bin, append(args, filepath.Join(g.dir, "data"))...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // is it there?
	defer client.CloseIdleConnections()
	return g.process.start(cmd, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Endpoint(), nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

// Kill ends the server like a crash.
func (g *Gateway) Kill() { g.kill() }

// gatewayBin finds the program where make puts it.
func gatewayBin() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", errMissing
	}
	path := filepath.Join(cache, "weir", "s3server")
	if _, err := os.Stat(path); err != nil {
		return "", errMissing
	}
	return path, nil
}
