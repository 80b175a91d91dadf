-- The store's mark of its clocks (clock.Mark), one row, milliseconds.
CREATE TABLE clock (
    one          SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    boot         TEXT     NOT NULL,
    up_ms        BIGINT   NOT NULL,
    wall_ms      BIGINT   NOT NULL,
    retention_ms BIGINT   NOT NULL
);
