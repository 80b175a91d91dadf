package index

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"weir/internal/store"
)

// logged is an index with documents, in a directory from which it may be lost.
type logged struct {
	*testing.T
	dir string
	x   *SQLite
}

func newLogged(t *testing.T) *logged {
	l := &logged{T: t, dir: t.TempDir()}
	l.open()
	t.Cleanup(func() { _ = l.x.Close() })
	return l
}

func (l *logged) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *logged) open() {
	l.Helper()
	var err error
	l.x, err = OpenSQLite(l.Context(), filepath.Join(l.dir, "index.db"))
	l.must(err)
}

// lose puts a new index in the place of the old one.
func (l *logged) lose() {
	l.Helper()
	l.must(l.x.Close())
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(l.dir, "index.db"+suffix)) // some are not there
	}
	l.open()
}

func (l *logged) put(name, data string) {
	l.Helper()
	_, err := l.x.PutDocument(l.Context(), store.Document{Kind: "key", Name: name,
		Data: []byte(data)}, store.AnyRevision)
	l.must(err)
}

func (l *logged) list() (list []store.Document, revision int64) {
	l.Helper()
	list, err := l.x.ListDocuments(l.Context(), "")
	l.must(err)
	revision, err = l.x.DocumentRevision(l.Context())
	l.must(err)
	return list, revision
}

func sameDocuments(a, b []store.Document) bool {
	return slices.EqualFunc(a, b, func(a, b store.Document) bool {
		return a.Name == b.Name && a.Revision == b.Revision && bytes.Equal(a.Data, b.Data)
	})
}

// wantAfter runs something that must not lose a document.
func (l *logged) wantAfter(what string, do func()) {
	l.Helper()
	want, revision := l.list()
	do()
	if got, now := l.list(); !sameDocuments(got, want) || now != revision {
		l.Fatalf("%s: %v at %d, want %v at %d", what, got, now, want, revision)
	}
}

func TestDocumentsOutliveTheIndex(t *testing.T) {
	l := newLogged(t)
	l.wantAfter("without documents", l.lose)
	l.put("a", "1")
	l.put("b", "2")
	l.put("a", "3")
	l.wantAfter("with documents", l.lose)
	if os.Chown(filepath.Join(l.dir, "index.db"), 12, 34) == nil { // root works for another
		l.wantAfter("as root", func() { l.must(l.x.Close()); l.open() })
		info, err := os.Stat(filepath.Join(l.dir, documentsFile))
		l.must(err)
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 12 || stat.Gid != 34 {
			t.Errorf("the log is of %d:%d", stat.Uid, stat.Gid)
		}
	}
	l.must(l.x.DeleteDocument(t.Context(), "key", "a", store.AnyRevision))
	l.wantAfter("after a deletion", l.lose)
	for i := range 30 {
		l.put("b", fmt.Sprintf("%d %0*d", i, store.MaxDocument-10, 0))
	}
	if info, err := os.Stat(filepath.Join(l.dir, documentsFile)); err != nil ||
		info.Size() > 5*store.MaxDocument+slackLog+maxLogLine {
		t.Errorf("the log is not cut: %v, %v", info, err)
	}
	l.wantAfter("after many changes", l.lose)

	// A log that is older than the index, or missing, is rewritten.
	l.must(os.Remove(filepath.Join(l.dir, documentsFile)))
	l.wantAfter("without the log", func() { l.must(l.x.Close()); l.open() })
	l.wantAfter("with the log again", l.lose)

	// An index from a backup does not bring back what was deleted since.
	l.must(l.x.Close())
	backup, err := os.ReadFile(filepath.Join(l.dir, "index.db"))
	l.must(err)
	l.open()
	l.must(l.x.DeleteDocument(t.Context(), "key", "b", store.AnyRevision))
	l.wantAfter("with an older index", func() {
		l.lose()
		l.must(l.x.Close())
		for _, suffix := range []string{"-wal", "-shm"} {
			_ = os.Remove(filepath.Join(l.dir, "index.db"+suffix))
		}
		l.must(os.WriteFile(filepath.Join(l.dir, "index.db"), backup, 0o600))
		l.open()
	})
}

// A log that cannot be written is not left behind, since it would bring back what was deleted. The
// change is still made, and there is a log again as soon as possible.
func TestALogThatCannotBeWritten(t *testing.T) {
	l := newLogged(t)
	l.put("a", "enabled")
	l.must(l.x.documents.file.Close()) // every write fails from now on
	l.put("a", "disabled")
	if _, err := os.Stat(filepath.Join(l.dir, documentsFile)); err == nil {
		t.Fatal("the log is still there, without the change")
	}
	l.must(l.x.Reserve(t.Context()))
	l.wantAfter("with space again", l.lose)
	l.must(l.x.documents.file.Close())
	l.put("a", "enabled")
	l.put("b", "2") // makes the log anew
	l.wantAfter("after the next change", l.lose)
}

// Whatever is left of a log, each whole line counts, and the start succeeds.
func TestDamagedLog(t *testing.T) {
	l := newLogged(t)
	for i := range 4 {
		l.put(fmt.Sprint(i), "data")
	}
	path := filepath.Join(l.dir, documentsFile)
	whole, err := os.ReadFile(path)
	l.must(err)
	all, _ := l.list()
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i := range all {
		damaged := slices.Clone(lines)
		damaged[i+1] = bytes.Replace(damaged[i+1], []byte("key"), []byte("kex"), 1)
		l.must(os.WriteFile(path, bytes.Join(damaged, nil), 0o600))
		list, _, err := readDocumentLog(path)
		l.must(err)
		if len(list) != len(all)-1 {
			t.Errorf("with line %d damaged there are %v", i+1, list)
		}
	}
	for cut := range whole {
		l.must(os.WriteFile(path, whole[:cut], 0o600))
		list, revision, err := readDocumentLog(path)
		if n := bytes.Count(whole[:cut+1], []byte("\n")) - 1; err != nil ||
			len(list) < n || len(list) > n+1 || revision > 4 {
			t.Fatalf("cut at %d: %v at %d, %v", cut, list, revision, err)
		}
	}
	garbage := append(bytes.Repeat([]byte{'x'}, 3*maxLogLine), '\n')
	l.must(os.WriteFile(path, slices.Concat(whole, garbage, documentLine{Revision: 9, Kind: "key",
		Name: "last"}.appendTo(nil)), 0o600))
	l.lose()
	if list, revision := l.list(); len(list) != 5 || revision != 9 {
		t.Errorf("%v at %d", list, revision)
	}
}
