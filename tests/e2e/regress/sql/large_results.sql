-- Many rows, wide rows, long values; sums of what arrives, as psql writes it.
\pset format unaligned
\pset tuples_only on
SELECT number, repeat('x', number % 100) FROM generate_series(1, 200000) AS number \g | cksum
SELECT repeat(md5(number::text), 2000) FROM generate_series(1, 200) AS number \g | cksum
-- One value of 40 MB, and one on each side of what is passed on as a whole.
SELECT repeat('0123456789', 4000000) \g | cksum
SELECT repeat('z', size) FROM generate_series(8150, 8200) AS size \g | cksum
-- The same as a message to the server.
SELECT repeat('0123456789', 500000) AS long_value \gset
SELECT length(:'long_value'), md5(:'long_value');
\pset tuples_only off
-- Sixteen hundred columns.
SELECT string_agg(format('%s AS c%s', number, number), ', ') AS columns FROM generate_series(1, 1600) AS number \gset
SELECT :columns \g | cksum
-- Rows of nothing, and no rows of much.
SELECT FROM generate_series(1, 100000) \g | cksum
SELECT repeat('x', 1000) AS line FROM generate_series(1, 1000) WHERE false;
-- A result that stops in the middle.
SELECT repeat('x', 1000) || (1 / (5000 - number)) AS line FROM generate_series(1, 10000) AS number \g | cksum
SELECT 'still here' AS session;
