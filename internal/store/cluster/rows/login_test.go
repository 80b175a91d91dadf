package rows_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/store/cluster/clustertest"
	"weir/internal/store/cluster/rows"
)

// selfSigned makes a certificate for loopback and its key, both as PEM.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// A database that demands TLS and a password gets both by the settings of libpq. A password and a
// certificate that are replaced while the node runs are read from their files again.
func TestLogin(t *testing.T) {
	t.Parallel()
	p, ctx, dir := clustertest.StartPostgres(t), t.Context(), t.TempDir()
	conn, err := pgx.Connect(ctx, p.URL(""))
	must(t, err)
	defer conn.Close(ctx)
	var data string
	must(t, conn.QueryRow(ctx, `SHOW data_directory`).Scan(&data))
	exec := func(statement string) {
		t.Helper()
		_, err := conn.Exec(ctx, statement)
		must(t, err)
	}
	// The server writes its files itself, so that they are its user's.
	file := func(name, text string) {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(text), "\n")
		exec(`COPY (SELECT unnest(ARRAY['` + strings.Join(lines, `','`) + `']))
			TO PROGRAM 'umask 077; cat > ` + filepath.Join(data, name) + `'`)
	}
	ca, passwords := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "passwords")
	write := func(path, text string) { must(t, os.WriteFile(path, []byte(text), 0o600)) }
	certificate := func() {
		cert, key := selfSigned(t)
		file("server.crt", cert)
		file("server.key", key)
		write(ca, cert)
	}
	certificate()
	file("pg_hba.conf", "hostssl all node all scram-sha-256\nhost all node all reject\n"+
		"host all all all trust")
	exec(`CREATE ROLE node LOGIN PASSWORD 'first'`)
	exec(`GRANT ALL ON SCHEMA public TO node`)
	exec(`ALTER SYSTEM SET ssl = on`)
	exec(`SELECT pg_reload_conf()`)
	write(passwords, "*:*:*:node:first\n")
	url := "postgres://node@" + p.Address() + "/postgres?sslmode=verify-full&sslrootcert=" + ca +
		"&passfile=" + passwords
	var db *rows.DB
	// until makes new connections until one succeeds, or fails with the refusal, if that is not
	// empty.
	until := func(what, refusal string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			var err error
			if db == nil {
				db, err = rows.Open(ctx, url, rows.Options{})
			} else {
				exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'node'`)
				err = db.Ping(ctx)
			}
			if err == nil && refusal == "" || err != nil && refusal != "" &&
				strings.Contains(err.Error(), refusal) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	until("the server has read its settings", "")
	defer func() { must(t, db.Close()) }()
	exec(`ALTER ROLE node PASSWORD 'second'`)
	until("the old password", "password authentication failed")
	write(passwords, "*:*:*:node:second\n")
	until("the new password", "")
	old, err := os.ReadFile(ca)
	must(t, err)
	certificate()
	renewed, err := os.ReadFile(ca)
	must(t, err)
	write(ca, string(old))
	exec(`SELECT pg_reload_conf()`)
	until("a certificate that is not trusted", "unknown authority")
	write(ca, string(renewed))
	until("the new certificate", "")
}
