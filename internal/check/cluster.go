package check

import (
	"context"
	"fmt"
	"io"

	"weir/internal/store/cluster/repair"
	"weir/internal/terminal"
)

// ClusterReport is the JSON report on a cluster.
type ClusterReport struct {
	repair.Report
	Repaired string `json:"repaired,omitempty"` // what --repair did
}

// cluster checks, repairs and reports on a cluster.
func (c *Command) cluster(
	ctx context.Context, out io.Writer, p *terminal.Progress,
) (left int, err error) {
	if c.Objects == "" {
		return 0, errObjects
	}
	looked := 0
	o := repair.Options{Database: c.Database, Objects: c.Objects, Deep: c.Deep,
		Progress: func(what, object string) {
			looked++
			p.Printf("%s: %s, %d looked at", what, object, looked)
		}}
	var r ClusterReport
	if c.Repair {
		var done repair.Done
		r.Report, done, err = repair.Repair(ctx, o)
		r.Repaired = done.String()
	} else {
		r.Report, err = repair.Check(ctx, o)
	}
	p.Clear()
	if err != nil {
		if r.Repaired != "" { // it stays so
			fmt.Fprintf(p, "Repaired before it ended: %s.\n", r.Repaired)
		}
		return 0, err
	}
	left = len(r.Problems) + r.More
	if c.JSON {
		return left, printJSON(out, &r)
	}
	c.reportCluster(out, &r, left)
	return left, nil
}

// reportCluster prints what was found, and how many problems are left.
func (c *Command) reportCluster(w io.Writer, r *ClusterReport, left int) {
	mended := 0
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
		if p.Repair {
			mended++
		}
	}
	if r.More > 0 {
		fmt.Fprintf(w, "and %s.\n", count(r.More, "more problem"))
	}
	if r.Repaired != "" {
		fmt.Fprintf(w, "Repaired: %s.\n", r.Repaired)
	}
	fmt.Fprintf(w, "%s, %s in %s of %.1f MB: ", count(r.Streams, "stream"),
		count(r.Fragments, "fragment"), count(r.Objects, "object"), float64(r.Bytes)/1e6)
	if left == 0 {
		fmt.Fprintln(w, "all is well.")
	} else {
		fmt.Fprintf(w, "%s.\n", count(left, "problem"))
	}
	if r.New > 0 {
		fmt.Fprintf(w, "%s of the last minute have no row yet.\n", count(r.New, "object"))
	}
	if mended > 0 && !c.Repair {
		fmt.Fprintln(w, "--repair would bring back what objects have and drop the rows of what "+
			"is not there.")
	}
}
