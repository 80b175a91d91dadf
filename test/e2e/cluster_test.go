package e2e_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/store/cluster/clustertest"
)

// clusterSite is a database, an object store and the nodes over both.
type clusterSite struct {
	t         *testing.T
	postgres  *clustertest.Postgres
	gateway   *clustertest.Gateway
	database  string
	objects   string
	accessKey string   // file
	env       []string // of nodes, too
}

// databasePassword is in the address of the database, which asks for none.
const databasePassword = "correct-horse-battery-staple"

func newClusterSite(t *testing.T) *clusterSite {
	t.Helper()
	return newClusterSiteOver(t, clustertest.StartGateway(t))
}

func newClusterSiteOver(t *testing.T, objects *clustertest.Gateway) *clusterSite {
	t.Helper()
	c := &clusterSite{t: t, postgres: clustertest.StartPostgres(t), gateway: objects,
		accessKey: filepath.Join(t.TempDir(), "access.key")}
	c.reach(c.postgres.Address(), c.gateway.Endpoint())
	return c
}

// reach says where nodes that are started from now on find the database and the object store.
func (c *clusterSite) reach(postgres, gateway string) {
	c.database = strings.NewReplacer("weir@", "weir:"+databasePassword+"@", c.postgres.Address(),
		postgres).Replace(c.postgres.URL(""))
	c.objects = clustertest.URL(gateway, "site")
}

// node starts a node with a directory of its own.
func (c *clusterSite) node(flags ...string) *server {
	c.t.Helper()
	return c.nodeOf(weirBinary, flags...)
}

// nodeOf starts a node of another program.
func (c *clusterSite) nodeOf(program string, flags ...string) *server {
	c.t.Helper()
	data := filepath.Join(c.t.TempDir(), "data")
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0", "--data",
		data, "--objects", c.objects, "--access-key-file", c.accessKey}, flags...)...)
	cmd.Env = append(append(os.Environ(), "WEIR_DATABASE="+c.database,
		"AWS_ACCESS_KEY_ID="+clustertest.AccessKey,
		"AWS_SECRET_ACCESS_KEY="+clustertest.SecretKey), c.env...)
	s := startCommand(c.t, data, cmd)
	s.secrets.all = append(s.secrets.all, databasePassword, clustertest.SecretKey)
	return s
}

// through returns a load balancer that sends each request to the next node.
func through(t *testing.T, nodes ...*server) *httptest.Server {
	t.Helper()
	var turn atomic.Int64
	return balance(t, func() *server { return nodes[int(turn.Add(1))%len(nodes)] })
}

// balance returns a load balancer that asks for each request which node gets it.
func balance(t *testing.T, next func() *server) *httptest.Server {
	t.Helper()
	balancer := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		to, err := url.Parse(next().URL)
		if err != nil {
			t.Error(err)
		}
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(balancer.Close)
	return balancer
}

// at is a URL with the host of another server.
func at(u, server string) string {
	parsed, _ := url.Parse(u) // of a server's own answer
	return server + parsed.RequestURI()
}

// What comes in at one node goes out at every node. What is allowed, limited or ended at one is so
// at all. A node that is killed loses nothing that it acknowledged.
func TestCluster(t *testing.T) {
	waits(t)
	needTool(t, "ffmpeg", "ffprobe")
	site := newClusterSite(t)
	one := site.node("--hls-sessions-per-stream", "1")
	two := site.node("--hls-sessions-per-stream", "1")
	film := clip{rate: "25", seconds: 4, audio: true}.make(t)
	one.run("weir", "put-media", "--stream-name", "cam", "--create", "--data-retention-in-hours",
		"24", film)

	// A session that one made plays at both, with the same playlist byte by byte.
	master := one.hls("cam", "--playback-mode", "ON_DEMAND", "--container-format", "FRAGMENTED_MP4",
		"--hls-fragment-selector", selector("SERVER_TIMESTAMP", time.Now().Add(-time.Hour),
			time.Now()))
	media := mediaPlaylist(master, 1)
	a, b := mustGet(t, media), mustGet(t, at(media, two.URL))
	if !bytes.Equal(a, b) || !bytes.Contains(a, []byte("#EXTINF")) {
		t.Fatalf("one has\n%s\nthe other\n%s", a, b)
	}
	balancer := through(t, one, two)
	frames := program(t, "ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0",
		"-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", at(master, balancer.URL))
	if got := strings.TrimSpace(strings.Split(string(frames), "\n")[0]); got != "100" {
		t.Errorf("through both nodes there are %q frames, want 100", got)
	}

	// The limit of sessions holds across nodes.
	two.hls("cam", "--playback-mode", "ON_DEMAND", "--hls-fragment-selector",
		selector("SERVER_TIMESTAMP", time.Now().Add(-time.Hour), time.Now()))
	within(t, 20*time.Second, "the session beyond the limit is over at both nodes", func() bool {
		first, _, _ := get(t, media)
		second, _, _ := get(t, at(media, two.URL))
		return first != http.StatusOK && second != http.StatusOK
	})

	// A key that one made is good at the other, until one disables it.
	printed := one.run("weir", "keys", "create", "door", "--policy", "producer")
	profiles := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(profiles, printed, 0o600); err != nil {
		t.Fatal(err)
	}
	root := two.env
	door := append(root[:len(root):len(root)], "AWS_SHARED_CREDENTIALS_FILE="+profiles,
		"AWS_PROFILE=door")
	allowed := func() bool {
		two.env = door
		defer func() { two.env = root }()
		_, _, err := two.try("weir", "describe-stream", "--stream-name", "cam")
		return err == nil
	}
	within(t, 20*time.Second, "the key is good at the other node", allowed)
	one.run("weir", "keys", "disable", "door")
	within(t, 20*time.Second, "the key is disabled at the other node", func() bool {
		return !allowed()
	})

	killUnderProducer(t, one, two)
}

// killUnderProducer kills a node that takes fragments: what it acknowledged is at the other one,
// where the producer goes on.
func killUnderProducer(t *testing.T, one, two *server) {
	t.Helper()
	one.run("weir", "create-stream", "--stream-name", "crash", "--data-retention-in-hours", "24")
	camera := &crashCamera{stream: "crash", base: time.Now().Add(-time.Hour).UnixMilli(),
		acked: map[int]string{}}
	pushed := make(chan error, 1)
	go func() { pushed <- camera.push(one) }()
	within(t, 30*time.Second, "fragments are acknowledged", func() bool {
		return camera.acknowledged() >= 10
	})
	one.kill()
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
	camera.check(t, two)
	killed := len(camera.acked)
	if err := camera.push(two); err != nil { // the producer comes again, at the other node
		t.Fatal(err)
	}
	camera.check(t, two)
	if len(camera.acked) <= killed {
		t.Fatal("nothing was acknowledged after the kill")
	}
	if got := mustGet(t, two.URL+"/readyz"); string(got) != "ready\n" {
		t.Fatalf("ready is %q", got)
	}
}
