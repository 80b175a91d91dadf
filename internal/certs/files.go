package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is the least time between checks whether the files have changed.
const checkEvery = time.Second

// Files is a certificate chain and its key in two PEM files. A handshake checks them again if the
// last check was more than a second ago, and gets the new pair if they have changed. If the new
// pair cannot be used, for example because only one file is written yet, that is logged once and
// the old pair stays.
type Files struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	mu     sync.Mutex
	pair   *tls.Certificate
	seen   [2]os.FileInfo // of the files that were read last, usable or not
	looked time.Time
}

// NewFiles reads the files. They must exist and fit together.
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

// reload reads the files if they have changed. The caller holds mu.
func (f *Files) reload() {
	seen, err := f.look()
	if err == nil && same(seen, f.seen) || err != nil && f.seen == [2]os.FileInfo{} {
		return
	}
	f.seen = seen // checked before the files are read, so that a change meanwhile is noticed
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

// look returns the file infos that show whether the files have changed. It returns an error if one
// of them is missing.
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
