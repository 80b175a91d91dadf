-- Spans tell more of a run than they did. The volumes hold everything that a row says, so the rows are made again from them:
-- recovery reads every blob from its start. Sequences grow, which no session survives.
DELETE FROM sessions;
DELETE FROM fragments;
UPDATE blobs SET state = 0, indexed = 0 WHERE state <> 2;
