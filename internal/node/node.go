// Package node is one process of a cluster: the store that all share, a directory of its own for
// caches, and the files of keys that are the same on every node.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/cluster/rows"
	"weir/internal/store/local"
)

// ErrUsed is of a directory that has a store of one machine.
var ErrUsed = errors.New("the directory has a store of its own")

// ErrOutOfReach is of a database or an object store that the node cannot work with.
var ErrOutOfReach = errors.New("cannot work with the cluster's database and objects")

// Options of a Node. All are required but LockWait, CacheBytes, GatherBytes, GatherTime, OrphanAge
// and Metrics.
type Options struct {
	Database string // as rows.Open has it
	Objects  string // as objects.Open has it
	Dir      string // of this node alone; made when it is not there
	Cache    string // name of the cache of objects in it
	// how much of the objects is kept there; 0: cluster.Options' default
	CacheBytes int64
	// an object is put when it has so many bytes or is so old; 0: objects.Gathering's defaults
	GatherBytes int64
	GatherTime  time.Duration
	// how long bytes without rows are kept; 0: cluster.Options' default
	OrphanAge time.Duration
	// file of the key that secrets are sealed with: the same on every node. The first one makes it.
	KeyFile string
	// file of root's keys in the form of AWS, which every node gets
	Credentials string
	LockWait    time.Duration // how long to wait for another process to let go of the directory
	Begin       func() error  // called once the directory is this process's
	// where other nodes reach this one, a URL without a path; asked after Begin; nil: nowhere
	Address func() string
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: none
}

// Node is a store of a cluster, with what a server wants to know of a disk.
type Node struct {
	*cluster.Store
	lock    io.Closer // of the directory
	secrets *access.Secrets
}

// CheckDatabase refuses what is not the name of a database. No error has the password.
func CheckDatabase(url string) error {
	_, err := rows.Config(url)
	return err
}

// Open takes the directory, joins the cluster, and brings the keys that nodes share into the
// directory. store.ErrLocked when another process has the directory, ErrUsed, ErrOutOfReach,
// cluster.ErrOtherCluster, cluster.ErrMigrating, access.ErrKeyLost when KeyFile is not the one of
// the other nodes.
func Open(ctx context.Context, o Options) (_ *Node, err error) {
	n := &Node{}
	if n.lock, err = local.LockDirectory(ctx, o.Dir, o.LockWait); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if _, err := os.Stat(filepath.Join(o.Dir, local.IndexFile)); err == nil {
		return nil, fmt.Errorf("%s: %w", o.Dir, ErrUsed)
	}
	if err := o.Begin(); err != nil {
		return nil, err
	}
	address := ""
	if o.Address != nil {
		address = o.Address()
	}
	options := cluster.Options{Database: o.Database, Objects: o.Objects,
		CacheDir: filepath.Join(o.Dir, o.Cache), CacheBytes: o.CacheBytes, Logger: o.Logger,
		OrphanAge: o.OrphanAge, Address: address, Metrics: cluster.NewMetrics(o.Metrics)}
	options.Gather.Bytes, options.Gather.Linger = o.GatherBytes, o.GatherTime
	n.Store, err = cluster.Open(ctx, options)
	if errors.Is(err, cluster.ErrOtherCluster) || errors.Is(err, cluster.ErrMigrating) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutOfReach, err)
	}
	if err := n.register(o.Metrics); err != nil {
		return nil, err
	}
	if n.secrets, err = access.OpenSecrets(ctx, n.Store, o.KeyFile, o.Logger); err != nil {
		return nil, err
	}
	return n, n.shareKeys(o.Credentials)
}

// register adds the metrics of a node of a cluster.
func (n *Node) register(to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	return to.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_cluster_commits_lost",
		Help: "1 when the database has lost commits and weir check --repair has not run since.",
	}, func() float64 {
		if n.Degraded() == "" {
			return 0
		}
		return 1
	}))
}

// Names of the secrets that nodes share (access.Secrets): the text of root's key file, and of that
// of the keys of session tokens; and the key of calls between nodes.
const (
	SharedCredentials = "credentials"
	SharedTokenKeys   = "token-keys"
	sharedNodeKey     = "node-key"
)

// shareKeys makes the file of root's keys that of all nodes. The first node's own becomes it.
func (n *Node) shareKeys(path string) error {
	keys, err := auth.ShareKeys(n.secrets.Secret(SharedCredentials), func() ([]byte, error) {
		if _, err := auth.LoadOrCreateKeys(path); err != nil {
			return nil, err
		}
		return auth.ReadSecret(path)
	})
	if err == nil {
		err = auth.WriteSecret(path, keys)
	}
	if err != nil {
		return fmt.Errorf("key file that nodes share: %w", err)
	}
	return nil
}

// TokenKeys are the keys of session tokens that nodes share.
func (n *Node) TokenKeys() (*auth.TokenKeys, error) {
	return auth.ShareTokenKeys(n.secrets.Secret(SharedTokenKeys))
}

// Room finds room for everything: a database or an object store that is full says so for each.
func (n *Node) Room(context.Context, int64) error { return nil }

// Intact finds nothing lost: what the directory holds can be made again.
func (n *Node) Intact() error { return nil }

// Close leaves the cluster and unlocks the directory.
func (n *Node) Close() error {
	var err error
	if n.Store != nil {
		err = n.Store.Close()
	}
	return errors.Join(err, n.lock.Close())
}

var _ store.Store = (*Node)(nil)
