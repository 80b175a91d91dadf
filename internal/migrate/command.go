package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"weir/internal/access"
	"weir/internal/store"
	"weir/internal/store/cluster"
	"weir/internal/terminal"
)

// Command is weir migrate: its flags, and what it prints.
type Command struct {
	Data string `arg:"" type:"path" help:"Data directory of the single server, which must be stopped."`

	Database    string `required:"" env:"WEIR_DATABASE" placeholder:"postgres://USER:PASSWORD@HOST/NAME" help:"Database of the cluster, which must be new."`
	Objects     string `required:"" env:"WEIR_OBJECTS" placeholder:"s3://BUCKET/PREFIX?endpoint=URL" help:"Object store of the cluster. Its keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the AWS credentials file."`
	WarmObjects string `name:"warm-objects" env:"WEIR_WARM_OBJECTS" placeholder:"s3://BUCKET/PREFIX?endpoint=URL" help:"Object store that the server had as --objects, for its streams with the storage tier WARM."`
	Decrypt     bool   `help:"Copy encrypted recordings too, decrypted: have the object store encrypt them."`

	AccessKeyFile     string `name:"access-key-file" env:"WEIR_ACCESS_KEY_FILE" type:"path" placeholder:"FILE" help:"Key that seals the secrets of keys. By default, access.key in the data directory."`
	EncryptionKeyFile string `name:"encryption-key-file" env:"WEIR_ENCRYPTION_KEY_FILE" type:"path" placeholder:"FILE" help:"Key that seals the data keys of encrypted recordings. By default, encryption.key in the data directory."`
}

// Help is shown by weir migrate --help.
func (c *Command) Help() string {
	return `Copies streams with all fragments, open playback sessions, keys, users, policies, roles and cameras. Fragment numbers, ARNs,
URLs and keys stay valid. The server must be stopped. The directory is changed as a start would change it, and stays as it is otherwise. Every
checksum is verified, every object is read back after it was written, and in the end both list the same fragments. If a run is
interrupted, the next one continues. No node starts before everything is there.

Afterwards copy the access key file to every node and start them with the same --database and --objects. The audit log and certificates
stay in the directory.

Exit codes: 0 everything is copied; 1 it is not, and the next run continues; 2 wrong usage; 3 everything that can be read is copied.

Example:

  weir migrate /var/lib/weir --database postgres://weir@db.example.com/weir \
    --objects 's3://recordings/site1?endpoint=https://s3.example.com'`
}

// Migrate runs the command: the summary goes to out, progress and problems to log. It returns how
// many things could not be read.
func (c *Command) Migrate(ctx context.Context, out, log io.Writer) (damaged int, err error) {
	p := terminal.NewProgress(log)
	s, err := Run(ctx, Options{Dir: c.Data, Database: c.Database, Objects: c.Objects,
		Warm: c.WarmObjects, AccessKey: c.AccessKeyFile, EncryptionKey: c.EncryptionKeyFile,
		Decrypt: c.Decrypt, Logger: slog.New(slog.NewTextHandler(p, nil)),
		Progress: func(done, total int64) {
			p.Printf("%.1f of %.1f GB, %.0f MB/s", float64(done)/1e9, float64(total)/1e9,
				p.Rate(done)/1e6)
		}})
	p.Clear()
	if err != nil {
		return 0, err
	}
	if s.Finished {
		_, err = fmt.Fprintln(out, "An earlier run has copied everything; nothing was done.")
		return 0, err
	}
	for _, line := range s.Damaged {
		fmt.Fprintln(log, line)
	}
	_, err = fmt.Fprintf(out, "Copied %d streams: %d fragments, %.1f MB in %d volumes (%d by "+
		"earlier runs); %d sessions; %d keys, policies and the like.\n", s.Streams, s.Fragments,
		float64(s.Bytes)/1e6, s.Volumes+s.Before, s.Before, s.Sessions, s.Documents)
	return len(s.Damaged), err
}

// Hint says what to do about an error of Run; "" when there is nothing to say.
func Hint(err error) string {
	switch {
	case err == nil:
	case errors.Is(err, store.ErrLocked):
		return "stop the server first"
	case errors.Is(err, fs.ErrNotExist):
		return "name the directory that weir serve --data names"
	case errors.Is(err, ErrEncrypted):
		return "--decrypt copies them as they were before; let the object store encrypt them"
	case errors.Is(err, ErrWarm):
		return "--warm-objects names it: what the server had as --objects"
	case errors.Is(err, cluster.ErrInUse), errors.Is(err, cluster.ErrOtherCluster),
		errors.Is(err, errDiffers):
		return "make a new database and use another prefix of the bucket"
	case errors.Is(err, cluster.ErrImporting):
		return "wait until that one has ended"
	case errors.Is(err, store.ErrKey), errors.Is(err, access.ErrKeyLost):
		return "the key files are in the data directory unless the server was given others"
	}
	return ""
}
