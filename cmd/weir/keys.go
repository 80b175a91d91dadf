package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"weir/internal/auth"
	"weir/internal/store"
	"weir/internal/store/local"
)

// keysCmd is the group of commands for keys.
type keysCmd struct {
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
