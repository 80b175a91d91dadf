package node_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/node"
	"weir/internal/store/cluster/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// start starts a node with a directory of its own and returns the pair of root that it has.
func start(t *testing.T, o node.Options) (n *node.Node, root auth.Key, err error) {
	t.Helper()
	o.Dir, o.Cache, o.Begin = t.TempDir(), "objects", func() error { return nil }
	o.Credentials, o.Logger = filepath.Join(o.Dir, "credentials"), slog.New(slog.DiscardHandler)
	if n, err = node.Open(t.Context(), o); err != nil {
		return nil, root, err
	}
	keys, err := auth.LoadKeys(o.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	return n, keys.Default(), nil
}

// The keys of a cluster are replaced: those of root while nodes run, what seals secrets while none
// does. Each node has the new ones from its next start on, and one without them does not start.
func TestKeysOfACluster(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", clustertest.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", clustertest.SecretKey)
	endpoint, prefix := clustertest.Bucket(t)
	database, dir := clustertest.Database(t), t.TempDir()
	keyFile := filepath.Join(dir, "access.key")
	ctx := t.Context()
	if _, err := node.ResetRoot(ctx, database, keyFile); !errors.Is(err, node.ErrNew) {
		t.Errorf("before the first node: %v", err)
	}
	begin := func() (*node.Node, auth.Key, error) {
		return start(t, node.Options{Database: database,
			Objects: clustertest.URL(endpoint, prefix), KeyFile: keyFile})
	}
	// root is the pair of a node that starts and ends.
	root := func() auth.Key {
		t.Helper()
		n, root, err := begin()
		if err == nil {
			_, err = n.TokenKeys()
			err = errors.Join(err, n.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return root
	}
	first, before, err := begin()
	if err != nil {
		t.Fatal(err)
	}
	after, err := node.ResetRoot(ctx, database, keyFile)
	if err != nil || after.AccessKeyID == before.AccessKeyID || after.Profile != before.Profile {
		t.Fatalf("%s after %s, %v", after.AccessKeyID, before.AccessKeyID, err)
	}
	if got := root(); got != after {
		t.Errorf("a node has the pair %s, not %s", got.AccessKeyID, after.AccessKeyID)
	}
	if err := node.RotateAccessKey(ctx, database, keyFile); !errors.Is(err, node.ErrRunning) {
		t.Errorf("beside a node: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(keyFile)
	if err == nil {
		err = node.RotateAccessKey(ctx, database, keyFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := root(); got != after {
		t.Errorf("with the new key a node has the pair %s", got.AccessKeyID)
	}
	if err := os.WriteFile(keyFile, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := begin(); !errors.Is(err, access.ErrKeyLost) {
		t.Errorf("with the old key: %v", err)
	}
	_, lost := node.ResetRoot(ctx, database, keyFile)
	if err := node.RotateAccessKey(ctx, database, keyFile); !errors.Is(err, access.ErrKeyLost) ||
		!errors.Is(lost, access.ErrKeyLost) {
		t.Errorf("with the old key: %v, %v", err, lost)
	}
	if n, err := node.ForgetSecrets(context.WithoutCancel(ctx), database, keyFile); n == 0 ||
		err != nil {
		t.Errorf("%d secrets are forgotten, %v", n, err)
	}
	if got := root(); got == after {
		t.Error("a secret that is lost is known")
	}
}
