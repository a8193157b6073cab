// The web console: shows what GET /api/v1/clusters and the events say, live over one stream of server-sent events, and
// gives orders as `pgkeel failover` and its like do. Texts of servers are only ever set as text, never as HTML.

const kEventsShown = 300;
const kEventsAtFirst = 60;  // the others are a press of a button away
const kAskPauseMs = 2000;
const kPlotSeconds = 120;
const kSeverities = ["debug", "info", "warning", "error"];
const kTones = {
  "normal": "good", "degraded": "warn", "failing over": "warn", "switching over": "warn",
  "maintenance": "warn", "stopped": "warn", "torn down": "warn", "no route": "bad", "collision": "bad",
};
const isMaintained = (cluster, node) => cluster.maintenance.some((each) => each.node === (node?.name ?? null));
const isEmptyHost = (node) => !node.role && Boolean(node.host?.data_directory_is_empty);
// `when`: only then it is offered; `body`: what it posts always; `path`: where to, if not to its own name.
const kOrders = {
  switchover: { label: "Switchover…", target: "to", what: "Swap the roles of the primary and a standby" },
  failover: { label: "Failover…", target: "to", loss: true, what: "Promote a standby now, without waiting for the primary" },
  rejoin: { label: "Rejoin…", target: "node", rebuild: true, perNode: true, when: (cluster, node) => !isEmptyHost(node),
    what: "Make the node a healthy standby" },
  provision: { label: "Provision…", target: "node", perNode: true, when: (cluster, node) => isEmptyHost(node),
    what: "Fill the empty data directory with a copy of the primary, and make it a healthy standby" },
  resolve: { label: "Resolve…", target: "keep", targetLabel: "Keep the history of", collisionOnly: true, what: "End the collision: this node's history stays" },
  "maintenance-on": { path: "maintenance", body: { on: true }, label: "Maintenance…",
    when: (cluster) => !isMaintained(cluster) && cluster.condition !== "torn down",
    what: "Nothing is failed over, fenced, started or rebuilt by itself until it ends" },
  "maintenance-off": { path: "maintenance", body: { on: false }, label: "End maintenance…",
    when: (cluster) => isMaintained(cluster), what: "A primary that fails is failed over again" },
  "node-maintenance-on": { path: "maintenance", body: { on: true }, target: "node", perNode: true, label: "Take out…",
    when: (cluster, node) => !isMaintained(cluster, node), what: "Commits do not wait for the node, and it is left alone" },
  "node-maintenance-off": { path: "maintenance", body: { on: false }, target: "node", perNode: true, label: "Take back…",
    when: (cluster, node) => isMaintained(cluster, node), what: "It is made a standby again" },
  stop: { label: "Stop…", when: (cluster) => !["stopped", "torn down"].includes(cluster.condition),
    what: "Shut every node down; clients that connect are told so until the start" },
  start: { label: "Start…", when: (cluster) => cluster.condition === "stopped", what: "Start the same primary, then its standbys" },
};

const byId = (id) => document.getElementById(id);
const state = { clusters: [], shown: "", events: [], eventsShown: kEventsAtFirst, lags: new Map(), orders: [] };

function element(tag, { text, className, ...attributes } = {}, children = []) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ---- words and units ------------------------------------------------------------------------------------------------
function bytesText(bytes) {
  if (bytes === null || bytes === undefined) return "unknown";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; ++unit; }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

function durationText(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "unknown";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 120) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

function versionText(number) {
  return number ? `PostgreSQL ${Math.floor(number / 10000)}.${number % 10000}` : "version unknown";
}

function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// ---- drawing ---------------------------------------------------------------------------------------------------------
// Only what changed is touched, so that focus and selection survive the next second.
function replaceIfChanged(parent, children) {
  const fresh = element("div", {}, children);
  if (parent.dataset.drawn === fresh.innerHTML) return;
  parent.dataset.drawn = fresh.innerHTML;
  parent.replaceChildren(...fresh.childNodes);
}

function setText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function rows(pairs) {
  return pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([term, value]) => element("div", {}, [element("dt", { text: term }), element("dd", { text: String(value) })]));
}

function shownCluster() {
  return state.clusters.find((cluster) => cluster.name === state.shown) ?? state.clusters[0];
}

function drawClusters() {
  replaceIfChanged(byId("clusters"), state.clusters.map((cluster) =>
    element("button", { text: `${cluster.name}: ${cluster.condition}`, type: "button", "data-cluster": cluster.name,
      "aria-current": String(cluster.name === state.shown) })));
}

function drawCondition(cluster) {
  byId("condition").dataset.tone = kTones[cluster.condition] ?? "warn";
  setText("condition-word", `${cluster.name}: ${capitalized(cluster.condition)}`);
  setText("summary", cluster.summary);
  document.title = `${cluster.condition} – ${cluster.name} – pgkeel`;
}

function promiseText(cluster) {
  if (cluster.durability === "async") return "async: a failover may lose the newest commits";
  const needed = cluster.safe_standbys_needed;
  return needed > 0 ? `${cluster.durability}: each acknowledged commit is on ${needed} of the safe standbys`
    : `${cluster.durability}: no standby is safe now`;
}

function offeredOrders(cluster, node) {
  if (whoTakesOrders(cluster)) return [];
  return state.orders.filter((name) => {
    const kind = kOrders[name];
    return Boolean(kind.perNode) === Boolean(node) && (!kind.collisionOnly || cluster.collision) &&
      (!kind.when || kind.when(cluster, node));
  });
}

// Of several pgkeels only the one that leads takes orders.
function whoTakesOrders(cluster) {
  const coordination = cluster.coordination;
  if (!coordination || coordination.leads) return null;
  return coordination.leader ? `pgkeel ${coordination.leader} leads: give orders on its console` : "no pgkeel leads now: nobody takes orders";
}

function routeText(cluster) {
  if (cluster.route) return cluster.route;
  const told = { "stopped": "clients get 57P03", "torn down": "clients get 08001" };
  return `nowhere: ${told[cluster.condition] ?? "clients are held"}`;
}

function maintenanceText(cluster) {
  const all = cluster.maintenance.map((each) => `${each.node ?? "the whole cluster"} since ${each.since} (${each.given_by})`);
  return all.length > 0 ? all.join("; ") : null;
}

function readOnlyRows(readOnly) {
  if (!readOnly) return [];
  const takers = readOnly.nodes.filter((node) => node.takes_new).map((node) => `${node.name} (${node.sessions})`);
  const others = readOnly.nodes.filter((node) => !node.takes_new && (node.sessions > 0 || !node.is_primary));
  return [
    ["For reads only", readOnly.access_point],
    ["Leads reads to", takers.join(", ") || "nowhere: clients are held"],
    ["Clients that read", `${readOnly.sessions.open} connected, ${readOnly.sessions.held} held`],
    ["No new reads at", others.map((node) => `${node.name} (${node.sessions})${node.why_not ? `: ${node.why_not}` : ""}`).join("; ") || null],
  ];
}

function drawAccessPoint(cluster) {
  const sessions = cluster.sessions;
  replaceIfChanged(byId("access-point"), rows([
    ["Address", cluster.access_point],
    ["Leads to", routeText(cluster)],
    ["Under maintenance", maintenanceText(cluster)],
    ["Epoch", cluster.epoch],
    ["Durability", promiseText(cluster)],
    ["Clients", `${sessions.open} connected, ${sessions.held} held`],
    ...readOnlyRows(cluster.read_only),
    ["Failovers since pgkeel started", cluster.failovers],
    ["Last failover took", cluster.last_failover_ms ? durationText(cluster.last_failover_ms) : null],
    ["Cannot store its state", cluster.state_error],
    ["Orders", whoTakesOrders(cluster)],
  ]));
  const offered = offeredOrders(cluster);
  replaceIfChanged(byId("cluster-buttons"), offered.map((name) =>
    element("button", { text: kOrders[name].label, type: "button", "data-order": name, title: kOrders[name].what })));
}

// A primary that clients are not led to is one too many, or about to be used.
function roleBadge(cluster, node) {
  if (!node.role) return ["no answer", "bad"];
  if (node.role !== "primary") return [node.role, "calm"];
  if (cluster.route === node.name) return [node.role, "good"];
  return [node.role, cluster.condition === "collision" ? "bad" : "warn"];
}

// As a list of [text, tone].
function badges(cluster, node) {
  const list = [];
  if (cluster.route === node.name) list.push(["active", "good"]);
  list.push(roleBadge(cluster, node));
  if (isMaintained(cluster, node)) list.push(["maintenance", "warn"]);
  if (node.role === "standby" && cluster.durability !== "async") list.push(node.safe ? ["safe", "good"] : ["not safe", "warn"]);
  if (node.role === "standby") list.push(node.streaming ? ["streaming", "good"] : ["not streaming", "warn"]);
  return list;
}

function lagText(bytes, milliseconds) {
  if (bytes === null || bytes === undefined) return null;
  return milliseconds === null || milliseconds === undefined ? bytesText(bytes)
    : `${bytesText(bytes)}, ${durationText(milliseconds)}`;
}

function plot(samples) {
  const now = Date.now();
  const highest = Math.max(...samples.flatMap((sample) => [sample.write, sample.flush, sample.replay]));
  const most = Math.max(1, highest);
  const line = (what) => samples
    .map((sample) => `${(100 - (now - sample.at) / (kPlotSeconds * 10)).toFixed(2)},${(38 - 36 * sample[what] / most).toFixed(2)}`)
    .join(" ");
  const svg = byId("plot").content.firstElementChild.cloneNode(true);
  svg.setAttribute("aria-label", `Lag of the last ${kPlotSeconds} seconds, at most ${bytesText(highest)}`);
  for (const what of ["write", "flush", "replay"]) svg.querySelector(`.${what}`).setAttribute("points", line(what));
  return element("figure", {}, [svg, element("figcaption",
    { text: `write (solid), flush (dashed), replay (dotted) lag of the last ${kPlotSeconds} s; ${highest > 0 ? `top: ${bytesText(highest)}` : "there was none"}` })]);
}

function drawNode(cluster, node) {
  const lag = node.replication;
  const kind = cluster.route === node.name ? "active" : node.role ? "standby" : "silent";
  const facts = element("dl", {}, rows([
    ["Address", node.address],
    ["Server", versionText(node.server_version_number)],
    ["Timeline", node.timeline || null],
    ["WAL position", node.wal_position],
    ["Up for", node.uptime_ms ? durationText(node.uptime_ms) : null],
    ...(node.host ? node.host.disks.map((disk) => [disk.holds === "data directory" ? "Disk" : `Disk of ${disk.holds}`,
      `${bytesText(disk.free_bytes)} free of ${bytesText(disk.total_bytes)}`]) : []),
    ["Memory", node.host && node.host.memory_total_bytes
      ? `${bytesText(node.host.memory_available_bytes)} available of ${bytesText(node.host.memory_total_bytes)}` : null],
    ["Heartbeat", node.last_answer_ms_ago === null ? "never answered"
      : `${node.liveness}, answered ${durationText(node.last_answer_ms_ago)} ago in ${node.last_probe_ms.toFixed(1)} ms`],
    ["Write lag", lag && lagText(lag.write_lag_bytes, lag.write_lag_ms)],
    ["Flush lag", lag && lagText(lag.flush_lag_bytes, lag.flush_lag_ms)],
    ["Replay lag", lag && lagText(lag.replay_lag_bytes, lag.replay_lag_ms)],
  ]));
  const marks = badges(cluster, node);
  const card = element("article", { className: `card node ${kind}`, "aria-label": `Node ${node.name}` }, [
    element("header", {}, [element("h3", { text: node.name }),
      ...marks.map(([text, tone]) => element("span", { text, className: `badge ${tone}` }))]), facts]);
  if (node.evidence && !node.role) card.append(element("p", { className: "note", text: node.evidence }));
  const said = new Set(marks.map(([text]) => text));
  if (node.note && !node.note.split(", ").every((word) => said.has(word))) {
    card.append(element("p", { className: cluster.condition === "normal" ? "note calm" : "note", text: node.note }));
  }
  const samples = state.lags.get(`${cluster.name}/${node.name}`) ?? [];
  if (lag && samples.length > 1) card.append(plot(samples));
  const offered = cluster.route === node.name ? [] : offeredOrders(cluster, node);
  if (offered.length > 0) {
    card.append(element("p", { className: "buttons" }, offered.map((name) => element("button",
      { text: kOrders[name].label, type: "button", "data-order": name, "data-node": node.name, title: kOrders[name].what }))));
  }
  return card;
}

// A card is replaced only where it changed; the focus goes back to the same button.
function drawNodes(cluster) {
  const focus = document.activeElement?.dataset ?? {};
  replaceIfChanged(byId("nodes"), cluster.nodes.map((node) => drawNode(cluster, node)));
  if (focus.order && focus.node) {
    byId("nodes").querySelector(`[data-order="${focus.order}"][data-node="${focus.node}"]`)?.focus();
  }
}

// ---- several pgkeels ---------------------------------------------------------------------------------------------------
function agreementText(coordination) {
  const parts = [coordination.leader ? `pgkeel ${coordination.leader} leads (term ${coordination.term})` : "no pgkeel leads now"];
  parts.push(!coordination.etcd_problem ? "etcd answers"
    : `etcd: ${coordination.etcd_problem}; ${coordination.promises_held} of ${coordination.promises_wanted} promises that replace it are held`);
  const vip = coordination.vip;
  if (vip) parts.push(`virtual IP ${vip.address}: ${vip.holder ? `of pgkeel ${vip.holder}` : "nobody holds it"}${vip.is_held ? `, on ${vip.interface} here` : ""}`);
  return parts.join("; ");
}

function leaseText(coordination, member) {
  if (!member.is_self) return member.has_lease ? "holds" : "none";
  if (!coordination.lease_for_ms) return "none";
  return `holds for ${durationText(coordination.lease_for_ms)} more, confirmed ${durationText(coordination.etcd_heard_ms_ago)} ago`;
}

function drawMember(cluster, member) {
  const coordination = cluster.coordination;
  const marks = [];
  if (member.leads) marks.push(["leads", "good"]);
  if (member.is_self) marks.push(["this one", "calm"]);
  if (!member.has_lease) marks.push(["gone", "bad"]);
  else marks.push(member.follows_route ? ["follows the route", "good"] : ["has not followed the route", "warn"]);
  if (member.cannot_decide) marks.push(["cannot decide", "bad"]);
  if (member.differs_in.length > 0) marks.push(["configured differently", "warn"]);
  return element("article", { className: `card member ${member.has_lease ? "" : "silent"}`, "aria-label": `Pgkeel ${member.name}` }, [
    element("header", {}, [element("h3", { text: member.name }),
      ...marks.map(([text, tone]) => element("span", { text, className: `badge ${tone}` }))]),
    element("dl", {}, rows([
      ["Address", member.address],
      ["Version", member.version],
      ["Lease", leaseText(coordination, member)],
      ["Route acknowledged", !member.has_lease ? null : member.follows_route ? `yes, epoch ${cluster.epoch}` : "not the newest"],
      ["Clients here", !member.is_self ? null : !coordination.routes ? "are not let through"
        : `may be let through for ${durationText(coordination.may_route_for_ms)} without another word`],
      ["Cannot decide", member.cannot_decide],
      ["Differs in", member.differs_in.join(", ") || null],
    ]))]);
}

function drawMembers(cluster) {
  const coordination = cluster.coordination;
  byId("members-section").hidden = !coordination;
  if (!coordination) return;
  setText("agreement", agreementText(coordination));
  byId("agreement").className = coordination.etcd_problem || !coordination.leader ? "note" : "";
  replaceIfChanged(byId("members"), coordination.members.map((member) => drawMember(cluster, member)));
}

function section(id, list, items) {
  byId(id).hidden = items.length === 0;
  replaceIfChanged(byId(list), items);
}

function drawWork(cluster) {
  const orders = cluster.orders.filter((order) => order.state === "running").map((order) =>
    element("li", { text: `order ${order.order} ${order.node ?? ""}: ${order.message || "running"} (from ${order.given_by})` }));
  const actions = cluster.actions.filter((action) => action.state !== "done").map((action) =>
    element("li", { text: `${action.action}: ${action.state}${action.message ? `: ${action.message}` : ""}` }));
  section("work-section", "work", [...orders, ...actions]);
}

function drawReadiness(cluster) {
  const readiness = cluster.readiness;
  if (!readiness) {
    setText("readiness", "The first look is not over yet.");
    replaceIfChanged(byId("findings"), []);
    return;
  }
  const yes = (works) => (works ? "would work" : "would NOT work");
  setText("readiness",
    `A failover ${yes(readiness.failover_would_work)}, a rejoin ${yes(readiness.rejoin_would_work)} (looked at ${readiness.looked_at}).`);
  replaceIfChanged(byId("findings"), readiness.findings.map((finding) => element("li", {}, [
    element("strong", { text: `${finding.severity}: ` }),
    document.createTextNode(`${finding.node ? `${finding.node}: ` : ""}${finding.problem} `),
    element("div", { className: "remedy", text: finding.remedy })])));
}

function drawLost(cluster) {
  section("lost-section", "lost", cluster.lost.map((report) => element("li", {
    text: `${report.report}: ${report.transactions} transaction${report.transactions === 1 ? "" : "s"}, ${bytesText(report.wal_bytes)} of WAL of node ${report.node}; ` +
      `pgkeel lost ${cluster.name} ${report.report}` })));
}

function drawEvents() {
  const words = byId("filter-text").value.toLowerCase();
  const least = kSeverities.indexOf(byId("filter-severity").value);
  const cluster = shownCluster()?.name;
  const shown = state.events.filter((event) => (!event.cluster || event.cluster === cluster) &&
    kSeverities.indexOf(event.severity) >= least &&
    (!words || `${event.kind} ${event.node} ${event.text}`.toLowerCase().includes(words)));
  byId("events-more").hidden = shown.length <= state.eventsShown || state.eventsShown === kEventsShown;
  replaceIfChanged(byId("events"), shown.slice(-state.eventsShown).reverse().map((event) =>
    element("tr", { className: event.severity }, [
      element("td", {}, [element("time", { datetime: event.when, text: event.when.replace("T", " ").replace(/\.\d+Z$/, " UTC") })]),
      element("td", { text: event.severity }),
      element("td", { text: event.kind }),
      element("td", { text: event.text })])));
}

function draw() {
  const cluster = shownCluster();
  if (!cluster) return;
  state.shown = cluster.name;
  drawClusters();
  drawCondition(cluster);
  drawAccessPoint(cluster);
  drawNodes(cluster);
  drawMembers(cluster);
  drawWork(cluster);
  drawReadiness(cluster);
  drawLost(cluster);
}

function keepLags() {
  const now = Date.now();
  for (const cluster of state.clusters) {
    for (const node of cluster.nodes) {
      if (!node.replication) continue;
      const key = `${cluster.name}/${node.name}`;
      const samples = (state.lags.get(key) ?? []).filter((sample) => now - sample.at < kPlotSeconds * 1000);
      samples.push({ at: now, write: node.replication.write_lag_bytes, flush: node.replication.flush_lag_bytes,
        replay: node.replication.replay_lag_bytes });
      state.lags.set(key, samples);
    }
  }
}

// ---- the stream ------------------------------------------------------------------------------------------------------
function showLink(live, text) {
  byId("link").dataset.live = live ? "yes" : "no";
  setText("link", text);
}

function takeClusters(clusters) {
  const first = state.clusters.length === 0;
  state.clusters = clusters;
  keepLags();
  draw();
  if (first) drawEvents();
}

function takeEvent(event) {
  if (event.id <= (state.events.at(-1)?.id ?? 0)) return;
  state.events.push(event);
  if (state.events.length > 5 * kEventsShown) state.events.splice(0, kEventsShown);
  drawEvents();
}

const sayNoAnswer = () => showLink(false, "pgkeel does not answer; what is shown is old");

async function askOnce() {
  try {
    takeClusters((await (await fetch("api/v1/clusters")).json()).clusters);
    (await (await fetch(`api/v1/events?after=${state.events.at(-1)?.id ?? 0}`)).json()).events.forEach(takeEvent);
    showLink(true, "every 2 s: too many others are told live");
  } catch {
    sayNoAnswer();
  }
}

function listen() {
  const stream = new EventSource("api/v1/events?clusters=1");
  stream.addEventListener("clusters", (message) => {
    takeClusters(JSON.parse(message.data).clusters);
    showLink(true, "live");
  });
  stream.addEventListener("event", (message) => takeEvent(JSON.parse(message.data)));
  stream.addEventListener("error", async () => {
    if (stream.readyState !== EventSource.CLOSED) return sayNoAnswer();  // a lost one comes back by itself
    await askOnce();  // a refused one does not
    setTimeout(listen, kAskPauseMs);
  });
}

// ---- orders ----------------------------------------------------------------------------------------------------------
// `opening` and `question` grow: an answer that comes when something else is asked already is not shown.
const order = { name: "", cluster: "", opening: 0, question: 0 };

function askAnew() {
  ++order.question;
  byId("order-give").disabled = true;
  sayAnswer(kOrders[order.name].what, false);
}

function orderBody() {
  const kind = kOrders[order.name];
  const body = { ...kind.body };
  if (kind.target && byId("order-target").value) body[kind.target] = byId("order-target").value;
  if (kind.loss && byId("order-loss").checked) body.accept_loss = true;
  if (kind.rebuild && byId("order-rebuild").checked) body.rebuild = true;
  return body;
}

function sayAnswer(text, bad) {
  byId("order-answer").dataset.tone = bad ? "bad" : "";
  setText("order-answer", text);
}

async function post(body) {
  const response = await fetch(`api/v1/clusters/${encodeURIComponent(order.cluster)}/${kOrders[order.name].path ?? order.name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Authorization": `Bearer ${byId("order-token").value.trim()}` },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status === 401) return { refused: "This token is not the one of [admin] token_file." };
  if (!response.headers.get("Content-Type")?.startsWith("application/json")) return { refused: text.trim() };
  const answer = JSON.parse(text);
  return answer.accepted ? { answer } : { refused: answer.reason };
}

async function ask(preview) {
  byId("order-give").disabled = true;
  const { opening } = order;
  const question = ++order.question;
  const isOld = () => opening !== order.opening || (preview && question !== order.question);
  try {
    const { answer, refused } = await post({ ...orderBody(), ...(preview ? { preview: true } : {}) });
    if (isOld()) return;
    if (refused) return sayAnswer(`Refused: ${refused}`, true);
    if (!preview) return sayAnswer(`Ordered. ${answer.consequences}`, false);
    const stake = answer.bytes_at_stake ? ` ${bytesText(answer.bytes_at_stake)} of WAL are at stake.` : "";
    sayAnswer(answer.consequences + stake, false);
    byId("order-give").disabled = false;
  } catch (problem) {
    if (!isOld()) sayAnswer(`pgkeel does not answer: ${problem.message}`, true);
  }
}

function openOrder(name, node) {
  const kind = kOrders[name];
  const cluster = shownCluster();
  order.name = name;
  order.cluster = cluster.name;
  ++order.opening;
  setText("order-title", `${kind.label.replace("…", "")} of ${cluster.name}`);
  setText("order-give", `${kind.label.replace("…", "")} now`);
  const choices = node ? [[node, node]]
    : [...(kind.target === "to" ? [["", "the best standby"]] : []),
      ...cluster.nodes.filter((each) => kind.target !== "to" || each.name !== cluster.route).map((each) => [each.name, each.name])];
  byId("order-target").replaceChildren(...choices.map(([value, text]) => element("option", { value, text })));
  byId("order-target-label").hidden = !kind.target;
  byId("order-target-label").firstChild.textContent = `${kind.targetLabel ?? "Node"} `;
  byId("order-loss-label").hidden = !kind.loss;
  byId("order-rebuild-label").hidden = !kind.rebuild;
  byId("order-loss").checked = byId("order-rebuild").checked = false;
  askAnew();
  byId("order").showModal();
  byId("order-token").focus();
}

async function learnOrders() {
  const description = await (await fetch("api/v1/openapi.json")).json();
  const found = Object.entries(description.paths)
    .filter(([path, methods]) => methods.post && path.startsWith("/api/v1/clusters/{cluster}/"))
    .map(([path]) => path.split("/").at(-1));
  state.orders = Object.keys(kOrders).filter((name) => found.includes(kOrders[name].path ?? name));
}

document.addEventListener("click", ({ target }) => {
  const { order: name, node, cluster } = target.dataset;
  if (name) openOrder(name, node);
  if (cluster) {
    state.shown = cluster;
    draw();
    drawEvents();
  }
});
byId("order-preview").addEventListener("click", () => ask(true));
byId("order-give").addEventListener("click", () => ask(false));
for (const id of ["order-target", "order-loss", "order-rebuild"]) {
  byId(id).addEventListener("change", askAnew);
}
byId("order-token").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  ask(true);
});
byId("filter").addEventListener("submit", (event) => event.preventDefault());
byId("filter").addEventListener("input", drawEvents);
byId("events-more").addEventListener("click", () => {
  state.eventsShown = kEventsShown;
  drawEvents();
});

async function begin() {
  try {
    await learnOrders();
    listen();
  } catch {
    sayNoAnswer();
    setTimeout(begin, kAskPauseMs);
  }
}
begin();
