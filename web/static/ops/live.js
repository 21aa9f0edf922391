// The shop at work: one cheap look a second at what Redis counts, and now and then one at SQL.

import { Chart } from "./charts.js";
import { announce, ask, count, facts, h, repeat, span, watchAttention } from "./page.js";

const WINDOW_SECONDS = 300;
const RATE_SECONDS = 10;
const OLD_MS = 10_000;
const SILENT_MS = 10_000;
const page = document.querySelector("[data-live]");
const seconds = new Map();
const looks = new Map();
let before = null;
let attention = null;
let last = null;

const rate = (value) => (value == null ? "–" : value >= 100 ? count(value) : Number(value.toFixed(value < 10 ? 1 : 0)).toString());
const perSecond = (value) => (value >= 1000 ? `${value / 1000}k` : String(value));
const charts = {
  flow: new Chart(page.querySelector('[data-chart="flow"]'), { series: 4, unit: perSecond, least: 5 }),
  confirm: new Chart(page.querySelector('[data-chart="confirm"]'), { series: 2, unit: span, least: 50, spans: true }),
  waiting: new Chart(page.querySelector('[data-chart="waiting"]'), { series: 1, unit: span, least: 1000, fill: true }),
  batch: new Chart(page.querySelector('[data-chart="batch"]'), { series: 1, unit: perSecond, least: 4, spans: true }),
};

// ---------------------------------------------------------------- what is asked

async function lookAtStore() {
  // A second is told again until it is over.
  const since = last ? Math.floor(last.at / 1000) - 3 : 0;
  try {
    ({ body: last } = await ask(`/ops/live.json?since=${since}`));
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    showVerdict([["bad", problem.status ? "Redis or Valkey does not answer." : "The shop does not answer."]]);
    return;
  }
  remember(last);
  show(last);
}

function remember(found) {
  const now = Math.floor(found.at / 1000);
  for (const each of found.seconds) seconds.set(each.at, each);
  const accepted =
    before && found.at > before.at ? Math.max(0, (found.accepted - before.accepted) / ((found.at - before.at) / 1000)) : null;
  looks.set(now, { accepted, oldest: found.oldest_ms });
  before = { at: found.at, accepted: found.accepted };
  for (const kept of [seconds, looks])
    for (const at of kept.keys()) if (at < now - WINDOW_SECONDS - 5) kept.delete(at);
}

function seeAttention(found) {
  attention = found ?? { away: true };
  showAttention();
  if (!last) return;
  showStores(last);
  showVerdict(troubles(last));
}

// ---------------------------------------------------------------- what is shown

function show(found) {
  const now = Math.floor(found.at / 1000);
  const put = (name, text) => {
    page.querySelector(`[data-figure="${name}"]`).textContent = text;
  };
  const recent = rates(now);
  for (const [name, value] of Object.entries(recent)) {
    page.querySelector(`[data-rate="${name}"]`).textContent = rate(value);
    page.querySelector(`[data-now="flow-${name}"]`).textContent = rate(value);
  }
  for (const name of ["settled", "paid", "failed"])
    page.querySelector(`[data-total="${name}"]`).textContent = count(found.totals[name]);
  page.querySelector('[data-total="accepted"]').textContent = count(found.accepted);
  put("waiting", count(found.waiting));
  put("oldest", span(found.oldest_ms));
  put("p50", span(found.confirm.p50));
  put("p99", span(found.confirm.p99));
  put("batch", found.batch == null ? "–" : rate(found.batch));
  const died = found.processes.reduce((sum, each) => sum + each.died, 0);
  put("died", count(died));
  put("died-why", died ? "and every one was replaced" : "processes that ended unasked");
  drawCharts(now, found);
  showWorkers(found);
  showVerdict(troubles(found));
}

function rates(now) {
  const found = { accepted: 0, settled: 0, paid: 0, failed: 0 };
  const accepted = [];
  for (let at = now - RATE_SECONDS; at < now; at++) {
    for (const name of ["settled", "paid", "failed"]) found[name] += (seconds.get(at)?.[name] ?? 0) / RATE_SECONDS;
    const look = looks.get(at)?.accepted;
    if (look != null) accepted.push(look);
  }
  found.accepted = accepted.length ? accepted.reduce((sum, each) => sum + each) / accepted.length : null;
  return found;
}

function drawCharts(now, found) {
  // The second that has just begun is not over: its figures would look like a fall.
  const at = Array.from({ length: WINDOW_SECONDS }, (_, i) => now - WINDOW_SECONDS + i);
  const flow = (name) => at.map((second) => seconds.get(second)?.[name] ?? 0);
  const some = (name) => at.map((second) => seconds.get(second)?.[name] ?? null);
  const looked = (name) => at.map((second) => looks.get(second)?.[name] ?? null);
  charts.flow.show([at, looked("accepted"), flow("settled"), flow("paid"), flow("failed")]);
  charts.confirm.show([at, some("p50"), some("p99")]);
  charts.waiting.show([at, looked("oldest")]);
  charts.batch.show([at, some("batch")]);
  page.querySelector('[data-now="confirm-p50"]').textContent = span(found.confirm.p50);
  page.querySelector('[data-now="confirm-p99"]').textContent = span(found.confirm.p99);
  page.querySelector('[data-now="waiting-age"]').textContent = span(found.oldest_ms);
  page.querySelector('[data-now="batch-size"]').textContent = found.batch == null ? "–" : rate(found.batch);
}

const queueName = (queue) => (queue === "payments" ? "Payments" : queue.replace("checkout", "Settling"));

function showWorkers(found) {
  // One that died stays on the list for a minute; while another serves its queue, nobody needs to know.
  const alive = ({ silent_ms }) => silent_ms != null && silent_ms < SILENT_MS;
  const served = new Set(found.workers.filter(alive).map((each) => each.queue));
  const listed = found.workers.filter((each) => alive(each) || !served.has(each.queue));
  const workers = listed.map(({ queue, name, silent_ms }) => {
    const good = silent_ms != null && silent_ms < SILENT_MS;
    const said = silent_ms == null ? "nobody there" : good ? "alive" : `silent for ${span(silent_ms)}`;
    const shown = [h("span", {}, said), name && h("small", {}, name)].filter(Boolean);
    return [queueName(queue), shown, good ? "good" : "bad"];
  });
  page.querySelector("[data-workers]").replaceChildren(...facts(workers));
  const rows = found.processes.map(({ role, began, died }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, role === "web" ? "Web" : queueName(role)),
      h("td", {}, count(began)),
      h("td", {}, count(died)),
    ),
  );
  const head = ["Role", "Began", "Died"].map((name) => h("th", { scope: "col" }, name));
  page.querySelector("[data-processes]").replaceChildren(h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
  showStores(found);
}

function showStores(found) {
  const { used_bytes, max_bytes } = found.store;
  const full = max_bytes ? used_bytes / max_bytes : 0;
  const megabytes = (bytes) => `${count(bytes / 1e6)} MB`;
  const used = max_bytes ? `${megabytes(used_bytes)} of ${megabytes(max_bytes)}` : megabytes(used_bytes);
  const sql = attention?.away ? ["SQL", "away", "bad"] : ["SQL", attention ? "answers" : "–", attention ? "good" : "plain"];
  page
    .querySelector("[data-stores]")
    .replaceChildren(...facts([["Redis", used, full > 0.9 ? "bad" : full > 0.75 ? "warning" : "good"], sql]));
}

function upTo(number) {
  return number >= (attention.most ?? Infinity) ? `${count(number)} or more` : count(number);
}

function showAttention() {
  if (attention.away) return;
  const link = (number, path) => (number ? h("a", { href: path }, upTo(number)) : "none");
  const { open_orders: open, due, due_ms, unknown, unresolved, low_stock: low } = attention;
  page
    .querySelector("[data-attention]")
    .replaceChildren(
      ...facts([
        ["Payments for a person", link(unresolved, "/ops/payments"), unresolved ? "warning" : "good"],
        ["Payments in doubt", link(unknown, "/ops/orders?payment_status=unknown"), unknown ? "warning" : "good"],
        ["Running low", link(low, "/ops/stock"), low ? "warning" : "good"],
        ["Being paid", link(open.processing, "/ops/orders?status=processing"), "plain"],
        ["Shopper to act", link(open.requires_action, "/ops/orders?status=requires_action"), "plain"],
        ["Due with the provider", due ? `${upTo(due)}, oldest ${span(due_ms)}` : "none", due_ms > 30_000 ? "bad" : "plain"],
      ]),
    );
}

// ---------------------------------------------------------------- is everything all right?

/** What is wrong or waits for somebody, the worst first: [tone, text]. */
function troubles(found) {
  const silent = [...new Set(found.workers.filter((each) => !(each.silent_ms < SILENT_MS)).map((each) => each.queue))];
  const served = new Set(found.workers.filter((each) => each.silent_ms != null && each.silent_ms < SILENT_MS).map((each) => each.queue));
  const gone = silent.filter((queue) => !served.has(queue));
  const { used_bytes, max_bytes } = found.store;
  return [
    gone.length > 0 && ["bad", `No worker serves ${gone.map(queueName).join(" and ").toLowerCase()}.`],
    found.oldest_ms > OLD_MS && ["bad", `A checkout has waited for ${span(found.oldest_ms)}.`],
    max_bytes > 0 && used_bytes > 0.9 * max_bytes && ["bad", "Redis or Valkey is nearly full: new checkouts are refused."],
    attention?.away && ["bad", "SQL does not answer. Checkouts are still accepted."],
    attention?.due_ms > 30_000 && ["bad", `A payment has been due for ${span(attention.due_ms)}.`],
    attention?.unresolved > 0 && ["warning", `${upTo(attention.unresolved)} ${attention.unresolved === 1 ? "payment stands" : "payments stand"} for a person.`],
  ].filter(Boolean);
}

function showVerdict(found) {
  const worst = found[0]?.[0] ?? "good";
  const title = { good: "All is well.", warning: "All is well, and somebody is needed.", bad: "Something is wrong." }[worst];
  const verdict = page.querySelector("[data-verdict]");
  verdict.dataset.state = worst;
  const shown = page.querySelector("[data-verdict-title]");
  if (shown.textContent !== title) {
    shown.textContent = title;
    announce([title, ...found.map(([, text]) => text)].join(" "));
  }
  page.querySelector("[data-verdict-why]").replaceChildren(...found.map(([, text]) => h("li", {}, text)));
}

repeat(lookAtStore, 1000);
watchAttention(seeAttention);
