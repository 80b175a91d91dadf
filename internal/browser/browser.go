// Package browser opens pages in the user's browser.
package browser

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// lingers is how long the file of a page stays. A browser that first has to start reads it after
// the program that started it has ended.
const lingers = 10 * time.Second

// Open opens a page, whose URL may hold a secret, and returns some seconds later, or when ctx ends.
// Everybody on the machine can read the arguments of a program (proc(5), /proc/PID/cmdline). So the
// browser is given a file of the user's own, which redirects it to the page.
func Open(ctx context.Context, page string) error {
	return open(ctx, page, lingers)
}

func open(ctx context.Context, page string, lingers time.Duration) error {
	// Browsers in a snap see the home directory except for hidden files, and another /tmp.
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	dir, err := os.MkdirTemp(home, "weir-open-")
	if err != nil {
		return fmt.Errorf("make a page for the browser: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the code in it is valid once, for a minute
	file := filepath.Join(dir, "open.html")
	if err := os.WriteFile(file, redirect(page), 0o600); err != nil {
		return fmt.Errorf("make a page for the browser: %w", err)
	}
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	}
	// its output about missing browsers is of no use
	if err := exec.CommandContext(ctx, opener, file).Run(); err != nil {
		return fmt.Errorf("%s: %w", opener, err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(lingers):
	}
	return nil
}

// redirect makes a file that redirects a browser to a page, with its fragment.
func redirect(page string) []byte {
	return fmt.Appendf(nil, `<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url=%[1]s">
<title>Weir</title>
<p><a href="%[1]s">Go on to Weir</a></p>
`, html.EscapeString(page))
}
