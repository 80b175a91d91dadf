-- A sealed blob (state 3) has one row here instead of its fragments' rows; the packed table is in its footer. Ranges are
-- inclusive.

CREATE TABLE sealed (
    blob         INTEGER  PRIMARY KEY, -- blobs.key
    stream       BIGINT   NOT NULL,
    position     BIGINT   NOT NULL, -- of the footer record
    length       BIGINT   NOT NULL,
    meta_length  BIGINT   NOT NULL,
    fragments    BIGINT   NOT NULL,
    number_min   BIGINT   NOT NULL,
    number_max   BIGINT   NOT NULL,
    sequence_min BIGINT   NOT NULL,
    sequence_max BIGINT   NOT NULL,
    server_min   BIGINT   NOT NULL,
    server_max   BIGINT   NOT NULL,
    producer_min BIGINT   NOT NULL,
    producer_max BIGINT   NOT NULL,
    wide         SMALLINT NOT NULL, -- 1: a range of numbers or timestamps is longer than an interval query may assume
    sets         BLOB     NOT NULL  -- ids in track_sets, varints
);
CREATE UNIQUE INDEX sealed_number ON sealed (stream, number_min);
CREATE UNIQUE INDEX sealed_newest ON sealed (stream, number_max);
CREATE UNIQUE INDEX sealed_sequence ON sealed (stream, sequence_max);
CREATE INDEX sealed_server ON sealed (stream, server_min);
CREATE INDEX sealed_producer ON sealed (stream, producer_min);
CREATE INDEX sealed_wide ON sealed (stream) WHERE wide = 1;

-- Fragments that stand in the table of a sealed blob and were replaced since.
CREATE TABLE gone (
    stream BIGINT NOT NULL,
    number BIGINT NOT NULL,
    blob   BIGINT NOT NULL,
    PRIMARY KEY (stream, number, blob)
) WITHOUT ROWID;

-- What the fragments of unsealed blobs replaced when they came: to be written into the blob's table.
CREATE TABLE replaced (
    stream BIGINT NOT NULL,
    blob   BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (stream, blob, number)
) WITHOUT ROWID;

-- Closed ones are to be sealed, open ones to be closed, doomed ones to be deleted: few of each.
CREATE INDEX blobs_state ON blobs (state) WHERE state < 3;

-- Rows are those of unsealed blobs only, one or two blobs of each stream: reading them all is quicker than keeping two more
-- orders of them.
DROP INDEX fragments_producer;
DROP INDEX fragments_server;
