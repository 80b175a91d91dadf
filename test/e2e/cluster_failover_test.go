package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store/cluster/clustertest"
)

// ask returns the one value that a query of a database server yields.
func ask[T any](t *testing.T, p *clustertest.Postgres, query string) (value T) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, p.URL(""))
	must(t, err)
	defer conn.Close(ctx)
	must(t, conn.QueryRow(ctx, query).Scan(&value))
	return value
}

// checkCluster runs weir check and returns its exit code and what it printed.
func (c *clusterSite) checkCluster(flags ...string) (code int, out string) {
	c.t.Helper()
	cmd := exec.Command(weirBinary, append([]string{"check", "--objects", c.objects}, flags...)...)
	cmd.Env = append(os.Environ(), "WEIR_DATABASE="+c.database,
		"AWS_ACCESS_KEY_ID="+clustertest.AccessKey,
		"AWS_SECRET_ACCESS_KEY="+clustertest.SecretKey)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(text)
	}
	must(c.t, err)
	return 0, string(text)
}

// The database fails over to a standby that lacks the last commits, under two nodes that know
// both. Cameras go on there, and the nodes say that commits are lost. weir check --repair brings
// back all that was acknowledged, once: of a stream that the standby knew, and of one that it did
// not. What was deleted stays deleted.
func TestClusterFailover(t *testing.T) {
	waits(t)
	site := newClusterSite(t)
	link := clustertest.NewProxy(t, site.postgres.Address())
	standby := site.postgres.StartStandby(t, link.Address())
	both := site.postgres.Address() + "," + standby.Address()
	site.database = strings.Replace(site.database, site.postgres.Address(), both, 1) +
		"&target_session_attrs=read-write"
	one, two := site.node(), site.node()
	cameras := map[string]*crashCamera{}
	push := func(s *server, stream string) {
		t.Helper()
		c := cameras[stream]
		if c == nil {
			c = &crashCamera{stream: stream, base: time.Now().Add(-time.Hour).UnixMilli(),
				round: 20, acked: map[int]string{}}
			cameras[stream] = c
			s.run("weir", "create-stream", "--stream-name", stream, "--data-retention-in-hours",
				"24")
		}
		must(t, c.push(s))
	}
	push(one, "early")
	push(one, "gone")
	const position = `SELECT CAST(pg_current_wal_lsn() AS text)`
	reached := `SELECT pg_last_wal_replay_lsn() >= '` +
		ask[string](t, site.postgres, position) + `'::pg_lsn`
	within(t, time.Minute, "the standby has what was committed", func() bool {
		return ask[bool](t, standby, reached)
	})
	link.Refuse(true)
	link.Drop()
	known := cameras["early"].acknowledged()
	push(two, "early")
	push(two, "late")
	one.run("weir", "delete-stream", "--stream-arn", streamARN(one, "gone"))
	site.postgres.Kill()
	standby.Promote(t)

	readyz := func(s *server) string {
		_, _, body := get(t, s.URL+"/readyz")
		return string(body)
	}
	for _, s := range []*server{one, two} {
		within(t, time.Minute, "a node says that commits are lost", func() bool {
			return strings.HasPrefix(readyz(s), "degraded: ")
		})
	}
	push(one, "early") // it does not wait for the repair
	code, out := site.checkCluster()
	for _, what := range []string{"commits-lost", "deleted-stream gone"} {
		if code != 3 || !strings.Contains(out, what) {
			t.Errorf("check does not tell of %s: %d\n%s", what, code, out)
		}
	}
	if code, out := site.checkCluster("--repair"); code != 0 ||
		!strings.Contains(out, "all is well") {
		t.Fatalf("repair: %d\n%s", code, out)
	}
	within(t, time.Minute, "both nodes are ready", func() bool {
		return readyz(one) == "ready\n" && readyz(two) == "ready\n"
	})
	push(two, "late")
	for _, s := range []*server{one, two} {
		cameras["early"].check(t, s)
		cameras["late"].check(t, s)
		_, stderr, err := s.try("weir", "describe-stream", "--stream-name", "gone")
		if err == nil || !strings.Contains(string(stderr), "ResourceNotFoundException") {
			t.Errorf("the deleted stream: %v\n%s", err, stderr)
		}
	}
	if n := len(cameras["early"].acked); n <= known || len(cameras["late"].acked) == 0 {
		t.Errorf("%d fragments, %d before: the test showed nothing", n, known)
	}
	if status, _, _ := get(t, one.URL+"/readyz"); status != http.StatusOK {
		t.Error(status)
	}
}
