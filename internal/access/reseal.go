package access

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"weir/internal/sealing"
	"weir/internal/store"
)

// RotateSeal makes a new key for secrets, seals all of them with it, and removes the old keys from
// the file. If it is interrupted, the file has both keys and everything opens; call it again. No
// other process may use the store in the meantime, because it would have only the old keys.
// ErrNoSeal.
func (r *Registry) RotateSeal(ctx context.Context) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.sealer == nil {
		return ErrNoSeal
	}
	file := sealFile(r.keyFile)
	keys, err := file.Read()
	if err != nil {
		return err
	}
	keys = append([]sealing.Key{sealing.NewKey("")}, keys[:min(len(keys), maxSealKeys-1)]...)
	if err := errors.Join(file.Write(keys), r.sealer.Use(keys)); err != nil {
		return fmt.Errorf("rotate access key: %w", err)
	}
	for key, d := range r.snapshot.Load().documents {
		data, changed := reseal(r.sealer, key.kind, key.name, d.Data)
		if !changed {
			continue
		}
		if _, err := r.PutDocument(ctx, key.kind, key.name, data, d.Revision); err != nil {
			return fmt.Errorf("rotate access key: %s %s: %w", key.kind, key.name, err)
		}
	}
	keys = keys[:1]
	if err := errors.Join(file.Write(keys), r.sealer.Use(keys)); err != nil {
		return fmt.Errorf("rotate access key: %w", err)
	}
	return nil
}

// reseal returns a document in which the first key seals everything, and whether that changed it.
func reseal(s *Sealer, kind, name string, data []byte) ([]byte, bool) {
	if again, ok := resealed(s, kind, name, data); ok {
		return again, true
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return data, false // torn: nobody can use it anyway
	}
	changed := false
	value = each(value, func(text string) string {
		sealed, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return text
		}
		again, ok := resealed(s, kind, name, sealed)
		if !ok {
			return text
		}
		changed = true
		return base64.StdEncoding.EncodeToString(again)
	})
	if !changed {
		return data, false
	}
	out, err := json.Marshal(value)
	return out, err == nil
}

// resealed seals again what an older key has sealed.
func resealed(s *Sealer, kind, name string, sealed []byte) ([]byte, bool) {
	secret, key, err := s.OpenWith(kind, name, sealed)
	if err != nil || key == 0 {
		return nil, false
	}
	return s.Seal(kind, name, secret), true
}

// each replaces every string in a JSON value.
func each(value any, by func(string) string) any {
	switch value := value.(type) {
	case string:
		return by(value)
	case []any:
		for i := range value {
			value[i] = each(value[i], by)
		}
	case map[string]any:
		for key := range value {
			value[key] = each(value[key], by)
		}
	}
	return value
}

// sealedKinds are the documents that are useless without the key that sealed them.
var sealedKinds = []string{kindKey, KindTokenKey, KindCameraCA, kindShared}

// ForgetSecrets deletes what a lost key has sealed (keys of users, keys of tokens, the authority of
// cameras) and makes a new key. Users, policies, roles and cameras stay. It returns how many
// documents it deleted. An existing file is kept beside the new one. ErrInvalid when the key is not
// lost. No server may use the store.
func ForgetSecrets(ctx context.Context, st store.Documents, keyFile string) (int, error) {
	list, err := st.ListDocuments(ctx, "")
	if err != nil {
		return 0, err
	}
	seals := slices.DeleteFunc(slices.Clone(list), func(d store.Document) bool {
		return d.Kind != KindSeal
	})
	if CheckKeyFile(keyFile, seals) == nil {
		return 0, fmt.Errorf("%w: the key in %s opens all that is sealed", ErrInvalid, keyFile)
	}
	n := 0
	for _, d := range list {
		if slices.Contains(sealedKinds, d.Kind) {
			if err := st.DeleteDocument(ctx, d.Kind, d.Name, d.Revision); err != nil {
				return n, err
			}
			n++
		}
	}
	old := keyFile + ".lost-" + time.Now().UTC().Format("20060102T150405")
	if err := os.Rename(keyFile, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return n, err
	}
	s, err := createSealer(keyFile)
	if err != nil {
		return n, err
	}
	_, err = st.PutDocument(ctx, KindSeal, sealCheckName,
		s.Seal(KindSeal, sealCheckName, []byte(sealCheck)), store.AnyRevision)
	return n, err
}
