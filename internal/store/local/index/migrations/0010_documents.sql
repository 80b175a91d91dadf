-- Small named documents, such as keys, policies and roles.
CREATE TABLE documents (
    kind     TEXT   NOT NULL,
    name     TEXT   NOT NULL,
    revision BIGINT NOT NULL,
    data     BLOB   NOT NULL,
    PRIMARY KEY (kind, name)
);

-- How often they were changed, one row: a document that is deleted leaves no revision behind.
CREATE TABLE document_revision (
    one      SMALLINT NOT NULL PRIMARY KEY CHECK (one = 1),
    revision BIGINT   NOT NULL
);
INSERT INTO document_revision (one, revision) VALUES (1, 0);
