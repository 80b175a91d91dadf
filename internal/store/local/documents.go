package local

import (
	"context"
	"fmt"

	"weir/internal/store"
)

// PutDocument implements store.Documents.
func (s *Store) PutDocument(
	ctx context.Context, kind, name string, data []byte, revision int64,
) (int64, error) {
	err := store.CheckDocument(kind, name, data)
	if err == nil {
		err = s.Intact()
	}
	if err == nil && revision <= 0 {
		err = s.roomForRow(ctx)
	}
	var next int64
	if err == nil {
		defer s.documents.Tell() // also after an error: it may have been applied
		d := store.Document{Kind: kind, Name: name, Data: data}
		next, err = s.idx.PutDocument(ctx, d, revision)
	}
	if err != nil {
		return 0, fmt.Errorf("put document %s/%s: %w", kind, name, err)
	}
	return next, nil
}

// DeleteDocument implements store.Documents.
func (s *Store) DeleteDocument(ctx context.Context, kind, name string, revision int64) error {
	err := s.Intact()
	if err == nil {
		defer s.documents.Tell() // as above
		err = s.idx.DeleteDocument(ctx, kind, name, revision)
	}
	if err != nil {
		return fmt.Errorf("delete document %s/%s: %w", kind, name, err)
	}
	return nil
}

// ListDocuments implements store.Documents.
func (s *Store) ListDocuments(ctx context.Context, kind string) ([]store.Document, error) {
	list, err := s.idx.ListDocuments(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	return list, nil
}

// WaitDocuments implements store.Documents.
func (s *Store) WaitDocuments(ctx context.Context, after int64) (int64, error) {
	for {
		changed := s.documents.Next()
		revision, err := s.idx.DocumentRevision(ctx)
		if err != nil {
			return 0, fmt.Errorf("wait for documents: %w", err)
		}
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
