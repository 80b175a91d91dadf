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
	"path/filepath"
	"slices"
	"time"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/store/local/index"
	"weir/internal/store/local/volume"
)

// exitProblems is the exit code of weir check when the check was done and something does not hold.
const exitProblems = 3

// checkCmd verifies a data directory.
type checkCmd struct {
	Data   string `arg:"" optional:"" default:"./weir-data" env:"WEIR_DATA" type:"path" help:"Data directory."`
	Repair bool   `help:"Repair what can be repaired; the server must be stopped."`
	JSON   bool   `name:"json" help:"Print the report as JSON."`
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
func (c *checkCmd) Run(ctx context.Context, std stdio) (err error) {
	if _, err := os.Stat(filepath.Join(c.Data, "volumes")); err != nil {
		return withHint(fmt.Errorf("%s is no data directory: %w", c.Data, err),
			"name the directory that weir serve --data names")
	}
	lock, err := volume.LockDir(c.Data)
	live := errors.Is(err, store.ErrLocked)
	switch {
	case live && c.Repair:
		return withHint(fmt.Errorf("data directory %s is in use", c.Data), "stop the server first")
	case live:
	case err != nil:
		return err
	default:
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	report, err := c.check(ctx, std, live)
	if err != nil {
		return err
	}
	out := checkReport{Report: report}
	if c.Repair {
		if out.Repaired, err = c.repair(ctx, std, &report); err != nil {
			return err
		}
		if out.Repaired != "" {
			if out.Report, err = c.check(ctx, std, false); err != nil {
				return err
			}
		}
	}
	return c.report(std.Out, &out)
}

func (c *checkCmd) indexPath() string { return filepath.Join(c.Data, "index.db") }

// check reads everything. An index that cannot be read is a problem, not an error.
func (c *checkCmd) check(ctx context.Context, std stdio, live bool) (local.Report, error) {
	lost := func(err error) local.Report {
		return local.Report{Problems: []local.Problem{{Kind: "index", Text: err.Error(),
			Repair: local.RepairRebuild}}}
	}
	rows, err := index.OpenReadOnly(ctx, c.indexPath(), live)
	if err != nil {
		if ctx.Err() != nil {
			return local.Report{}, err
		}
		return lost(err), nil
	}
	wrong, err := rows.Verify(ctx)
	if err != nil && ctx.Err() == nil {
		wrong, err = append(wrong, err.Error()), nil
	}
	if err != nil || len(wrong) > 0 {
		if err = errors.Join(err, rows.Close()); err != nil {
			return local.Report{}, err
		}
		return lost(fmt.Errorf("the index is damaged: %s", wrong[0])), nil
	}
	volumes, err := volume.OpenReadOnly(filepath.Join(c.Data, "volumes"))
	if err != nil {
		return local.Report{}, errors.Join(err, rows.Close())
	}
	progress, done := c.progress(std)
	report, err := local.Check(ctx, rows, volumes,
		local.CheckOptions{Live: live, Progress: progress})
	done()
	return report, errors.Join(err, rows.Close(), volumes.Close())
}

// progress prints how far the check is, on a terminal.
func (c *checkCmd) progress(std stdio) (tell func(volumes int, read int64), done func()) {
	f, ok := std.Err.(*os.File)
	if !ok {
		return nil, func() {}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil, func() {}
	}
	began, last := time.Now(), time.Now()
	tell = func(volumes int, read int64) {
		if now := time.Now(); now.Sub(last) > 200*time.Millisecond {
			last = now
			fmt.Fprintf(f, "\r%.1f GB of %d volumes, %.0f MB/s ", float64(read)/1e9, volumes,
				float64(read)/1e6/now.Sub(began).Seconds())
		}
	}
	return tell, func() { fmt.Fprint(f, "\r\033[K") }
}

// repair does what the report asks for and says what it did.
func (c *checkCmd) repair(ctx context.Context, std stdio, report *local.Report) (string, error) {
	need := local.RepairNone
	if report.Unknown > 0 {
		need = local.RepairStart
	}
	for _, p := range report.Problems {
		if p.Repair == local.RepairRebuild || need == local.RepairNone {
			need = p.Repair
		}
	}
	logger := slog.New(slog.NewTextHandler(std.Err, nil))
	switch need {
	case local.RepairStart:
		rows, err := index.OpenSQLite(ctx, c.indexPath())
		if err == nil {
			err = c.recover(ctx, rows, logger)
		}
		return "did what a start does", err
	case local.RepairRebuild:
		old, err := c.rebuild(ctx, logger)
		return "made the index again from the volumes; the old one is " + old, err
	}
	return "", nil
}

// recover opens the store once.
func (c *checkCmd) recover(ctx context.Context, rows *index.SQLite, logger *slog.Logger) error {
	volumes, err := volume.Open(filepath.Join(c.Data, "volumes"), volume.Options{})
	if err != nil {
		return errors.Join(err, rows.Close())
	}
	st, err := local.New(ctx, local.Options{Index: rows, Volumes: volumes, Logger: logger})
	if err != nil {
		return err
	}
	return st.Close()
}

// rebuild makes a new index from the volumes beside the old one, which it then moves aside. What
// the old one can still tell of the streams is taken over: volumes know their stream as it was when
// they began, and nothing of one without fragments.
func (c *checkCmd) rebuild(ctx context.Context, logger *slog.Logger) (old string, err error) {
	fresh := c.indexPath() + ".new"
	for _, suffix := range []string{"", "-wal", "-shm"} { // of a repair that did not end
		if err := os.Remove(fresh + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	rows, err := index.OpenSQLite(ctx, fresh)
	if err != nil {
		return "", err
	}
	if err := c.takeOver(ctx, rows, logger); err != nil {
		return "", errors.Join(err, rows.Close())
	}
	if err := c.recover(ctx, rows, logger); err != nil {
		return "", err
	}
	// SQLite removes its log when it is closed, so the new index is one file now. The old one goes
	// with its log.
	old = c.indexPath() + ".damaged-" + time.Now().UTC().Format("20060102T150405")
	for _, suffix := range []string{"-shm", "-wal", ""} {
		if err := os.Rename(c.indexPath()+suffix, old+suffix); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if err := os.Rename(fresh, c.indexPath()); err != nil {
		return "", err
	}
	return old, volume.OS{}.SyncDir(c.Data)
}

// takeOver copies the streams of the old index as far as they can be read, and finishes the
// deletions that it knows of.
func (c *checkCmd) takeOver(ctx context.Context, rows *index.SQLite,
	logger *slog.Logger) (err error) {
	old, err := index.OpenReadOnly(ctx, c.indexPath(), false)
	if err != nil {
		logger.Warn("streams are known from their volumes only", "error", err)
		return nil
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	streams, err := old.ListStreams(ctx, "", "", 0)
	deleted, deletedErr := old.DeletedStreams(ctx)
	if err := errors.Join(err, deletedErr); err != nil {
		logger.Warn("streams are known from their volumes only", "error", err)
		return nil
	}
	for _, s := range streams {
		if err := rows.CreateStream(ctx, s); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	if len(deleted) == 0 {
		return nil
	}
	volumes, err := volume.Open(filepath.Join(c.Data, "volumes"), volume.Options{})
	if err != nil {
		return err
	}
	for _, id := range deleted {
		if err := volumes.DeleteStream(ctx, id); err != nil {
			return errors.Join(err, volumes.Close())
		}
	}
	return volumes.Close()
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
		can := func(how local.Repair) bool {
			return slices.ContainsFunc(r.Problems, func(p local.Problem) bool {
				return p.Repair == how
			})
		}
		switch {
		case c.Repair:
		case can(local.RepairRebuild):
			fmt.Fprintln(w, "--repair would make the index again from the volumes and keep the "+
				"old one beside it; playback sessions end.")
		case can(local.RepairStart):
			fmt.Fprintln(w, "--repair would do what the next start of the server does: drop the "+
				"rows of what is not there.")
		}
		if can(local.RepairNone) {
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
