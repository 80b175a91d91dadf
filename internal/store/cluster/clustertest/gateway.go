package clustertest

import (
	"context"
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
	bin  string
	port string
}

// Bucket returns the endpoint of the shared S3 server, and a prefix of its bucket BucketOf for this
// test alone.
func Bucket(t testing.TB) (endpoint, prefix string) {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.gateway == nil {
		g, err := startGateway()
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
func StartGateway(t testing.TB) *Gateway {
	t.Helper()
	g, err := startGateway()
	if err != nil {
		missing(t, "the S3 server of test/s3server", err)
	}
	t.Cleanup(g.remove)
	return g
}

// Endpoint is the URL of the server.
func (g *Gateway) Endpoint() string { return "http://" + g.Address() }

// Address is where the server listens.
func (g *Gateway) Address() string { return "127.0.0.1:" + g.port }

// Dir is the directory of the bucket: each object is a file in it.
func (g *Gateway) Dir() string { return filepath.Join(g.dir, "data", BucketOf) }

func startGateway() (*Gateway, error) {
	bin, err := gatewayBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-s3-")
	if err != nil {
		return nil, err
	}
	g := &Gateway{process: process{dir: dir}, bin: bin}
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
	sidecar := filepath.Join(g.dir, "meta")
	if err := os.MkdirAll(sidecar, 0o755); err != nil {
		return err
	}
	cmd := exec.Command(g.bin, "-listen", g.Address(), "-region", Region, "-sidecar", sidecar,
		filepath.Join(g.dir, "data"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	return g.process.start(cmd, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Endpoint(), nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
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
