// The order page: its stages light up as they happen, over reloads, dead connections and killed workers.

import { announce, clock, closing, date, h, money, note, shop, showCount, sums, whenLookedAt } from "./page.js";
import { countryName } from "./places.js";
import { adviceFor, leadOf, plain, stagesOf, statusText } from "./stages.js";

const page = document.querySelector("[data-order]");
const id = page.dataset.order;
const title = page.querySelector("[data-title]");
const lead = page.querySelector("[data-lead]");
const call = page.querySelector("[data-call]");
const ask = page.querySelector("[data-ask]");
const inLink = new URLSearchParams(location.search).get("token");
let token = null; // Of the link in a mail, where this browser is not the one that ordered.
let told = "";
let following = null;

/** Follow the order; once more when the page is looked at again, for what happens after its end. */
async function follow() {
  following?.abort();
  following = new AbortController();
  try {
    await seeTheMoneyTaken(await shop.follow(id, show, { signal: following.signal, token }));
  } catch (problem) {
    if (problem.status === 404 && inLink && !token) {
      token = inLink;
      return follow();
    }
    if (problem.code) fail(problem);
  }
}

/** A confirmed order's money is taken a moment later: look a few times more. */
async function seeTheMoneyTaken(order) {
  for (const seconds of [1, 3, 9]) {
    if (order.status !== "confirmed" || order.payment_status !== "authorized") return;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    order = await shop.order(id, { token });
    show(order);
  }
}

function show(order) {
  const news = JSON.stringify(order);
  if (news === told) return;
  const first = !told;
  told = news;
  document.title = `${statusText(order)} – ${order.number ? `order ${order.number}` : "your order"}`;
  title.textContent = headline(order);
  lead.textContent = leadOf(order);
  showStages(stagesOf(order));
  showCall(order);
  showDetails(order);
  if (order.status === "confirmed") sessionStorage.removeItem("oncecart.draft");
  if (order.terminal || first) countCart(order);
}

function headline(order) {
  const name = order.billing_info.name.split(" ")[0];
  if (order.status === "confirmed") return `Thank you, ${name}.`;
  if (order.status === "failed") return adviceFor(order.failure?.code).title;
  if (order.status === "cancelled") return "Cancelled";
  return order.status === "requires_action" ? "One more step" : "Thank you. We have it.";
}

function showStages(stages) {
  const list = page.querySelector("[data-stages]");
  const words = {
    done: "done",
    now: "under way",
    asking: "waiting for you",
    waiting: "to come",
    failed: "failed",
    never: "will not happen",
  };
  for (const [i, stage] of stages.entries()) {
    const row = list.children[i];
    if (stage.state !== row.dataset.state && stage.state !== "waiting")
      announce(`${stage.name}: ${words[stage.state]}.`);
    row.dataset.state = stage.state;
    if (stage.state === "now" || stage.state === "asking") row.setAttribute("aria-current", "step");
    else row.removeAttribute("aria-current");
    row.querySelector(".stage-name").textContent = stage.name;
    const when = stage.at
      ? h("time", { datetime: stage.at }, clock(stage.at))
      : h("span.visually-hidden", {}, words[stage.state]);
    row.querySelector(".stage-at").replaceChildren(when, stage.detail ? h("span", {}, stage.detail) : "");
  }
}

// ---------------------------------------------------------------- what is asked of the shopper

function showCall(order) {
  const parts = [];
  const action = order.payment.action;
  if (action) {
    const pay = h("a.primary", { href: action.url, "data-act": true }, "Confirm the payment");
    parts.push(
      note(
        "warning",
        "Please confirm the payment at your bank",
        `Until ${clock(action.until)}; after that the payment is given up and your cart comes back.`,
        pay,
      ),
    );
  }
  if (order.failure && order.status === "failed") parts.push(failure(order.failure));
  if (order.shipments.length) parts.push(shipments(order.shipments));
  call.replaceChildren(...parts);
}

function failure(found) {
  const advice = adviceFor(found.code);
  const exact = found.code === "payment_declined" ? found.message : advice.detail;
  const items = found.items.filter((fault) => fault.product_id).map((fault) => h("li", {}, fault.message));
  const also = found.code === "payment_declined" ? h("p", {}, advice.detail) : null;
  const list = items.length ? h("ul", {}, items) : null;
  return h(
    "div.note.is-bad",
    {},
    h("p.note-title", {}, exact),
    also,
    list,
    h("p", { "data-given-back": true }),
    h("p.note-actions", {}, h("a.button.primary", { href: advice.href }, advice.label)),
  );
}

/** A failed order's cart is the shopper's again. */
async function countCart(order) {
  const cart = await shop.cart().catch(() => null);
  if (!cart) return;
  showCount(cart.total_quantity);
  const place = page.querySelector("[data-given-back]");
  const back = order.status === "failed" && cart.total_quantity > 0;
  if (place && back)
    place.textContent = `Your cart is back, with ${cart.total_quantity} ${cart.total_quantity === 1 ? "thing" : "things"} in it.`;
}

function shipments(found) {
  const rows = found.map((one) => {
    const where = one.tracking_url
      ? h("a", { href: one.tracking_url }, one.tracking_number ?? "Track it")
      : one.tracking_number;
    const when = one.delivered_at ? `delivered on ${date(one.delivered_at)}` : `sent on ${date(one.shipped_at)}`;
    return h("li", {}, `Parcel ${one.number}${one.carrier ? ` with ${one.carrier}` : ""}, ${when}. `, where);
  });
  return h("div.note.is-good", {}, h("p.note-title", {}, "On its way"), h("ul", {}, rows));
}

// ---------------------------------------------------------------- what was ordered

function showDetails(order) {
  const amount = (value) => money(value, order.currency);
  const open = page.querySelector("[data-details] details")?.open ?? false;
  const lines = order.items.map((item) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: `/products/${item.product_id}` }, item.name)),
      h("td", {}, `${item.quantity} × ${amount(item.price_at_time)}`),
      h("td", {}, amount(item.subtotal)),
    ),
  );
  const events = order.timeline.map((event) =>
    h(
      "li",
      {},
      h("time", { datetime: event.at }, clock(event.at)),
      h(
        "span",
        {},
        `${plain(event.stage)}${event.outcome === "ok" ? "" : `: ${plain(event.outcome)}`}${event.detail ? `. ${event.detail}` : ""}`,
      ),
    ),
  );
  page
    .querySelector("[data-details]")
    .replaceChildren(
      h(
        "section",
        {},
        h("h2", {}, "What you ordered"),
        h(
          "table.order-lines",
          {},
          h(
            "thead.visually-hidden",
            {},
            h("tr", {}, ...["Product", "Quantity and price", "Sum"].map((name) => h("th", { scope: "col" }, name))),
          ),
          h("tbody", {}, lines),
        ),
      ),
      h(
        "div.order-facts",
        {},
        place("Sent to", order.shipping_info ?? null),
        place("Billed to", order.billing_info),
        h(
          "section",
          {},
          h("h2", {}, "Chosen"),
          h("p", {}, plain(order.shipping_method), h("br"), plain(order.payment_method), h("br"), payment(order)),
        ),
      ),
      h("details.working", { open }, h("summary", {}, "Everything that happened"), h("ol.events", {}, events)),
    );
  const refunded = Number(order.payment.refunded_amount)
    ? [["Given back", amount(order.payment.refunded_amount), "is-soft"]]
    : [];
  page
    .querySelector("[data-totals]")
    .replaceChildren(
      h("h2", {}, order.number ? `Order ${order.number}` : "Amounts"),
      sums([...closing(order, plain(order.shipping_method)), ...refunded]),
      h("p.hint", {}, `Placed on ${date(order.accepted_at)} at ${clock(order.accepted_at)}.`),
      canCancel(order)
        ? h("button.wide-button", { type: "button", "data-cancel": true, click: cancel }, "Cancel the order")
        : "",
    );
}

const PAYMENTS = {
  none: "",
  pending: "to be paid",
  authorized: "payment reserved",
  captured: "paid",
  voided: "payment given up",
  refunded: "given back",
  partially_refunded: "partly given back",
  failed: "not paid",
  unknown: "payment under inquiry",
};

const payment = (order) => h("span.hint", {}, PAYMENTS[order.payment_status] ?? "");

function place(name, address) {
  if (!address) return h("section", {}, h("h2", {}, name), h("p", {}, "You pick it up in the shop."));
  const rows = [
    address.name,
    address.company,
    address.line1,
    address.line2,
    [address.postal_code, address.city, address.region].filter(Boolean).join(" "),
    countryName(address.country),
  ];
  return h(
    "section",
    {},
    h("h2", {}, name),
    h(
      "address",
      {},
      rows.filter(Boolean).flatMap((row, i) => (i ? [h("br"), row] : [row])),
    ),
  );
}

const canCancel = (order) =>
  !token && !["failed", "cancelled"].includes(order.status) && order.fulfillment_status === "unfulfilled";

// ---------------------------------------------------------------- cancelling

function cancel() {
  ask.returnValue = "no";
  ask.showModal();
}

ask.addEventListener("close", async () => {
  if (ask.returnValue !== "yes") return;
  page.querySelector("[data-cancel]")?.setAttribute("aria-busy", "true");
  try {
    show(await shop.cancel(id));
  } catch (problem) {
    call.replaceChildren(note("bad", "It could not be cancelled", problem.detail));
    page.querySelector("[data-cancel]")?.removeAttribute("aria-busy");
  }
});

function fail(problem) {
  title.textContent = problem.status === 404 ? "This order is not here" : problem.title;
  lead.textContent =
    problem.status === 404 ? "It was placed in another browser, or there never was one." : problem.detail;
  for (const part of page.querySelectorAll("[data-stages], [data-details], [data-totals]")) part.hidden = true;
}

follow();
whenLookedAt(follow);
