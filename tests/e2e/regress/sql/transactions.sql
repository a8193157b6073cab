-- Transactions and what ReadyForQuery says of them; psql's prompt would show it.
CREATE TABLE transactions_t (id int PRIMARY KEY);
BEGIN;
INSERT INTO transactions_t VALUES (1);
COMMIT;
BEGIN;
INSERT INTO transactions_t VALUES (2);
ROLLBACK;
SELECT * FROM transactions_t ORDER BY id;
-- A failed one refuses all but its end.
BEGIN;
INSERT INTO transactions_t VALUES (1);
SELECT 1;
COMMIT;
SELECT * FROM transactions_t ORDER BY id;
-- Savepoints.
BEGIN;
INSERT INTO transactions_t VALUES (3);
SAVEPOINT one;
INSERT INTO transactions_t VALUES (3);
ROLLBACK TO one;
INSERT INTO transactions_t VALUES (4);
RELEASE one;
COMMIT AND CHAIN;
INSERT INTO transactions_t VALUES (5);
ROLLBACK AND CHAIN;
SHOW transaction_isolation;
COMMIT;
SELECT * FROM transactions_t ORDER BY id;
-- Several statements in one message are one transaction.
INSERT INTO transactions_t VALUES (6)\; INSERT INTO transactions_t VALUES (6);
SELECT count(*) FROM transactions_t WHERE id = 6;
INSERT INTO transactions_t VALUES (7)\; COMMIT\; SELECT 1 / 0;
SELECT count(*) FROM transactions_t WHERE id = 7;
SELECT 1 AS first\; SELECT 2 AS second\; SELECT 3 AS third;
;
-- Modes.
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SHOW transaction_isolation;
INSERT INTO transactions_t VALUES (8);
ROLLBACK;
SET default_transaction_read_only = on;
DELETE FROM transactions_t;
RESET default_transaction_read_only;
-- Procedures end transactions inside a statement.
CREATE PROCEDURE transactions_each(count int) LANGUAGE plpgsql AS $$
BEGIN
  FOR number IN 1 .. count LOOP
    INSERT INTO transactions_t VALUES (100 + number);
    IF number % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
  END LOOP;
END $$;
CALL transactions_each(6);
SELECT * FROM transactions_t ORDER BY id;
-- Deferred constraints fail at COMMIT.
CREATE TABLE transactions_child (parent int REFERENCES transactions_t DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO transactions_child VALUES (999);
SELECT 'the commit fails' AS note;
COMMIT;
SELECT count(*) FROM transactions_child;
DO $$ BEGIN INSERT INTO transactions_t VALUES (9); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END $$;
SELECT count(*) FROM transactions_t WHERE id = 9;
DROP TABLE transactions_child, transactions_t;
DROP PROCEDURE transactions_each;
