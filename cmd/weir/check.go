package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/local"
)

// exitProblems is the exit code of weir check when the check was done and something does not hold.
const exitProblems = 3

// checkCmd verifies a data directory.
type checkCmd struct {
	Data   string `arg:"" optional:"" default:"./weir-data" env:"WEIR_DATA" type:"path" help:"Data directory."`
	Repair bool   `help:"Repair what can be repaired; the server must be stopped."`
	JSON   bool   `name:"json" help:"Print the report as JSON."`

	encryptionKeyFlag `embed:""`
}

// Help is shown by weir check --help.
func (c *checkCmd) Help() string {
	return `Reads everything that is stored and verifies that the index and the volumes agree and that every checksum holds. Without
--repair nothing is changed, and the server may be running; with it, an index that is lost or does not agree with the
volumes is made again from them, and the old one is kept beside it. Nothing else is deleted.

Exit codes: 0 all is well, or is now; 1 the check could not be done; 2 wrong usage; 3 something does not hold.

Examples:

  weir check /var/lib/weir
  weir check --repair /var/lib/weir`
}

// problemsError makes the exit code.
type problemsError struct{ n int }

func (e *problemsError) Error() string { return fmt.Sprintf("%d problems are left", e.n) }
func (e *problemsError) code() int     { return exitProblems }

// checkReport is what --json prints.
type checkReport struct {
	local.Report
	Repaired string `json:"repaired,omitempty"` // what --repair did
}

// Run checks, repairs and reports.
func (c *checkCmd) Run(ctx context.Context, std stdio) error {
	var out checkReport
	var err error
	progress := newCheckProgress(std.Err)
	if c.Repair {
		out.Report, out.Repaired, err = local.Repair(ctx, c.Data, c.EncryptionKeyFile,
			slog.New(slog.NewTextHandler(progress, nil)), progress.tell)
	} else {
		out.Report, err = local.Check(ctx, c.Data, c.EncryptionKeyFile, progress.tell)
	}
	progress.clear()
	switch {
	case errors.Is(err, store.ErrLocked):
		return withHint(fmt.Errorf("data directory %s is in use", c.Data), "stop the server first")
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "name the directory that weir serve --data names")
	case err != nil:
		return err
	}
	return c.report(std.Out, &out)
}

// checkProgress prints on a terminal how far the check is, in one line that gives way to others.
type checkProgress struct {
	w           io.Writer
	terminal    bool
	began, last time.Time
	shown       bool
}

func newCheckProgress(w io.Writer) *checkProgress {
	p := &checkProgress{w: w, began: time.Now(), last: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *checkProgress) tell(volumes int, read int64) {
	now := time.Now()
	if !p.terminal || now.Sub(p.last) <= 200*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.w, "\r%.1f GB of %d volumes, %.0f MB/s ", float64(read)/1e9, volumes,
		float64(read)/1e6/now.Sub(p.began).Seconds())
}

func (p *checkProgress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\033[K")
		p.shown = false
	}
}

// Write prints what is logged.
func (p *checkProgress) Write(b []byte) (int, error) {
	p.clear()
	return p.w.Write(b)
}

// report prints what was found; the error makes the exit code.
func (c *checkCmd) report(w io.Writer, r *checkReport) error {
	left := len(r.Problems)
	if c.JSON {
		b, err := json.MarshalIndent(r, "", "    ")
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", b)
	} else {
		for _, p := range r.Problems {
			fmt.Fprintln(w, p)
		}
		if r.Repaired != "" {
			fmt.Fprintf(w, "Repaired: %s.\n", r.Repaired)
		}
		fmt.Fprintf(w, "%s, %s of %.1f MB in %s: ",
			count(r.Streams, "stream"), count(r.Fragments, "fragment"), float64(r.Bytes)/1e6,
			count(r.Volumes, "volume"))
		if left == 0 {
			fmt.Fprintln(w, "all is well.")
		} else {
			fmt.Fprintf(w, "%s.\n", count(left, "problem"))
		}
		if r.Unknown > 0 && r.Repaired == "" {
			fmt.Fprintf(w,
				"%d volumes are not in the index; the next start of the server looks at them.\n",
				r.Unknown)
		}
		can := func(how local.Remedy) bool {
			return slices.ContainsFunc(r.Problems, func(p local.Problem) bool {
				return p.Remedy == how
			})
		}
		switch {
		case c.Repair:
		case can(local.RemedyRebuild):
			fmt.Fprintln(w, "--repair would make the index again from the volumes and keep the "+
				"old one beside it; playback sessions end.")
		case can(local.RemedyStart):
			fmt.Fprintln(w, "--repair would do what the next start of the server does: drop the "+
				"rows of what is not there.")
		}
		if slices.ContainsFunc(r.Problems, func(p local.Problem) bool {
			return p.Remedy == local.RemedyNone && p.Kind != "encryption-key"
		}) {
			fmt.Fprintln(w, "What the disk has damaged cannot be brought back from here; it is "+
				"kept, costs no more than itself, and goes with its retention.\n"+
				"With a backup: stop the server, put the volume's file from there in its place "+
				"(one of the same length), check again.")
		}
	}
	if left > 0 {
		return &problemsError{left}
	}
	return nil
}
