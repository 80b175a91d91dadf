-- The order in which the sessions of a stream were registered: two may be created in the same millisecond.
ALTER TABLE sessions ADD COLUMN opened BIGINT NOT NULL DEFAULT 0;
