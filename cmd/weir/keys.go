package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/local"
)

// keysCmd is the group of commands for keys.
type keysCmd struct {
	RotateAccessKey rotateAccessKeyCmd `cmd:"" name:"rotate-access-key" help:"Seal all secrets with a new key; the server must be stopped."`

	RotateEncryptionKey rotateEncryptionKeyCmd `cmd:"" name:"rotate-encryption-key" help:"Seal the keys of encrypted recordings with a new key; the server must be stopped."`

	ResetRoot resetRootCmd `cmd:"" name:"reset-root" help:"Make a new key pair for root; the server must be stopped."`
}

// resetRootCmd makes a new key pair for root.
type resetRootCmd struct {
	Data string `default:"./weir-data" env:"WEIR_DATA" type:"path" placeholder:"DIR" help:"Data directory."`
}

// Help is shown by weir keys reset-root --help.
func (c *resetRootCmd) Help() string {
	return `Root is the profile "default" of the file "credentials" in the data directory. Its old key pair opens nothing from the next
start on; temporary credentials that it got end with it. Everything else in the file stays as it is.

Example:

  weir keys reset-root --data /var/lib/weir`
}

// Run makes the pair and says where it is.
func (c *resetRootCmd) Run(std stdio) error {
	path := filepath.Join(c.Data, credentialsFile)
	var key auth.Key
	err := local.Alone(c.Data, func() (err error) {
		key, err = auth.ResetDefault(path)
		return err
	})
	switch {
	case errors.Is(err, store.ErrLocked):
		return withHint(fmt.Errorf("data directory %s is in use", c.Data), "stop the server first")
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "name the directory that weir serve --data names")
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(std.Out, "The key pair of root is new: %s. It is in %s, profile %s.\n",
		key.AccessKeyID, path, key.Profile)
	return err
}

// rotateAccessKeyCmd seals all secrets with a new key.
type rotateAccessKeyCmd struct {
	Data string `default:"./weir-data" env:"WEIR_DATA" type:"path" placeholder:"DIR" help:"Data directory."`

	Lost bool `help:"The old key is lost: delete what it has sealed, and begin with a new one."`

	accessFlags       `embed:""`
	encryptionKeyFlag `embed:""`
}

// Help is shown by weir keys rotate-access-key --help.
func (c *rotateAccessKeyCmd) Help() string {
	return `The file of the key, access.key in the data directory, gets a new key, and the old one goes. Key pairs and everything else stay
as they are. If it is broken off, call it again. With --lost the secrets are deleted instead, with the keys of users and the
authority that vouches for cameras; users, policies, roles and the key pair of root stay.

Example:

  weir keys rotate-access-key --data /var/lib/weir`
}

// Run opens the store, and lets the registry do it.
func (c *rotateAccessKeyCmd) Run(ctx context.Context, std stdio) (err error) {
	if err := local.CheckDirectory(c.Data); err != nil {
		return withHint(err, "name the directory that weir serve --data names")
	}
	st, err := local.Open(ctx, c.Data,
		local.Options{EncryptionKeyFile: c.EncryptionKeyFile})
	if errors.Is(err, store.ErrLocked) {
		return withHint(fmt.Errorf("data directory %s is in use", c.Data), "stop the server first")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if c.Lost {
		n, err := access.ForgetSecrets(ctx, st, c.keyFile(c.Data))
		if err == nil {
			_, err = fmt.Fprintf(std.Out, "Deleted %s; a new key is in %s.\n",
				count(n, "secret"), c.keyFile(c.Data))
		}
		return err
	}
	keys, err := auth.LoadKeys(filepath.Join(c.Data, credentialsFile))
	if err != nil {
		return err
	}
	who, err := access.Open(ctx, access.Options{Store: st, Keys: keys,
		KeyFile: c.keyFile(c.Data)})
	if err == nil {
		err = who.RotateSeal(ctx)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.Out, "Secrets are sealed with a new key, which is in %s.\n",
		c.keyFile(c.Data))
	return err
}
