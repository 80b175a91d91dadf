package index

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"weir/internal/store"
	"weir/internal/store/local/directory"
)

// When the index is lost, volumes bring back fragments and streams, but they know nothing about
// documents. So documents are written twice: into the index, and into a log beside it, with a line
// for each change. At a start, the one with the greater revision is right.
//
// A log that could not be written is removed, so that it does not bring back a key that has been
// disabled. It is made again when there is space (Reserve), at the next change, or at the next
// start.

// documentsFile is the log, in the directory of the index.
const documentsFile = "documents"

// maxLogLine is the longest line: a document in base64, and its name.
const maxLogLine = 2*store.MaxDocument + 64<<10

// slackLog is how many bytes of old lines may always remain in the log.
const slackLog = 1 << 20

var logChecksum = crc32.MakeTable(crc32.Castagnoli)

// documentLine is a line of the log: eight hexadecimal digits of the CRC32C of what follows, a
// blank, and this as JSON.
type documentLine struct {
	Revision int64  `json:"revision"`
	Kind     string `json:"kind,omitempty"` // "": only the revision
	Name     string `json:"name,omitempty"`
	Gone     bool   `json:"gone,omitempty"`
	Data     []byte `json:"data,omitempty"`
}

func (l documentLine) appendTo(b []byte) []byte {
	text, _ := json.Marshal(l) // strings and numbers: it cannot fail
	return fmt.Appendf(b, "%08x %s\n", crc32.Checksum(text, logChecksum), text)
}

// documentLog is the log while the index is open.
type documentLog struct {
	path  string
	index *os.File
	file  *os.File // nil: there is none, and the next write makes it
	size  int64
	whole int64 // its size when it was last rewritten
}

// readDocumentLog returns the content of a log. Torn or damaged lines are left out. Without a log
// the revision is 0.
func readDocumentLog(path string) (list []store.Document, revision int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }() // only read
	type key struct{ kind, name string }
	have := make(map[key]store.Document)
	lines := bufio.NewReaderSize(f, maxLogLine)
	for cut := false; ; {
		line, more, err := lines.ReadLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		l, ok := readDocumentLine(line)
		ok, cut = ok && !more && !cut, more // longer than any that was ever written
		if !ok {
			continue
		}
		revision = max(revision, l.Revision)
		switch k := (key{l.Kind, l.Name}); {
		case l.Kind == "":
		case l.Gone:
			delete(have, k)
		default:
			have[k] = store.Document{Kind: l.Kind, Name: l.Name, Revision: l.Revision,
				Data: l.Data}
		}
	}
	for _, d := range have {
		list = append(list, d)
	}
	return list, revision, nil
}

func readDocumentLine(line []byte) (l documentLine, ok bool) {
	sum, text, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return l, false
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || crc32.Checksum(text, logChecksum) != uint32(want) {
		return l, false
	}
	return l, json.Unmarshal(text, &l) == nil
}

// append writes a line; durable on return.
func (g *documentLog) append(l documentLine) error {
	line := l.appendTo(nil)
	_, err := g.file.WriteAt(line, g.size)
	if err == nil {
		err = g.file.Sync()
	}
	g.size += int64(len(line))
	return err
}

// rewrite writes the log from scratch.
func (g *documentLog) rewrite(list []store.Document, revision int64) error {
	g.close()
	text := documentLine{Revision: revision}.appendTo(nil)
	for _, d := range list {
		text = documentLine{Revision: d.Revision, Kind: d.Kind, Name: d.Name,
			Data: d.Data}.appendTo(text)
	}
	fresh := g.path + ".new"
	f, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = g.keepOwner(f); err == nil {
		_, err = f.Write(text)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(fresh, g.path)
	}
	if err == nil {
		err = directory.Sync(filepath.Dir(g.path))
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(fresh))
	}
	g.file, g.size, g.whole = f, int64(len(text)), int64(len(text))
	return nil
}

// keepOwner gives a new log the owner of the index, since root may repair what another user's
// server uses.
func (g *documentLog) keepOwner(f *os.File) error {
	info, err := g.index.Stat()
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(stat.Uid), int(stat.Gid))
}

// remove removes the log, which does not have what the index has.
func (g *documentLog) remove() error {
	g.close()
	err := os.Remove(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = directory.Sync(filepath.Dir(g.path))
	}
	return err
}

func (g *documentLog) close() {
	if g.file != nil {
		_ = g.file.Close() // every line was synced
		g.file = nil
	}
}

// reconcile makes the documents and their log agree, at a start.
func (t *tx) reconcile(logged []store.Document, revision int64) error {
	if _, err := t.exec(`DELETE FROM documents`); err != nil {
		return err
	}
	for _, d := range logged {
		if _, err := t.exec(`INSERT INTO documents (kind, name, revision, data)
			VALUES (?, ?, ?, ?)`, d.Kind, d.Name, d.Revision, notNull(d.Data)); err != nil {
			return err
		}
	}
	_, err := t.exec(`UPDATE document_revision SET revision = ?`, revision)
	return err
}

// logChange writes a committed change into the log. The caller has the writer's turn. On an error
// there may be a log without the change.
func (x *SQLite) logChange(t *tx, l documentLine) error {
	g := &x.documents
	var err error
	if g.file == nil || g.size > 4*g.whole+slackLog {
		err = x.makeLog(t)
	} else {
		err = g.append(l)
	}
	if err != nil {
		return g.remove()
	}
	return nil
}

// makeLog writes the log from what the index has. The caller has the writer's turn.
func (x *SQLite) makeLog(t *tx) error {
	list, err := x.ListDocuments(t.ctx, "")
	if err != nil {
		return err
	}
	revision, err := x.DocumentRevision(t.ctx)
	if err != nil {
		return err
	}
	return x.documents.rewrite(list, revision)
}
