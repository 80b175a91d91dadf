package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/access"
	"weir/internal/handover"
	"weir/internal/node"
	"weir/internal/server"
	"weir/internal/status"
	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/store/local"
)

// clusterFlags make a server a node of a cluster.
type clusterFlags struct {
	NodeURL    string        `name:"node-url" group:"Addresses" env:"WEIR_NODE_URL" placeholder:"URL" help:"URL at which the other nodes of a cluster reach this very node, to follow what it receives frame by frame; not that of a load balancer. By default, the address that it listens on; if it listens on all, the one from which it connects to the database."`
	Database   string        `name:"database" group:"Storage" env:"WEIR_DATABASE" placeholder:"postgres://USER:PASSWORD@HOST/NAME" help:"Be a node of the cluster that has its rows in this PostgreSQL database and its bytes in --objects. The data directory then has only this node's cache and its own files."`
	GatherSize byteSize      `name:"gather-size" default:"8MiB" group:"Storage" env:"WEIR_GATHER_SIZE" placeholder:"SIZE" help:"A node of a cluster collects the fragments of all its streams into objects of this size."`
	GatherTime time.Duration `name:"gather-time" default:"200ms" group:"Storage" env:"WEIR_GATHER_TIME" placeholder:"DURATION" help:"How long a fragment waits for others to fill the object, before it is stored and acknowledged."`
	OrphanAge  time.Duration `name:"orphan-age" default:"24h" group:"Storage" env:"WEIR_ORPHAN_AGE" placeholder:"DURATION" help:"How long a cluster keeps objects that nothing refers to any more; the same for all nodes. Rows that a database loses can be made again from them."`
	Notice     time.Duration `name:"stop-notice" default:"0s" env:"WEIR_STOP_NOTICE" placeholder:"DURATION" help:"How long /readyz says no before a stop begins, while everything is still served, so that a load balancer looks elsewhere."`
}

// Bounds of what a node collects. Repair reads objects of up to 32 MiB at once. Producers do not
// wait long for an acknowledgement. A node commits no object that it put a quarter of the age ago.
const (
	minGatherSize, maxGatherSize = 64 << 10, 32 << 20
	minGatherTime, maxGatherTime = time.Millisecond, 2 * time.Second
	minOrphanAge, maxOrphanAge   = time.Hour, 30 * 24 * time.Hour
)

// maxNotice is less than service managers wait before they kill.
const maxNotice = time.Minute

// engine is a store with all that the server and its process need.
type engine interface {
	server.Store
	store.Documents
	status.Usage
	Open(ctx context.Context, id store.StreamID, f store.FragmentInfo) (store.Media, error)
	Fragment(ctx context.Context, id store.StreamID, n store.Number) (store.FragmentInfo, error)
	Wait(ctx context.Context, id store.StreamID, after int64) (sequence int64, err error)
	// Run does the store's background work until ctx ends, and returns its error.
	Run(ctx context.Context) error
	// Intact returns store.ErrLost when the data directory is another one by now.
	Intact() error
	io.Closer
}

// checkCluster refuses flags with which no node could start.
func (c *serveCmd) checkCluster() error {
	if c.Notice < 0 || c.Notice > maxNotice {
		return fmt.Errorf("--stop-notice %s is not within 0s and %s", c.Notice, maxNotice)
	}
	if c.Database == "" {
		return nil
	}
	switch {
	case c.GatherSize < minGatherSize || c.GatherSize > maxGatherSize:
		return fmt.Errorf("--gather-size %d is not within 64KiB and 32MiB", c.GatherSize)
	case c.GatherTime < minGatherTime || c.GatherTime > maxGatherTime:
		return fmt.Errorf("--gather-time %s is not within %s and %s", c.GatherTime, minGatherTime,
			maxGatherTime)
	case c.OrphanAge < minOrphanAge || c.OrphanAge > maxOrphanAge:
		return fmt.Errorf("--orphan-age %s is not within %s and %s", c.OrphanAge, minOrphanAge,
			maxOrphanAge)
	}
	if err := node.CheckDatabase(c.Database); err != nil {
		return withHint(err, "--database is a URL such as postgres://weir@db.example.com/weir")
	}
	switch {
	case c.Objects == "":
		return withHint(errors.New("--database without --objects"), "the bytes of a cluster are "+
			"in an object store: --objects s3://BUCKET/PREFIX?endpoint=URL")
	case c.Encrypt:
		return withHint(errors.New("--encrypt is for one server over its own disk"),
			"let the object store encrypt what it has")
	case c.SyncInterval != 0:
		return errors.New("--sync-interval is for one server over its own disk; a node collects " +
			"fragments into objects")
	}
	return nil
}

// openNode opens a node of a cluster, and the sockets once this process has the directory.
func (c *serveCmd) openNode(ctx context.Context, s *serving,
	registry prometheus.Registerer) (*node.Node, error) {
	begun := false
	o := node.Options{Database: c.Database, Objects: c.Objects, Dir: c.Data,
		Cache: objectsDirectory, CacheBytes: int64(c.ObjectCache), KeyFile: c.keyFile(c.Data),
		GatherBytes: int64(c.GatherSize), GatherTime: c.GatherTime, OrphanAge: c.OrphanAge,
		Credentials: filepath.Join(c.Data, credentialsFile), Logger: s.log,
		Metrics: registry, Address: func() string {
			return node.URL(c.NodeURL, s.sockets[handover.Main], c.secure(), c.Database)
		},
		Begin: func() error {
			begun = true
			return c.begin(ctx, s)
		}}
	if s.sockets != nil { // the last process that had the directory may still be ending
		o.LockWait = lockTime
	}
	n, err := node.Open(ctx, o)
	switch {
	case errors.Is(err, access.ErrKeyLost):
		err = withHint(err, "every node needs the same file: copy %s of the first one; if it is "+
			"lost for good: weir keys rotate-access-key --lost --database …", accessKeyFile)
	case errors.Is(err, node.ErrUsed):
		err = withHint(err, "--data names an empty directory for a node; weir migrate copies "+
			"what is in this one into the cluster")
	case errors.Is(err, cluster.ErrMigrating):
		err = withHint(err, "weir migrate goes on with it, when it is called as before")
	case errors.Is(err, cluster.ErrObjects):
		err = withHint(err, "--objects names a bucket that is there, and its region; its keys "+
			"stand in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in the AWS credentials file")
	case errors.Is(err, cluster.ErrDatabase):
		err = withHint(err, "--database names a server that this machine reaches, and a user who "+
			"may create tables in it")
	case errors.Is(err, node.ErrOutOfReach):
	case err != nil:
		err = hintDirectory(err, c.Data, begun)
	}
	return n, err
}

// isNodeDirectory reports whether a directory is a node's, which has a cache of objects and no
// store.
func isNodeDirectory(data string) bool {
	_, cache := os.Stat(filepath.Join(data, objectsDirectory))
	_, index := os.Stat(filepath.Join(data, local.IndexFile))
	return cache == nil && errors.Is(index, fs.ErrNotExist)
}
