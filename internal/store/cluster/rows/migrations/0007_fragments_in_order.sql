-- The tables in the order in which a commit takes them, or the two would wait for each other.
-- Of the last row that is in order, or more.
ALTER TABLE heads ADD COLUMN order_number bigint NOT NULL DEFAULT 0;
ALTER TABLE heads ADD COLUMN order_server bigint NOT NULL DEFAULT -4611686018427387904;
ALTER TABLE heads ADD COLUMN order_producer bigint NOT NULL DEFAULT -4611686018427387904;
-- Rows of fragments that are in order are in one order, whether by number, by sequence or by either clock. The others are apart: those
-- of programs that do not know of it, and what a producer sends late or with a clock that leaps.
ALTER TABLE fragments ADD COLUMN apart bigint NOT NULL DEFAULT 1;
