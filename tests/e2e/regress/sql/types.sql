-- Values of many types, in and out, null and empty ones too.
CREATE TABLE types_all (
  id int PRIMARY KEY,
  a_boolean boolean, a_smallint smallint, a_bigint bigint, a_numeric numeric, a_real real, a_double double precision,
  a_text text, a_varchar varchar(10), a_char char(5), a_bytea bytea,
  a_date date, a_time time, a_timestamp timestamp, a_timestamptz timestamptz, an_interval interval,
  a_uuid uuid, a_json json, a_jsonb jsonb, an_array int[], texts text[], an_inet inet, a_bit bit(4), a_range int4range,
  a_point point
);
INSERT INTO types_all VALUES
  (1, true, -32768, 9223372036854775807, 12345678901234567890.0987654321, 1.5, 2.25,
   'plain', 'ten chars.', 'abc', '\x00ff10',
   '2001-02-03', '04:05:06.789', '2001-02-03 04:05:06', '2001-02-03 04:05:06+00', '1 year 2 mons 3 days 04:05:06',
   '00112233-4455-6677-8899-aabbccddeeff', '{"a": [1, 2]}', '{"b": null}', '{1,NULL,3}', '{"a b",NULL,""}',
   '192.168.0.1/24', B'1010', '[1,10)', '(1.5,-2)'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, NULL, NULL),
  (3, false, 0, 0, 'NaN', 'Infinity', '-Infinity', '', '', '', '', 'infinity', '00:00', '-infinity', 'infinity', '0',
   '00000000-0000-0000-0000-000000000000', '{}', '[]', '{}', '{}', '::1', B'0000', 'empty', '(0,0)');
\x on
SELECT * FROM types_all ORDER BY id;
\x off
SELECT 'ä€𝄞' AS text, length('ä€𝄞') AS characters, octet_length('ä€𝄞') AS bytes, 'ä€𝄞'::bytea;
SELECT $$a 'quoted' "text" with \ and
two lines$$ AS quoted;
SELECT ROW(1, 'a', NULL, ROW('b c', ''));
SELECT;
SELECT FROM generate_series(1, 3);
SELECT '{"deep": {"er": [1, {"est": true}]}}'::jsonb #> '{deep,er,1,est}' AS path;
-- Types of our own.
CREATE TYPE types_mood AS ENUM ('sad', 'happy');
CREATE DOMAIN types_positive AS int CHECK (VALUE > 0);
CREATE TYPE types_pair AS (mood types_mood, amount types_positive);
SELECT ('happy', 3)::types_pair, (('sad', 4)::types_pair).amount;
SELECT ('sad', 0)::types_pair;
-- The same in binary, through a binary COPY to and from a program.
CREATE TABLE types_copy (LIKE types_all);
\copy types_all TO 'types.binary' WITH (FORMAT binary)
\copy types_copy FROM 'types.binary' WITH (FORMAT binary)
SELECT count(*) AS different FROM types_all a JOIN types_copy b USING (id) WHERE a::text <> b::text;
\! rm types.binary
DROP TABLE types_all, types_copy;
DROP TYPE types_pair, types_mood;
DROP DOMAIN types_positive;
