// Orders by state, found by number, e-mail or id; every list is an address that can be sent to somebody.

import { ask, badge, empty, h, money, note, plain, table, when } from "./page.js";

const page = document.querySelector("[data-orders]");
const list = page.querySelector("[data-list]");
const find = page.querySelector("[data-find]");
const wanted = new URLSearchParams(location.search);
const COLUMNS = [["Order"], ["Placed"], ["Customer"], ["State"], ["Payment"], ["Parcels"], ["Total", "number"]];
const shown = [];

find.q.value = wanted.get("q") ?? "";
find.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find.q.value.trim();
  location.assign(text ? `/ops/orders?q=${encodeURIComponent(text)}` : "/ops/orders");
});
for (const link of page.querySelectorAll("[data-states] a"))
  if (link.dataset.state === wanted.toString()) link.setAttribute("aria-current", "page");

async function load(cursor) {
  const query = new URLSearchParams(wanted);
  query.set("per_page", "50");
  if (cursor) query.set("cursor", cursor);
  list.setAttribute("aria-busy", "true");
  try {
    const { body } = await ask(`/api/admin/orders?${query}`);
    shown.push(...body.items);
    show(body.page.next_cursor);
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    const again = h("button", { type: "button", click: () => load(cursor) }, "Try again");
    list.replaceChildren(note("bad", problem.title, problem.detail, again));
  }
  list.removeAttribute("aria-busy");
}

function show(next) {
  // Who looks for one order wants to see it.
  if (wanted.has("q") && shown.length === 1) return location.replace(`/ops/orders/${shown[0].id}`);
  if (!shown.length) return list.replaceChildren(empty("No such order", "Whole numbers, addresses and ids are found."));
  const more = next && h("button.more", { type: "button", click: () => load(next) }, "More");
  list.replaceChildren(table(COLUMNS, shown.map(row), "Orders"), more || "");
}

function row(order) {
  const state = order.failure_code ? [badge(order.status), h("small", {}, plain(order.failure_code))] : badge(order.status);
  return [
    h("a.row-link", { href: `/ops/orders/${order.id}` }, order.number ? `#${order.number}` : order.id.slice(-8)),
    when(order.created_at),
    h("span.who-cell", {}, order.recipient, h("small", {}, order.email)),
    state,
    order.payment_status === "none" ? "–" : badge(order.payment_status),
    order.fulfillment_status === "unfulfilled" ? "–" : badge(order.fulfillment_status),
    money(order.total_amount, order.currency),
  ];
}

load();
