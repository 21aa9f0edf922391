// What the shop's pages share: the client, amounts and times as people write them, and making elements.

import { announce, h } from "../elements.js";
import { Oncecart } from "../oncecart.js";
import { showConnection, showCount } from "./everywhere.js";

export { announce, h, showCount };

export const shop = new Oncecart({ onConnection: showConnection });

const formats = new Map();

/** An exact amount as people write it; Intl takes the text as it is, so no float touches it. */
export function money(amount, currency) {
  if (!formats.has(currency)) {
    const digits = { minimumFractionDigits: amount.split(".")[1]?.length ?? 0 };
    formats.set(
      currency,
      new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "narrowSymbol", ...digits }),
    );
  }
  return formats.get(currency).format(amount);
}

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });

export const clock = (instant) => time.format(new Date(instant));
export const date = (instant) => day.format(new Date(instant));

/** "/static/products/enamel-mug-1.svg", or a plain square for what is no longer sold. */
export function picture(url, size) {
  if (!url) return h("span.no-picture", { "aria-hidden": "true" });
  return h("img", { src: url, alt: "", width: size, height: size, decoding: "async" });
}

/** The rows of an invoice: [text, amount, kind]. */
export function sums(rows) {
  return h(
    "dl.sums",
    {},
    rows.map(([name, amount, kind, small]) =>
      h(kind ? `div.${kind}` : "div", {}, h("dt", {}, name, small && h("small", {}, small)), h("dd", {}, amount)),
    ),
  );
}

/** The rows every invoice ends with, each tax line by itself. `of` is a cart, a quote or an order. */
export function closing(of, shippingName) {
  const taxes = (of.tax_lines ?? []).map((line) => [
    `${line.name} ${Number(line.rate_percent)} %`,
    money(line.tax_amount, of.currency),
    of.prices_include_tax ? "is-soft" : "",
    `${of.prices_include_tax ? "included in" : "on"} ${money(line.base_amount, of.currency)}`,
  ]);
  return [
    ["Subtotal", money(of.subtotal, of.currency)],
    [shippingName, Number(of.shipping_amount) ? money(of.shipping_amount, of.currency) : "Free"],
    ...taxes,
    ["Total", money(of.total_amount, of.currency), "is-total"],
  ];
}

/** A message that stands in the page: what is wrong, and what can be done about it. */
export function note(kind, title, detail, ...actions) {
  return h(
    `div.note.is-${kind}`,
    {},
    h("p.note-title", {}, title),
    detail && h("p", {}, detail),
    actions.length > 0 && h("p.note-actions", {}, actions),
  );
}

/** Do something again whenever the page is looked at again: after another tab, a nap, or the browser's memory. */
export function whenLookedAt(callback) {
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && callback());
  addEventListener("pageshow", (event) => event.persisted && callback());
  addEventListener("online", () => callback());
}

/** Of several calls close together, the last one. */
export function settled(callback, ms) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(callback, ms, ...values);
  };
}
