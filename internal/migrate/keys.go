package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"weir/internal/access"
	"weir/internal/auth"
	"weir/internal/node"
	"weir/internal/store"
	"weir/internal/store/cluster"
)

// copyKeys copies the documents (keys, users, policies, roles, cameras and their authority), and
// the keys that a single server has in files: root's and those of session URLs. Secrets stay sealed
// with the key of the access key file, which the nodes get.
func (m *migration) copyKeys(ctx context.Context) error {
	documents, err := m.from.rows.ListDocuments(ctx, "")
	if err != nil {
		return err
	}
	for _, d := range documents {
		if err := m.copyDocument(ctx, d); err != nil {
			return err
		}
		m.sum.Documents++
	}
	secrets, err := access.OpenSecrets(ctx, m.store,
		cmp.Or(m.o.AccessKey, filepath.Join(m.o.Dir, "access.key")), m.o.Logger)
	if err != nil {
		return err
	}
	return errors.Join(
		m.copyFile(secrets.Secret(node.SharedCredentials), "credentials"),
		m.copyFile(secrets.Secret(node.SharedTokenKeys), "token-keys"))
}

// copyDocument writes a document, or updates it if an earlier run has written it.
func (m *migration) copyDocument(ctx context.Context, d store.Document) error {
	_, err := m.store.PutDocument(ctx, d.Kind, d.Name, d.Data, store.NewDocument)
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	there, err := m.store.ListDocuments(ctx, d.Kind)
	if err != nil {
		return err
	}
	for _, t := range there {
		if t.Name == d.Name && !bytes.Equal(t.Data, d.Data) {
			_, err = m.store.PutDocument(ctx, d.Kind, d.Name, d.Data, t.Revision)
			return err
		}
	}
	return nil
}

// copyFile copies a file of secrets to where nodes share it. If there is no such file, the first
// node makes one.
func (m *migration) copyFile(to auth.Secret, name string) error {
	path := filepath.Join(m.o.Dir, name)
	data, err := auth.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	there, revision, err := to.Load()
	if errors.Is(err, fs.ErrNotExist) {
		revision, err = 0, nil
	}
	if err == nil && (revision == 0 || !bytes.Equal(there, data)) {
		_, err = to.Store(data, revision)
	}
	if errors.Is(err, auth.ErrChanged) {
		err = cluster.ErrImporting
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
