package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"weir/internal/store"
	"weir/internal/store/encryption"
)

var _ encryption.Files = (*Volumes)(nil)

const (
	keyFileName   = "data.keys"        // in a stream's directory
	checkFileName = "encryption.check" // beside those
	maxKeyFile    = 1 << 20            // bytes
)

// keyFile is the path of a stream's key file.
func (v *Reader) keyFile(id store.StreamID) (string, error) {
	if id == "" {
		return filepath.Join(v.dir, checkFileName), nil
	}
	if !id.Valid() {
		return "", fmt.Errorf("stream id %q is not valid", id)
	}
	return filepath.Join(v.dir, string(id), keyFileName), nil
}

// KeyFile implements encryption.Reader.
func (v *Reader) KeyFile(id store.StreamID) ([]byte, error) {
	path, err := v.keyFile(id)
	if err != nil {
		return nil, err
	}
	f, err := v.fs.Open(path)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err == nil && size > maxKeyFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	b := make([]byte, min(size, maxKeyFile))
	if err == nil && size > 0 {
		_, err = f.ReadAt(b, 0)
	}
	return b, errors.Join(err, f.Close())
}

// PutKeyFile implements encryption.Files.
func (v *Volumes) PutKeyFile(id store.StreamID, data []byte) error {
	path, err := v.keyFile(id)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if id != "" {
		if err := v.o.Check(); err != nil {
			return err
		}
		if err := v.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return full(err)
		}
		if err := v.fs.SyncDir(v.dir); err != nil { // as in create
			return err
		}
	}
	fresh := path + ".new"
	if err := v.fs.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := v.fs.Create(fresh)
	if err != nil {
		return full(err)
	}
	_, err = f.WriteAt([][]byte{data}, 0)
	if err == nil {
		err = f.Datasync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return full(errors.Join(err, v.fs.Remove(fresh)))
	}
	if err := v.fs.Rename(fresh, path); err != nil {
		return err
	}
	return v.fs.SyncDir(dir)
}

// RemoveKeyFile implements encryption.Files. Where the file system writes in place, zeros overwrite
// the keys.
func (v *Volumes) RemoveKeyFile(id store.StreamID) error {
	path, err := v.keyFile(id)
	if err != nil {
		return err
	}
	f, err := v.fs.OpenWrite(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil {
		_, err = f.WriteAt([][]byte{make([]byte, size)}, 0)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := v.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return v.fs.SyncDir(filepath.Dir(path))
}

// KeyFiles implements encryption.Files.
func (v *Reader) KeyFiles() (ids []store.StreamID, err error) {
	entries, err := v.fs.ReadDir(v.dir)
	for _, e := range entries {
		id := store.StreamID(e.Name())
		if !e.IsDir() || !id.Valid() {
			continue
		}
		f, err := v.fs.Open(filepath.Join(v.dir, e.Name(), keyFileName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, err
}
