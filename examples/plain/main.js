// A shop against Oncecart without a framework: list, cart, quote, checkout, order.
import { Oncecart, Problem } from "./oncecart.js";

const address = new URLSearchParams(location.search).get("shop") || "http://127.0.0.1:8000";
const shop = new Oncecart({ url: address });

/** @template {HTMLElement} T @param {string} id @returns {T} */
const at = (id) => /** @type {any} */ (document.getElementById(id));
const form = /** @type {HTMLFormElement} */ (at("checkout"));
let quote = null;
let asked = 0;

/** An element with a text and, perhaps, what a click does. */
function element(name, text, onclick) {
  return Object.assign(document.createElement(name), { textContent: text }, onclick && { onclick, type: "button" });
}

/** Do something that the shop may refuse, and say why if it does. */
async function attempt(work) {
  at("trouble").textContent = "";
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    // `code` decides, `detail` is for people. Whatever it was: the cart is as it was before.
    const faults = problem.faults.length > 1 ? problem.faults : [];
    at("trouble").textContent = [problem.detail, ...faults.map((fault) => fault.message)].join(" – ");
    if (problem.code === "price_changed") await askForQuote();
  }
}

async function showProducts() {
  const { items } = await shop.products({ available: true, per_page: 8 });
  at("products").replaceChildren(
    ...items.map((product) => {
      const line = element("li", "");
      const add = () => attempt(async () => showCart(await shop.add(product.id)));
      const button = element("button", "Add", add);
      button.setAttribute("aria-label", `Add ${product.name}`);
      line.append(element("span", product.name), element("span", `${product.price} ${product.currency}`), button);
      return line;
    }),
  );
}

function showCart(cart) {
  at("cart").replaceChildren(
    ...cart.items.map((item) => {
      const line = element("li", "");
      const change = (by) => () => attempt(async () => showCart(await shop.update(item.item_id, item.quantity + by)));
      const fewer = element("button", "−", change(-1));
      const more = element("button", "+", change(1));
      fewer.setAttribute("aria-label", `One less of ${item.name}`);
      more.setAttribute("aria-label", `One more of ${item.name}`);
      line.append(element("span", `${item.quantity} × ${item.name}`), element("span", item.subtotal), fewer, more);
      return line;
    }),
    // What changed since it was added: a price, the stock. The shop says it with the cart.
    ...cart.warnings.map((warning) => element("li", warning.message)),
  );
  at("subtotal").textContent = cart.items.length ? `Subtotal ${cart.subtotal} ${cart.currency}` : "It is empty.";
  form.hidden = !cart.items.length;
  if (cart.items.length) askForQuote();
}

/** The address as the API wants it, or null while it is not complete. */
function shippingInfo() {
  const { name, line1, postal_code, city, country, region } = Object.fromEntries(new FormData(form));
  if (!name || !line1 || !postal_code || !city) return null;
  return { name, line1, postal_code, city, country, ...(region && { region: region.toUpperCase() }) };
}

/** Shipping options and the total for this address; the newest question's answer counts. */
async function askForQuote() {
  const shipping_info = shippingInfo();
  if (!shipping_info) return;
  const mine = ++asked;
  await attempt(async () => {
    const wanted = form.shipping_method.value || undefined;
    const answer = await shop.quote({ shipping_info, ...(wanted && { shipping_method: wanted }) });
    if (mine !== asked) return;
    quote = answer;
    form.shipping_method.replaceChildren(
      ...quote.shipping_options.map(({ method, name, amount, selected }) =>
        Object.assign(element("option", `${name} ${amount}`), { value: method, selected }),
      ),
    );
    at("total").textContent = `Total ${quote.total_amount} ${quote.currency}, with ${quote.tax_amount} tax`;
  });
}

function showOrder(order) {
  const why = order.failure ? `: ${order.failure.message}` : "";
  at("order").textContent = `Your order ${order.number ?? ""} is ${order.status}${why}`;
}

async function buy() {
  const body = {
    email: form.email.value,
    shipping_info: shippingInfo(),
    shipping_method: form.shipping_method.value,
    payment_method: "invoice",
    expected_total: quote.total_amount, // What the shopper sees: never will it cost more.
  };
  const order = await shop.checkout(body); // Accepted: it is on disk, and ends exactly once.
  showCart(await shop.cart());
  const done = await shop.follow(order.id, showOrder);
  if (done.status === "failed") showCart(await shop.cart()); // The cart was given back.
}

form.addEventListener("change", askForQuote);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(buy);
});
shop.onCartChanged(() => attempt(async () => showCart(await shop.cart())));

attempt(async () => {
  const unfinished = await shop.resume(); // An order whose answer was lost, by a reload or a dead connection.
  if (unfinished) attempt(() => shop.follow(unfinished.id, showOrder));
  await showProducts();
  showCart(await shop.cart());
});
