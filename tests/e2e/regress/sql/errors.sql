-- Errors with all their fields, and that the session goes on after each.
\set VERBOSITY sqlstate
SELECT 1 / 0;
SELECT * FROM errors_absent;
SELECT absent_column FROM pg_class;
SELEC 1;
SELECT 'x'::int;
SELECT 99999999999::int;
SELECT errors_absent_function(1);
\echo :ERROR :SQLSTATE
SELECT 1 AS fine;
\echo :ERROR :SQLSTATE
\set VERBOSITY default
CREATE TABLE errors_t (id int PRIMARY KEY, amount int NOT NULL CONSTRAINT amount_is_positive CHECK (amount > 0));
INSERT INTO errors_t VALUES (1, 1);
INSERT INTO errors_t VALUES (1, 1);
INSERT INTO errors_t VALUES (2, 0);
INSERT INTO errors_t VALUES (3, NULL);
SELECT * FROM errors_t WHRE id = 1;
-- Every field.
DO $$
BEGIN
  RAISE EXCEPTION 'the message' USING ERRCODE = 'P1234', DETAIL = 'the detail', HINT = 'the hint',
    COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', TABLE = 't', SCHEMA = 's';
END $$;
\echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE
-- A long and a strange message.
DO $$ BEGIN RAISE EXCEPTION '% end', repeat('ä€𝄞 ', 30); END $$;
SELECT length(:'LAST_ERROR_MESSAGE') AS characters;
-- Longer than what is passed on as a whole; and an ordinary error, in spite of its code.
\set VERBOSITY sqlstate
DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 20000) USING ERRCODE = '57P01'; END $$;
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
SELECT length(:'LAST_ERROR_MESSAGE') AS characters;
-- Half way through a result.
SELECT 10 / (3 - number) FROM generate_series(1, 5) AS number;
-- A statement that takes too long.
SET statement_timeout = '50ms';
SELECT pg_sleep(600);
RESET statement_timeout;
DROP TABLE errors_t;
SELECT 'still here' AS session;
