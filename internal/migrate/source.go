package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"weir/internal/auth"
	"weir/internal/store/encryption"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
	"weir/internal/store/objects"
	"weir/internal/store/sealed"
)

// idFile has the ID under which a data directory is migrated, so that a run finds what an earlier
// one has begun.
const idFile = "migration"

// source is a data directory that only this process has open, for reading.
type source struct {
	id      string
	lock    io.Closer
	rows    *index.Reader
	volumes *volume.Reader
	keys    *encryption.Keys
	warm    volume.Remote // nil: not known
	reader  *sealed.Reader
}

// openSource opens the directory for reading.
func openSource(ctx context.Context, o *Options) (_ *source, err error) {
	s := &source{}
	if o.Warm != "" {
		bucket, err := objects.Open(o.Warm, o.Keys)
		if err == nil {
			err = bucket.Check(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("recordings of WARM streams: %w", err)
		}
		s.warm = local.NewRemote(bucket, nil)
	}
	if s.lock, err = local.LockDirectory(ctx, o.Dir, 0); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.rows, err = index.OpenReadOnly(ctx, filepath.Join(o.Dir, local.IndexFile), false)
	if err != nil {
		return nil, err
	}
	s.volumes, err = volume.OpenReadOnly(filepath.Join(o.Dir, local.VolumesDirectory))
	if err != nil {
		return nil, err
	}
	s.keys, err = encryption.OpenReadOnly(local.KeyFile(o.Dir, o.EncryptionKey), s.volumes)
	if err != nil {
		return nil, err
	}
	s.reader = local.NewReader(s.rows, s.volumes, s.keys, 32<<20)
	if err := s.check(ctx, o); err != nil {
		return nil, err
	}
	return s, s.readID(o.Dir)
}

// settle does what a start of the server does: it repairs what a crash left, and seals volumes.
func settle(ctx context.Context, o *Options) error {
	if err := local.CheckDirectory(o.Dir); err != nil {
		return err
	}
	st, err := local.Open(ctx, o.Dir, local.Options{Logger: o.Logger,
		EncryptionKeyFile: o.EncryptionKey})
	if err != nil {
		return err
	}
	if err := st.Sweep(ctx); err != nil && ctx.Err() == nil {
		o.Logger.Warn("fragments of volumes that are not sealed are copied one by one", "error",
			err)
	}
	return errors.Join(ctx.Err(), st.Close())
}

// check returns an error, before anything is copied, if something cannot be.
func (s *source) check(ctx context.Context, o *Options) error {
	encrypted, err := s.volumes.KeyFiles()
	if err != nil {
		return err
	}
	if len(encrypted) > 0 && !o.Decrypt {
		return ErrEncrypted
	}
	if s.warm != nil {
		return nil
	}
	return s.volumes.List(ctx, func(name string) error {
		if strings.HasSuffix(name, "/") {
			return nil
		}
		away, err := s.volumes.Away(ctx, name)
		if err == nil && away {
			err = fmt.Errorf("%w: volume %s", ErrWarm, name)
		}
		return err
	})
}

// readID reads the directory's ID. The first run makes it.
func (s *source) readID(dir string) error {
	path := filepath.Join(dir, idFile)
	b, err := auth.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		b = []byte(rand.Text() + "\n")
		err = auth.WriteSecret(path, b)
	}
	s.id = strings.TrimSpace(string(b))
	if err == nil && s.id == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	return err
}

func (s *source) close() error {
	var errs []error
	if s.rows != nil {
		errs = append(errs, s.rows.Close())
	}
	if s.volumes != nil {
		errs = append(errs, s.volumes.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
