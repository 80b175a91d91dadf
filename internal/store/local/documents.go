package local

import (
	"context"
	"fmt"
	"sync"

	"weir/internal/store"
)

// documentWatch wakes who waits for a change of a document. This process alone makes them.
type documentWatch struct {
	mu      sync.Mutex
	changed chan struct{} // closed by the next change; nil: nobody waits; guarded by mu
}

// next is closed when something may have changed since it was asked for.
func (w *documentWatch) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

func (w *documentWatch) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

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
		defer s.documents.tell() // also after an error: it may have been applied
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
		defer s.documents.tell() // as above
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
		changed := s.documents.next()
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
