-- How often each node has written here and then in the bucket that it did: when the bucket knows of more, commits were lost. Times are
-- the database's.
CREATE TABLE watermarks (
    node    text   NOT NULL PRIMARY KEY,
    beat    bigint NOT NULL,
    beat_ms bigint NOT NULL
);
-- That commits were lost. It has a row until they are repaired, and nothing is collected meanwhile.
CREATE TABLE setback (
    one        bigint NOT NULL PRIMARY KEY,
    noticed_ms bigint NOT NULL,
    reason     text   NOT NULL
);
