package main

import (
	"errors"
	"fmt"
	"io/fs"

	"weir/internal/store"
	"weir/internal/store/local"
)

// encryptionKeyFlag is the flag of every command that reads recordings.
type encryptionKeyFlag struct {
	EncryptionKeyFile string `name:"encryption-key-file" group:"Storage" env:"WEIR_ENCRYPTION_KEY_FILE" type:"path" placeholder:"FILE" help:"Key that seals the data keys of encrypted recordings, made at the first start with --encrypt. By default, encryption.key in the data directory."`
}

// encryptionFlags are the flags of weir serve for encryption at rest.
type encryptionFlags struct {
	Encrypt bool `group:"Storage" env:"WEIR_ENCRYPT" help:"Encrypt what is recorded from now on with AES-256-GCM, under a key for each stream. Older recordings stay as they are, and both play."`

	encryptionKeyFlag `embed:""`
}

// hintEncryptionKey says what to do without the key that seals data keys.
func hintEncryptionKey(err error, data string) error {
	if errors.Is(err, store.ErrKey) {
		return withHint(err, "if it is lost for good: weir keys rotate-encryption-key --lost "+
			"--data %s", quote(data))
	}
	return err
}

// rotateEncryptionKeyCmd seals the data keys with a new key.
type rotateEncryptionKeyCmd struct {
	Data string `default:"./weir-data" env:"WEIR_DATA" type:"path" placeholder:"DIR" help:"Data directory."`

	Lost bool `help:"The old key is lost: begin with a new one. What it had encrypted stays, unreadable."`

	encryptionKeyFlag `embed:""`
}

// Help is shown by weir keys rotate-encryption-key --help.
func (c *rotateEncryptionKeyCmd) Help() string {
	return `The key file, encryption.key in the data directory, gets a new key for each one in it. The data keys of all streams are sealed anew,
and the old keys are removed. Recordings are not touched. If the command is interrupted, run it again. With --lost, a new key replaces
a lost one, and an existing file is kept beside it. Recordings under the lost key stay until their retention ends; if you find the key
again, put its line at the end of the new file.

Example:

  weir keys rotate-encryption-key --data /var/lib/weir`
}

// Run rotates the key of a directory that no server uses.
func (c *rotateEncryptionKeyCmd) Run(std stdio) error {
	path := local.KeyFile(c.Data, c.EncryptionKeyFile)
	n, kept, err := local.RotateEncryptionKey(c.Data, path, c.Lost)
	switch {
	case errors.Is(err, store.ErrLocked):
		return inUse(c.Data)
	case errors.Is(err, store.ErrKey):
		return hintEncryptionKey(err, c.Data)
	case errors.Is(err, fs.ErrNotExist):
		return hintNoData(err, c.Data, "nodes do not encrypt, the object store may")
	case err != nil:
		return err
	case kept != "":
		fmt.Fprintf(std.Out, "The file that was there is %s now.\n", kept)
	}
	_, err = fmt.Fprintf(std.Out, "A new key is in %s; the keys of %s are sealed with it.\n", path,
		count(n, "stream"))
	return err
}
