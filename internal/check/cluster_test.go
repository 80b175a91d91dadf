package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"weir/internal/check"
	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/repair"
	"weir/internal/store/objects"
	"weir/internal/store/storetest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// The command finds that an object of a cluster is missing, removes the rows about it, and reports
// that, in words and as JSON.
func TestCluster(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", clustertest.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", clustertest.SecretKey)
	endpoint, prefix := clustertest.Bucket(t)
	c := check.Command{Database: clustertest.Database(t), Deep: true,
		Objects: clustertest.URL(endpoint, prefix)}
	n, err := cluster.Open(t.Context(), cluster.Options{Database: c.Database, Objects: c.Objects,
		CacheDir: t.TempDir(), Gather: objects.Gathering{Linger: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	run := func(c check.Command, wantLeft int) string {
		t.Helper()
		var out, log bytes.Buffer
		left, err := c.Check(t.Context(), &out, &log)
		if err != nil || left != wantLeft {
			t.Fatalf("%d problems are left, %v:\n%s", left, err, out.String())
		}
		return out.String()
	}
	st, err := n.CreateStream(t.Context(), store.Stream{Name: "cam", RetentionHours: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	clock := storetest.NewClock()
	var lost store.FragmentInfo
	for i := range uint64(2) {
		lost, err = storetest.Append(t.Context(), n, st.ID, storetest.Record(clock, i, 3000))
		if err != nil {
			t.Fatal(err)
		}
	}
	if text := run(c, 0); !strings.Contains(text, "1 stream, 2 fragments in 2 objects") ||
		!strings.Contains(text, "all is well") {
		t.Error(text)
	}
	bucket, err := objects.Open(c.Objects, objects.Options{})
	if err == nil {
		err = bucket.Delete(t.Context(), []string{lost.Location.Volume})
	}
	if err != nil {
		t.Fatal(err)
	}
	if text := run(c, 1); !strings.Contains(text, "missing-object "+lost.Location.Volume) ||
		!strings.Contains(text, "--repair would") {
		t.Error(text)
	}
	c.Repair, c.JSON = true, true
	var r check.ClusterReport
	if err := json.Unmarshal([]byte(run(c, 0)), &r); err != nil || r.Fragments != 1 ||
		!strings.Contains(r.Repaired, "1 fragments dropped") {
		t.Errorf("%+v, %v", r, err)
	}

	for want, wrong := range map[error]check.Command{
		repair.ErrOtherCluster: {Database: clustertest.Database(t), Objects: c.Objects},
		nil:                    {Database: c.Database},
	} {
		_, err := wrong.Check(t.Context(), &bytes.Buffer{}, &bytes.Buffer{})
		if err == nil || want != nil && !errors.Is(err, want) || check.Hint(err) == "" {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	oldTables(t, c)
}

// oldTables wants a check to leave the tables of an older version as they are, and to say so. A
// repair brings them up to date.
func oldTables(t *testing.T, c check.Command) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	version := func(change string) (v int) {
		t.Helper()
		_, err := conn.Exec(t.Context(), change)
		if err == nil {
			err = conn.QueryRow(t.Context(), `SELECT version FROM weir_version`).Scan(&v)
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	older := version(`UPDATE weir_version SET version = version - 1`)
	for _, repairs := range []bool{false, true} {
		c.Repair = repairs
		_, err := c.Check(t.Context(), &bytes.Buffer{}, &bytes.Buffer{})
		changed := version(`SELECT 1`) != older
		if changed != repairs || errors.Is(err, repair.ErrOldTables) == repairs ||
			(err == nil) != (check.Hint(err) == "") {
			t.Errorf("repairs: %t: the tables have changed: %t, %v", repairs, changed, err)
		}
	}
}

// --deep is of clusters only, and does not pass in silence for a data directory.
func TestDeepWithoutCluster(t *testing.T) {
	c := check.Command{Data: t.TempDir(), Deep: true}
	_, err := c.Check(t.Context(), &bytes.Buffer{}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--deep") || check.Hint(err) == "" {
		t.Error(err)
	}
}
