-- What belongs to a session stays with it, and goes with it.
CREATE TABLE sessions_t (id int);
CREATE TEMP TABLE sessions_temporary AS SELECT 1 AS id;
SET search_path = pg_temp, public;
SET work_mem = '7MB';
SELECT pg_advisory_lock(4711);
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND pid = pg_backend_pid();
SELECT pg_backend_pid() AS before \gset
SELECT pg_backend_pid() = :before AS same_backend;
SELECT * FROM sessions_temporary;
SHOW work_mem;
-- Another session.
\connect
SELECT pg_backend_pid() = :before AS same_backend;
SELECT to_regclass('pg_temp.sessions_temporary') AS temporary;
SELECT current_setting('work_mem') = '7MB' AS kept;
-- The old one ends, and its lock with it.
SELECT pg_advisory_lock(4711);
SELECT pg_advisory_unlock(4711);
DISCARD ALL;
SELECT current_user, session_user, current_database() = current_catalog AS same;
-- Large objects: function calls of the protocol itself.
\! seq 100000 > sessions.data
\lo_import sessions.data
SELECT count(*) FROM pg_largeobject_metadata;
\lo_export :LASTOID sessions.back
\! cmp sessions.data sessions.back && rm sessions.data sessions.back
\lo_unlink :LASTOID
SELECT count(*) FROM pg_largeobject_metadata;
DROP TABLE sessions_t;
