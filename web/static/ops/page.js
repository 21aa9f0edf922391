// What the ops pages share: asking the server, amounts and times, and asking a person first.

import { announce, h } from "../elements.js";

export { announce, h };

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
const token = meta("ops-token");
const scopes = meta("ops-scopes").split(" ");
const connection = document.querySelector("[data-connection]");

export const currency = meta("currency");

/** Whether the key that is logged in may do so. @param {string} scope */
export const may = (scope) => scopes.includes(scope);

/**
 * Ask the server: `{ body, etag }`. Throws the problem document of a refusal, or `{ status: 0 }` without an answer.
 * @param {string} path
 * @param {{ method?: string, body?: any, etag?: string, key?: string, quiet?: boolean }} [options]
 */
export async function ask(path, { method = "GET", body, etag, key, quiet = false } = {}) {
  const headers = { "X-Ops-Token": token, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag) headers["If-Match"] = etag;
  if (key) headers["Idempotency-Key"] = key;
  let answer;
  try {
    const given = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
    answer = await fetch(path, { ...given, credentials: "same-origin", cache: "no-store" });
  } catch {
    if (!quiet) showConnection("No connection. Trying again …");
    throw { status: 0, title: "No connection", detail: "The shop did not answer." };
  }
  if (answer.status === 401) {
    location.assign(`/ops/login?next=${encodeURIComponent(location.pathname)}`);
    return new Promise(() => {});
  }
  const found = await answer.json().catch(() => ({ status: answer.status, title: "No answer", detail: "" }));
  if (!answer.ok) {
    if (!quiet && answer.status === 503) showConnection("A store is away for a moment. Trying again …");
    throw found;
  }
  showConnection("");
  return { body: found, etag: answer.headers.get("ETag") };
}

function showConnection(text) {
  connection.textContent = text;
  connection.hidden = !text;
}

// ---------------------------------------------------------------- words

const formats = new Map();

/** An exact amount as people write it; Intl takes the text as it is, so no float touches it. */
export function money(amount, of = currency) {
  const digits = amount.split(".")[1]?.length ?? 0;
  const name = `${of} ${digits}`;
  if (!formats.has(name)) {
    const style = { style: "currency", currency: of, currencyDisplay: "narrowSymbol", minimumFractionDigits: digits };
    formats.set(name, new Intl.NumberFormat("en", style));
  }
  return formats.get(name).format(amount);
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moment = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export const count = (number) => whole.format(number);
export const clock = (instant) => time.format(new Date(instant));
export const when = (instant) => h("time", { datetime: instant, title: instant }, moment.format(new Date(instant)));

/** "requires_action": as the shop calls it, for people. */
export function plain(id) {
  const text = id.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "340 ms", "2.1 s", "3 min": with as many digits as matter. */
export function span(ms) {
  if (ms == null) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3600_000) return `${Math.round(ms / 60_000)} min`;
  return `${(ms / 3600_000).toFixed(1)} h`;
}

/** What a state tells at a glance. */
const TONES = {
  confirmed: "good",
  captured: "good",
  delivered: "good",
  succeeded: "good",
  failed: "bad",
  cancelled: "bad",
  declined: "bad",
  out_of_stock: "bad",
  requires_action: "warning",
  unknown: "warning",
  stuck: "warning",
  refused: "warning",
  low_stock: "warning",
};

export const badge = (state, name = plain(state)) => h("span.badge", { "data-tone": TONES[state] ?? "plain" }, name);

// ---------------------------------------------------------------- elements

/** A key that makes a repeated request harmless. */
export const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

export function note(kind, title, detail, ...actions) {
  return h(
    `div.note.is-${kind}`,
    { role: kind === "bad" ? "alert" : false },
    h("p.note-title", {}, title),
    detail && h("p", {}, detail),
    actions.length > 0 && h("p.note-actions", {}, actions),
  );
}

/** Nothing to show, in words. */
export const empty = (title, detail) => h("div.empty", {}, h("h2", {}, title), detail && h("p.lead", {}, detail));

/** A table: `columns` are [name, classes], `silent` where the name is not to be seen; a row is a list of cells. */
export function table(columns, rows, caption) {
  const cell = (content, i) => {
    const [name, classes = ""] = columns[i];
    const kind = [i ? "td" : "th", ...classes.split(" ").filter(Boolean)].join(".");
    return h(kind, { scope: i ? false : "row", "data-label": classes.includes("silent") ? "" : name }, content);
  };
  const head = ([name, classes = ""]) =>
    h("th", { scope: "col", class: classes }, classes.includes("silent") ? h("span.visually-hidden", {}, name) : name);
  return h(
    "table.rows",
    {},
    h("caption.visually-hidden", {}, caption),
    h("thead", {}, h("tr", {}, ...columns.map(head))),
    h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell)))),
  );
}

/** The pairs of a list of facts: [name, value, tone]. */
export const facts = (rows) =>
  rows.map(([name, value, tone]) => h("div", { "data-tone": tone ?? "plain" }, h("dt", {}, name), h("dd", {}, value)));

// ---------------------------------------------------------------- asking a person first

const dialog = document.querySelector("[data-dialog]");

/**
 * A field of a dialog. `kind`: text, number, amount or tick.
 * @typedef {{ name: string, label: string, kind?: string, hint?: string, required?: boolean, checked?: boolean,
 *   placeholder?: string, max?: number }} Field
 */

/**
 * Ask before something is done, and do it in the dialog: what goes wrong is said where it was asked for.
 * @param {{ title: string, text: string, fields?: Field[], yes: string, no?: string, danger?: boolean,
 *   act: (values: Record<string, any>) => Promise<void>, focus: () => HTMLElement | null }} question  `focus`: where
 *   who has done it goes on, for what was clicked may be gone
 */
export function confirm({ title, text, fields = [], yes, no = "Leave it", danger = false, act, focus }) {
  const inputs = fields.map(field);
  const trouble = h("div", {});
  const go = h(danger ? "button.danger" : "button.primary", { type: "submit" }, yes);
  const stay = h("button", { type: "button", autofocus: !fields.length, click: () => dialog.close() }, no);
  const submit = async (event) => {
    event.preventDefault();
    trouble.replaceChildren();
    go.setAttribute("aria-busy", "true");
    go.disabled = true;
    try {
      await act(Object.fromEntries(inputs.map(({ name, value }) => [name, value()])));
      dialog.close();
      focus()?.focus();
    } catch (problem) {
      if (problem instanceof Error) throw problem;
      const each = (problem.errors ?? []).map((fault) => fault.message).filter((said) => said !== problem.detail);
      trouble.replaceChildren(note("bad", problem.detail || problem.title, each.join(" ")));
    } finally {
      go.removeAttribute("aria-busy");
      go.disabled = false;
    }
  };
  dialog.replaceChildren(
    h(
      "form",
      { submit },
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, text),
      h("div.ask-fields", {}, ...inputs.map(({ element }) => element), trouble),
      h("div.ask-buttons", {}, go, stay),
    ),
  );
  dialog.showModal();
  dialog.querySelector("input, [autofocus]")?.focus();
}

function field({ name, label, kind = "text", hint, required = false, checked = false, placeholder, max = 200 }) {
  const id = `ask-${name}`;
  if (kind === "tick") {
    const input = h("input", { type: "checkbox", id, checked });
    return { name, element: h("label.tick", { for: id }, input, h("span", {}, label)), value: () => input.checked };
  }
  const numeric = { number: "numeric", amount: "decimal" }[kind];
  const type = kind === "number" ? "number" : "text";
  const given = { id, type, required, placeholder, maxlength: max, inputmode: numeric, autocomplete: "off" };
  const input = h("input", { ...given, min: kind === "number" ? 1 : null, "aria-describedby": hint && `${id}-hint` });
  const element = h(
    "div.field",
    {},
    h("label", { for: id }, label, !required && h("span.optional", {}, " (optional)")),
    input,
    hint && h("p.hint", { id: `${id}-hint` }, hint),
  );
  const value = () => {
    const text = input.value.trim();
    if (text === "") return undefined;
    return kind === "number" ? Number(text) : text;
  };
  return { name, element, value };
}

/** Repeat while the page is looked at, so many ms after the last answer; at once when it is looked at again. */
export function repeat(look, ms) {
  let timer;
  let running = false;
  const round = async () => {
    clearTimeout(timer);
    if (running || document.hidden) return;
    running = true;
    try {
      await look();
    } finally {
      running = false;
      timer = setTimeout(round, ms);
    }
  };
  document.addEventListener("visibilitychange", round);
  addEventListener("online", round);
  round();
  return round;
}

// ---------------------------------------------------------------- what stands for a person, on every page

const watchers = [];

/** Be told of what is under way and what stands for a person, or null when SQL is away; every ten seconds. */
export function watchAttention(watcher) {
  watchers.push(watcher);
}

async function lookAtSql() {
  let found = null;
  try {
    ({ body: found } = await ask("/ops/attention.json", { quiet: true }));
    countTabs({ payments: found.unresolved, stock: may("stock") ? found.low_stock : 0 });
  } catch (problem) {
    if (problem instanceof Error) throw problem;
  }
  for (const watcher of watchers) watcher(found);
}

function countTabs(counts) {
  for (const [tab, number] of Object.entries(counts)) {
    const mark = document.querySelector(`[data-tab-count="${tab}"]`);
    mark.hidden = !number;
    mark.replaceChildren(number > 99 ? "99+" : String(number), h("span.visually-hidden", {}, " to look at"));
  }
}

repeat(lookAtSql, 10_000);
