package check_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

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
}
