// The one-page checkout: priced as the address is typed, refused beside the field concerned, placed once.

import { h, money, note, settled, shop, showCount, whenLookedAt } from "./page.js";
import { AddressFields, mark, markAll, sentence, unmarkAll } from "./fields.js";
import { lineStops, paymentChoices, priceStop, review, shippingChoices, tokenChoices } from "./review.js";

const DRAFT = "oncecart.draft";
const LINE_CODES = new Set(["out_of_stock", "insufficient_stock", "product_unavailable", "quantity_limit_exceeded"]);

const page = document.querySelector("[data-checkout]");
const form = page.querySelector("[data-form]");
const place = page.querySelector("[data-place]");
const stop = page.querySelector("[data-stop]");
const said = page.querySelector("[data-place-said]");
const reviewed = page.querySelector("[data-review]");
const draft = readDraft();
const shipping = new AddressFields(page.querySelector('[data-address="shipping"]'), draft.shipping);
const billing = new AddressFields(page.querySelector('[data-address="billing"]'), draft.billing);

let quote = null;
let options = [];
let placing = false;
let asking = null;

// ---------------------------------------------------------------- what the form says

function readDraft() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT) || "{}");
  } catch {
    return {};
  }
}

function keepDraft() {
  const { email, same, shipping_method: method, payment_method: pays, payment_token: token } = form.elements;
  const kept = {
    email: email.value,
    same: same.checked,
    method: method?.value,
    pays: pays?.value,
    token: token?.value,
  };
  sessionStorage.setItem(DRAFT, JSON.stringify({ ...kept, shipping: shipping.value(), billing: billing.value() }));
}

const chosenMethod = () => form.elements.shipping_method?.value || draft.method;
const isPickup = () => options.find((option) => option.method === chosenMethod())?.pickup ?? false;
const provider = () =>
  quote?.payment_methods.find((method) => method.method === form.elements.payment_method?.value)?.provider;

/** A pick-up needs no delivery address: then the one address of the form is the bill's. */
function body() {
  const same = form.elements.same.checked;
  return {
    email: form.elements.email.value.trim(),
    shipping_info: isPickup() ? null : shipping.value(),
    billing_info: isPickup() ? shipping.value() : same ? { same_as_shipping: true } : billing.value(),
    shipping_method: chosenMethod(),
    payment_method: form.elements.payment_method.value,
    ...(provider() && { payment_token: form.elements.payment_token?.value || undefined }),
    expected_total: quote.total_amount,
  };
}

/** The id of the field that a JSON pointer of `body` means. */
function idOf(pointer) {
  const [, member, field] = pointer.split("/");
  if (!field) return member;
  const block = member === "billing_info" && !isPickup() ? "billing" : "shipping";
  return `${block}-${field}`;
}

function missing() {
  const email = form.elements.email.value.trim() ? [] : [{ pointer: "/email", message: "Enter your e-mail address." }];
  const first = shipping.missing(isPickup() ? "/billing_info" : "/shipping_info");
  const second = isPickup() || form.elements.same.checked ? [] : billing.missing("/billing_info");
  return [...email, ...first, ...second];
}

// ---------------------------------------------------------------- prices, as the address is typed

/** Ask for prices; of several askings only the last is shown. True when there is a quote for what the form says. */
async function price() {
  asking?.abort();
  if (placing) return false; // The cart may be an order already.
  reviewed.setAttribute("aria-busy", "true");
  const mine = (asking = new AbortController());
  const method = chosenMethod();
  try {
    let found = await everywhere(shipping.soFar(), method, mine.signal);
    options = found.shipping_options;
    const chosen = options.find((option) => option.selected);
    if (chosen?.pickup)
      found = { ...(await shop.quote({ shipping_method: chosen.method }, mine)), shipping_options: options };
    if (mine.signal.aborted) return false;
    quote = found;
    show();
    return true;
  } catch (problem) {
    if (mine.signal.aborted || !problem.code) return false;
    reviewed.removeAttribute("aria-busy");
    // While somebody types, the field says so and nothing moves.
    const marked = problem.faults.filter((fault) => mark(idOf(fault.pointer ?? ""), sentence(fault)));
    if (!marked.length) await refuse(problem);
    return false;
  }
}

/** A quote for an address, with the method chosen before where it still serves. */
async function everywhere(address, method, signal) {
  try {
    return await shop.quote({ shipping_info: address, ...(method && { shipping_method: method }) }, { signal });
  } catch (problem) {
    if (problem.code !== "shipping_unavailable" || !method) throw problem;
    return shop.quote({ shipping_info: address }, { signal });
  }
}

function show() {
  const chosen = options.find((option) => option.selected)?.method;
  replaceKeepingFocus(page.querySelector("[data-shipping]"), shippingChoices(options, chosen, quote.currency));
  const pays = form.elements.payment_method?.value || draft.pays || quote.payment_methods[0].method;
  const payment = page.querySelector("[data-payment]");
  if (!payment.querySelector("input")) {
    payment.replaceChildren(...paymentChoices(quote.payment_methods, pays));
    showTokens();
  }
  const details = page.querySelector(".working")?.open;
  reviewed.replaceChildren(...review(quote));
  reviewed.removeAttribute("aria-busy");
  if (details) page.querySelector(".working").open = true;
  showAddresses();
  for (const id of ["shipping_method", "payment_method"]) mark(id, "");
  stop.replaceChildren();
  place.hidden = false;
  ready();
}

function ready() {
  place.disabled = placing || !quote;
  place.textContent = placing
    ? "Placing your order …"
    : quote
      ? `Place order · ${money(quote.total_amount, quote.currency)}`
      : "Place order";
}

function showAddresses() {
  page.querySelector("[data-address-legend]").textContent = isPickup() ? "Billing address" : "Delivery address";
  page.querySelector("[data-same-row]").hidden = isPickup();
  page.querySelector("[data-billing]").hidden = isPickup() || form.elements.same.checked;
}

function showTokens() {
  const old = form.elements.payment_token?.value || draft.token;
  page.querySelector("[data-token]").replaceChildren(...tokenChoices(provider(), old));
}

function replaceKeepingFocus(box, children) {
  const focused = box.contains(document.activeElement) ? document.activeElement.value : null;
  box.replaceChildren(...children);
  if (focused) box.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
}

const priceSoon = settled(price, 250);

// ---------------------------------------------------------------- placing the order

async function submit() {
  if (placing || !quote) return;
  unmarkAll();
  stop.replaceChildren();
  const faults = missing();
  if (faults.length) return focusFirst(markAll(faults, idOf));
  keepDraft();
  placing = true;
  asking?.abort();
  ready();
  said.textContent = "Sending your order …";
  try {
    goTo(await shop.checkout(body()));
  } catch (problem) {
    placing = false;
    said.textContent = "";
    ready();
    if (!problem.code) throw problem;
    await refuse(problem);
  }
}

function goTo(order) {
  said.textContent = "Accepted.";
  // In place of this page: going back must not lead to a checkout that is over.
  location.replace(`/orders/${order.id}`);
}

function focusFirst(marked) {
  if (marked.length) document.getElementById(idOf(marked[0].pointer))?.focus();
}

/** Show a refusal where it can be mended. */
async function refuse(problem) {
  if (problem.code === "cart_empty") return showEmpty();
  place.hidden = problem.code === "price_changed"; // It names the old total.
  if (place.hidden) return stop.replaceChildren(priceStop(problem, acceptPrice));
  if (LINE_CODES.has(problem.code)) {
    stop.replaceChildren(lineStops(problem, await shop.cart(), fix));
    quote = null;
    return ready();
  }
  const marked = markAll(problem.faults, idOf);
  if (marked.length) return focusFirst(marked);
  const again = problem.retryable && !quote;
  const unsure = problem.status === 0 && quote;
  const detail = unsure
    ? "We do not know whether your order arrived. Press again: it stays one order."
    : problem.detail;
  stop.replaceChildren(
    note("bad", problem.title, detail, ...(again ? [h("button", { type: "button", click: price }, "Try again")] : [])),
  );
}

async function acceptPrice() {
  if (await price()) await submit();
}

async function fix(productId, quantity) {
  try {
    const cart = await (quantity ? shop.update(productId, quantity) : shop.remove(productId));
    showCount(cart.total_quantity);
  } catch (problem) {
    if (!problem.code) throw problem; // Else it changed once more: the new prices tell.
  }
  await price();
}

function showEmpty() {
  showCount(0);
  form.replaceWith(
    h(
      "div.empty",
      {},
      h("h2", {}, "Your cart is empty"),
      h(
        "p",
        {},
        "If you have just ordered, you find it among ",
        h("a", { href: "/orders" }, "your orders"),
        ". Else ",
        h("a", { href: "/" }, "look around"),
        ".",
      ),
    ),
  );
}

// ---------------------------------------------------------------- begin

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
form.addEventListener("input", (event) => {
  keepDraft();
  const { target } = event;
  if (target.id) mark(target.id, "");
  if (target.name === "shipping_method" || target.id === "shipping-country" || target.id === "shipping-region") price();
  else if (target.closest('[data-address="shipping"]')) {
    reviewed.setAttribute("aria-busy", "true");
    priceSoon();
  }
  if (target.name === "payment_method") showTokens();
  if (target.name === "same") showAddresses();
});

async function begin() {
  form.elements.email.value = draft.email ?? form.elements.email.value;
  form.elements.same.checked = draft.same ?? true;
  showAddresses();
  const unfinished = await shop.resume().catch(() => null);
  if (unfinished) return goTo(unfinished);
  await price();
}

begin();
whenLookedAt(() => form.isConnected && !placing && price());
shop.onCartChanged(() => form.isConnected && !placing && price());
