package encryption

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"weir/internal/sealing"
	"weir/internal/store"
)

// Rotate makes a new sealing key for each name in the file, seals all data keys with the new ones,
// removes the old ones from the file, and returns how many streams there were. If it is
// interrupted, the file has both and everything opens; call it again. Data keys that no key opens
// are left as they are. No other process may use the store in the meantime. store.ErrKey when there
// is no sealing key.
func (k *Keys) Rotate() (streams int, err error) {
	if k.opens == nil {
		return 0, fmt.Errorf("%w: there is no key in %s", store.ErrKey, k.path)
	}
	file := sealingFile(k.path)
	old, err := file.Read()
	if err != nil {
		return 0, err
	}
	var fresh []sealing.Key
	for name := range k.seals {
		fresh = append(fresh, sealing.NewKey(name))
	}
	both := append(fresh[:len(fresh):len(fresh)], old...)
	if len(both) > maxSealingKeys { // one that is left out may be needed to open a stream
		return 0, fmt.Errorf("%s has %d keys: with the new ones there would be more than %d; take "+
			"out those that seal nothing", k.path, len(old), maxSealingKeys)
	}
	if err := errors.Join(file.Write(both), k.use(both)); err != nil {
		return 0, err
	}
	ids, err := k.files.KeyFiles()
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := k.reseal(id); err != nil {
			return streams, err
		}
		streams++
	}
	if err := k.putCheck(); err != nil {
		return streams, err
	}
	return streams, errors.Join(file.Write(fresh), k.use(fresh))
}

// reseal seals the data keys of a stream again.
func (k *Keys) reseal(id store.StreamID) error {
	s := k.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := k.load(s, id); err != nil {
		return err
	}
	next := keyFile{Version: keyFileVersion}
	for _, mark := range s.file.Plain {
		if slices.Contains(s.plain, mark.From) {
			mark.Sealed = k.sealer("").Seal(kindPlain, markName(id, mark.From), nil)
		}
		next.Plain = append(next.Plain, mark)
	}
	for _, sealed := range s.file.Keys {
		for i := range s.opened {
			if d := &s.opened[i]; d.ID == KeyID(sealed.ID) {
				sealed = k.seal(d, sealed.KMSKeyID, sealed.Created)
			}
		}
		next.Keys = append(next.Keys, sealed)
	}
	s.read = false
	return k.put(id, &next)
}

// Forget replaces a lost sealing key with a new one. What the lost key has sealed is kept; if the
// key is found again, its line at the end of the new file opens it. An existing file is kept beside
// the new one, under the name that is returned. It is an error if the key is not lost.
func Forget(o Options) (kept string, err error) {
	k := &Keys{path: o.KeyFile, reader: o.Files, files: o.Files}
	if _, err := k.open(); !errors.Is(err, store.ErrKey) {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("no key is lost: %s opens all that is sealed", o.KeyFile)
		}
		return "", err
	}
	kept = o.KeyFile + ".lost-" + time.Now().UTC().Format("20060102T150405")
	if err := os.Rename(o.KeyFile, kept); errors.Is(err, fs.ErrNotExist) {
		kept = ""
	} else if err != nil {
		return "", err
	}
	keys := []sealing.Key{sealing.NewKey("")}
	if err := errors.Join(sealingFile(o.KeyFile).Write(keys), k.use(keys)); err != nil {
		return kept, err
	}
	return kept, k.putCheck()
}
