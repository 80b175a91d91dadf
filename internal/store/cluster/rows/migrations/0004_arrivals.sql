-- How fragments with relative timecodes came, as long as their producers may send them again: nothing of connections that ended
-- properly. Times are the database's.
CREATE TABLE arrivals (
    stream     bigint NOT NULL,
    document   bytea  NOT NULL, -- SegmentUID
    timecode   bigint NOT NULL,
    number     bigint NOT NULL,
    sequence   bigint NOT NULL,
    connection text   NOT NULL,
    at_ms      bigint NOT NULL,
    PRIMARY KEY (stream, document, timecode, number)
);
CREATE INDEX arrivals_at ON arrivals (at_ms);
