package encryption

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"weir/internal/sealing"
	"weir/internal/store"
)

// Reader reads the files of data keys. They are beside what is encrypted under them, one for each
// stream, so that a stream's records and keys are copied, restored and deleted together.
type Reader interface {
	// KeyFile returns the file of a stream, or for "" the one that shows whether the sealing key is
	// the right one. fs.ErrNotExist when there is none.
	KeyFile(id store.StreamID) ([]byte, error)
}

// Files is a Reader that can also change the files. Methods may be called concurrently, but for
// each stream one at a time.
type Files interface {
	Reader
	// PutKeyFile replaces a file; durable on return. store.ErrFull when there is no room.
	PutKeyFile(id store.StreamID, data []byte) error
	// RemoveKeyFile overwrites a file and deletes it, if there is one; durable on return.
	RemoveKeyFile(id store.StreamID) error
	// KeyFiles lists the streams that have a file.
	KeyFiles() ([]store.StreamID, error)
}

// Options of Keys.
type Options struct {
	KeyFile string // of the sealing keys
	Files   Files
	Encrypt bool // new records are encrypted; otherwise they are only decrypted
}

// Keys holds the data keys of all streams, sealed under the sealing keys of a file. It is safe for
// concurrent use.
type Keys struct {
	path    string // of the sealing keys
	reader  Reader
	files   Files // nil: nothing is written
	encrypt bool

	opens *sealing.Sealer            // nil: there is no sealing key
	seals map[string]*sealing.Sealer // by the names of sealing keys, with one for ""

	mu      sync.Mutex
	streams map[store.StreamID]*streamKeys // guarded by mu
}

// streamKeys holds the data keys of one stream, the newest last.
type streamKeys struct {
	mu     sync.Mutex
	read   bool           // guarded by mu, as is the rest
	file   keyFile        // as it is stored
	opened []DataKey      // the keys in the file that a sealing key opens
	plain  []store.Number // its marks, likewise
}

// keyFile is the content of a stream's file, in JSON.
type keyFile struct {
	Version int         `json:"version"`
	Keys    []sealedKey `json:"keys"`
	Plain   []plainMark `json:"plain,omitempty"`
}

// sealedKey is a data key in that file.
type sealedKey struct {
	ID       []byte `json:"id"` // KeyID
	KMSKeyID string `json:"kmsKeyId,omitempty"`
	Created  string `json:"created"` // RFC 3339
	Sealed   []byte `json:"sealed"`
}

const (
	keyFileVersion = 2 // version 1 has no marks, and its keys have no number
	secretSize     = 32
	maxSealingKeys = 256
	kindDataKey    = "data-key"

	// in the file that belongs to no stream
	kindCheck = "encryption"
	checkName = "check"
)

// sealingFile is the file with the sealing keys.
func sealingFile(path string) *sealing.File {
	return &sealing.File{Path: path, What: "encryption key file", Most: maxSealingKeys, Named: true,
		Comment: "What the data keys of Weir's recordings are sealed with.\n" +
			"Without it, encrypted recordings are lost.\n" +
			"A name after a key says that it is for streams with this KmsKeyId.\n" +
			"The first key without a name is for all others."}
}

// Open reads the sealing keys. With Options.Encrypt it makes their file, if that was never done.
// store.ErrKey when they are not the keys that were used before.
func Open(o Options) (*Keys, error) {
	k := &Keys{path: o.KeyFile, reader: o.Files, files: o.Files, encrypt: o.Encrypt,
		streams: make(map[store.StreamID]*streamKeys)}
	used, err := k.open()
	if errors.Is(err, fs.ErrNotExist) && !used && o.Encrypt {
		keys := []sealing.Key{sealing.NewKey("")}
		if err = sealingFile(o.KeyFile).Write(keys); err == nil {
			err = k.use(keys)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !used:
		return k, nil
	case err == nil && o.Encrypt && !used:
		err = k.putCheck()
	}
	if err != nil {
		return nil, fmt.Errorf("encryption: %w", err)
	}
	return k, nil
}

// OpenReadOnly reads the sealing keys for a reader that changes nothing. Without them, or with the
// wrong ones, Find returns store.ErrKey.
func OpenReadOnly(keyFile string, files Reader) (*Keys, error) {
	k := &Keys{path: keyFile, reader: files, streams: make(map[store.StreamID]*streamKeys)}
	_, err := k.open()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, store.ErrKey) {
		return nil, fmt.Errorf("encryption: %w", err)
	}
	return k, nil
}

// open reads the sealing keys, checks them against what was sealed before, and says whether
// anything was. fs.ErrNotExist, store.ErrKey.
func (k *Keys) open() (used bool, err error) {
	check, err := k.reader.KeyFile("")
	used = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	keys, err := sealingFile(k.path).Read()
	if errors.Is(err, fs.ErrNotExist) && used {
		return used, fmt.Errorf("%w: %s is not there; put it back from a backup; "+
			"nothing was changed", store.ErrKey, k.path)
	}
	if err == nil {
		err = k.use(keys)
	}
	if err != nil || !used {
		return used, err
	}
	if _, err := k.opens.Open(kindCheck, checkName, check); err != nil {
		return used, fmt.Errorf("%w: the one in %s has not sealed the data keys that are here; "+
			"put the right file back; nothing was changed", store.ErrKey, k.path)
	}
	return used, nil
}

func (k *Keys) putCheck() error {
	return k.files.PutKeyFile("", k.sealer("").Seal(kindCheck, checkName, []byte("weir")))
}

// use replaces the sealing keys.
func (k *Keys) use(keys []sealing.Key) (err error) {
	k.seals = make(map[string]*sealing.Sealer)
	for _, key := range keys {
		if k.seals[key.Name] == nil {
			if k.seals[key.Name], err = sealing.New([]sealing.Key{key}); err != nil {
				return err
			}
		}
	}
	if k.seals[""] == nil {
		return fmt.Errorf("encryption key file %s: every key in it has a name", k.path)
	}
	k.opens, err = sealing.New(keys)
	return err
}

// sealer returns the sealing key for a stream's KmsKeyId.
func (k *Keys) sealer(kmsKeyID string) *sealing.Sealer {
	if s := k.seals[kmsKeyID]; s != nil {
		return s
	}
	return k.seals[""]
}

// Encrypts reports whether new records are to be encrypted.
func (k *Keys) Encrypts() bool { return k != nil && k.encrypt }

func (k *Keys) of(id store.StreamID) *streamKeys {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.streams[id]
	if s == nil {
		s = &streamKeys{}
		k.streams[id] = s
	}
	return s
}

// Newest returns the data key that encrypts a stream's records. The first call makes it; its file
// is durable on return. number is the number of the record: when the key is new, a plain record
// with that number or a greater one no longer opens, until MarkPlain; 0 is no number.
// store.ErrFull.
func (k *Keys) Newest(stream *store.Stream, number store.Number) (*DataKey, error) {
	if k.opens == nil {
		return nil, fmt.Errorf("%w: there is no key in %s", store.ErrKey, k.path)
	}
	s := k.of(stream.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := k.loadOnce(s, stream.ID); err != nil {
		return nil, err
	}
	// A key that a lost key has sealed stays in the file, in case that one is found again.
	n := len(s.opened)
	if n > 0 && s.opened[n-1].ID == KeyID(s.file.Keys[len(s.file.Keys)-1].ID) &&
		(number == 0 || s.marked()) {
		return &s.opened[n-1], nil
	}
	fresh := DataKey{stream: stream.ID, secret: make([]byte, secretSize), since: number}
	rand.Read(fresh.ID[:]) // never fails
	rand.Read(fresh.secret)
	file := keyFile{Version: keyFileVersion, Plain: s.file.Plain,
		Keys: append(slices.Clone(s.file.Keys),
			k.seal(&fresh, stream.KMSKeyID, time.Now().UTC().Format(time.RFC3339)))}
	if err := k.put(stream.ID, &file); err != nil {
		s.read = false // it may be there or not
		return nil, err
	}
	s.file, s.opened = file, append(slices.Clone(s.opened), fresh)
	return &s.opened[len(s.opened)-1], nil
}

func (k *Keys) put(id store.StreamID, file *keyFile) error {
	data, err := json.MarshalIndent(file, "", " ")
	if err == nil {
		err = k.files.PutKeyFile(id, data)
	}
	if err != nil {
		return fmt.Errorf("data keys of stream %s: %w", id, err)
	}
	return nil
}

func (k *Keys) seal(d *DataKey, kmsKeyID, created string) sealedKey {
	return sealedKey{ID: d.ID[:], KMSKeyID: kmsKeyID, Created: created,
		Sealed: k.sealer(kmsKeyID).Seal(kindDataKey, keyName(d.stream, d.ID[:], kmsKeyID),
			sealedSecret(d))}
}

// keyName binds a sealed data key to its stream, its ID, and the name of the sealing key.
func keyName(id store.StreamID, key []byte, kmsKeyID string) string {
	return fmt.Sprintf("%s/%x/%s", id, key, kmsKeyID)
}

// loadOnce is load, if the file was not read yet. The caller holds s.mu.
func (k *Keys) loadOnce(s *streamKeys, id store.StreamID) error {
	if s.read {
		return nil
	}
	return k.load(s, id)
}

// load reads the file of a stream. The caller holds s.mu.
func (k *Keys) load(s *streamKeys, id store.StreamID) error {
	data, err := k.reader.KeyFile(id)
	if errors.Is(err, fs.ErrNotExist) {
		s.read, s.file, s.opened, s.plain = true, keyFile{}, nil, nil
		return nil
	}
	var file keyFile
	if err == nil {
		file, err = decodeKeyFile(data)
	}
	if err != nil {
		return fmt.Errorf("data keys of stream %s: %w", id, err)
	}
	var opened []DataKey
	for _, sealed := range file.Keys {
		if k.opens == nil {
			break
		}
		data, err := k.opens.Open(kindDataKey, keyName(id, sealed.ID, sealed.KMSKeyID),
			sealed.Sealed)
		secret, since, ok := openedSecret(data)
		if err == nil && ok {
			opened = append(opened, DataKey{ID: KeyID(sealed.ID), stream: id, secret: secret,
				since: since})
		}
	}
	var plain []store.Number
	for _, mark := range file.Plain {
		if k.opens == nil {
			break
		}
		if _, err := k.opens.Open(kindPlain, markName(id, mark.From), mark.Sealed); err == nil {
			plain = append(plain, mark.From)
		}
	}
	s.read, s.file, s.opened, s.plain = true, file, opened, plain
	return nil
}

// decodeKeyFile reads the file of a stream. store.ErrKey.
func decodeKeyFile(data []byte) (file keyFile, err error) {
	if err := json.Unmarshal(data, &file); err != nil {
		return file, fmt.Errorf("%w: its file is damaged: %w", store.ErrKey, err)
	}
	if file.Version < 1 || file.Version > keyFileVersion {
		return file, fmt.Errorf("%w: its file is of version %d, which is not known", store.ErrKey,
			file.Version)
	}
	for _, key := range file.Keys {
		if len(key.ID) != idSize {
			return file, fmt.Errorf("%w: its file has an id of %d bytes", store.ErrKey, len(key.ID))
		}
	}
	return file, nil
}

// Find returns the data key that the head of a stream's record names. store.ErrKey when it does not
// exist here, or when no sealing key opens it.
func (k *Keys) Find(id store.StreamID, head []byte) (*DataKey, error) {
	want, err := keyOf(head)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, fmt.Errorf("%w: data key %x of stream %s", store.ErrKey, want, id)
	}
	s := k.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	find := func() *DataKey {
		for i := range s.opened {
			if s.opened[i].ID == want {
				return &s.opened[i]
			}
		}
		return nil
	}
	if d := find(); d != nil {
		return d, nil
	}
	// Another process may have made it in the meantime.
	if err := k.load(s, id); err != nil {
		return nil, err
	}
	if d := find(); d != nil {
		return d, nil
	}
	if slices.ContainsFunc(s.file.Keys, func(e sealedKey) bool { return KeyID(e.ID) == want }) {
		return nil, fmt.Errorf("%w: no key in %s opens data key %x of stream %s", store.ErrKey,
			k.path, want, id)
	}
	return nil, fmt.Errorf("%w: data key %x of stream %s is not there", store.ErrKey, want, id)
}

// Destroy destroys the data keys of a stream. What is encrypted under them can no longer be read,
// except for what is already open.
func (k *Keys) Destroy(id store.StreamID) error {
	if k == nil || k.files == nil {
		return nil
	}
	s := k.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read, s.file, s.opened, s.plain = false, keyFile{}, nil, nil
	k.mu.Lock()
	delete(k.streams, id)
	k.mu.Unlock()
	if err := k.files.RemoveKeyFile(id); err != nil {
		return fmt.Errorf("destroy data keys of stream %s: %w", id, err)
	}
	return nil
}
