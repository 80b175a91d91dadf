package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"weir/internal/store"
)

// put writes a document and wants its revision to be greater than the last one.
func (h *harness) put(kind, name, data string, revision int64) store.Document {
	h.Helper()
	before, err := h.store.WaitDocuments(h.ctx, -1)
	h.must(err)
	b := []byte(data)
	next, err := h.store.PutDocument(h.ctx, kind, name, b, revision)
	h.must(err)
	if next <= before {
		h.Fatalf("revision %d follows %d", next, before)
	}
	clear(b) // the caller's again
	return store.Document{Kind: kind, Name: name, Revision: next, Data: []byte(data)}
}

func (h *harness) wantDocuments(kind string, want ...store.Document) {
	h.Helper()
	got, err := h.store.ListDocuments(h.ctx, kind)
	h.must(err)
	if !slices.EqualFunc(got, want, func(a, b store.Document) bool {
		return a.Kind == b.Kind && a.Name == b.Name && a.Revision == b.Revision &&
			bytes.Equal(a.Data, b.Data)
	}) {
		h.Fatalf("documents of kind %q are %.500v, want %.500v", kind, got, want)
	}
}

func testDocuments(h *harness) {
	h.wantDocuments("")
	b := h.put("policy", "b", "1", store.NewDocument)
	a := h.put("policy", "a", "2", store.AnyRevision)
	upper := h.put("policy", "B", "3", store.NewDocument)
	key := h.put("key", "b", "4", store.NewDocument)
	all := func() {
		h.Helper()
		h.wantDocuments("policy", upper, a, b)
		h.wantDocuments("", key, upper, a, b)
		h.wantDocuments("none")
	}
	h.always(all)

	put := func(name string, revision int64) error {
		_, err := h.store.PutDocument(h.ctx, "policy", name, []byte("x"), revision)
		return err
	}
	h.wantErr(put("b", store.NewDocument), store.ErrExists)
	h.wantErr(put("b", a.Revision), store.ErrVersion)
	h.wantErr(put("none", a.Revision), store.ErrVersion)
	h.wantErr(h.store.DeleteDocument(h.ctx, "policy", "none", store.AnyRevision),
		store.ErrNotFound)
	h.wantErr(h.store.DeleteDocument(h.ctx, "policy", "b", a.Revision), store.ErrVersion)
	for _, bad := range []store.Document{{Kind: "policy"}, {Name: "b"},
		{Kind: "policy", Name: "large", Data: make([]byte, store.MaxDocument+1)}} {
		_, err := h.store.PutDocument(h.ctx, bad.Kind, bad.Name, bad.Data, store.AnyRevision)
		if err == nil {
			h.Fatalf("a document %q of kind %q with %d bytes is kept", bad.Name, bad.Kind,
				len(bad.Data))
		}
	}
	all()

	old := b
	b = h.put("policy", "b", string(bytes.Repeat([]byte{0, 255}, store.MaxDocument/2)), b.Revision)
	h.wantErr(put("b", old.Revision), store.ErrVersion)
	h.must(h.store.DeleteDocument(h.ctx, "policy", "a", a.Revision))
	h.kill()
	h.wantDocuments("policy", upper, b)
	// A document that is created again has a revision that it never had.
	gone := a.Revision
	if a = h.put("policy", "a", "", store.NewDocument); a.Revision <= gone {
		h.Fatalf("revision %d again", a.Revision)
	}
	h.must(h.store.DeleteDocument(h.ctx, "key", "b", store.AnyRevision))
	h.always(func() { h.wantDocuments("", upper, a, b) })
}

// When many change a document that they have read, one at a time succeeds and no change is lost.
func testDocumentsByMany(h *harness) {
	const writers, changes = 4, 5
	h.put("counter", "n", "0", store.NewDocument)
	change := func() error {
		for {
			list, err := h.store.ListDocuments(h.ctx, "counter")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(list[0].Data))
			if err != nil {
				return err
			}
			_, err = h.store.PutDocument(h.ctx, "counter", "n", []byte(strconv.Itoa(n+1)),
				list[0].Revision)
			if !errors.Is(err, store.ErrVersion) {
				return err
			}
		}
	}
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range changes {
				if err := change(); err != nil {
					h.Error(err)
				}
			}
		})
	}
	all.Wait()
	list, err := h.store.ListDocuments(h.ctx, "")
	h.must(err)
	if got := string(list[0].Data); len(list) != 1 || got != strconv.Itoa(writers*changes) {
		h.Fatalf("%d documents, %s changes, want %d", len(list), got, writers*changes)
	}
}

// Every change of any document wakes those who wait.
func testWaitDocuments(h *harness) {
	revision, err := h.store.WaitDocuments(h.ctx, -1)
	if revision != 0 || err != nil {
		h.Fatalf("without documents it is %d, %v", revision, err)
	}
	var d store.Document
	for _, change := range []func(){
		func() { d = h.put("key", "a", "1", store.NewDocument) },
		func() { d = h.put("key", "a", "2", d.Revision) },
		func() { h.must(h.store.DeleteDocument(h.ctx, "key", "a", d.Revision)) },
	} {
		woken := make(chan int64, 2)
		for range 2 {
			go func() {
				n, err := h.store.WaitDocuments(h.ctx, revision)
				if err != nil {
					h.Error(err)
				}
				woken <- n
			}()
		}
		change()
		now, err := h.store.WaitDocuments(h.ctx, -1)
		h.must(err)
		for range 2 {
			if n := <-woken; n != now || n <= revision {
				h.Fatalf("woken at %d, is at %d, was at %d", n, now, revision)
			}
		}
		revision = now
	}
	h.restart()
	if n, err := h.store.WaitDocuments(h.ctx, -1); n != revision || err != nil {
		h.Fatalf("after a restart it is at %d, %v, was at %d", n, err, revision)
	}
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	if _, err := h.store.WaitDocuments(ctx, revision); !errors.Is(err, context.Canceled) {
		h.Fatalf("without patience: %v", err)
	}
}
