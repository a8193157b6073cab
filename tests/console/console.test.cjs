// The console as its user sees it, before the servers of `pgkeel demo --keep`. CommonJS, so that NODE_PATH finds
// playwright-core outside of the source tree.
const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const { test, before, after } = require("node:test");
const { chromium } = require("playwright-core");

const kChromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const kPatience = 60_000; // only there to end a broken test
let demo, browser, address, token;

before(async () => {
  demo = spawn("build/release/pgkeel", ["demo", "--keep"], { stdio: ["ignore", "pipe", "inherit"] });
  const folder = await new Promise((resolve, reject) => {
    let output = "";
    demo.stdout.on("data", (text) => {
      output += text;
      const found = /Everything is left running[^]*--config (\S+)\/pgkeel\.toml/.exec(output);
      if (found) resolve(found[1]);
    });
    demo.on("exit", () => reject(new Error(`the demo has ended:\n${output}`)));
  });
  [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(fs.readFileSync(`${folder}/pgkeel.log`, "utf8"));
  token = fs.readFileSync(`${folder}/admin.token`, "utf8").trim();
  browser = await chromium.launch({ executablePath: kChromium, args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  if (demo.exitCode !== null) return;
  const ended = new Promise((resolve) => demo.once("exit", resolve));
  demo.kill("SIGINT");
  await ended;
});

async function openConsole(options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.setDefaultTimeout(kPatience);
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${address}/`) && !request.url().startsWith("data:")) page.problems.push(request.url());
  });
  await page.goto(address);
  await page.getByText("live", { exact: true }).waitFor();
  return page;
}

const card = (page, node) => page.getByRole("article", { name: `Node ${node}` });
const condition = (page, word) => page.getByRole("heading", { name: `demo: ${word}` }).waitFor();
const activeNode = async (page) => ((await card(page, "a").getByText("active", { exact: true }).count()) > 0 ? "a" : "b");

test("the state of the cluster is told in words", async () => {
  const page = await openConsole();
  await condition(page, "Normal");
  const active = await activeNode(page);
  const standby = active === "a" ? "b" : "a";
  await card(page, active).getByText("primary", { exact: true }).waitFor();
  for (const word of ["standby", "safe", "streaming", "Replay lag"]) await card(page, standby).getByText(word, { exact: true }).waitFor();
  await card(page, standby).getByRole("img", { name: /^Lag of the last/ }).waitFor();
  await page.screenshot({ path: "build/console/normal.png", fullPage: true });
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
  await page.screenshot({ path: "build/console/order.png" });
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

async function giveOrder(page, open, told) {
  await open.click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Token").fill(token);
  await dialog.getByRole("button", { name: "What would happen?" }).click();
  await dialog.getByText(told).waitFor();
  await dialog.getByRole("button", { name: / now$/ }).click();
  await dialog.getByText(/^Ordered\./).waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
}

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
  await page.screenshot({ path: "build/console/maintenance.png", fullPage: true });
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
  await page.screenshot({ path: "build/console/stopped.png", fullPage: true });
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
  await page.screenshot({ path: "build/console/narrow-dark.png", fullPage: true });
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

test("it says so when pgkeel is gone", async () => {
  const page = await openConsole();
  const ended = new Promise((resolve) => demo.once("exit", resolve));
  demo.kill("SIGINT");
  await ended;
  await page.getByText("pgkeel does not answer; what is shown is old").waitFor();
  await page.close();
});
