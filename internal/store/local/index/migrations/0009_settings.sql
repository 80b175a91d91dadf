-- What is configured of a stream, in the words of whoever configured it.
ALTER TABLE streams ADD COLUMN settings TEXT NOT NULL DEFAULT '';
