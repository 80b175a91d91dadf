package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"weir/internal/store"
	"weir/internal/store/local"
	"weir/internal/terminal"
)

// LocalReport is the JSON report on a data directory.
type LocalReport struct {
	local.Report
	Repaired string `json:"repaired,omitempty"` // what --repair did
}

// local checks, repairs and reports on a data directory.
func (c *Command) local(
	ctx context.Context, out io.Writer, p *terminal.Progress,
) (left int, err error) {
	progress := func(volumes int, bytes int64) {
		if p.Terminal() {
			p.Printf("%.1f GB of %d volumes, %.0f MB/s", float64(bytes)/1e9, volumes,
				p.Rate(bytes)/1e6)
		}
	}
	var r LocalReport
	if c.Repair {
		r.Report, r.Repaired, err = local.Repair(ctx, c.Data, c.EncryptionKeyFile,
			slog.New(slog.NewTextHandler(p, nil)), progress)
	} else {
		r.Report, err = local.Check(ctx, c.Data, c.EncryptionKeyFile, progress)
	}
	p.Clear()
	switch {
	case errors.Is(err, store.ErrLocked):
		return 0, fmt.Errorf("data directory %s is in use: %w", c.Data, err)
	case err != nil:
		return 0, err
	}
	if c.JSON {
		return len(r.Problems), printJSON(out, &r)
	}
	c.reportLocal(out, &r)
	return len(r.Problems), nil
}

// reportLocal prints what was found.
func (c *Command) reportLocal(w io.Writer, r *LocalReport) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if r.Repaired != "" {
		fmt.Fprintf(w, "Repaired: %s.\n", r.Repaired)
	}
	fmt.Fprintf(w, "%s, %s of %.1f MB in %s: ",
		count(r.Streams, "stream"), count(r.Fragments, "fragment"), float64(r.Bytes)/1e6,
		count(r.Volumes, "volume"))
	if len(r.Problems) == 0 {
		fmt.Fprintln(w, "all is well.")
	} else {
		fmt.Fprintf(w, "%s.\n", count(len(r.Problems), "problem"))
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
