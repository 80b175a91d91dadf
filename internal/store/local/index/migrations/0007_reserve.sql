-- Pages that are there when the disk is full: the rows that must be written then take theirs.
CREATE TABLE reserve (
    n      INTEGER PRIMARY KEY,
    filler BLOB    NOT NULL
);
