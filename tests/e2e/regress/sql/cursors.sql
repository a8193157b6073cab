-- Cursors of SQL, and psql's own fetching in portions.
CREATE TABLE cursors_t AS SELECT number AS id, repeat('x', number) AS line FROM generate_series(1, 20) AS number;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM cursors_t ORDER BY id;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ABSOLUTE -1 FROM c;
FETCH NEXT FROM c;
MOVE FIRST IN c;
FETCH RELATIVE 4 FROM c;
DECLARE for_update CURSOR FOR SELECT * FROM cursors_t WHERE id = 5 FOR UPDATE;
FETCH for_update;
UPDATE cursors_t SET line = 'updated' WHERE CURRENT OF for_update;
SELECT * FROM cursors_t WHERE id = 5;
SELECT name, is_scrollable, is_holdable FROM pg_cursors WHERE name = 'c';
CLOSE c;
FETCH c;
ROLLBACK;
-- It outlives its transaction.
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM cursors_t ORDER BY id;
COMMIT;
FETCH 2 FROM held;
FETCH 2 FROM held;
CLOSE ALL;
-- In a function.
CREATE FUNCTION cursors_open() RETURNS refcursor LANGUAGE plpgsql AS $$
DECLARE opened refcursor := 'opened';
BEGIN
  OPEN opened FOR SELECT id FROM cursors_t ORDER BY id DESC;
  RETURN opened;
END $$;
BEGIN;
SELECT cursors_open();
FETCH 2 FROM opened;
COMMIT;
\set FETCH_COUNT 7
SELECT id, length(line) FROM cursors_t ORDER BY id;
SELECT count(*), sum(number::bigint) FROM (SELECT * FROM generate_series(1, 100000) AS number) AS numbers;
\unset FETCH_COUNT
DROP FUNCTION cursors_open;
DROP TABLE cursors_t;
