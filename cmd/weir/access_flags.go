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

// accessKeyFile is the file with the key that seals secrets in the store, in the data directory
// unless a flag says otherwise.
const accessKeyFile = "access.key"

// accessFlags are the flags of weir serve for the registry of keys, policies and roles.
type accessFlags struct {
	AccessKeyFile string `name:"access-key-file" group:"Access" env:"WEIR_ACCESS_KEY_FILE" type:"path" placeholder:"FILE" help:"Key that seals the secrets of keys, made at the first start. By default, access.key in the data directory."`
}

// keyFile returns the path of the key that seals secrets.
func (f *accessFlags) keyFile(data string) string {
	return cmp.Or(f.AccessKeyFile, filepath.Join(data, accessKeyFile))
}

// checkKeyFile refuses a key for secrets with which no start could succeed: its file is damaged,
// lost or the wrong one.
func (f *accessFlags) checkKeyFile(ctx context.Context, data string) error {
	seals, err := local.Documents(ctx, data, access.KindSeal)
	if err != nil {
		seals = nil // before the first start, or of an older version; Open says what is wrong
	}
	return hintLostKey(access.CheckKeyFile(f.keyFile(data), seals), data)
}

// hintLostKey says what to do without the key that seals secrets.
func hintLostKey(err error, data string) error {
	if errors.Is(err, access.ErrKeyLost) {
		return withHint(err, "if it is lost for good: weir keys rotate-access-key --lost --data %s",
			quote(data))
	}
	return err
}

// openAccess reads the registry of keys, policies and roles, and makes root's key pair at the first
// start.
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
