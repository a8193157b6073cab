-- Notices of every level, before, between and after rows; parameters that are reported; notifications.
SET client_min_messages = debug1;
DO $$
BEGIN
  RAISE DEBUG 'debug';
  RAISE LOG 'log';
  RAISE INFO 'info';
  RAISE NOTICE 'notice' USING DETAIL = 'its detail', HINT = 'its hint', ERRCODE = '01234';
  RAISE WARNING 'warning';
END $$;
SET client_min_messages = error;
DO $$ BEGIN RAISE WARNING 'not heard'; RAISE INFO 'always heard'; END $$;
RESET client_min_messages;
CREATE FUNCTION notices_each(count int) RETURNS SETOF int LANGUAGE plpgsql AS $$
BEGIN
  FOR number IN 1 .. count LOOP
    RAISE NOTICE 'row %', number;
    RETURN NEXT number;
  END LOOP;
END $$;
SELECT * FROM notices_each(3);
-- Many, and a long one.
SELECT count(*) FROM notices_each(20);
\set VERBOSITY terse
DO $$ BEGIN RAISE NOTICE '%', length(repeat('y', 100000)); END $$;
\set VERBOSITY default
DROP TABLE IF EXISTS notices_absent;
COMMIT;
BEGIN;
BEGIN;
COMMIT;
-- Parameters that the server reports when they change.
SET application_name = 'renamed';
SHOW application_name;
SET client_encoding = 'LATIN1';
\encoding
SELECT octet_length(convert_to('ä', 'LATIN1')) AS latin_bytes;
RESET client_encoding;
\encoding
SET DateStyle = 'German';
SELECT date '2001-02-03';
RESET DateStyle;
SET IntervalStyle = 'iso_8601';
SELECT interval '1 day 2 hours';
RESET IntervalStyle;
SET standard_conforming_strings = on;
-- Notifications to ourselves.
LISTEN notices_channel;
DO $$ BEGIN PERFORM pg_notify('notices_other', 'not for us'); END $$;
SELECT count(*) FROM pg_listening_channels();
UNLISTEN *;
SELECT count(*) FROM pg_listening_channels();
DROP FUNCTION notices_each;
