// Node.js, the package pg, and its Pool.
'use strict';

const readline = require('node:readline');
const { Client, Pool } = require('pg');

// "require" is not "verify": the certificate is the test's own.
const ssl = process.env.PGSSLMODE === 'require' && { rejectUnauthorized: false };

let client = null;
let heard = null; // an error that the session reported by itself, while no query ran
let ended = true;
let pool = null;

function describe(error) {
  return {
    ok: false, class: error.constructor.name, sqlstate: error.code || '', message: error.message,
    detail: error.detail || '', hint: error.hint || '', broken: ended,
  };
}

async function connect() {
  if (client !== null) await client.end().catch(() => {});
  heard = null;
  client = new Client({ application_name: process.env.PGAPPNAME, ssl });
  // Without a handler Node.js ends the whole process with an idle session.
  client.on('error', (error) => { heard = heard || error; });
  client.on('end', () => { ended = true; });
  ended = true;
  await client.connect();
  ended = false;
}

// What the session said by itself is what the application learns first.
async function query(sql) {
  if (heard !== null) throw heard;
  await client.query(sql);
}

async function openPool(size) {
  pool = new Pool({ max: size, idleTimeoutMillis: 0, application_name: process.env.PGAPPNAME, ssl });
  pool.on('error', () => {}); // an idle session that ends is replaced
  const opened = await Promise.all(Array.from({ length: size }, () => pool.connect()));
  for (const one of opened) one.release();
}

async function usePool(count) {
  const answer = { ok: false, failed: 0 };
  for (let use = 0; use < count; ++use) {
    try {
      await pool.query('SELECT 1');
      answer.ok = true;
    } catch (error) {
      answer.ok = false;
      answer.failed += 1;
      answer.error = describe(error);
    }
  }
  return answer;
}

const commands = {
  version: async () => ({ ok: true, version: `node-postgres ${require('pg/package.json').version}` }),
  connect,
  begin: () => query('BEGIN'),
  query: () => query('SELECT 1'),
  hold: () => query('SELECT pg_sleep(3600)'),
  pool: openPool,
  use: usePool,
};

async function carryOut(line) {
  const [name, argument] = line.split(' ');
  if (!(name in commands)) return { unsupported: true };
  try {
    return (await commands[name](Number(argument))) || { ok: true };
  } catch (error) {
    // The session's own end comes behind its error.
    if (client !== null && !ended) await new Promise((resolve) => { client.once('end', resolve); });
    return describe(error);
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await carryOut(line))}\n`);
  }
  process.exit(0);
}

main();
