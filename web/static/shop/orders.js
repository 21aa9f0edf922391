// The history of this browser's orders, newest first.

import { clock, date, h, money, note, shop, whenLookedAt } from "./page.js";
import { adviceFor, statusText } from "./stages.js";

const page = document.querySelector("[data-orders]");
const list = h("ul.history");
const NAMELESS = { failed: "Order not completed", cancelled: "Order cancelled" };

function entry(order) {
  const words =
    order.failure_code && order.status === "failed" ? adviceFor(order.failure_code).title : statusText(order);
  return h(
    "li",
    {},
    h(
      "a",
      { href: `/orders/${order.id}` },
      h(
        "span.history-name",
        {},
        order.number ? `Order ${order.number}` : (NAMELESS[order.status] ?? "Order under way"),
      ),
      h("span.status", { "data-status": order.status }, words),
      h(
        "span.hint",
        {},
        `${date(order.created_at)}, ${clock(order.created_at)} · ${order.item_count} ${order.item_count === 1 ? "product" : "products"}`,
      ),
      h("span.history-sum", {}, money(order.total_amount, order.currency)),
    ),
  );
}

async function look(cursor) {
  try {
    const found = await shop.orders(cursor);
    page.removeAttribute("aria-busy");
    if (!cursor) list.replaceChildren();
    list.append(...found.items.map(entry));
    const next = found.page.next_cursor;
    const empty = h(
      "div.empty",
      {},
      h("h2", {}, "No orders yet"),
      h("p", {}, h("a", { href: "/" }, "Look around")),
      h("p.hint", {}, "Orders are kept for this browser."),
    );
    page.replaceChildren(
      list.children.length ? list : empty,
      next ? h("button", { type: "button", click: () => look(next) }, "Earlier orders") : "",
    );
  } catch (problem) {
    if (!problem.code) throw problem;
    page.replaceChildren(
      note("bad", problem.title, problem.detail, h("button", { type: "button", click: () => look() }, "Try again")),
    );
  }
}

look();
whenLookedAt(() => look());
