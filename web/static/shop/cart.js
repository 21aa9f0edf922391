// The cart, in place: quantities, warnings, totals. Whatever another tab does shows here too.

import { announce, h, money, note, picture, settled, shop, showCount, sums, whenLookedAt } from "./page.js";

const page = document.querySelector("[data-cart]");
const lines = page.querySelector("[data-lines]");
const totals = page.querySelector("[data-totals]");
const refusals = new Map();
let asked = 0;

async function look() {
  const mine = ++asked;
  try {
    const cart = await shop.cart();
    if (mine === asked) show(cart);
  } catch (problem) {
    if (mine === asked) fail(problem);
  }
}

/** Change something, and show the cart that came of it; of changes close together the last answer counts. */
async function change(item, make, words) {
  const mine = ++asked;
  refusals.delete(item.item_id);
  try {
    const cart = await make();
    if (mine !== asked) return;
    show(cart);
    announce(`${words} Total ${money(cart.total_amount, cart.currency)}.`);
  } catch (problem) {
    if (problem.code !== "item_not_found") refusals.set(item.item_id, problem);
    await look();
    announce(problem.detail);
  }
}

const setQuantity = (item, quantity) =>
  quantity > 0
    ? change(item, () => shop.update(item.item_id, quantity), `${item.name}: ${quantity}.`)
    : change(item, () => shop.remove(item.item_id), `${item.name} removed.`);
const typed = settled(setQuantity, 500);

function show(cart) {
  page.removeAttribute("aria-busy");
  showCount(cart.total_quantity);
  if (!cart.items.length) return showEmpty();
  const focused = document.activeElement?.dataset?.focus;
  const warnings = byProduct(cart.warnings);
  lines.replaceChildren(
    h(
      "ul.lines",
      {},
      cart.items.map((item) => line(item, cart, warnings.get(item.product_id) ?? [])),
    ),
  );
  const stuck = cart.warnings.some((warning) => warning.code !== "price_changed");
  totals.hidden = false;
  totals.replaceChildren(
    h("h2", {}, "Summary"),
    sums([
      ["Subtotal", money(cart.subtotal, cart.currency)],
      ["Delivery, estimated", money(cart.shipping_amount, cart.currency), "is-soft"],
      ["Tax, estimated", money(cart.tax_amount, cart.currency), "is-soft"],
      ["Total, estimated", money(cart.total_amount, cart.currency), "is-total"],
    ]),
    stuck
      ? h("a.primary.wide-button", { role: "link", "aria-disabled": "true" }, "Check out")
      : h("a.primary.wide-button", { href: "/checkout" }, "Check out"),
    h(
      "p.hint",
      {},
      stuck
        ? "Something in the cart cannot be sold as it is. Fix it first."
        : "Delivery and tax are worked out exactly for your address.",
    ),
  );
  if (focused) page.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

function byProduct(warnings) {
  const found = new Map();
  for (const warning of warnings) found.set(warning.product_id, [...(found.get(warning.product_id) ?? []), warning]);
  return found;
}

function line(item, cart, warnings) {
  const amount = (value) => money(value, cart.currency);
  const options = Object.entries(item.options)
    .map(([name, value]) => `${name}: ${value}`)
    .join(", ");
  const input = h("input", {
    value: item.quantity,
    inputmode: "numeric",
    maxlength: 5,
    autocomplete: "off",
    "aria-label": `Quantity of ${item.name}`,
    "data-focus": `${item.item_id} quantity`,
    input: () => /^[0-9]+$/.test(input.value) && typed(item, Number(input.value)),
  });
  const step = (by, label, sign) =>
    h(
      "button",
      {
        type: "button",
        "aria-label": `${label} ${item.name}`,
        "data-focus": `${item.item_id} ${by}`,
        click: () => setQuantity(item, item.quantity + by),
      },
      sign,
    );
  return h(
    "li.line",
    { "data-item": item.item_id },
    h(
      "a.line-picture",
      { href: `/products/${item.product_id}`, tabindex: -1, "aria-hidden": "true" },
      picture(item.image_url, 120),
    ),
    h(
      "div.line-facts",
      {},
      h("a.line-name", { href: `/products/${item.product_id}` }, item.name),
      options && !item.name.includes(Object.values(item.options)[0].toLowerCase()) && h("p.hint", {}, options),
      h("p.hint", {}, item.unit_price ? `${amount(item.unit_price)} each` : "No longer sold"),
    ),
    h("div.stepper", {}, step(-1, "One fewer", "−"), input, step(1, "One more", "+")),
    h("p.line-sum", {}, amount(item.subtotal)),
    h(
      "button.remove",
      {
        type: "button",
        "aria-label": `Remove ${item.name}`,
        "data-focus": `${item.item_id} remove`,
        click: () => setQuantity(item, 0),
      },
      "Remove",
    ),
    warnings.map((warning) => told(item, warning, amount)),
    refused(item),
  );
}

function told(item, warning, amount) {
  if (warning.code === "price_changed") {
    const up = Number(warning.now) > Number(warning.was);
    return h(
      "p.line-note",
      { "data-kind": up ? "warning" : "good" },
      `The price is ${amount(warning.now)} now; it was ${amount(warning.was)} when you added it.`,
    );
  }
  const fewer = warning.available > 0 && warning.available < item.quantity;
  const most = fewer ? Math.min(warning.available, item.max_quantity || warning.available) : 0;
  return h(
    "p.line-note",
    { "data-kind": "bad" },
    warning.available === 0 ? "Sold out meanwhile. " : `${warning.message} `,
    h(
      "button.link",
      { type: "button", "data-focus": `${item.item_id} fix`, click: () => setQuantity(item, most) },
      fewer ? `Take ${most}` : "Remove it",
    ),
  );
}

function refused(item) {
  const problem = refusals.get(item.item_id);
  if (!problem) return null;
  const left = problem.faults[0]?.available;
  return h(
    "p.line-note",
    { "data-kind": "bad", role: "alert" },
    left > 0 && left < 1000 ? `There are only ${left}. ` : `${problem.detail} `,
  );
}

function showEmpty() {
  lines.replaceChildren(
    h(
      "div.empty",
      {},
      h("h2", {}, "Nothing here yet"),
      h("p", {}, h("a", { href: "/" }, "Look around"), " or see ", h("a", { href: "/orders" }, "your orders"), "."),
    ),
  );
  totals.replaceChildren();
  totals.hidden = true;
}

function fail(problem) {
  page.removeAttribute("aria-busy");
  lines.replaceChildren(
    note("bad", problem.title, problem.detail, h("button", { type: "button", click: look }, "Try again")),
  );
}

look();
whenLookedAt(look);
shop.onCartChanged(look);
