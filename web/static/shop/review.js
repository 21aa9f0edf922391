// What the shopper is about to order, with every tax line; delivery and payment to choose; what stands against it.

import { closing, h, money, note, sums } from "./page.js";

/** The sandbox provider's tokens worth trying, as cards. */
const TEST_CARDS = [
  ["tok_approve", "4242", "is approved"],
  ["tok_action", "3155", "asks you to confirm at your bank"],
  ["tok_decline_insufficient_funds", "9995", "is declined: not enough money"],
  ["tok_slow_3000", "0077", "takes three seconds"],
  ["tok_timeout_after", "0341", "is approved, but the bank's answer gets lost"],
];

function choice(name, value, chosen, title, detail, aside) {
  return h(
    "label.choice",
    {},
    h("input", { type: "radio", name, value, checked: chosen }),
    h("span.choice-text", {}, h("span.choice-title", {}, title), detail && h("span.hint", {}, detail)),
    aside && h("span.choice-aside", {}, aside),
  );
}

function days([from, to]) {
  if (to <= 1) return from === 0 ? "Ready today or tomorrow" : "1 working day";
  return `${from} to ${to} working days`;
}

export function shippingChoices(options, chosen, currency) {
  return options.map((option) =>
    choice(
      "shipping_method",
      option.method,
      option.method === chosen,
      option.name,
      option.pickup ? days(option.days) : `Arrives in ${days(option.days)}`,
      Number(option.amount) ? money(option.amount, currency) : "Free",
    ),
  );
}

export function paymentChoices(methods, chosen) {
  return methods.map((method) =>
    choice("payment_method", method.method, method.method === chosen, method.name, method.description),
  );
}

/** What a method with a provider needs beside its name. */
export function tokenChoices(provider, chosen) {
  if (!provider) return [];
  if (provider !== "sandbox") {
    return [
      h(
        "p.hint",
        {},
        `Your own frontend shows ${provider}'s card fields here, and sends the token it makes of the card.`,
      ),
      h(
        "div.field",
        {},
        h("label", { for: "payment_token" }, "Token"),
        h("input", {
          id: "payment_token",
          name: "payment_token",
          value: chosen ?? "",
          autocomplete: "off",
          maxlength: 255,
          "aria-describedby": "payment_token-fault",
        }),
        h("p.fault", { id: "payment_token-fault", hidden: true }),
      ),
    ];
  }
  const picked = TEST_CARDS.some(([token]) => token === chosen) ? chosen : TEST_CARDS[0][0];
  return [
    h(
      "fieldset.test-cards",
      {},
      h("legend", {}, "Test cards"),
      h("p.hint", {}, "This shop takes no real money. Choose what happens."),
      h(
        "div.choices",
        {},
        TEST_CARDS.map(([token, digits, what]) =>
          choice("payment_token", token, token === picked, `•••• ${digits}`, what),
        ),
      ),
    ),
  ];
}

export function review(quote) {
  const lines = quote.lines.map((line) =>
    h(
      "li",
      {},
      h("span.review-quantity", {}, `${line.quantity} ×`),
      h("span", {}, line.name),
      h("span.review-sum", {}, money(line.subtotal, quote.currency)),
    ),
  );
  const steps = quote.explanation.map((step) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, step.what),
      h("td", {}, step.formula),
      h("td", {}, money(step.amount, quote.currency)),
    ),
  );
  const shipping = quote.shipping_options.find((option) => option.selected)?.name ?? "Delivery";
  return [
    h("ul.review-lines", {}, lines),
    sums(closing(quote, shipping)),
    h(
      "details.working",
      {},
      h("summary", {}, "How this was worked out"),
      h(
        "div.scroll",
        { tabindex: 0, role: "region", "aria-label": "How this was worked out" },
        h("table", {}, h("tbody", {}, steps)),
      ),
    ),
  ];
}

/** Lines that cannot be sold as they are, each with a way out. `fix` sets a product's quantity. */
export function lineStops(problem, cart, fix) {
  const rows = problem.faults.map((fault) => {
    const item = cart.items.find((other) => other.product_id === fault.product_id);
    const name = item?.name ?? fault.product_id;
    const left = Math.min(fault.available ?? 0, item?.max_quantity ?? 0);
    const words =
      left > 0
        ? `only ${left} left, you asked for ${fault.requested ?? item?.quantity}.`
        : "sold out or no longer sold.";
    return h(
      "li",
      {},
      h("strong", {}, name),
      `: ${words} `,
      h(
        "button.link",
        { type: "button", click: () => fix(fault.product_id, left) },
        left > 0 ? `Take ${left}` : "Remove it",
      ),
    );
  });
  return note("bad", "Not everything is there any more", null, h("ul", {}, rows));
}

export function priceStop(problem, accept) {
  const { current_total: now, expected_total: was, currency } = problem.body;
  return note(
    "warning",
    "The total has changed",
    `It was ${money(was, currency)} when you last saw it; it is ${money(now, currency)} now. Nothing was ordered.`,
    h("button.primary.wide-button", { type: "button", click: accept }, `Order for ${money(now, currency)}`),
  );
}
