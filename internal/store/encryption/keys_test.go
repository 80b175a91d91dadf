package encryption

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"weir/internal/sealing"
	"weir/internal/store"
)

// memory is Files in memory.
type memory struct {
	mu    sync.Mutex
	files map[store.StreamID][]byte // guarded by mu
	fail  int                       // the write after so many fails, once; guarded by mu
}

var errInjected = errors.New("injected fault")

func (m *memory) KeyFile(id store.StreamID) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.files[id]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memory) PutKeyFile(id store.StreamID, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail--; m.fail == 0 {
		return errInjected
	}
	m.files[id] = data
	return nil
}

func (m *memory) RemoveKeyFile(id store.StreamID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, id)
	return nil
}

func (m *memory) KeyFiles() ([]store.StreamID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := slices.Sorted(maps.Keys(m.files))
	return slices.DeleteFunc(ids, func(id store.StreamID) bool { return id == "" }), nil
}

// site is keys, their files, and one record of each stream.
type site struct {
	*testing.T
	path    string
	files   *memory
	keys    *Keys
	records map[store.StreamID][]byte
}

func newSite(t *testing.T) *site {
	s := &site{T: t, path: filepath.Join(t.TempDir(), "encryption.key"),
		files:   &memory{files: make(map[store.StreamID][]byte)},
		records: make(map[store.StreamID][]byte)}
	s.open()
	return s
}

func (s *site) open() {
	s.Helper()
	var err error
	if s.keys, err = Open(Options{KeyFile: s.path, Files: s.files, Encrypt: true}); err != nil {
		s.Fatal(err)
	}
}

func (s *site) write(id store.StreamID, kmsKeyID string) *DataKey {
	s.Helper()
	k, err := s.keys.Newest(&store.Stream{ID: id, KMSKeyID: kmsKeyID}, 1)
	if err != nil {
		s.Fatal(err)
	}
	s.records[id], _ = encrypt(s, k, fragment(rand.New(rand.NewPCG(2, 1)), 9, 1000))
	return k
}

func (s *site) read(id store.StreamID) error {
	k, err := s.keys.Find(id, s.records[id])
	if err == nil {
		_, _, err = decrypt(k, s.records[id])
	}
	return err
}

func (s *site) wantErr(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("got error %v, want %v", err, want)
	}
}

const other = store.StreamID("ffeeddccbbaa99887766554433221100")

// Each stream has one data key, from its first record on and across restarts, sealed in its file.
func TestDataKeys(t *testing.T) {
	s := newSite(t)
	first, second := s.write(stream, ""), s.write(other, "")
	if bytes.Equal(first.secret, second.secret) {
		t.Fatal("two streams have one data key")
	}
	if again := s.write(stream, ""); again != first {
		t.Fatal("each record gets a data key")
	}
	s.open()
	if again := s.write(stream, ""); !bytes.Equal(again.secret, first.secret) {
		t.Fatal("the data key changed with a restart")
	}
	s.wantErr(s.read(stream), nil)
	s.wantErr(s.read(other), nil)
	for id, file := range s.files.files {
		if bytes.Contains(file, first.secret) || bytes.Contains(file, second.secret) {
			t.Fatalf("a data key lies bare in the file of %q", id)
		}
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("key file: %v, %v", info, err)
	}
	// A file that was put in another stream's place opens nothing.
	s.files.files[other] = s.files.files[stream]
	s.open()
	s.wantErr(s.read(other), store.ErrKey)
}

// A data key that may not be stored is not used.
func TestDataKeyThatIsNotStored(t *testing.T) {
	s := newSite(t)
	s.files.fail = 1
	if _, err := s.keys.Newest(&store.Stream{ID: stream}, 1); !errors.Is(err, errInjected) {
		t.Fatalf("got error %v", err)
	}
	s.write(stream, "")
	s.open()
	s.wantErr(s.read(stream), nil)
}

// A stream without its data keys cannot be read; other streams can.
func TestDestroy(t *testing.T) {
	s := newSite(t)
	s.write(stream, "")
	s.write(other, "")
	s.wantErr(s.keys.Destroy(stream), nil)
	s.wantErr(s.read(stream), store.ErrKey)
	s.wantErr(s.read(other), nil)
	s.open()
	s.wantErr(s.read(stream), store.ErrKey)
	if s.files.files[stream] != nil {
		t.Fatal("the file is left")
	}
}

// Without the key file, or with a wrong one, nothing starts and nothing is changed. With the right
// one everything is back.
func TestWrongKeyFile(t *testing.T) {
	s := newSite(t)
	s.write(stream, "")
	right, err := os.ReadFile(s.path)
	s.wantErr(err, nil)
	before := maps.Clone(s.files.files)
	for name, c := range map[string]struct{ file, says string }{
		"lost":      {"", "put it back from a backup"},
		"another's": {strings.Repeat("0123456789abcdef", 4), "put the right file back"},
		"named":     {strings.Repeat("0123456789abcdef", 4) + " a name", "has a name"},
		"cut":       {"0123", "a line of 64 digits"},
	} {
		s.wantErr(os.Remove(s.path), nil)
		if c.file != "" {
			s.wantErr(os.WriteFile(s.path, []byte(c.file+"\n"), 0o600), nil)
		}
		for _, encrypting := range []bool{true, false} {
			_, err := Open(Options{KeyFile: s.path, Files: s.files, Encrypt: encrypting})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if c.file == "" {
			if s.keys, err = OpenReadOnly(s.path, s.files); err != nil {
				t.Fatal(err)
			}
			s.wantErr(s.read(stream), store.ErrKey)
			s.wantErr(os.WriteFile(s.path, nil, 0o600), nil)
		}
		if !maps.EqualFunc(before, s.files.files, bytes.Equal) {
			t.Fatalf("%s: files of data keys changed", name)
		}
	}
	s.wantErr(os.WriteFile(s.path, right, 0o600), nil)
	s.open()
	s.wantErr(s.read(stream), nil)
	if s.keys, err = OpenReadOnly(s.path, s.files); err != nil {
		t.Fatal(err)
	}
	s.wantErr(s.read(stream), nil)
}

// Without --encrypt nothing is made, and what is encrypted is read.
func TestDecryptOnly(t *testing.T) {
	s := newSite(t)
	s.write(stream, "")
	var err error
	s.keys, err = Open(Options{KeyFile: s.path, Files: s.files})
	s.wantErr(err, nil)
	s.wantErr(s.read(stream), nil)
	plain := &memory{files: make(map[store.StreamID][]byte)}
	path := filepath.Join(t.TempDir(), "none")
	keys, err := Open(Options{KeyFile: path, Files: plain})
	if err != nil || keys.Encrypts() || len(plain.files) > 0 {
		t.Fatalf("%v, %v", plain.files, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("a key file was made")
	}
	s.keys = keys
	s.wantErr(s.read(stream), store.ErrKey)
}

// A new sealing key opens what the old one did, and the old one opens nothing any more. A rotation
// that was interrupted can be repeated, and until then everything opens.
func TestRotate(t *testing.T) {
	s := newSite(t)
	s.write(stream, "")
	s.write(other, "")
	before, err := os.ReadFile(s.path)
	s.wantErr(err, nil)
	for _, fail := range []int{1, 2, 3} {
		s.files.fail = fail
		_, err := s.keys.Rotate()
		s.wantErr(err, errInjected)
		s.open()
		s.wantErr(s.read(stream), nil)
		s.wantErr(s.read(other), nil)
	}
	n, err := s.keys.Rotate()
	if err != nil || n != 2 {
		t.Fatalf("rotated %d streams, %v", n, err)
	}
	s.wantErr(s.read(stream), nil)
	s.open()
	s.wantErr(s.read(stream), nil)
	s.wantErr(s.read(other), nil)
	after, err := sealingFile(s.path).Read()
	if err != nil || len(after) != 1 {
		t.Fatalf("%d keys, %v", len(after), err)
	}
	s.wantErr(os.WriteFile(s.path, before, 0o600), nil)
	_, err = Open(Options{KeyFile: s.path, Files: s.files})
	s.wantErr(err, store.ErrKey)
}

// A key file without room for the new key beside the old ones stays as it is.
func TestRotateAFullFile(t *testing.T) {
	s := newSite(t)
	s.write(stream, "")
	file := sealingFile(s.path)
	keys, err := file.Read()
	s.wantErr(err, nil)
	for len(keys) < maxSealingKeys { // the key that seals comes last
		keys = append([]sealing.Key{sealing.NewKey("")}, keys...)
	}
	s.wantErr(file.Write(keys), nil)
	s.open()
	if _, err := s.keys.Rotate(); err == nil {
		t.Error("rotated")
	}
	after, err := file.Read()
	if err != nil || len(after) != maxSealingKeys ||
		!reflect.DeepEqual(after, keys) {
		t.Errorf("%d keys, %v", len(after), err)
	}
	s.open()
	s.wantErr(s.read(stream), nil)
}

// A named key seals the data keys of the streams that have its name as KmsKeyId. Without its line
// these cannot be read; others can.
func TestNamedKey(t *testing.T) {
	s := newSite(t)
	file := sealingFile(s.path)
	name := "arn:aws:kms:eu-west-1:000000000000:key/front door"
	s.wantErr(os.WriteFile(s.path, []byte(strings.Repeat("00", 32)+" "+name+"\n"+
		strings.Repeat("11", 32)+"\n"), 0o600), nil)
	s.files.files = make(map[store.StreamID][]byte)
	s.open()
	s.write(stream, name)
	s.write(other, "a name that no key has")
	if _, err := s.keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	s.open()
	s.wantErr(s.read(stream), nil)
	keys, err := file.Read()
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	keys = slices.DeleteFunc(keys, func(k sealing.Key) bool { return k.Name == name })
	s.wantErr(file.Write(keys), nil)
	s.open()
	s.wantErr(s.read(stream), store.ErrKey)
	s.wantErr(s.read(other), nil)
}

// When a key is lost for good, another one takes its place. What the lost key had sealed is lost,
// unless the key is found again: its line after the new one's then opens everything.
func TestForget(t *testing.T) {
	s := newSite(t)
	s.write(stream, "")
	o := Options{KeyFile: s.path, Files: s.files, Encrypt: true}
	if _, err := Forget(o); err == nil {
		t.Fatal("a key that is there was forgotten")
	}
	lost, err := os.ReadFile(s.path)
	s.wantErr(err, nil)
	s.wantErr(os.WriteFile(s.path, []byte(strings.Repeat("0", 64)), 0o600), nil)
	kept, err := Forget(o)
	s.wantErr(err, nil)
	if _, err := os.Stat(kept); err != nil {
		t.Fatal(err)
	}
	s.open()
	old := s.records[stream]
	s.wantErr(s.read(stream), store.ErrKey)
	s.write(stream, "")
	s.wantErr(s.read(stream), nil)
	fresh := s.records[stream]
	now, err := os.ReadFile(s.path)
	s.wantErr(err, nil)
	s.wantErr(os.WriteFile(s.path, append(now, lost...), 0o600), nil)
	s.open()
	for _, rec := range [][]byte{old, fresh} {
		s.records[stream] = rec
		s.wantErr(s.read(stream), nil)
	}
}

// A damaged file of data keys is an error, and is not overwritten.
func TestDamagedKeyFile(t *testing.T) {
	s := newSite(t)
	s.write(stream, "")
	for _, bad := range []string{"", "{", `{"version":3}`, `{"version":1,"keys":[{"id":"AA=="}]}`} {
		s.files.files[stream] = []byte(bad)
		s.open()
		s.wantErr(s.read(stream), store.ErrKey)
		_, err := s.keys.Newest(&store.Stream{ID: stream}, 1)
		s.wantErr(err, store.ErrKey)
		if string(s.files.files[stream]) != bad {
			t.Fatal("written over")
		}
	}
}
