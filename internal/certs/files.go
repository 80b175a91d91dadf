package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is how often a handshake looks whether the files have changed, at most.
const checkEvery = time.Second

// Files is a certificate chain and its key in two PEM files. A handshake that comes a second after
// they were looked at looks again, and gets the new pair if they have changed. A pair that cannot
// be used, such as one of which only one file is written yet, changes nothing: the log tells once,
// and the old one stays.
type Files struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	mu     sync.Mutex
	pair   *tls.Certificate
	seen   [2]os.FileInfo // of the files that were read last, whether they could be used or not
	looked time.Time
}

// NewFiles reads the files. They must be there, and of one key.
func NewFiles(cert, key string, logger *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, log: logger, now: time.Now}
	f.looked = f.now()
	seen, err := f.look()
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	f.seen = seen
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	f.pair = &pair
	return f, nil
}

// GetCertificate implements Source. It never fails.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.looked) >= checkEvery || now.Before(f.looked) {
		f.looked = now
		f.reload()
	}
	return f.pair, nil
}

// reload reads the files if they are others than before. The caller holds mu.
func (f *Files) reload() {
	seen, err := f.look()
	if err == nil && same(seen, f.seen) || err != nil && f.seen == [2]os.FileInfo{} {
		return
	}
	f.seen = seen // looked at before they are read: what changes meanwhile is read once more
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(f.cert, f.key)
	}
	if err != nil {
		f.log.Warn(
			"the certificate files have changed and cannot be used; the old certificate stays",
			"certificate", f.cert, "key", f.key, "error", err)
		return
	}
	f.pair = &pair
	f.log.Info("a new certificate is used", "certificate", f.cert, "until", pair.Leaf.NotAfter)
}

// look returns what tells whether the files have changed; nothing, with an error, when one of them
// is not there.
func (f *Files) look() (seen [2]os.FileInfo, err error) {
	for i, path := range []string{f.cert, f.key} {
		if seen[i], err = os.Stat(path); err != nil {
			return [2]os.FileInfo{}, err
		}
	}
	return seen, nil
}

// same reports whether nothing has changed. A symbolic link to another file is a change.
func same(a, b [2]os.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil || !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() ||
			!a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}
