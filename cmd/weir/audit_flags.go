package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/internal/audit"
)

// auditFile is the path of the audit log in the data directory, unless a flag says otherwise.
const auditFile = "audit/audit.jsonl"

// auditCloseTime is how long a stop may take to write the last events.
const auditCloseTime = 5 * time.Second

// auditFlags are the flags of weir serve about the audit log.
type auditFlags struct {
	AuditFile string        `name:"audit-file" group:"Access" env:"WEIR_AUDIT_FILE" type:"path" placeholder:"FILE" help:"Audit log, with a JSON object on each line. Full files are kept beside it. By default, audit/audit.jsonl in the data directory."`
	AuditSize byteSize      `name:"audit-max-size" default:"64MiB" group:"Access" env:"WEIR_AUDIT_MAX_SIZE" placeholder:"SIZE" help:"Size at which another file of the audit log begins."`
	AuditAge  time.Duration `name:"audit-max-age" default:"720h" group:"Access" env:"WEIR_AUDIT_MAX_AGE" placeholder:"DURATION" help:"Age at which another file of the audit log begins."`
	AuditKeep int           `name:"audit-keep" default:"12" group:"Access" env:"WEIR_AUDIT_KEEP" placeholder:"N" help:"How many full files of the audit log are kept; the oldest are deleted. 0 means 12."`
}

// check refuses flags with which no start could succeed.
func (f *auditFlags) check() error {
	switch {
	case f.AuditSize != 0 && f.AuditSize < 4096:
		return fmt.Errorf("--audit-max-size %d is less than 4 KiB", f.AuditSize)
	case f.AuditAge != 0 && f.AuditAge < time.Minute:
		return fmt.Errorf("--audit-max-age %s is less than a minute", f.AuditAge)
	case f.AuditKeep < 0:
		return fmt.Errorf("--audit-keep %d is negative", f.AuditKeep)
	}
	return nil
}

// openAudit opens the audit log, unless it is open already. closeAudit closes it.
func (f *auditFlags) openAudit(s *serving, data string, registry prometheus.Registerer) error {
	if s.audit == nil {
		log, err := audit.Open(audit.Options{
			Path:     cmp.Or(f.AuditFile, filepath.Join(data, filepath.FromSlash(auditFile))),
			MaxBytes: int64(f.AuditSize), MaxAge: f.AuditAge, Keep: f.AuditKeep, Logger: s.log})
		if err != nil {
			return withHint(err, "--audit-file names a file that this user can write to")
		}
		s.audit = log
	}
	return s.audit.Register(registry)
}

// closeAudit writes the last events. A stop that loses some is still a stop; the log says so.
func (s *serving) closeAudit() {
	ctx, cancel := context.WithTimeout(context.Background(), auditCloseTime)
	defer cancel()
	if err := s.audit.Close(ctx); err != nil {
		s.log.Error("the audit log is not complete", "error", err)
	}
}
