package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"weir/internal/check"
)

// exitProblems is the exit code of weir check when the check was done and has found problems.
const exitProblems = 3

// checkCmd verifies a data directory or a cluster.
type checkCmd struct {
	check.Command `embed:""`
}

// problemsError makes the exit code.
type problemsError struct{ n int }

func (e *problemsError) Error() string { return fmt.Sprintf("%d problems are left", e.n) }
func (e *problemsError) code() int     { return exitProblems }

// Run checks, repairs and reports.
func (c *checkCmd) Run(ctx context.Context, std stdio) error {
	left, err := c.Check(ctx, std.Out, std.Err)
	if errors.Is(err, fs.ErrNotExist) && c.Database == "" {
		err = hintNoData(err, c.Data, "--database and --objects name what the cluster has")
	} else if hint := check.Hint(err); hint != "" {
		err = withHint(err, "%s", hint)
	}
	if err == nil && left > 0 {
		err = &problemsError{left}
	}
	return err
}
