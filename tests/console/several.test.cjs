// The console of several pgkeels: two of them, one etcd, two PostgreSQL servers that are known by their addresses.
const assert = require("node:assert/strict");
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const { test, before, after } = require("node:test");
const { kPgkeel, kScreenshots, asServerUser, card, endProcess, openBrowser, openPage, waitFor } = require("./support.cjs");

let folder, browser, ports;
const processes = {};

async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => resolve(server));
  })));
  const found = servers.map((server) => server.address().port);
  for (const server of servers) server.close();
  return found;
}

function start(name, command, commandArguments) {
  const log = fs.openSync(`${folder}/${name}.log`, "a");
  processes[name] = spawn(command, commandArguments, { stdio: ["ignore", log, log] });
  fs.closeSync(log);
}

function serverPrograms() {
  const versions = fs.readdirSync("/usr/lib/postgresql").sort((one, other) => Number(other) - Number(one));
  return `/usr/lib/postgresql/${versions[0]}/bin`;
}

function startServers(bin) {
  const log = (node) => [`--log=${folder}/servers/${node}.log`, "--silent", "--wait", "start"];
  const data = (node) => `--pgdata=${folder}/servers/${node}`;
  fs.mkdirSync(`${folder}/servers`);
  if (process.getuid() === 0) execFileSync("chown", ["postgres", `${folder}/servers`]);
  asServerUser(`${bin}/initdb`, [data("a"), "--username=postgres", "--auth=trust", "--no-sync"]);
  const settings = (port) => `port = ${port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nwal_log_hints = on\nfsync = off\n`;
  fs.appendFileSync(`${folder}/servers/a/postgresql.conf`, settings(ports.a));
  asServerUser(`${bin}/pg_ctl`, [data("a"), ...log("a")]);
  asServerUser(`${bin}/pg_basebackup`, [data("b"), "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
    `--dbname=host=127.0.0.1 port=${ports.a} user=postgres application_name=b`]);
  fs.appendFileSync(`${folder}/servers/b/postgresql.conf`, `port = ${ports.b}\n`);
  asServerUser(`${bin}/pg_ctl`, [data("b"), ...log("b")]);
}

function startPgkeel(name) {
  const keys = `${folder}/keys`;
  const node = (its) => `[[cluster.orders.node]]\nname = "${its}"\nhost = "127.0.0.1"\nport = ${ports[its]}\n`;
  fs.writeFileSync(`${folder}/${name}.toml`, `[admin]
listen = "127.0.0.1:${ports[`${name}-admin`]}"
token_file = "${folder}/${name}.token"
[state]
directory = "${folder}/${name}"
[coordination]
etcd = ["http://127.0.0.1:${ports.etcd}"]
name = "${name}"
lease = "4s"
peer = { listen = "127.0.0.1:${ports[`${name}-peer`]}", address = "127.0.0.1:${ports[`${name}-peer`]}", ca = "${keys}/ca.crt", cert = "${keys}/proxy-127.0.0.1.crt", key = "${keys}/proxy-127.0.0.1.key" }
[cluster.orders]
listen = "127.0.0.1:0"
failover_pause = "0s"
${name === "two" ? 'durability = "strict"\n' : ""}monitor = { user = "postgres", database = "postgres" }
replication = { user = "postgres" }
${node("a")}${node("b")}`);
  start(name, kPgkeel, ["serve", "--config", `${folder}/${name}.toml`]);
}

const addressOf = (name) => `http://127.0.0.1:${ports[`${name}-admin`]}`;
const member = (page, name) => page.getByRole("article", { name: `Pgkeel ${name}` });
const condition = (page, word) => page.getByRole("heading", { name: `orders: ${word}` }).waitFor();

async function isNormal(name) {
  try {
    const { condition } = await (await fetch(`${addressOf(name)}/api/v1/clusters/orders`)).json();
    return condition === "normal";
  } catch {
    return false;
  }
}

before(async () => {
  folder = fs.mkdtempSync("/tmp/pgkeel-console-");
  fs.chmodSync(folder, 0o755);
  const names = ["a", "b", "etcd", "etcd-peer", "one-admin", "one-peer", "two-admin", "two-peer"];
  const found = await freePorts(names.length);
  ports = Object.fromEntries(names.map((name, place) => [name, found[place]]));
  startServers(serverPrograms());
  const peer = `http://127.0.0.1:${ports["etcd-peer"]}`;
  const client = `http://127.0.0.1:${ports.etcd}`;
  start("etcd", "etcd", ["--name=one", `--data-dir=${folder}/etcd`, `--listen-client-urls=${client}`, `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=one=${peer}`, "--logger=zap"]);
  execFileSync(kPgkeel, ["keygen", "--out", `${folder}/keys`, "--proxy", "127.0.0.1"]);
  startPgkeel("one");
  await waitFor("the first pgkeel", () => isNormal("one"), () => processes.one.exitCode !== null);
  startPgkeel("two");
  await waitFor("the second pgkeel", () => isNormal("two"), () => processes.two.exitCode !== null);
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  for (const [name, child] of Object.entries(processes).reverse()) {
    if (name === "etcd") child.kill("SIGCONT");
    await endProcess(child, "SIGTERM");
  }
  for (const node of ["a", "b"]) {
    if (!fs.existsSync(`${folder}/servers/${node}/postmaster.pid`)) continue;
    asServerUser(`${serverPrograms()}/pg_ctl`, [`--pgdata=${folder}/servers/${node}`, "--silent", "--mode=immediate", "stop"]);
  }
  fs.rmSync(folder, { recursive: true });
});

test("each of several pgkeels has a card: who leads, its lease, its route, its version, how it is configured", async () => {
  const page = await openPage(browser, addressOf("one"));
  await condition(page, "Normal");
  for (const word of ["leads", "this one", "follows the route"]) await member(page, "one").getByText(word, { exact: true }).waitFor();
  for (const word of ["follows the route", "configured differently", "cluster.orders.durability", `127.0.0.1:${ports["two-peer"]}`])
    await member(page, "two").getByText(word, { exact: true }).waitFor();
  await member(page, "one").getByText(/^holds for .* more, confirmed .* ago$/).waitFor();
  await member(page, "two").getByText(/^yes, epoch \d+$/).waitFor();
  await member(page, "two").getByText(/^\d+\.\d+/).first().waitFor();
  await page.getByText(/^pgkeel one leads \(term \d+\); etcd answers$/).waitFor();
  await page.screenshot({ path: `${kScreenshots}/several.png`, fullPage: true });
  await page.getByRole("button", { name: "Switchover…" }).waitFor();
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("the one that does not lead takes no orders, and says who does", async () => {
  const page = await openPage(browser, addressOf("two"), { colorScheme: "dark", viewport: { width: 360, height: 800 } });
  await condition(page, "Normal");
  await page.getByText("pgkeel one leads: give orders on its console").waitFor();
  assert.equal(await page.locator("[data-order]").count(), 0);
  await page.screenshot({ path: `${kScreenshots}/several-narrow-dark.png`, fullPage: true });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  await page.close();
});

test("a leader that is gone is seen to be, the other one leads then, and has the orders", async () => {
  const page = await openPage(browser, addressOf("two"));
  await condition(page, "Normal");
  await endProcess(processes.one, "SIGKILL");
  await member(page, "one").getByText("gone", { exact: true }).waitFor();
  await member(page, "two").getByText("leads", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Switchover…" }).waitFor();
  await card(page, "a").getByText("active", { exact: true }).waitFor();
  await page.screenshot({ path: `${kScreenshots}/several-gone.png`, fullPage: true });
  startPgkeel("one");
  await member(page, "one").getByText("follows the route", { exact: true }).waitFor();
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("etcd that does not answer is told of, and the promises that replace it", async () => {
  const page = await openPage(browser, addressOf("two"));
  await condition(page, "Normal");
  processes.etcd.kill("SIGSTOP");
  await page.getByText(/etcd: .*; 1 of 1 promises that replace it are held/).waitFor();
  await page.screenshot({ path: `${kScreenshots}/several-without-etcd.png`, fullPage: true });
  processes.etcd.kill("SIGCONT");
  await page.getByText(/; etcd answers$/).waitFor();
  await condition(page, "Normal");
  await page.close();
});
