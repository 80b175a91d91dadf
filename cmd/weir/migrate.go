package main

import (
	"context"

	"weir/internal/migrate"
)

// migrateCmd copies a data directory into a cluster.
type migrateCmd struct {
	migrate.Command `embed:""`
}

// Run copies and reports.
func (c *migrateCmd) Run(ctx context.Context, std stdio) error {
	damaged, err := c.Migrate(ctx, std.Out, std.Err)
	if hint := migrate.Hint(err); hint != "" {
		err = withHint(err, "%s", hint)
	}
	if err == nil && damaged > 0 {
		err = &problemsError{damaged}
	}
	return err
}
