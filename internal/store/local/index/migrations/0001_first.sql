-- Integers are milliseconds, bytes or counts as in the store's types. A stream has a small key, so that the rows that name it
-- are small. Tables that WITHOUT ROWID marks lie in the order of their primary key.

CREATE TABLE streams (
    key             INTEGER PRIMARY KEY,
    id              TEXT     NOT NULL UNIQUE,
    name            TEXT     NOT NULL,
    created_ms      BIGINT   NOT NULL,
    version         TEXT     NOT NULL,
    retention_hours BIGINT   NOT NULL,
    device_name     TEXT     NOT NULL,
    media_type      TEXT     NOT NULL,
    kms_key_id      TEXT     NOT NULL,
    storage_tier    TEXT     NOT NULL,
    tags            TEXT     NOT NULL, -- JSON object
    number_tag      BIGINT   NOT NULL, -- uint64, two's complement
    deleted         SMALLINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX streams_name ON streams (name) WHERE deleted = 0;

-- The greatest number and sequence ever committed; apart from streams because each commit writes it.
CREATE TABLE heads (
    stream   BIGINT NOT NULL PRIMARY KEY,
    number   BIGINT NOT NULL,
    sequence BIGINT NOT NULL
);

CREATE TABLE blobs (
    key            INTEGER PRIMARY KEY,
    stream         BIGINT   NOT NULL,
    name           TEXT     NOT NULL UNIQUE,
    state          SMALLINT NOT NULL, -- 0 open, 1 closed, 2 doomed
    indexed        BIGINT   NOT NULL,
    last_server_ts BIGINT   NOT NULL
);
CREATE INDEX blobs_stream ON blobs (stream, state, last_server_ts);

CREATE TABLE fragments (
    stream      BIGINT   NOT NULL,
    number      BIGINT   NOT NULL,
    sequence    BIGINT   NOT NULL,
    producer_ts BIGINT   NOT NULL,
    server_ts   BIGINT   NOT NULL,
    track_set   BIGINT   NOT NULL,
    spans       BLOB     NOT NULL,
    payload_crc BIGINT   NOT NULL,
    partial     SMALLINT NOT NULL,
    blob        BIGINT   NOT NULL,
    position    BIGINT   NOT NULL,
    length      BIGINT   NOT NULL,
    meta_length BIGINT   NOT NULL,
    PRIMARY KEY (stream, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX fragments_sequence ON fragments (stream, sequence);
-- Both hold what a range by time selects and orders by, so that only the fragments found are looked up.
CREATE INDEX fragments_producer ON fragments (stream, producer_ts, number, server_ts);
CREATE INDEX fragments_server ON fragments (stream, server_ts, number);

CREATE TABLE track_sets (
    stream BIGINT NOT NULL,
    id     BIGINT NOT NULL,
    hash   BLOB   NOT NULL,
    tracks BLOB   NOT NULL,
    PRIMARY KEY (stream, id),
    UNIQUE (stream, hash)
);

CREATE TABLE sessions (
    id         BLOB     NOT NULL PRIMARY KEY,
    stream     BIGINT   NOT NULL,
    created_ms BIGINT   NOT NULL,
    expires_ms BIGINT   NOT NULL,
    closed     SMALLINT NOT NULL DEFAULT 0,
    parameters BLOB     NOT NULL,
    checkpoint BLOB
);
CREATE INDEX sessions_stream ON sessions (stream, created_ms);
CREATE INDEX sessions_expires ON sessions (expires_ms);
