-- Rows are of open sessions only: what was closed has none, what is over goes when the next one of its stream is opened, or in a
-- sweep.
DELETE FROM sessions WHERE closed <> 0;
DROP INDEX sessions_stream;
ALTER TABLE sessions DROP COLUMN closed;
CREATE INDEX sessions_opened ON sessions (stream, created_ms, opened);
CREATE INDEX sessions_over ON sessions (stream, expires_ms);

-- How many sessions there are and what their rows take, by stream, and with stream 0 in all: opening one must not count them.
CREATE TABLE session_totals (
    stream   BIGINT NOT NULL PRIMARY KEY,
    sessions BIGINT NOT NULL,
    bytes    BIGINT NOT NULL
);
INSERT INTO session_totals
    SELECT stream, COUNT(*), SUM(LENGTH(parameters) + COALESCE(LENGTH(checkpoint), 0) + 256) FROM sessions GROUP BY stream;
INSERT INTO session_totals SELECT 0, COALESCE(SUM(sessions), 0), COALESCE(SUM(bytes), 0) FROM session_totals;
