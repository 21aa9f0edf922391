// One order, whole: what was bought, every step it took and who took it, and what can be done now.

import { announce, ask, badge, clock, confirm, h, money, newKey, note, plain, repeat, span, table, when } from "./page.js";

const page = document.querySelector("[data-order]");
const path = `/api/admin/orders/${page.dataset.order}`;
const title = page.querySelector("[data-title]");
const call = page.querySelector("[data-call]");
let told = "";
let etag = null;

async function look() {
  try {
    const found = await ask(path);
    show(found.body, found.etag);
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    if (problem.status === 404) gone();
    else call.replaceChildren(note("bad", problem.title, problem.detail));
  }
}

function gone() {
  call.replaceChildren(note("warning", "No such order", "It may still wait to be settled, or there never was one."));
  page.querySelector(".two-columns").hidden = true;
}

function show(order, version) {
  etag = version;
  const news = JSON.stringify(order);
  if (news === told) return;
  told = news;
  page.querySelector(".two-columns").hidden = false;
  const name = order.number ? `Order #${order.number}` : "Order";
  document.title = `${name} – operations`;
  title.textContent = name;
  const states = [badge(order.status)];
  if (order.payment_status !== "none") states.push(badge(order.payment_status));
  if (order.fulfillment_status !== "unfulfilled") states.push(badge(order.fulfillment_status));
  page.querySelector("[data-badges]").replaceChildren(...states.map((state) => h("li", {}, state)));
  call.replaceChildren(...calls(order));
  const details = page.querySelector("[data-details]");
  details.removeAttribute("aria-busy");
  details.replaceChildren(lines(order), people(order), payments(order), timeline(order));
  page.querySelector("[data-totals]").replaceChildren(...totals(order));
}

function calls(order) {
  const found = [];
  if (order.failure) {
    const items = order.failure.items.map((fault) => fault.message).join(" ");
    found.push(note("bad", order.failure.message, items === order.failure.message ? "" : items));
  }
  if (order.payment_status === "unknown" || order.payments.some((each) => each.status === "stuck"))
    found.push(
      note(
        "warning",
        "Nobody knows whether this was paid",
        "The provider’s answer was lost. The worker asks again; what it cannot find out stands under Payments.",
        h("a.button", { href: "/ops/payments" }, "Payments for a person"),
      ),
    );
  return found;
}

// ---------------------------------------------------------------- what there is

const section = (title, ...content) => h("section.part", {}, h("h2", {}, title), ...content);

function lines(order) {
  const columns = [["Product"], ["Quantity", "number"], ["Price", "number"], ["Sum", "number"]];
  const rows = order.items.map((item) => [
    h("span.who-cell", {}, item.name, h("small", {}, item.sku)),
    item.shipped_quantity ? `${item.quantity}, ${item.shipped_quantity} sent` : String(item.quantity),
    money(item.price_at_time, order.currency),
    money(item.subtotal, order.currency),
  ]);
  return section("Lines", table(columns, rows, "Lines"));
}

function people(order) {
  const address = (title, of) =>
    h(
      "div",
      {},
      h("h3", {}, title),
      of
        ? h(
            "address",
            {},
            [of.name, of.company, of.line1, of.line2, `${of.postal_code} ${of.city} ${of.region ?? ""}`.trim(), of.country]
              .filter(Boolean)
              .flatMap((row, i) => (i ? [h("br"), row] : [row])),
          )
        : h("p", {}, "Picked up in the shop"),
    );
  const chosen = h(
    "div",
    {},
    h("h3", {}, "Customer"),
    h("p", {}, h("a", { href: `/ops/orders?q=${encodeURIComponent(order.email)}` }, order.email)),
    h("p.hint", {}, `${plain(order.shipping_method)}, ${plain(order.payment_method).toLowerCase()}`),
  );
  const parcels = order.shipments.map((one) =>
    h(
      "li",
      {},
      `Parcel ${one.number}${one.carrier ? ` with ${one.carrier}` : ""}, `,
      one.delivered_at ? "delivered " : "sent ",
      when(one.delivered_at ?? one.shipped_at),
      one.tracking_number ? `, ${one.tracking_number}` : "",
    ),
  );
  const facts = h("div.order-facts", {}, chosen, address("Ship to", order.shipping_info), address("Bill to", order.billing_info));
  return section("Customer and delivery", facts, parcels.length ? h("ul.parcels", {}, ...parcels) : "");
}

function payments(order) {
  if (!order.payments.length) return section("Payments", h("p.hint", {}, "No provider was asked."));
  const columns = [["What"], ["State"], ["Provider"], ["When"], ["Amount", "number"]];
  const rows = order.payments.map((each) => [
    h("span.who-cell", {}, plain(each.kind), (each.detail || each.reason) && h("small", {}, each.detail ?? each.reason)),
    badge(each.status),
    h("span.who-cell", {}, plain(each.provider), each.provider_id && h("small", {}, each.provider_id)),
    when(each.updated_at),
    money(each.amount, each.currency),
  ]);
  return section("Payments", table(columns, rows, "Payments"));
}

function timeline(order) {
  const day = (instant) => instant.slice(0, 10);
  let before = "";
  const events = order.timeline.map((event) => {
    const date = day(event.at) === before ? null : h("span.event-day", {}, day(event.at));
    before = day(event.at);
    const outcome = event.outcome === "ok" ? "" : plain(event.outcome);
    return h(
      "li",
      { "data-tone": event.outcome === "ok" ? "good" : "warning" },
      date,
      h("time", { datetime: event.at }, clock(event.at)),
      h(
        "span.event-what",
        {},
        h("strong", {}, plain(event.stage)),
        outcome && ` ${outcome.toLowerCase()}`,
        event.attempt > 1 && ` (try ${event.attempt})`,
        event.detail && h("span.event-detail", {}, event.detail),
        h("span.event-after", {}, ` ${after(order, event)}`),
        event.actor && h("span.event-actor", {}, `by ${event.actor}`),
      ),
    );
  });
  return section("Timeline", h("ol.timeline", {}, ...events));
}

/** How long after the click: a pipeline of milliseconds is not told by clock. */
function after(order, event) {
  const ms = new Date(event.at) - new Date(order.accepted_at);
  return ms > 0 ? `+${span(ms)}` : "";
}

function totals(order) {
  const amount = (value) => money(value, order.currency);
  const rows = [
    ["Subtotal", amount(order.subtotal)],
    [plain(order.shipping_method), amount(order.shipping_amount)],
    [order.prices_include_tax ? "Tax, included" : "Tax", amount(order.tax_amount)],
    ["Total", amount(order.total_amount), "is-total"],
  ];
  if (Number(order.payment.refunded_amount)) rows.push(["Given back", amount(order.payment.refunded_amount), "is-soft"]);
  const sums = rows.map(([name, value, kind]) => h(kind ? `div.${kind}` : "div", {}, h("dt", {}, name), h("dd", {}, value)));
  return [
    h("h2", {}, "Amounts"),
    h("dl.sums", {}, ...sums),
    h("p.hint", {}, "Accepted ", when(order.accepted_at), order.settled_at ? [", settled ", when(order.settled_at)] : "", "."),
    actions(order),
    h("p.hint.order-id", {}, order.id),
  ];
}

// ---------------------------------------------------------------- what can be done

function actions(order) {
  const confirmed = order.status === "confirmed";
  const unsent = order.items.some((item) => item.fulfillable_quantity > 0);
  const sent = order.fulfillment_status !== "unfulfilled";
  const paid = ["captured", "partially_refunded"].includes(order.payment_status);
  const possible = [
    confirmed && unsent && order.fulfillment_status !== "returned" && ["Ship", ship, "primary"],
    paid && ["Refund", refund, ""],
    !["failed", "cancelled"].includes(order.status) && !sent && ["Cancel", cancel, "danger"],
  ].filter(Boolean);
  const buttons = possible.map(([name, act, kind]) =>
    h(kind ? `button.${kind}` : "button", { type: "button", click: () => act(order) }, `${name} …`),
  );
  return h("div.actions", {}, ...(buttons.length ? buttons : [h("p.hint", {}, "Nothing is left to do.")]));
}

/** Do it to the version that was shown: of two people who act at once, one is told. */
async function change(part, body, done, key) {
  const found = await ask(`${path}/${part}`, { method: "POST", body, etag, key });
  show(found.body, found.etag);
  announce(done);
}

const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function ship() {
  confirm({
    title: "Ship what is left?",
    text: "The shopper sees the parcel and its number in their order.",
    fields: [
      { name: "carrier", label: "Carrier", placeholder: "DHL", max: 100 },
      { name: "tracking_number", label: "Tracking number", max: 100 },
      { name: "tracking_url", label: "Tracking address", placeholder: "https://…", max: 2000 },
    ],
    yes: "Ship it",
    act: (values) => change("shipments", given(values), "Shipped."),
    focus: () => title,
  });
}

function refund(order) {
  const key = newKey();
  confirm({
    title: "Give money back?",
    text: "The worker tells the provider at once. Never more is given back than was taken.",
    fields: [
      { name: "amount", label: `Amount in ${order.currency}`, kind: "amount", hint: "Left empty: all that is left." },
      { name: "reason", label: "Reason", hint: "For your books; the shopper never sees it.", max: 500 },
      { name: "restock", label: "Put all units back into stock", kind: "tick" },
    ],
    yes: "Give it back",
    danger: true,
    act: (values) => change("refunds", given(values), "The refund is on its way.", key),
    focus: () => title,
  });
}

function cancel() {
  confirm({
    title: "Cancel this order?",
    text: "Nothing of it will be sent, and whatever was paid is given back. This cannot be undone.",
    fields: [
      { name: "reason", label: "Reason", hint: "The shopper reads it.", max: 500 },
      { name: "restock", label: "Put its units back into stock", kind: "tick", checked: true },
    ],
    yes: "Cancel the order",
    no: "Keep the order",
    danger: true,
    act: (values) => change("cancel", given(values), "Cancelled."),
    focus: () => title,
  });
}

repeat(look, 3000);
