// The console as its user sees it, before the servers of `pgkeel demo --keep`. CommonJS, so that NODE_PATH finds
// playwright-core outside of the source tree.
const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { test, before, after } = require("node:test");
const { kPgkeel, kScreenshots, asServerUser, card, giveOrderTo, openBrowser, openPage, startDemo, waitFor } = require("./support.cjs");

let demo, browser, address, token, config;

before(async () => {
  demo = await startDemo();
  ({ address, token, config } = demo);
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.end();
});

const openConsole = (options) => openPage(browser, address, options);
async function condition(page, word) {
  try {
    await page.getByRole("heading", { name: `demo: ${word}` }).waitFor();
  } catch (error) {
    const told = await fetch(`${address}/api/v1/events`).then((answer) => answer.text(), String);
    throw new Error(`not "${word}", but: ${await page.locator("main").innerText()}\n${told.slice(-4000)}`, { cause: error });
  }
}
const activeNode = async (page) => ((await card(page, "a").getByText("active", { exact: true }).count()) > 0 ? "a" : "b");
const giveOrder = (page, open, told) => giveOrderTo(page, open, told, token);

// Changes the configuration of the demo, and has it taken over.
function reconfigure(from, to) {
  const text = fs.readFileSync(config, "utf8");
  assert.ok(text.includes(from));
  fs.writeFileSync(config, text.replace(from, to));
}

test("the state of the cluster is told in words", async () => {
  const page = await openConsole();
  await condition(page, "Normal");
  const active = await activeNode(page);
  const standby = active === "a" ? "b" : "a";
  await card(page, active).getByText("primary", { exact: true }).waitFor();
  for (const word of ["standby", "safe", "streaming", "Replay lag"]) await card(page, standby).getByText(word, { exact: true }).waitFor();
  await card(page, standby).getByRole("img", { name: /^Lag of the last/ }).waitFor();
  await page.screenshot({ path: `${kScreenshots}/normal.png`, fullPage: true });
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("events are filtered by text and severity", async () => {
  const page = await openConsole();
  const rows = page.locator("#events tr");
  await rows.first().waitFor();
  await page.getByLabel("Text").fill("proven stopped");
  await page.waitForFunction(() => [...document.querySelectorAll("#events tr")].every((row) => row.textContent.includes("proven stopped")));
  assert.ok((await rows.count()) >= 1);
  await page.getByLabel("Text").fill("");
  await page.getByLabel("At least").selectOption("debug");
  const older = page.getByRole("button", { name: "Show older events" });
  if (await older.isVisible()) {
    const before = await rows.count();
    await older.click();
    await older.waitFor({ state: "hidden" });
    assert.ok((await rows.count()) > before);
  }
  await page.getByLabel("At least").selectOption("warning");
  await page.waitForFunction(() => [...document.querySelectorAll("#events tr")].every((row) => /warning|error/.test(row.className)));
  await page.close();
});

test("an order is refused without the token, looked at first, given, and watched to its end", async () => {
  const page = await openConsole();
  const watcher = await openConsole();
  await condition(page, "Normal");
  const active = await activeNode(page);
  const next = active === "a" ? "b" : "a";
  await page.getByRole("button", { name: "Failover…" }).click();
  const dialog = page.getByRole("dialog");
  const give = dialog.getByRole("button", { name: "Failover now" });
  const look = dialog.getByRole("button", { name: "What would happen?" });
  assert.ok(await give.isDisabled());
  await dialog.getByLabel("Token").fill("not the token");
  await look.click();
  await dialog.getByText("This token is not the one").waitFor();
  assert.ok(await give.isDisabled());
  await dialog.getByLabel("Token").fill(token);
  await look.click();
  await dialog.getByText(/Every client session ends with 57P01/).waitFor();
  await page.screenshot({ path: `${kScreenshots}/order.png` });
  await give.click();
  await dialog.getByText(/^Ordered\./).waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  for (const each of [page, watcher]) {
    await card(each, next).getByText("active", { exact: true }).waitFor();
    await condition(each, "Normal");
    await each.getByText(`order`, { exact: false }).first().waitFor();
    assert.deepEqual(each.problems, []);
    await each.close();
  }
});

test("what was answered to another question is not offered", async () => {
  const page = await openConsole();
  await condition(page, "Normal");
  await page.getByRole("button", { name: "Failover…" }).click();
  const dialog = page.getByRole("dialog");
  const give = dialog.getByRole("button", { name: "Failover now" });
  await dialog.getByLabel("Token").fill(token);
  let answer;
  await page.route("**/failover", async (route) => {
    const fetched = await route.fetch();
    await new Promise((resolve) => { answer = resolve; });
    await route.fulfill({ response: fetched });
  });
  const answered = page.waitForResponse("**/failover");
  await dialog.getByRole("button", { name: "What would happen?" }).click();
  await waitFor("the question", () => answer);
  await dialog.getByLabel("Acknowledged commits may be lost").check();
  answer();
  await answered;
  await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve); }));
  assert.ok(await give.isDisabled());
  assert.equal(await dialog.getByText(/57P01/).count(), 0);
  await page.unroute("**/failover");
  await dialog.getByRole("button", { name: "What would happen?" }).click();
  await dialog.getByText(/57P01/).waitFor();
  assert.ok(await give.isEnabled());
  await page.close();
});

test("where too many are told live, the page asks, and says so", async () => {
  const readers = [];
  await waitFor("all places", async () => {  // that of a page which was closed is free again soon
    const reader = await fetch(`${address}/api/v1/events`, { headers: { Accept: "text/event-stream" } });
    if (reader.status === 200) readers.push(reader.body);
    return readers.length === 8;
  });
  const page = await openPage(browser, address, {}, "every 2 s");
  await condition(page, "Normal");
  await page.locator("#events tr").first().waitFor();
  for (const reader of readers) await reader.cancel();
  await page.getByText("live", { exact: true }).waitFor();
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("the primary dies under an open page: it is told in words, and in colour, and read aloud", async () => {
  const page = await openConsole();
  await condition(page, "Normal");
  const active = await activeNode(page);
  const standby = active === "a" ? "b" : "a";
  await page.evaluate(() => {
    window.seen = [];
    const heading = document.getElementById("condition-word");
    const note = () => window.seen.push({ word: heading.textContent, tone: document.getElementById("condition").dataset.tone,
      live: heading.closest("[aria-live]")?.getAttribute("aria-live") });
    new MutationObserver(note).observe(document.getElementById("condition"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const directory = new RegExp(`name = "${active}"[^]*?data_directory = "([^"]+)"`).exec(fs.readFileSync(config, "utf8"))[1];
  process.kill(Number(fs.readFileSync(`${directory}/postmaster.pid`, "utf8").split("\n")[0]), "SIGKILL");
  await card(page, standby).getByText("active", { exact: true }).waitFor();
  await page.locator("#events").getByText(`${active} failed: postmaster`).first().waitFor();
  await condition(page, "Normal");
  const seen = await page.evaluate(() => window.seen);
  assert.ok(seen.some(({ word, tone }) => /Degraded|No route/.test(word) && tone !== "good"), JSON.stringify(seen));
  assert.ok(seen.every(({ live }) => live === "polite" || live === "assertive"), JSON.stringify(seen[0]));
  await card(page, active).getByText("streaming", { exact: true }).waitFor();
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("a collision: both timelines, where they parted, and an order that ends it; on a narrow screen in the dark, too", async () => {
  const page = await openConsole();
  const narrow = await openConsole({ colorScheme: "dark", viewport: { width: 360, height: 800 } });
  await condition(page, "Normal");
  const active = await activeNode(page);
  const standby = active === "a" ? "b" : "a";
  await card(page, standby).getByText("safe", { exact: true }).waitFor();
  const { nodes } = (await (await fetch(`${address}/api/v1/clusters`)).json()).clusters[0];
  const [host, port] = nodes.find(({ name }) => name === standby).address.split(":");
  const passfile = path.join(path.dirname(config), "pgpass");
  asServerUser("psql", ["--no-psqlrc", "--quiet", "-c", "SELECT pg_promote()",
    `host=${host} port=${port} user=postgres dbname=postgres passfile=${passfile}`]);
  await condition(page, "Collision");
  assert.equal(await page.locator("#condition").getAttribute("data-tone"), "bad");
  await page.locator("#condition").getByText(/on timeline \d+ and . on timeline \d+ went apart at [0-9A-F]+\/[0-9A-F]+ of timeline \d+/).waitFor();
  await card(page, active).locator(".badge.good", { hasText: "primary" }).waitFor();
  await card(page, standby).locator(".badge.bad", { hasText: "primary" }).waitFor();  // nobody is led there
  await page.screenshot({ path: `${kScreenshots}/collision.png`, fullPage: true });
  await condition(narrow, "Collision");
  assert.ok(await narrow.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  await narrow.screenshot({ path: `${kScreenshots}/collision-narrow-dark.png`, fullPage: true });
  await page.getByRole("button", { name: "Resolve…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Keep the history of").selectOption(active);
  await dialog.getByLabel("Token").fill(token);
  await dialog.getByRole("button", { name: "What would happen?" }).click();
  await dialog.getByText(/set aside/).first().waitFor();
  await page.screenshot({ path: `${kScreenshots}/resolve.png` });
  await dialog.getByRole("button", { name: "Resolve now" }).click();
  await dialog.getByText(/^Ordered\./).waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  await condition(page, "Normal");
  await card(page, standby).getByText("streaming", { exact: true }).waitFor();
  for (const each of [page, narrow]) {
    assert.deepEqual(each.problems, []);
    await each.close();
  }
});

test("maintenance, a stop and a start are ordered, and each says what becomes of clients", async () => {
  const page = await openConsole();
  await condition(page, "Normal");
  const active = await activeNode(page);
  const standby = active === "a" ? "b" : "a";
  const button = (name) => page.locator("#cluster-buttons").getByRole("button", { name, exact: true });

  await giveOrder(page, button("Maintenance…"), /clients get 57P01 and wait for it/);
  await condition(page, "Maintenance");
  await page.getByText(/the whole cluster since/).waitFor();
  await page.getByText(/A failover would NOT work/).waitFor();
  await page.screenshot({ path: `${kScreenshots}/maintenance.png`, fullPage: true });
  await giveOrder(page, button("End maintenance…"), /is failed over/);
  await condition(page, "Normal");

  const nodeButton = (name) => card(page, standby).getByRole("button", { name, exact: true });
  await giveOrder(page, nodeButton("Take out…"), /Clients notice nothing/);
  await card(page, standby).getByText("maintenance", { exact: true }).waitFor();
  await giveOrder(page, nodeButton("Take back…"), /is taken back/);
  await card(page, standby).getByText("safe", { exact: true }).waitFor();
  await condition(page, "Normal");

  await giveOrder(page, button("Stop…"), /who connects gets 57P03/);
  await condition(page, "Stopped");
  await page.getByText("nowhere: clients get 57P03").waitFor();
  await page.screenshot({ path: `${kScreenshots}/stopped.png`, fullPage: true });
  await page.locator("#work-section").waitFor({ state: "hidden" });
  await giveOrder(page, button("Start…"), /clients are let through/);
  await condition(page, "Normal");
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("it works with the keyboard, and nothing is ordered by leaving", async () => {
  const page = await openConsole();
  const button = page.getByRole("button", { name: "Failover…" });
  await button.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "order-token");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert.equal(await page.evaluate(() => document.activeElement.dataset.order), "failover");
  for (const control of await page.locator("button:visible, input:visible, select:visible").all()) {
    const named = await control.evaluate((it) => (it.labels?.[0]?.textContent ?? it.textContent ?? "").trim().length > 0);
    assert.ok(named, await control.evaluate((it) => it.outerHTML));
  }
  await page.close();
});

test("a narrow screen in the dark is readable", async () => {
  const page = await openConsole({ colorScheme: "dark", viewport: { width: 360, height: 800 } });
  await page.locator("#events tr").first().waitFor();
  await page.screenshot({ path: `${kScreenshots}/narrow-dark.png`, fullPage: true });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  // WCAG 2.1, 1.4.3: 4.5 to 1 for text, here for the two colours that most of it has.
  const contrasts = await page.evaluate(() => {
    const luminance = (color) => {
      const [red, green, blue] = color.match(/\d+/g).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = luminance(getComputedStyle(document.querySelector(".card")).backgroundColor);
    return [...document.querySelectorAll("dt, dd, .badge")].map((it) => {
      const text = luminance(getComputedStyle(it).color);
      return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    });
  });
  assert.ok(Math.min(...contrasts) >= 4.5, String(Math.min(...contrasts)));
  await page.close();
});

test("an empty host is filled from its card, and becomes a standby", async () => {
  const page = await openConsole();
  await condition(page, "Normal");
  const standby = (await activeNode(page)) === "a" ? "b" : "a";
  reconfigure("[cluster.demo]\n", "[cluster.demo]\nauto_rejoin = false\n");
  execFileSync(kPgkeel, ["reload", "--config", config]);
  const directory = new RegExp(`name = "${standby}"[^]*?data_directory = "([^"]+)", bin_directory = "([^"]+)"`).exec(fs.readFileSync(config, "utf8"));
  asServerUser(`${directory[2]}/pg_ctl`, ["stop", "--silent", "--wait", "--mode=fast", `--pgdata=${directory[1]}`]);
  fs.renameSync(directory[1], `${directory[1]}.lost`);
  const button = card(page, standby).getByRole("button", { name: "Provision…" });
  await button.waitFor();
  assert.equal(await card(page, standby).getByRole("button", { name: "Rejoin…" }).count(), 0);
  await page.screenshot({ path: `${kScreenshots}/empty-host.png`, fullPage: true });
  await giveOrder(page, button, /is filled with a copy of/);
  for (const word of ["standby", "safe", "streaming"]) await card(page, standby).getByText(word, { exact: true }).waitFor();
  await condition(page, "Normal");
  await button.waitFor({ state: "detached" });
  assert.deepEqual(page.problems, []);
  await page.close();
});

test("in TLS it is the same, and nothing is told in clear any more", async () => {
  const folder = fs.mkdtempSync("/tmp/pgkeel-console-");
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext",
    "subjectAltName=IP:127.0.0.1", "-keyout", `${folder}/key`, "-out", `${folder}/cert`], { stdio: "ignore" });
  const inClear = address;
  try {
    const text = fs.readFileSync(config, "utf8");
    reconfigure("[admin]\n", `[admin]\ntls = { cert = "${folder}/cert", key = "${folder}/key" }\n`);
    process.kill(demo.servePid(), "SIGHUP");
    address = inClear.replace("http:", "https:");
    const page = await openConsole({ colorScheme: "dark" });
    await condition(page, "Normal");
    await assert.rejects(fetch(`${inClear}/api/v1/clusters`));
    const active = await activeNode(page);
    const standby = active === "a" ? "b" : "a";
    await giveOrder(page, page.locator("#cluster-buttons").getByRole("button", { name: "Switchover…" }), /57P01/);
    await card(page, standby).getByText("active", { exact: true }).waitFor();
    await condition(page, "Normal");
    assert.match(execFileSync(kPgkeel, ["status", "--config", config], { encoding: "utf8" }), /^demo: /);
    assert.deepEqual(page.problems, []);
    await page.close();
    fs.writeFileSync(config, text);
    process.kill(demo.servePid(), "SIGHUP");
  } finally {
    address = inClear;
    fs.rmSync(folder, { recursive: true });
  }
});

test("it says so when pgkeel is gone", async () => {
  const page = await openConsole();
  await demo.end();
  await page.getByText("pgkeel does not answer; what is shown is old").waitFor();
  await page.close();
});
