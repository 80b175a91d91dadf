package check

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress prints how far the check is: on a terminal in one line that gives way to others; that of
// a cluster elsewhere too, in a line every ten seconds.
type progress struct {
	w           io.Writer
	terminal    bool
	began, last time.Time
	shown       bool
	done        int // objects
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, began: time.Now(), last: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// volumes is told of a data directory.
func (p *progress) volumes(volumes int, read int64) {
	now := time.Now()
	if !p.terminal || now.Sub(p.last) <= 200*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.w, "\r%.1f GB of %d volumes, %.0f MB/s ", float64(read)/1e9, volumes,
		float64(read)/1e6/now.Sub(p.began).Seconds())
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\033[K")
		p.shown = false
	}
}

// Write prints what is logged.
func (p *progress) Write(b []byte) (int, error) {
	p.clear()
	return p.w.Write(b)
}

// objects is told of a cluster.
func (p *progress) objects(what, object string) {
	now, every, begin, end := time.Now(), 10*time.Second, "", "\n"
	if p.terminal {
		every, begin, end = 200*time.Millisecond, "\r\033[K", ""
	}
	if p.done++; now.Sub(p.last) <= every {
		return
	}
	p.last, p.shown = now, p.terminal
	fmt.Fprintf(p.w, "%s%s: %s, %d looked at%s", begin, what, object, p.done, end)
}
