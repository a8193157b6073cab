-- Prepared statements, by SQL and by the extended protocol.
CREATE TABLE prepared_t (id int PRIMARY KEY, line text);
PREPARE add (int, text) AS INSERT INTO prepared_t VALUES ($1, $2) RETURNING id, line;
EXECUTE add(1, 'one');
EXECUTE add(2, NULL);
EXECUTE add(1, 'again');
EXECUTE add('x', 'not a number');
EXECUTE add(3);
PREPARE add AS SELECT 1;
PREPARE find AS SELECT * FROM prepared_t WHERE id = $1;
EXECUTE find(1);
SELECT name, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name;
-- What it returns changes.
ALTER TABLE prepared_t ADD COLUMN more int DEFAULT 7;
EXECUTE find(1);
DEALLOCATE find;
EXECUTE find(1);
-- One that is planned again and again, then once for all.
SET plan_cache_mode = force_generic_plan;
PREPARE plan AS SELECT count(*) FROM prepared_t WHERE id = $1;
EXECUTE plan(1);
EXECUTE plan(2);
RESET plan_cache_mode;
DEALLOCATE ALL;
SELECT count(*) FROM pg_prepared_statements;
-- Prepared in a transaction that fails: it stays.
BEGIN;
PREPARE stays AS SELECT 'stays' AS it;
SELECT 1 / 0;
ROLLBACK;
EXECUTE stays;
-- \gdesc parses and describes without execution; \gexec and \gset run what comes back.
SELECT id, line, more FROM prepared_t \gdesc
SELECT 1 / 0 AS not_executed \gdesc
SELECT format('SELECT %s AS gexec', number) FROM generate_series(1, 3) AS number \gexec
SELECT id AS first_id, line AS first_line FROM prepared_t ORDER BY id LIMIT 1 \gset
\echo :first_id :first_line
DROP TABLE prepared_t;
