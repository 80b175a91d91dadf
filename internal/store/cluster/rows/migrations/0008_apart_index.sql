-- concurrent
-- The rows of older programs are all apart, and an index of them takes as long as there are many.
DROP INDEX CONCURRENTLY IF EXISTS fragments_apart;
CREATE INDEX CONCURRENTLY fragments_apart ON fragments (stream, number) WHERE apart = 1;
