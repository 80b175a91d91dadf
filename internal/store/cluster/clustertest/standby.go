package clustertest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartStandby starts a server that follows p by streaming replication, through an address that
// leads to p (https://www.postgresql.org/docs/15/warm-standby.html#STREAMING-REPLICATION). Until
// Promote it is read-only.
func (p *Postgres) StartStandby(t testing.TB, address string) *Postgres {
	t.Helper()
	s, err := p.startStandby(address)
	if err != nil {
		t.Fatalf("standby: %v", err)
	}
	t.Cleanup(s.remove)
	return s
}

func (p *Postgres) startStandby(address string) (*Postgres, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-standby-")
	if err != nil {
		return nil, err
	}
	s := &Postgres{process: process{dir: dir}, bin: p.bin}
	attributes, err := s.unprivileged()
	if err == nil {
		backup := exec.Command(filepath.Join(p.bin, "pg_basebackup"), "--pgdata",
			filepath.Join(dir, "data"), "--dbname", fmt.Sprintf("host=%s port=%s user=weir", host,
				port), "--wal-method", "stream", "--checkpoint", "fast", "--write-recovery-conf",
			"--no-sync")
		backup.SysProcAttr, backup.Dir = attributes, dir
		var out []byte
		if out, err = backup.CombinedOutput(); err != nil {
			err = fmt.Errorf("pg_basebackup: %w\n%s", err, out)
		}
	}
	if err == nil {
		err = s.startAnywhere()
	}
	if err == nil {
		return s, nil
	}
	s.remove()
	return nil, err
}

// Promote makes a standby a server in its own right, with the data that it has by then.
func (p *Postgres) Promote(t testing.TB) {
	t.Helper()
	run(t, p.URL(""), `SELECT pg_promote()`)
}
