package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxBatch is how many bytes are written at a time.
const maxBatch = 1 << 20

// file is what a log is written to; *os.File is one.
type file interface {
	io.WriteCloser
	Sync() error
	Stat() (fs.FileInfo, error)
	ReadAt(p []byte, at int64) (int, error)
}

// openFile opens a log that only its owner can read.
func openFile(path string) (file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
}

// writer is the goroutine of a Log.
type writer struct {
	*Log
	file    file // nil: it must be opened
	size    int64
	since   time.Time // of the file's first event
	torn    bool      // the file does not end in a newline
	failing bool      // the last try failed, and was logged
}

// run writes what is queued until the log is closed.
func (w *writer) run() {
	defer close(w.done)
	var retry <-chan time.Time // nil: nothing waits
	for open := true; open; {
		select {
		case _, open = <-w.wake:
		case <-retry:
		}
		retry = nil
		if !w.flush() {
			retry = time.After(w.o.tick)
		}
	}
	if w.file != nil {
		_ = w.file.Close() // what was written is synced
	}
}

// flush writes everything in the queue, and reports whether it could. What could not be written
// stays in the queue.
func (w *writer) flush() bool {
	for {
		w.mu.Lock()
		lines := w.queue[:len(w.queue):len(w.queue)]
		w.mu.Unlock()
		if len(lines) == 0 {
			return true
		}
		n, err := w.write(lines)
		w.mu.Lock()
		w.queue = slices.Clone(w.queue[n:]) // otherwise written lines would stay in memory
		w.mu.Unlock()
		w.written.Add(float64(n))
		if err != nil {
			if !w.failing {
				w.log.Error("the audit log cannot be written; events wait, and are lost when too "+
					"many do", "error", err)
			}
			w.failing = true
			w.close()
			return false
		}
		if w.failing {
			w.failing = false
			w.log.Info("the audit log is written again")
		}
	}
}

// write writes some of the lines and syncs. It writes them at once, so that lines of other
// processes do not get between. It returns how many it wrote.
func (w *writer) write(lines [][]byte) (n int, err error) {
	if err := w.prepare(); err != nil {
		return 0, err
	}
	var batch []byte
	if w.torn {
		batch = append(batch, '\n')
	}
	ends := make([]int, 0, len(lines)) // where each line ends in the batch
	for _, line := range lines {
		batch = append(batch, line...)
		if ends = append(ends, len(batch)); len(batch) >= maxBatch {
			break
		}
	}
	wrote, err := w.file.Write(batch)
	w.size += int64(wrote)
	if wrote > 0 {
		w.torn = batch[wrote-1] != '\n'
	}
	n, exact := slices.BinarySearch(ends, wrote)
	if exact {
		n++
	}
	if err == nil {
		err = w.file.Sync()
	}
	return n, err
}

// prepare makes sure that there is a file to write to, which no other process has moved away, and
// which is neither too long nor too old.
func (w *writer) prepare() error {
	if w.file != nil {
		mine, err := w.file.Stat()
		if err != nil {
			return err
		}
		if there, err := os.Stat(w.o.Path); err != nil || !os.SameFile(mine, there) {
			w.close()
		}
	}
	if w.file == nil {
		if err := w.reopen(); err != nil {
			return err
		}
	}
	if w.size > 0 && (w.size >= w.o.MaxBytes || w.clock().Sub(w.since) >= w.o.MaxAge) {
		return w.rotate()
	}
	return nil
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close() // its lines were synced, or are written again
		w.file = nil
	}
}

// reopen opens the file where it was left.
func (w *writer) reopen() error {
	f, err := w.o.open(w.o.Path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the first error is returned
		return err
	}
	w.file, w.size, w.since, w.torn = f, info.Size(), w.clock(), false
	if w.size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, w.size-1); err != nil {
			w.close()
			return err
		}
		w.torn = last[0] != '\n'
		if e, ok := firstEvent(io.NewSectionReader(f, 0, w.size)); ok {
			w.since = e.Time
		}
		w.goOn()
	}
	return nil
}

// goOn makes sequences continue those of the file, whatever the clock says.
func (w *writer) goOn() {
	from := max(0, w.size-maxLine)
	tail := make([]byte, w.size-from)
	n, _ := w.file.ReadAt(tail, from) // if it fails, sequences follow the clock
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range bytes.Lines(tail[:n]) {
		if e, ok := decode(line); ok {
			w.sequence = max(w.sequence, e.Sequence)
		}
	}
}

// rotate moves the file aside, begins another one, and deletes the oldest ones.
func (w *writer) rotate() error {
	w.close()
	to, err := rotatedName(w.o.Path, w.clock())
	if err == nil {
		err = os.Rename(w.o.Path, to)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // else another process was first
		return fmt.Errorf("rotate: %w", err)
	}
	if err := w.reopen(); err != nil {
		return err
	}
	old, err := rotated(w.o.Path)
	for err == nil && len(old) > w.o.Keep {
		err = os.Remove(old[0])
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		old = old[1:]
	}
	if err != nil {
		w.log.Error("an old audit log cannot be deleted", "error", err)
	}
	return nil
}

// rotatedForm is the time in the names of files that were moved aside, so that they sort by it.
const rotatedForm = "20060102T150405.000000Z"

// rotatedName returns a name that sorts after all others, whatever the clock says: audit.jsonl
// becomes audit-20261129T064512.000000Z.jsonl.
func rotatedName(path string, now time.Time) (string, error) {
	ext := filepath.Ext(path)
	prefix := strings.TrimSuffix(path, ext) + "-"
	others, err := rotated(path)
	if err != nil {
		return "", err
	}
	if len(others) > 0 {
		text := strings.TrimSuffix(strings.TrimPrefix(others[len(others)-1], prefix), ext)
		last, err := time.Parse(rotatedForm, text)
		if err != nil {
			return "", err
		}
		if next := last.Add(time.Microsecond); now.Before(next) {
			now = next
		}
	}
	return prefix + now.UTC().Format(rotatedForm) + ext, nil
}

// rotated returns the files that were moved aside, oldest first.
func rotated(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	ext := filepath.Ext(path)
	prefix := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	var names []string
	for _, e := range entries { // by name
		when, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ext), prefix)
		if _, err := time.Parse(rotatedForm, when); ok && err == nil &&
			strings.HasSuffix(e.Name(), ext) {
			names = append(names, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return names, nil
}

// firstEvent reads the first event of a file.
func firstEvent(r io.Reader) (e Event, ok bool) {
	head := make([]byte, maxLine)
	n, _ := io.ReadFull(r, head) // a shorter file is fine
	for line := range bytes.Lines(head[:n]) {
		if e, ok := decode(line); ok {
			return e, true
		}
	}
	return e, false
}
