-- COPY in all its directions and formats, with its errors on either side.
CREATE TABLE copy_t (id int PRIMARY KEY, line text);
COPY copy_t FROM STDIN WITH (DELIMITER '|');
1|one
2|\N
3|a tab \t and a line \n inside
4|
\.
SELECT id, line, line IS NULL AS is_null FROM copy_t ORDER BY id;
COPY (SELECT * FROM copy_t ORDER BY id) TO STDOUT;
COPY (SELECT * FROM copy_t ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *);
COPY copy_t (id, line) FROM STDIN WITH (FORMAT csv);
5,"quoted, with ""quotes"""
6,
7,""
\.
SELECT id, line, line IS NULL AS is_null FROM copy_t WHERE id > 4 ORDER BY id;
-- Nothing at all.
COPY copy_t FROM STDIN;
\.
COPY (SELECT 1 WHERE false) TO STDOUT;
-- Errors: none of it is kept, and what was still sent is skipped.
COPY copy_t FROM STDIN;
8	eight
1	there already
9	nine
\.
COPY copy_t FROM STDIN;
10
\.
COPY copy_t FROM STDIN;
eleven	no number
12	twelve
\.
COPY copy_absent TO STDOUT;
COPY (SELECT 10 / (3 - number) FROM generate_series(1, 5) AS number) TO STDOUT;
SELECT count(*) FROM copy_t;
-- In a transaction, with statements around it.
BEGIN;
COPY copy_t FROM STDIN;
20	twenty
\.
SELECT count(*) FROM copy_t;
ROLLBACK;
SELECT 1 AS before\; COPY copy_t FROM STDIN\; SELECT 2 AS after;
30	thirty
\.
SELECT count(*) FROM copy_t;
-- Much of it, both ways, through psql.
CREATE TABLE copy_many (id int, line text);
\copy (SELECT number, repeat(md5(number::text), number % 400) FROM generate_series(1, 5000) AS number) TO 'copy_many.data'
\! cksum < copy_many.data
\copy copy_many FROM 'copy_many.data'
SELECT count(*), bool_and(line = repeat(md5(id::text), id % 400)) AS same FROM copy_many;
\! rm copy_many.data
DROP TABLE copy_t, copy_many;
