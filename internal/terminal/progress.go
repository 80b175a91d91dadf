// Package terminal shows the progress of a command.
package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// erase erases the current line of a terminal (ECMA-48, 8.3.41).
const erase = "\r\033[K"

// Progress shows the progress of a command: on a terminal in one line, which other output replaces;
// elsewhere as a line every ten seconds. It is safe for concurrent use.
type Progress struct {
	began    time.Time
	terminal bool

	mu    sync.Mutex
	w     io.Writer // guarded by mu
	last  time.Time // guarded by mu
	shown bool      // guarded by mu
}

// NewProgress makes the Progress of a command that begins now.
func NewProgress(w io.Writer) *Progress {
	now := time.Now()
	return &Progress{w: w, began: now, last: now, terminal: Is(w)}
}

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Terminal reports whether it is shown on a terminal.
func (p *Progress) Terminal() bool { return p.terminal }

// Rate returns how many bytes were done each second since the command began.
func (p *Progress) Rate(bytes int64) float64 {
	return float64(bytes) / time.Since(p.began).Seconds()
}

// Printf shows the progress, unless it did so just now: on a terminal, less than 200 ms ago.
func (p *Progress) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, every, begin, end := time.Now(), 10*time.Second, "", "\n"
	if p.terminal {
		every, begin, end = 200*time.Millisecond, erase, ""
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last, p.shown = now, p.terminal
	fmt.Fprintf(p.w, begin+format+end, args...)
}

// Clear erases the line.
func (p *Progress) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
}

func (p *Progress) clearLocked() {
	if p.shown {
		fmt.Fprint(p.w, erase)
		p.shown = false
	}
}

// Write erases the line and writes something else, such as a log.
func (p *Progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
	return p.w.Write(b)
}
