-- The bucket and prefix that the rows are about: the ID that its marker object has too.
CREATE TABLE bucket (
    one    bigint NOT NULL PRIMARY KEY,
    id     text   NOT NULL,
    marked bigint NOT NULL -- 1: the marker object was written
);
