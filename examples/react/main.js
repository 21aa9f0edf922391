// A shop against Oncecart in React, without a build step: `htm` stands in for JSX. With Vite:
// `npm install react react-dom`, and what is in html`…` becomes JSX.
import htm from "htm";
import { createElement, useCallback, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Oncecart, Problem } from "./oncecart.js";

const html = htm.bind(createElement);
const url = new URLSearchParams(location.search).get("shop") || "http://127.0.0.1:8000";
const shop = new Oncecart({ url });

const FIELDS = [
  ["name", "Name", "name"],
  ["line1", "Street", "address-line1"],
  ["postal_code", "Postal code", "postal-code"],
  ["city", "City", "address-level2"],
  ["country", "Country (US, DE, GB)", "country"],
  ["region", "State (US)", "address-level1"],
];
const NOWHERE = { name: "", line1: "", postal_code: "", city: "", country: "US", region: "" };

/** The shop as a hook: the cart, what the shop refused, and how to ask it for something. */
function useShop() {
  const [cart, setCart] = useState(null);
  const [trouble, setTrouble] = useState("");

  /** Do something that the shop may refuse; what it says is shown, and `code` can be decided by. */
  const attempt = useCallback(async (work) => {
    setTrouble("");
    try {
      return await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      const faults = problem.faults.length > 1 ? problem.faults : [];
      setTrouble([problem.detail, ...faults.map((fault) => fault.message)].join(" – "));
    }
  }, []);
  const change = useCallback((work) => attempt(async () => setCart(await work())), [attempt]);
  const refresh = useCallback(() => change(() => shop.cart()), [change]);

  useEffect(() => {
    refresh();
    shop.onCartChanged(refresh); // In another tab.
  }, [refresh]);
  return { cart, trouble, attempt, change, refresh };
}

/** Shipping options and the total of a cart for an address; an answer that is too late counts no more. */
function useQuote(cart, address, method, attempt) {
  const [quote, setQuote] = useState(null);
  const complete = FIELDS.every(([name]) => name === "region" || address[name]);
  useEffect(() => {
    if (!cart?.items.length || !complete) return;
    let current = true;
    const wanted = method ? { shipping_method: method } : {};
    attempt(() => shop.quote({ shipping_info: given(address), ...wanted })).then(
      (answer) => current && answer && setQuote(answer),
    );
    return () => {
      current = false;
    };
  }, [cart, address, method, complete, attempt]);
  return quote;
}

const given = (address) => Object.fromEntries(Object.entries(address).filter(([, value]) => value));

function Products({ change }) {
  const [products, setProducts] = useState([]);
  useEffect(() => {
    shop.products({ available: true, per_page: 8 }).then(({ items }) => setProducts(items));
  }, []);
  return html`<section>
    <h2>Products</h2>
    <ul>
      ${products.map(
        (product) => html`<li key=${product.id}>
          <span>${product.name}</span><span>${product.price} ${product.currency}</span>
          <button aria-label=${`Add ${product.name}`} onClick=${() => change(() => shop.add(product.id))}>Add</button>
        </li>`,
      )}
    </ul>
  </section>`;
}

function Cart({ cart, change }) {
  const set = (item, quantity) => () => change(() => shop.update(item.item_id, quantity));
  return html`<ul>
    ${cart.items.map(
      (item) => html`<li key=${item.item_id}>
        <span>${item.quantity} × ${item.name}</span><span>${item.subtotal}</span>
        <button aria-label=${`One less of ${item.name}`} onClick=${set(item, item.quantity - 1)}>−</button>
        <button aria-label=${`One more of ${item.name}`} onClick=${set(item, item.quantity + 1)}>+</button>
      </li>`,
    )}
    ${cart.warnings.map((warning) => html`<li key=${warning.pointer}>${warning.message}</li>`)}
  </ul>`;
}

function Checkout({ cart, attempt, refresh, onOrder }) {
  const [address, setAddress] = useState(NOWHERE);
  const [email, setEmail] = useState("");
  const [method, setMethod] = useState("");
  const quote = useQuote(cart, address, method, attempt);
  const selected = quote?.shipping_options.find((option) => option.selected)?.method ?? "";

  async function buy() {
    const order = await shop.checkout({
      email,
      shipping_info: given(address),
      shipping_method: selected,
      payment_method: "invoice",
      expected_total: quote.total_amount, // What the shopper sees: never will it cost more.
    });
    onOrder(order);
    await refresh();
    const done = await shop.follow(order.id, onOrder);
    if (done.status === "failed") await refresh(); // The cart was given back.
  }

  const submit = (event) => {
    event.preventDefault();
    attempt(buy);
  };
  const typed = (event) => setAddress({ ...address, [event.target.name]: event.target.value });
  return html`<form onSubmit=${submit}>
    ${FIELDS.map(
      ([name, label, autocomplete]) => html`<label key=${name}>
        ${label}
        <input
          name=${name}
          autoComplete=${autocomplete}
          required=${name !== "region"}
          defaultValue=${address[name]}
          onBlur=${typed}
        />
      </label>`,
    )}
    <label>
      Email
      <input name="email" type="email" autoComplete="email" required onChange=${(event) => setEmail(event.target.value)} />
    </label>
    <label>
      Delivery
      <select name="shipping_method" value=${selected} onChange=${(event) => setMethod(event.target.value)}>
        ${quote?.shipping_options.map(
          (option) => html`<option key=${option.method} value=${option.method}>${option.name} ${option.amount}</option>`,
        )}
      </select>
    </label>
    ${quote && html`<p>Total ${quote.total_amount} ${quote.currency}, with ${quote.tax_amount} tax</p>`}
    <button disabled=${!quote}>Buy</button>
  </form>`;
}

function App() {
  const { cart, trouble, attempt, change, refresh } = useShop();
  const [order, setOrder] = useState(null);
  useEffect(() => {
    attempt(async () => {
      const unfinished = await shop.resume(); // An order whose answer was lost.
      if (unfinished) await shop.follow(unfinished.id, setOrder);
    });
  }, [attempt]);
  const said = order && `Your order ${order.number ?? ""} is ${order.status}. ${order.failure?.message ?? ""}`;
  return html`<div>
    <p role="alert">${trouble}</p>
    <p role="status">${said}</p>
    <main>
      <${Products} change=${change} />
      <section>
        <h2>Cart</h2>
        ${cart && html`<${Cart} cart=${cart} change=${change} />`}
        ${cart?.items.length
          ? html`<${Checkout} cart=${cart} attempt=${attempt} refresh=${refresh} onOrder=${setOrder} />`
          : html`<p>It is empty.</p>`}
      </section>
    </main>
  </div>`;
}

createRoot(document.getElementById("app")).render(html`<${App} />`);
