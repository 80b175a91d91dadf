package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/store"
	"weir/internal/store/local"
)

// openStore opens the store of the data directory or of a cluster, and the sockets once this
// process has the directory.
func (c *serveCmd) openStore(ctx context.Context, s *serving,
	registry prometheus.Registerer) (engine, error) {
	if c.Database != "" {
		n, err := c.openNode(ctx, s, registry)
		if err != nil {
			return nil, err
		}
		return n, nil
	}
	options := local.Options{Logger: s.log, Metrics: local.NewMetrics(registry),
		SyncInterval: c.SyncInterval}
	if err := c.options(&options, c.Data); err != nil {
		return nil, err
	}
	options.Encrypt, options.EncryptionKeyFile = c.Encrypt, c.EncryptionKeyFile
	warnExposed(s.log, local.KeyFile(c.Data, c.EncryptionKeyFile))
	if s.sockets != nil { // the last process that had the directory may still be ending
		options.LockWait = lockTime
	}
	locked := false
	options.Locked = func() error {
		locked = true
		return c.begin(ctx, s)
	}
	// Reading many volumes takes a while, and whoever started the server is waiting.
	said := time.Now()
	options.Progress = func(done, total int) {
		if now := time.Now(); now.Sub(said) >= 2*time.Second {
			said = now
			s.log.Info("reading volumes", "done", done, "of", total)
		}
	}
	st, err := local.Open(ctx, c.Data, options)
	if err != nil {
		return nil, hintDirectory(err, c.Data, locked)
	}
	return st, nil
}

// begin opens the sockets of a process that has got the data directory.
func (c *serveCmd) begin(ctx context.Context, s *serving) (err error) {
	if s.sockets == nil {
		if s.sockets, err = c.sockets(ctx, nil, s.log); err != nil {
			return err
		}
	}
	// A configuration that was left by a killed process names a server that no longer exists.
	return removeClientConfig(c.Data)
}

// hintDirectory says what to do about a data directory that cannot be used; locked says that this
// process has it.
func hintDirectory(err error, data string, locked bool) error {
	switch {
	case errors.Is(err, store.ErrLocked):
		return withHint(fmt.Errorf("data directory %s is in use by another weir", data),
			"stop that one, or give this one a directory of its own with --data")
	case !locked:
		return withHint(err, "--data names a directory that this user can write to")
	case errors.Is(err, store.ErrKey):
		return hintEncryptionKey(err, data)
	case errors.Is(err, store.ErrFull):
		return withHint(err, "free some space on the disk of %s, then start again", data)
	}
	return err
}
