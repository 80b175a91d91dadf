-- Sessions of different kinds are counted apart. Those that were opened before are of kind 0.
ALTER TABLE sessions ADD COLUMN kind SMALLINT NOT NULL DEFAULT 0;
CREATE INDEX sessions_kind ON sessions (stream, kind, created_ms, opened);
