package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path/filepath"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/local"
)

// accessKeyFile is the key that secrets in the store are sealed with, in the data directory unless
// a flag says otherwise.
const accessKeyFile = "access.key"

// accessFlags are the flags of weir serve that the registry of keys, policies and roles hears of.
type accessFlags struct {
	AccessKeyFile string `name:"access-key-file" group:"Access" env:"WEIR_ACCESS_KEY_FILE" type:"path" placeholder:"FILE" help:"Key that the secrets of keys are sealed with, made at the first start; access.key in the data directory without this."`
}

// keyFile is the path of the key that secrets are sealed with.
func (f *accessFlags) keyFile(data string) string {
	return cmp.Or(f.AccessKeyFile, filepath.Join(data, accessKeyFile))
}

// checkKeyFile finds a key for secrets that no start could use: its file is damaged, lost or
// another's.
func (f *accessFlags) checkKeyFile(ctx context.Context, data string) error {
	seals, err := local.Documents(ctx, data, access.KindSeal)
	if err != nil {
		seals = nil // before the first start, or of an older version; Open tells what is wrong
	}
	return hintLostKey(access.CheckKeyFile(f.keyFile(data), seals), data)
}

// hintLostKey says what to do without the key that secrets are sealed with.
func hintLostKey(err error, data string) error {
	if errors.Is(err, access.ErrKeyLost) {
		return withHint(err, "if it is lost for good: weir keys rotate-access-key --lost --data %s",
			quote(data))
	}
	return err
}

// openAccess reads who may do what, and makes the key pair of root at the first start.
func (c *serveCmd) openAccess(
	ctx context.Context, st store.Documents, logger *slog.Logger,
) (*access.Registry, *auth.KeyFile, error) {
	warnExposed(logger, filepath.Join(c.Data, credentialsFile), c.keyFile(c.Data))
	keys, err := auth.LoadOrCreateKeys(filepath.Join(c.Data, credentialsFile))
	if err != nil {
		return nil, nil, err
	}
	who, err := access.Open(ctx, access.Options{Store: st, Keys: keys,
		KeyFile: c.keyFile(c.Data), Account: c.AccountID, Logger: logger})
	return who, keys, hintLostKey(err, c.Data)
}
