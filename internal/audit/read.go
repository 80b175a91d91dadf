package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxLine is the length of the longest line that is read, much more than Write makes.
	maxLine = 64 << 10

	// maxScan is how much one Read reads, so that a filter that matches nothing does not make it
	// read all files.
	maxScan = 32 << 20
)

// ErrCursor says that Filter.After is not a cursor from Read.
var ErrCursor = errors.New("no cursor of the audit log")

// Filter selects events.
type Filter struct {
	From, Until time.Time // at or after From, before Until; zero: no bound
	// ARN, the last part of one (a user's name, a role's session), or an access key id; "": anybody
	Principal string
	Stream    string // name; "": any, and none
	Action    string // with or without its prefix, case does not matter; "": any
	Denied    bool   // only what was not allowed
	Allowed   bool   // only what was
	After     string // cursor from the Read before; "": from the beginning
	Limit     int    // most events; 0: no limit
}

func (f *Filter) matches(e *Event) bool {
	_, operation, _ := strings.Cut(e.Action, ":")
	return (f.From.IsZero() || !e.Time.Before(f.From)) &&
		(f.Until.IsZero() || e.Time.Before(f.Until)) &&
		(f.Stream == "" || f.Stream == e.Stream) &&
		(f.Action == "" || strings.EqualFold(f.Action, e.Action) ||
			strings.EqualFold(f.Action, operation)) &&
		(!f.Denied || !e.Allowed && e.Event != Lost) && (!f.Allowed || e.Allowed) &&
		(f.Principal == "" || f.Principal == e.Principal || f.Principal == e.AccessKey ||
			strings.HasSuffix(e.Principal, "/"+f.Principal))
}

// Read returns the events that a filter selects, oldest first, and the cursor for the next call, ""
// if there are no more now. It may return a cursor without events. Errors are ErrCursor and those
// of the file system.
func (l *Log) Read(ctx context.Context, f Filter) (events []Event, next string, err error) {
	if l == nil {
		return nil, "", nil
	}
	files, err := l.files()
	defer func() {
		for _, s := range files {
			_ = s.Close() // was only read
		}
	}()
	if err != nil {
		return nil, "", fmt.Errorf("read audit log: %w", err)
	}
	first, offset, err := parseCursor(f.After)
	if err != nil {
		return nil, "", err
	}
	left := int64(maxScan)
	for i, s := range files {
		at := int64(0)
		tooOld := i+1 < len(files) && s.info.ModTime().Before(f.From)
		if s.first < first || tooOld {
			continue
		} else if s.first == first {
			at = offset
		}
		for e, end := range s.events(at) {
			left -= end - at
			if left < 0 || f.Limit > 0 && len(events) >= f.Limit {
				return events, formatCursor(s.first, at), ctx.Err()
			}
			if at = end; e != nil && f.matches(e) {
				events = append(events, *e)
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
	}
	return events, "", nil
}

// A cursor is the sequence of a file's first event, which stays the same when the file is renamed,
// and an offset in the file.
func formatCursor(first, offset int64) string { return fmt.Sprintf("%d-%d", first, offset) }

func parseCursor(text string) (first, offset int64, err error) {
	if text == "" {
		return 0, 0, nil
	}
	a, b, _ := strings.Cut(text, "-")
	if first, err = strconv.ParseInt(a, 10, 64); err == nil {
		offset, err = strconv.ParseInt(b, 10, 64)
	}
	if err != nil || first < 0 || offset < 0 {
		return 0, 0, ErrCursor
	}
	return first, offset, nil
}

// section is a file of the log that is being read.
type section struct {
	*os.File
	first int64 // sequence of its first event
	info  fs.FileInfo
}

// files opens all files of the log that have events, oldest first.
func (l *Log) files() (files []section, err error) {
	names, err := rotated(l.o.Path)
	if err != nil {
		return nil, err
	}
	for _, name := range append(names, l.o.Path) {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) { // rotated just now
			continue
		} else if err != nil {
			return files, err
		}
		info, err := f.Stat()
		var e Event
		ok := false
		if err == nil {
			e, ok = firstEvent(io.NewSectionReader(f, 0, info.Size()))
		}
		if known := slices.ContainsFunc(files, func(s section) bool {
			return os.SameFile(s.info, info)
		}); err != nil || !ok || known { // known: it was renamed between two looks
			_ = f.Close() // was only read
			continue
		}
		files = append(files, section{f, e.Sequence, info})
	}
	slices.SortFunc(files, func(a, b section) int { return cmp.Compare(a.first, b.first) })
	return files, nil
}

// events yields each line from an offset on: its event, nil if it is not one, and where it ends. It
// does not yield an incomplete line, which is being written.
func (s section) events(from int64) func(yield func(*Event, int64) bool) {
	return func(yield func(*Event, int64) bool) {
		rest := io.NewSectionReader(s.File, from, max(0, s.info.Size()-from))
		r := bufio.NewReaderSize(rest, maxLine)
		for at := from; ; {
			line, err := r.ReadSlice('\n')
			at += int64(len(line))
			var event *Event
			switch {
			case errors.Is(err, bufio.ErrBufferFull): // no event; its end comes next
			case err != nil:
				return
			default:
				if e, ok := decode(line); ok {
					event = &e
				}
			}
			if !yield(event, at) {
				return
			}
		}
	}
}

func decode(line []byte) (e Event, ok bool) {
	err := json.Unmarshal(bytes.TrimSpace(line), &e)
	return e, err == nil && !e.Time.IsZero()
}
