// Package check is weir check: it compares stored data with the index, on one machine or in a
// cluster, repairs differences and reports them.
package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"weir/internal/store"
	"weir/internal/store/cluster/repair"
	"weir/internal/terminal"
)

// Command is weir check: its flags, and what it prints.
type Command struct {
	Data   string `arg:"" optional:"" default:"./weir-data" env:"WEIR_DATA" type:"path" help:"Data directory; not used with --database."`
	Repair bool   `help:"Repair what can be repaired. The server must be stopped; nodes of a cluster may run."`
	JSON   bool   `name:"json" help:"Print the report as JSON."`

	Database string `group:"Cluster" env:"WEIR_DATABASE" placeholder:"postgres://USER:PASSWORD@HOST/NAME" help:"Check a cluster: its database, and the objects of --objects."`
	Objects  string `group:"Cluster" env:"WEIR_OBJECTS" placeholder:"s3://BUCKET/PREFIX?endpoint=URL" help:"Object store of the cluster, as for weir serve."`
	Deep     bool   `group:"Cluster" help:"Read every byte of a cluster's recordings and verify its checksum. By default, only what describes them is read. Of a data directory, every byte is always read."`

	EncryptionKeyFile string `name:"encryption-key-file" group:"Storage" env:"WEIR_ENCRYPTION_KEY_FILE" type:"path" placeholder:"FILE" help:"Key that seals the data keys of encrypted recordings, made at the first start with --encrypt. By default, encryption.key in the data directory."`
}

// Help is shown by weir check --help.
func (c *Command) Help() string {
	return `Reads everything that is stored and verifies that the index and the volumes agree and that every checksum holds. Without
--repair nothing is changed, and the server may be running. With it, an index that is lost or does not agree with the
volumes is made again from them, and the old one is kept beside it. Nothing else is deleted.

With --database, it verifies that a cluster's rows and objects agree: every object that rows refer to is there and whole, and every
fragment in the objects that should have a row has one. --repair makes rows again that the database has lost, in a failover or by a
restore, deletes again what was deleted meanwhile, and drops the rows of objects that are not there. Nodes may be running; they do no
background work until it has ended. If it is interrupted, the next run continues.

Exit codes: 0 all is well, or is now; 1 the check could not be done; 2 wrong usage; 3 there is a problem.

Examples:

  weir check /var/lib/weir
  weir check --repair /var/lib/weir
  weir check --database postgres://weir@db.example.com/weir --repair \
    --objects 's3://recordings/site1?endpoint=https://s3.example.com'`
}

// errObjects says that the object store of a cluster was not given.
var errObjects = errors.New("--database without --objects")

// errDeep says that a flag has no meaning for a data directory.
var errDeep = errors.New("--deep without --database")

// Check runs the command: the report goes to out, progress to log. It returns how many problems are
// left.
func (c *Command) Check(ctx context.Context, out, log io.Writer) (left int, err error) {
	p := terminal.NewProgress(log)
	switch {
	case c.Database != "":
		return c.cluster(ctx, out, p)
	case c.Deep:
		return 0, errDeep
	}
	return c.local(ctx, out, p)
}

// Hint says what to do about an error of Check; "" when there is nothing to say.
func Hint(err error) string {
	switch {
	case err == nil:
	case errors.Is(err, store.ErrLocked):
		return "stop the server first"
	case errors.Is(err, fs.ErrNotExist):
		return "name the directory that weir serve --data names"
	case errors.Is(err, errObjects):
		return "the bytes of a cluster are in an object store: " +
			"--objects s3://BUCKET/PREFIX?endpoint=URL"
	case errors.Is(err, errDeep):
		return "every byte in a data directory is read anyway; --database names a cluster"
	case errors.Is(err, repair.ErrOldTables):
		return "a check does not update them: use the version of the nodes, or upgrade a node " +
			"first; --repair updates them too"
	case errors.Is(err, repair.ErrOtherCluster):
		return "name the database and the objects that the nodes have"
	}
	return ""
}

func printJSON(w io.Writer, report any) error {
	b, err := json.MarshalIndent(report, "", "    ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", b)
	}
	return err
}

// count returns a number and the word for a thing, whose plural has an s.
func count[N int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
