package clustertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a PostgreSQL server.
type Postgres struct {
	process
	bin  string
	port string
}

// Database returns the URL of an empty schema of the shared server. The schema is dropped when the
// test ends.
func Database(t testing.TB) string {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.postgres == nil {
		p, err := startPostgres()
		if err != nil {
			missing(t, "PostgreSQL", err)
		}
		shared.postgres = p
	}
	shared.schemas++
	schema := fmt.Sprint("test", shared.schemas)
	run(t, shared.postgres.URL(""), `CREATE SCHEMA `+schema)
	t.Cleanup(func() { run(t, shared.postgres.URL(""), `DROP SCHEMA `+schema+` CASCADE`) })
	return shared.postgres.URL(schema)
}

// run runs a statement.
func run(t testing.TB, url, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

// StartPostgres starts a server for one test.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	p, err := startPostgres()
	if err != nil {
		missing(t, "PostgreSQL", err)
	}
	t.Cleanup(p.remove)
	return p
}

// URL is the URL of the server's database, with a schema for the tables; "" for the usual one.
func (p *Postgres) URL(schema string) string {
	v := url.Values{"sslmode": {"disable"}}
	if schema != "" {
		v.Set("search_path", schema)
	}
	return "postgres://weir@" + p.Address() + "/postgres?" + v.Encode()
}

// Address is where the server listens.
func (p *Postgres) Address() string { return "127.0.0.1:" + p.port }

// startPostgres makes a database directory and starts a server. Commits are only in the system's
// cache: they outlive the server but not the machine.
func startPostgres() (*Postgres, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-postgres-")
	if err != nil {
		return nil, err
	}
	p := &Postgres{process: process{dir: dir}, bin: bin}
	attributes, err := p.unprivileged()
	if err != nil {
		p.remove()
		return nil, err
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata", filepath.Join(dir, "data"),
		"--username", "weir", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8",
		"--no-sync", "--no-instructions")
	initdb.SysProcAttr, initdb.Dir = attributes, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		p.remove()
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := p.startAnywhere(); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

// startAnywhere starts the server on a free port.
func (p *Postgres) startAnywhere() (err error) {
	for range 5 { // another process may be the first to take the port
		if p.port, err = freePort(); err == nil {
			err = p.Start()
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// Start starts the server, again after Stop or Kill.
func (p *Postgres) Start() error {
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", filepath.Join(p.dir, "data"),
		"-p", p.port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "max_connections=400", "-c", "shared_buffers=64MB")
	attributes, err := p.unprivileged()
	if err != nil {
		return err
	}
	cmd.SysProcAttr = attributes
	return p.process.start(cmd, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.URL("")+"&connect_timeout=5")
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// Stop ends the server as an administrator does who does not wait for clients: it closes their
// connections.
func (p *Postgres) Stop() error {
	if err := p.signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(startTime):
		return fmt.Errorf("the server did not end within %s", startTime)
	}
	p.kill()
	return nil
}

// Kill ends the server like a crash, with all its processes.
func (p *Postgres) Kill() { p.kill() }

// unprivileged returns attributes that run a process as another user than root, since PostgreSQL
// refuses to run as root, and hands the directory to that user.
func (p *Postgres) unprivileged() (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, _ := strconv.Atoi(who.Uid) // as numbers, if this is root
	gid, _ := strconv.Atoi(who.Gid)
	if err := os.Chown(p.dir, uid, gid); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// postgresBin finds the directory of the newest PostgreSQL's programs. Debian keeps it out of the
// search path.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found)), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errMissing
	}
	return filepath.Dir(path), nil
}
