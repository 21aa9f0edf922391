// What runs low, and what has just come in.

import { announce, ask, badge, confirm, empty, h, may, newKey, note, table } from "./page.js";

const list = document.querySelector("[data-stock] [data-list]");
const COLUMNS = [["Product"], ["In stock", "number"], ["Threshold", "number"], ["State"], ["Action", "number silent"]];
const shown = new Map();
let next = null;

async function load(cursor) {
  try {
    const query = new URLSearchParams({ per_page: "50", ...(cursor ? { cursor } : {}) });
    const { body } = await ask(`/api/admin/stock/low?${query}`);
    for (const product of body.items) shown.set(product.id, product);
    next = body.page.next_cursor;
    show();
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    const again = h("button", { type: "button", click: () => load(cursor) }, "Try again");
    list.replaceChildren(note("bad", problem.title, problem.detail, again));
  }
  list.removeAttribute("aria-busy");
}

function show() {
  if (!shown.size) return list.replaceChildren(empty("Nothing runs low", "Every product is above its threshold."));
  const more = next && h("button.more", { type: "button", click: () => load(next) }, "More");
  list.replaceChildren(table(COLUMNS, [...shown.values()].map(row), "Products that run low"), more || "");
}

function row(product) {
  const name = h(
    "span.with-picture",
    {},
    h("img", { src: product.image_url, alt: "", width: 44, height: 44, loading: "lazy", decoding: "async" }),
    h("span.who-cell", {}, product.name, h("small", {}, product.sku)),
  );
  const receiveIt = h(
    "button",
    { type: "button", "data-receive": product.id, "aria-label": `Receive ${product.name}`, click: () => receive(product) },
    "Receive …",
  );
  const state = badge(product.stock_status, { out_of_stock: "Sold out", low_stock: "Low" }[product.stock_status] ?? "Enough");
  return [name, String(product.stock_quantity), String(product.low_stock_threshold), state, receiveIt];
}

function receive(product) {
  const key = newKey();
  confirm({
    title: `Receive ${product.name}?`,
    text: `${product.stock_quantity} are there. What you receive is booked in the ledger under your key’s name, and sold at once.`,
    fields: [
      { name: "quantity", label: "Units that came", kind: "number", required: true },
      { name: "note", label: "Note", placeholder: "Delivery note 4711", max: 200 },
    ],
    yes: "Receive them",
    act: async ({ quantity, note: text }) => {
      const body = { quantity, reason: "received", ...(text ? { note: text } : {}) };
      const found = await ask(`/api/admin/products/${product.id}/stock`, { method: "POST", body, key });
      const { stock_quantity, stock_status } = found.body;
      shown.set(product.id, { ...product, stock_quantity, stock_status });
      show();
      announce(`${product.name}: ${stock_quantity} in stock.`);
    },
    focus: () => list.querySelector(`[data-receive="${CSS.escape(product.id)}"]`),
  });
}

if (may("stock")) load();
else {
  list.replaceChildren(note("warning", "Your key may not look at stock", "Log in with one that has the scope stock as well."));
  list.removeAttribute("aria-busy");
}
