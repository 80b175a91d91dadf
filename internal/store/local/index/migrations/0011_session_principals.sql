-- Who opened a session (an ARN), and the address of the client that it is bound to. Empty: not known, and to none.
ALTER TABLE sessions ADD COLUMN principal BLOB NOT NULL DEFAULT x'';
ALTER TABLE sessions ADD COLUMN address BLOB NOT NULL DEFAULT x'';
