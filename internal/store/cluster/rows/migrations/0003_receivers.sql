-- Which node receives which stream, for those that follow it frame by frame. A row says nothing when its node is not heard of.
CREATE TABLE receivers (
    stream   text   NOT NULL,
    node     text   NOT NULL,
    burst_ms bigint NOT NULL, -- by how much its frames come at another pace than they are shown at
    PRIMARY KEY (stream, node)
);
CREATE INDEX receivers_node ON receivers (node);
