package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"weir/internal/store"
)

type documentKey struct{ kind, name string }

// PutDocument implements store.Documents.
func (s *Store) PutDocument(
	ctx context.Context, kind, name string, data []byte, revision int64,
) (int64, error) {
	if err := store.CheckDocument(kind, name, data); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := documentKey{kind, name}
	old, exists := s.documents[key]
	switch {
	case revision == store.AnyRevision:
	case revision == store.NewDocument && exists:
		return 0, fmt.Errorf("put document %s/%s: %w", kind, name, store.ErrExists)
	case old.Revision != revision: // 0 when there is none
		return 0, fmt.Errorf("put document %s/%s: %w", kind, name, store.ErrVersion)
	}
	s.documentChange()
	s.documents[key] = store.Document{
		Kind: kind, Name: name, Revision: s.revision, Data: bytes.Clone(data),
	}
	return s.revision, nil
}

// documentChange begins a new revision and wakes those who wait for one.
func (s *Store) documentChange() {
	s.revision++
	close(s.documentChanged)
	s.documentChanged = make(chan struct{})
}

// DeleteDocument implements store.Documents.
func (s *Store) DeleteDocument(ctx context.Context, kind, name string, revision int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := documentKey{kind, name}
	old, exists := s.documents[key]
	if !exists {
		return fmt.Errorf("delete document %s/%s: %w", kind, name, store.ErrNotFound)
	}
	if revision != store.AnyRevision && revision != old.Revision {
		return fmt.Errorf("delete document %s/%s: %w", kind, name, store.ErrVersion)
	}
	delete(s.documents, key)
	s.documentChange()
	return nil
}

// ListDocuments implements store.Documents.
func (s *Store) ListDocuments(ctx context.Context, kind string) ([]store.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []store.Document
	for key, d := range s.documents {
		if kind == "" || kind == key.kind {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b store.Document) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return list, nil
}

// WaitDocuments implements store.Documents.
func (s *Store) WaitDocuments(ctx context.Context, after int64) (int64, error) {
	for {
		s.mu.Lock()
		revision, changed := s.revision, s.documentChanged
		s.mu.Unlock()
		if revision > after {
			return revision, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
