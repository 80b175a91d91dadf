package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/node"
	"weir/internal/store"
	"weir/internal/store/local"
)

// keysCmd is the group of commands for keys.
type keysCmd struct {
	RotateAccessKey rotateAccessKeyCmd `cmd:"" name:"rotate-access-key" help:"Seal all secrets with a new key; the server must be stopped."`

	RotateEncryptionKey rotateEncryptionKeyCmd `cmd:"" name:"rotate-encryption-key" help:"Seal the keys of encrypted recordings with a new key; the server must be stopped."`

	ResetRoot resetRootCmd `cmd:"" name:"reset-root" help:"Make a new key pair for root; the server must be stopped."`
}

// sharedKeysFlag names the cluster whose keys a command is about.
type sharedKeysFlag struct {
	Database string `group:"Cluster" env:"WEIR_DATABASE" placeholder:"postgres://USER:PASSWORD@HOST/NAME" help:"Do it for the cluster that has its rows in this database. --data then only says where the access key file is."`
}

// hintShared says what to do about an error of a cluster's keys.
func hintShared(err error) error {
	switch {
	case errors.Is(err, node.ErrRunning):
		return withHint(err, "stop all nodes first; one that was killed counts for a minute")
	case errors.Is(err, access.ErrKeyLost):
		return withHint(err, "--access-key-file names the file that the nodes have")
	case errors.Is(err, node.ErrOutOfReach):
		return withHint(err, "name the database that the nodes have")
	}
	return err
}

// inUse is the error of a command that needs a directory without a server.
func inUse(data string) error {
	return withHint(fmt.Errorf("data directory %s is in use", data), "stop the server first")
}

// hintNoData says what to do about a directory without recordings; ofNode is for that of a node.
func hintNoData(err error, data, ofNode string) error {
	if isNodeDirectory(data) {
		return withHint(err, "it is that of a node: %s", ofNode)
	}
	return withHint(err, "name the directory that weir serve --data names")
}

// hintKeysOfNode says where the keys of a node are.
const hintKeysOfNode = "its keys are in the cluster's database: give --database"

// resetRootCmd makes a new key pair for root.
type resetRootCmd struct {
	Data string `default:"./weir-data" env:"WEIR_DATA" type:"path" placeholder:"DIR" help:"Data directory."`

	accessFlags    `embed:""`
	sharedKeysFlag `embed:""`
}

// Help is shown by weir keys reset-root --help.
func (c *resetRootCmd) Help() string {
	return `Root is the profile "default" of the file "credentials" in the data directory. Its old key pair opens nothing from the next
start on, and temporary credentials that it got end with it. Everything else in the file stays as it is.

With --database, the pair is that of all nodes of a cluster. They may run: at its next start, each writes the new pair into the file
"credentials" of its directory; until then it accepts the old one.

Examples:

  weir keys reset-root --data /var/lib/weir
  weir keys reset-root --database postgres://weir@db.example.com/weir --access-key-file /etc/weir/access.key`
}

// Run makes the pair and says where it is.
func (c *resetRootCmd) Run(ctx context.Context, std stdio) error {
	if c.Database != "" {
		key, err := node.ResetRoot(ctx, c.Database, c.keyFile(c.Data))
		if err != nil {
			return hintShared(err)
		}
		_, err = fmt.Fprintf(std.Out, "The key pair of root is new: %s, profile %s. Each node has "+
			"it in the file %s of its directory after its next start.\n", key.AccessKeyID,
			key.Profile, credentialsFile)
		return err
	}
	path := filepath.Join(c.Data, credentialsFile)
	var key auth.Key
	err := local.Alone(c.Data, func() (err error) {
		key, err = auth.ResetDefault(path)
		return err
	})
	switch {
	case errors.Is(err, store.ErrLocked):
		return inUse(c.Data)
	case errors.Is(err, fs.ErrNotExist):
		return hintNoData(err, c.Data, hintKeysOfNode)
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
	sharedKeysFlag    `embed:""`
}

// Help is shown by weir keys rotate-access-key --help.
func (c *rotateAccessKeyCmd) Help() string {
	return `The key file, access.key in the data directory, gets a new key, and the old one is removed. Key pairs and everything else stay
as they are. If the command is interrupted, run it again. With --lost, the secrets are deleted instead, with the keys of users and
the authority that vouches for cameras; users, policies, roles and the key pair of root stay.

With --database, the secrets are those of a cluster, none of whose nodes may run. Afterwards copy the file to every node, and start
them. With --lost, the key pair of root becomes that of the node that starts first.

Examples:

  weir keys rotate-access-key --data /var/lib/weir
  weir keys rotate-access-key --database postgres://weir@db.example.com/weir --access-key-file /etc/weir/access.key`
}

// Run opens the store and rotates the key.
func (c *rotateAccessKeyCmd) Run(ctx context.Context, std stdio) (err error) {
	if c.Database != "" {
		return c.runShared(ctx, std)
	}
	if err := local.CheckDirectory(c.Data); err != nil {
		return hintNoData(err, c.Data, hintKeysOfNode)
	}
	st, err := local.Open(ctx, c.Data,
		local.Options{EncryptionKeyFile: c.EncryptionKeyFile})
	if errors.Is(err, store.ErrLocked) {
		return inUse(c.Data)
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

// runShared is Run for a cluster.
func (c *rotateAccessKeyCmd) runShared(ctx context.Context, std stdio) error {
	path := c.keyFile(c.Data)
	if c.Lost {
		n, err := node.ForgetSecrets(ctx, c.Database, path)
		if err == nil {
			_, err = fmt.Fprintf(std.Out, "Deleted %s; a new key is in %s. Copy it to every "+
				"node.\n", count(n, "secret"), path)
		}
		return hintShared(err)
	}
	if err := node.RotateAccessKey(ctx, c.Database, path); err != nil {
		return hintShared(err)
	}
	_, err := fmt.Fprintf(std.Out, "Secrets are sealed with a new key, which is in %s. Copy it to "+
		"every node.\n", path)
	return err
}
