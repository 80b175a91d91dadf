package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store/cluster/rows"
)

// ErrRunning is of a change that is made while no node runs.
var ErrRunning = errors.New("a node runs over the database, or did a minute ago")

// ErrNew is of a database that has no secrets, since no node was started over it.
var ErrNew = errors.New("no node was started over the database yet")

// silence is how long a node that did not end properly counts as running.
const silence = time.Minute

// shared opens the rows of a cluster for a change of its secrets.
func shared(
	ctx context.Context, database string, do func(context.Context, *rows.DB) error,
) (err error) {
	db, err := rows.Open(ctx, database, rows.Options{Existing: true})
	if errors.Is(err, rows.ErrNoTables) {
		return ErrNew
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfReach, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	seals, err := db.ListDocuments(ctx, access.KindSeal)
	if err == nil && len(seals) == 0 {
		err = ErrNew
	}
	if err != nil {
		return err
	}
	return do(ctx, db)
}

// alone is shared while no node runs: one that does would know the old key only. ErrRunning.
func alone(
	ctx context.Context, database string, do func(context.Context, *rows.DB) error,
) error {
	return shared(ctx, database, func(ctx context.Context, db *rows.DB) error {
		nodes, err := db.Nodes(ctx, silence)
		if err == nil && len(nodes) > 0 {
			err = fmt.Errorf("%w: %s %s", ErrRunning, nodes[0].ID, nodes[0].Address)
		}
		if err != nil {
			return err
		}
		return do(ctx, db)
	})
}

// rootKeys opens the text of root's key file that nodes share.
func rootKeys(ctx context.Context, db *rows.DB, keyFile string) (auth.Secret, error) {
	secrets, err := access.OpenSecrets(ctx, db, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return secrets.Secret(SharedCredentials), nil
}

// ResetRoot makes a new key pair for root, which each node has from its next start on. keyFile is
// what secrets are sealed with. ErrOutOfReach, ErrNew, access.ErrKeyLost.
func ResetRoot(ctx context.Context, database, keyFile string) (key auth.Key, err error) {
	err = shared(ctx, database, func(ctx context.Context, db *rows.DB) error {
		root, err := rootKeys(ctx, db, keyFile)
		if err == nil {
			key, err = auth.ResetShared(root)
		}
		return err
	})
	return key, err
}

// RotateAccessKey seals all secrets with a new key, which it writes to keyFile; every node needs
// that file then. ErrRunning and the errors of ResetRoot.
func RotateAccessKey(ctx context.Context, database, keyFile string) error {
	return alone(ctx, database, func(ctx context.Context, db *rows.DB) error {
		root, err := rootKeys(ctx, db, keyFile)
		if err != nil {
			return err
		}
		data, _, err := root.Load()
		if err != nil {
			return err
		}
		keys, err := auth.ParseKeys(data)
		if err != nil {
			return err
		}
		who, err := access.Open(ctx, access.Options{Store: db, Keys: keys, KeyFile: keyFile})
		if err != nil {
			return err
		}
		return who.RotateSeal(ctx)
	})
}

// ForgetSecrets deletes what a lost key has sealed, makes a new key, and returns how many documents
// it deleted (access.ForgetSecrets). The key pair of root is then that of the first node that
// starts. ErrRunning, ErrOutOfReach, ErrNew, access.ErrInvalid.
func ForgetSecrets(ctx context.Context, database, keyFile string) (n int, err error) {
	err = alone(ctx, database, func(ctx context.Context, db *rows.DB) (err error) {
		n, err = access.ForgetSecrets(ctx, db, keyFile)
		return err
	})
	return n, err
}
