// What the tests of the console share: servers, a browser, and the hand that gives an order.
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const { chromium } = require("playwright-core");

const kBuild = process.env.PGKEEL_BUILD ?? "build/release";
const kPgkeel = `${kBuild}/pgkeel`;
const kScreenshots = process.env.PGKEEL_SCREENSHOTS ?? "build/console";
const kChromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const kPatience = 120_000; // only there to end a broken test

// PostgreSQL refuses to run as root.
function asServerUser(program, programArguments) {
  const command = process.getuid() === 0 ? ["runuser", "-u", "postgres", "--", program] : [program];
  return execFileSync(command[0], [...command.slice(1), ...programArguments], { encoding: "utf8", cwd: "/" });
}

// Until `look` finds something; `ended`: nothing will come any more.
async function waitFor(what, look, ended = () => false) {
  const limit = Date.now() + kPatience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (ended() || Date.now() > limit) throw new Error(`${what} is waited for in vain`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function endProcess(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
}

async function startDemo() {
  const demo = spawn(kPgkeel, ["demo", "--keep"], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  demo.stdout.on("data", (text) => { output += text; });
  const found = await waitFor("the demo", () => /Everything is left running[^]*--config (\S+)\/pgkeel\.toml/.exec(output),
    () => demo.exitCode !== null).catch(async (problem) => {
    await endProcess(demo, "SIGINT");
    throw new Error(`${problem.message}:\n${output}`);
  });
  const folder = found[1];
  return {
    address: /http:\/\/127\.0\.0\.1:\d+/.exec(fs.readFileSync(`${folder}/pgkeel.log`, "utf8"))[0],
    token: fs.readFileSync(`${folder}/admin.token`, "utf8").trim(),
    config: `${folder}/pgkeel.toml`,
    servePid: () => Number(execFileSync("pgrep", ["--parent", String(demo.pid), "--full", "pgkeel serve"], { encoding: "utf8" })),
    end: () => endProcess(demo, "SIGINT"),
  };
}

const openBrowser = () => chromium.launch({ executablePath: kChromium, args: ["--no-sandbox"] });

// Its `problems`: errors of the page, and whatever it asks of anybody else.
async function openPage(browser, address, options = {}, link = "live") {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ignoreHTTPSErrors: true, ...options });
  page.setDefaultTimeout(kPatience);
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${address}/`) && !request.url().startsWith("data:")) page.problems.push(request.url());
  });
  await page.goto(address);
  await page.locator("#link", { hasText: link }).waitFor();
  return page;
}

const card = (page, node) => page.getByRole("article", { name: `Node ${node}` });

async function giveOrderTo(page, open, told, token) {
  await open.click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Token").fill(token);
  await dialog.getByRole("button", { name: "What would happen?" }).click();
  await dialog.getByText(told).waitFor();
  await dialog.getByRole("button", { name: / now$/ }).click();
  await dialog.getByText(/^Ordered\./).waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
}

module.exports = { kPgkeel, kScreenshots, asServerUser, card, endProcess, giveOrderTo, openBrowser, openPage, startDemo, waitFor };
