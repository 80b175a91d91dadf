package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"weir/internal/auth"
	"weir/internal/store"
)

// A key file that is lost, damaged or the wrong one prevents the start, with a hint, and changes
// nothing: with the right file everything is back.
func TestKeyFile(t *testing.T) {
	s := newSite(t)
	pair := s.user("ann", "producer")
	path := filepath.Join(s.dir, "access.key")
	right, err := os.ReadFile(path)
	s.must(err)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	before, err := s.store.ListDocuments(t.Context(), "")
	s.must(err)
	key := bytes.TrimSpace(bytes.SplitAfterN(right, []byte("\n"), 3)[2])
	for name, c := range map[string]struct {
		file []byte // nil: none
		says string
	}{
		"lost":      {nil, "put it back from a backup"},
		"another's": {bytes.Repeat([]byte("0123456789abcdef"), 4), "put the right file back"},
		"empty":     {[]byte("# a comment\n"), "no key in it"},
		"cut":       {key[:40], "a line of 64 digits"},
		"too many":  {bytes.Repeat(append(key[:64:64], '\n'), 9), "9 keys"},
		"no digits": {bytes.Repeat([]byte("x"), 64), "not hexadecimal"},
	} {
		s.must(os.Remove(path))
		if c.file != nil {
			s.must(os.WriteFile(path, c.file, 0o600))
		}
		if _, err := Open(t.Context(), s.options()); err == nil ||
			!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		seals, err := s.store.ListDocuments(t.Context(), KindSeal)
		s.must(err)
		if err := CheckKeyFile(path, seals); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: the check says %v", name, err)
		}
		if file, err := os.ReadFile(path); !bytes.Equal(file, c.file) || c.file == nil &&
			!errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the file is now %q", name, file)
		}
		s.must(os.WriteFile(path, right, 0o600))
	}
	after, err := s.store.ListDocuments(t.Context(), "")
	s.must(err)
	if !reflect.DeepEqual(before, after) {
		t.Fatalf("documents were changed: %v, were %v", after, before)
	}
	s.reopen()
	s.find(pair)
}

// No secret is in the store in plain form, and what is sealed opens only in its own place.
func TestSecretsAreSealed(t *testing.T) {
	s := newSite(t)
	pair := s.user("ann")
	list, err := s.store.ListDocuments(t.Context(), "")
	s.must(err)
	for _, d := range list {
		if bytes.Contains(d.Data, []byte(pair.SecretAccessKey)) {
			t.Errorf("%s %s has the secret", d.Kind, d.Name)
		}
	}
	sealer, err := s.Sealer()
	s.must(err)
	sealed := sealer.Seal(KindTokenKey, "sts", []byte("secret"))
	if got, err := sealer.Open(KindTokenKey, "sts", sealed); err != nil ||
		string(got) != "secret" {
		t.Fatalf("%q, %v", got, err)
	}
	if bytes.Equal(sealed, sealer.Seal(KindTokenKey, "sts", []byte("secret"))) {
		t.Error("sealing twice gives the same bytes")
	}
	_, err = sealer.Open(KindTokenKey, "other", sealed)
	s.wantErr(err, ErrSeal)
	_, err = sealer.Open(kindKey, "sts", sealed)
	s.wantErr(err, ErrSeal)
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		_, err := sealer.Open(KindTokenKey, "sts", bad)
		s.wantErr(err, ErrSeal)
		_, err = sealer.Open(KindTokenKey, "sts", sealed[:i])
		s.wantErr(err, ErrSeal)
	}

	// The key of one user cannot become that of another.
	other := s.user("bob")
	var mine, theirs keyDocument
	s.must(decode(s.snapshot.Load().document(documentKey{kindKey, pair.AccessKeyID}).Data, &mine))
	s.must(decode(s.snapshot.Load().document(documentKey{kindKey, other.AccessKeyID}).Data,
		&theirs))
	theirs.Secret = mine.Secret
	s.must(s.Registry.put(t.Context(), kindKey, other.AccessKeyID, &theirs, store.AnyRevision))
	s.refused(other.AccessKeyID, "", auth.UnrecognizedClient)
	if k, err := s.Key(other.AccessKeyID); err != nil || k.Fault == "" {
		t.Errorf("%+v, %v", k, err)
	}
}

// When the key is lost for good, users, policies and roles remain, and users get new keys.
func TestForgetSecrets(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	pair := s.user("ann", "producer")
	path := filepath.Join(s.dir, "access.key")
	if _, err := ForgetSecrets(ctx, s.store, path); !errors.Is(err, ErrInvalid) {
		t.Fatalf("the key is not lost: %v", err)
	}
	s.find(pair)
	anothers := bytes.Repeat([]byte("0123456789abcdef"), 4)
	for _, file := range [][]byte{nil, anothers, []byte("garbage")} {
		s.must(os.Remove(path))
		if file != nil {
			s.must(os.WriteFile(path, file, 0o600))
		}
		if n, err := ForgetSecrets(ctx, s.store, path); err != nil || n != 1 {
			t.Fatalf("%d documents, %v", n, err)
		}
		s.reopen()
		s.refused(pair.AccessKeyID, "", auth.UnrecognizedClient)
		var err error
		pair, err = s.CreateKey(ctx, "ann")
		s.must(err)
		s.may(s.find(pair), "PutMedia", "cam1", true)
	}
	if kept, err := filepath.Glob(path + ".lost-*"); err != nil || len(kept) == 0 {
		t.Errorf("the other file is gone: %v, %v", kept, err)
	}
}

// After a rotation every secret is sealed with the new key, whoever sealed it and wherever it is in
// its document. A rotation that was interrupted can be repeated; until then both keys open.
func TestRotateSeal(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	pair := s.user("ann", "producer")
	path := filepath.Join(s.dir, "access.key")
	before, err := sealFile(path).Read()
	s.must(err)
	sealer, err := s.Sealer()
	s.must(err)
	_, err = s.PutDocument(ctx, KindTokenKey, "whole",
		sealer.Seal(KindTokenKey, "whole", []byte("secret")), store.NewDocument)
	s.must(err)
	nested, err := json.Marshal(map[string]any{"n": 1e9, "list": []any{map[string][]byte{
		"key": sealer.Seal(KindCameraCA, "own", []byte("secret"))}, "text", "AAAA"}})
	s.must(err)
	_, err = s.PutDocument(ctx, KindCameraCA, "own", nested, store.NewDocument)
	s.must(err)

	f := &failing{Documents: s.store, kind: kindKey}
	s.store = f
	s.reopen()
	s.wantErr(s.RotateSeal(ctx), errInjected)
	s.find(pair)
	s.reopen()
	s.find(pair)
	s.must(s.RotateSeal(ctx))
	s.find(pair)
	after, err := sealFile(path).Read()
	s.must(err)
	if len(after) != 1 || bytes.Equal(after[0].Secret, before[0].Secret) {
		t.Fatalf("%d keys, %d before", len(after), len(before))
	}
	s.reopen()
	s.find(pair)
	sealer, err = s.Sealer()
	s.must(err)
	whole := s.Documents(KindTokenKey)[0]
	if got, err := sealer.Open(KindTokenKey, "whole", whole.Data); string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	var again struct {
		N    int64
		List []json.RawMessage
	}
	s.must(json.Unmarshal(s.Documents(KindCameraCA)[0].Data, &again))
	var in struct{ Key []byte }
	s.must(json.Unmarshal(again.List[0], &in))
	if got, err := sealer.Open(KindCameraCA, "own", in.Key); string(got) != "secret" ||
		again.N != 1e9 || string(again.List[1]) != `"text"` || string(again.List[2]) != `"AAAA"` {
		t.Errorf("%q, %v, %+v", got, err, again)
	}
}

// fullStore has no room for new documents.
type fullStore struct{ store.Documents }

// A server starts on a full disk. It cannot seal anything then, and says so.
func TestStartOnAFullDisk(t *testing.T) {
	s := newSite(t)
	s.must(os.Remove(filepath.Join(s.dir, "access.key")))
	s.store = fullStore{emptyStore()}
	s.reopen()
	root := s.keys.Default()
	s.find(KeyPair{root.AccessKeyID, root.SecretAccessKey})
	_, _, err := s.CreateUser(t.Context(), "ann", nil, nil)
	s.wantErr(err, ErrNoSeal)
	s.store = s.store.(fullStore).Documents
	s.reopen()
	s.find(s.user("ann"))
}
