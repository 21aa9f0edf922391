// @ts-check
/**
 * Oncecart's client: a cart, a checkout that is one order whatever happens, and orders to follow.
 *
 * One file, no dependencies, no build step: copy it, or import it from your shop. Types are in JSDoc, so an
 * editor completes and checks them as it would TypeScript's.
 *
 *     import { Oncecart } from "./oncecart.js";
 *     const shop = new Oncecart();
 *     await shop.add("enamel-mug", 2);
 *     const order = await shop.checkout({ email, shipping_info, shipping_method: "standard", payment_method: "invoice" });
 *     await shop.follow(order.id, (order) => console.log(order.status));
 */

/**
 * @typedef {string} Money An exact decimal amount in the shop's currency: show it, never calculate with it.
 * @typedef {"pending" | "processing" | "requires_action" | "confirmed" | "failed" | "cancelled"} OrderStatus
 *
 * @typedef {object} Fault One thing that is wrong: a field (`pointer` into what was sent) or a line of the cart.
 * @property {string} code
 * @property {string} message
 * @property {string} [pointer] @property {string} [parameter] @property {string} [product_id]
 * @property {number} [requested] @property {number} [available]
 *
 * @typedef {object} Warning
 * @property {string} code @property {string} message @property {string} pointer @property {string} product_id
 * @property {number | null} requested @property {number | null} available
 * @property {Money | null} was @property {Money | null} now
 *
 * @typedef {object} CartItem
 * @property {string} item_id @property {string} product_id @property {string} name
 * @property {string | null} sku @property {string | null} image_url @property {Record<string, string>} options
 * @property {number} quantity @property {number} max_quantity
 * @property {Money | null} unit_price @property {Money} price_when_added @property {Money} subtotal
 * @property {boolean} available @property {number} available_quantity
 *
 * @typedef {object} Cart
 * @property {string | null} id @property {number} version
 * @property {CartItem[]} items @property {number} total_quantity
 * @property {string} currency @property {boolean} prices_include_tax
 * @property {Money} subtotal @property {Money} shipping_amount @property {Money} tax_amount @property {Money} total_amount
 * @property {Warning[]} warnings
 *
 * @typedef {object} Address
 * @property {string} name @property {string} line1 @property {string} city @property {string} postal_code
 * @property {string} country ISO 3166-1 alpha-2 @property {string} [region]
 * @property {string} [line2] @property {string} [company] @property {string} [phone]
 *
 * @typedef {object} TaxLine
 * @property {string} name @property {string} rate_percent @property {Money} base_amount @property {Money} tax_amount
 *
 * @typedef {object} ShippingOption
 * @property {string} method @property {string} name @property {Money} amount @property {Money} total_amount
 * @property {number[]} days @property {boolean} pickup @property {boolean} selected
 *
 * @typedef {object} PaymentOption
 * @property {string} method @property {string} name @property {string} description
 * @property {string | null} provider Whose token the checkout needs as `payment_token`; null: none.
 *
 * @typedef {object} Quote
 * @property {string} currency @property {boolean} prices_include_tax
 * @property {{product_id: string, name: string, quantity: number, unit_price: Money, subtotal: Money}[]} lines
 * @property {Money} subtotal @property {Money} shipping_amount @property {Money} tax_amount @property {Money} total_amount
 * @property {TaxLine[]} tax_lines @property {ShippingOption[]} shipping_options
 * @property {PaymentOption[]} payment_methods @property {Warning[]} warnings
 * @property {{what: string, formula: string, exact: string, amount: Money}[]} explanation
 *
 * @typedef {object} CheckoutBody
 * @property {string} email @property {Address | null} [shipping_info] Not needed for a pick-up.
 * @property {Address | {same_as_shipping: true}} [billing_info]
 * @property {string} shipping_method @property {string} payment_method
 * @property {string} [payment_token] @property {Money} [expected_total] What the shopper saw.
 *
 * @typedef {object} Order
 * @property {string} id @property {number | null} number @property {OrderStatus} status @property {boolean} terminal
 * @property {string} payment_status @property {string} fulfillment_status
 * @property {string} email @property {string} currency
 * @property {{position: number, product_id: string, name: string, quantity: number, price_at_time: Money, subtotal: Money}[]} items
 * @property {Money} subtotal @property {Money} shipping_amount @property {Money} tax_amount @property {Money} total_amount
 * @property {boolean} prices_include_tax @property {TaxLine[]} tax_lines
 * @property {Address | null} shipping_info @property {Address} billing_info
 * @property {string} shipping_method @property {string} payment_method
 * @property {{action: {url: string, until: string} | null, refunded_amount: Money}} payment
 * @property {{code: string, message: string, retryable: boolean, stage: string, items: Fault[]} | null} failure
 * @property {{number: number, carrier: string | null, tracking_number: string | null, tracking_url: string | null, shipped_at: string, delivered_at: string | null}[]} shipments
 * @property {{stage: string, at: string, attempt: number, outcome: string, detail: string | null}[]} timeline
 * @property {string} accepted_at @property {string | null} settled_at
 */

const KEPT_TOKEN = "oncecart.session";
const KEPT_CHECKOUT = "oncecart.checkout";
const FIRST_DELAY_MS = 400;
const LONGEST_DELAY_MS = 8000;
const WAIT_SECONDS = 20;
const WAIT_WHILE_PAYING_SECONDS = 2; // The shopper may be asked for something at any moment: look often.

/** A refusal of the shop (RFC 9457), or no answer at all: then `status` is 0 and `code` is "unreachable". */
export class Problem extends Error {
  /**
   * @param {any} body the problem document
   * @param {number} [retryAfterMs] how long the shop asks to be left alone
   */
  constructor(body, retryAfterMs = 0) {
    super(body.detail || body.title);
    this.name = "Problem";
    /** @type {string} Decide by this; `/problems/<code>` explains each. */
    this.code = body.code;
    /** @type {number} */
    this.status = body.status;
    /** @type {string} For people. */
    this.title = body.title;
    /** @type {string} For people: what exactly. */
    this.detail = body.detail;
    /** @type {boolean} Whether the same request may succeed later. */
    this.retryable = body.retryable;
    /** @type {Fault[]} Everything that is wrong. */
    this.faults = body.errors || [];
    /** @type {string} */
    this.requestId = body.request_id || "";
    /** @type {any} The whole document; some codes add members, such as `order_id` or `current_total`. */
    this.body = body;
    this.retryAfterMs = retryAfterMs;
  }
}

export class Oncecart {
  /** @type {Promise<Order> | null} */
  #checkingOut = null;
  /** @type {BroadcastChannel | null} */
  #tabs = null;

  /**
   * @param {object} [options]
   * @param {string} [options.url] the shop's address; nothing for the page's own origin
   * @param {Storage} [options.storage] where the session's token is kept for a shop on another origin
   * @param {Storage} [options.tab] where an unfinished checkout is kept: for this tab, over reloads
   * @param {number} [options.patienceMs] how long a request that may be repeated is repeated
   * @param {(trouble: Problem | null) => void} [options.onConnection] told when the shop does not answer, and
   *   (null) when it does again
   */
  constructor({ url = "", storage = localStorage, tab = sessionStorage, patienceMs = 60000, onConnection } = {}) {
    this.url = url.replace(/\/$/, "");
    this.storage = storage;
    this.tab = tab;
    this.patienceMs = patienceMs;
    this.onConnection = onConnection;
    // On our own origin the session's cookie is enough, and out of every script's reach.
    this.sameOrigin = !url || new URL(url, location.href).origin === location.origin;
    if ("BroadcastChannel" in globalThis) this.#tabs = new BroadcastChannel("oncecart");
  }

  // ---------------------------------------------------------------- catalogue

  /** @param {Record<string, string | number | boolean>} [query] */
  products(query = {}) {
    return this.#ask("GET", `/api/products?${new URLSearchParams(/** @type {any} */ (query))}`, { again: true });
  }

  /** @param {string} id */
  product(id) {
    return this.#ask("GET", `/api/products/${encodeURIComponent(id)}`, { again: true });
  }

  // ---------------------------------------------------------------- cart

  /** @returns {Promise<Cart>} */
  cart() {
    return this.#ask("GET", "/api/cart", { again: true });
  }

  /**
   * Add units. This request is never repeated by itself: after a lost answer it could add twice.
   * @param {string} productId @param {number} [quantity] @returns {Promise<Cart>}
   */
  add(productId, quantity = 1) {
    return this.#changed(this.#ask("POST", "/api/cart/add", { body: { product_id: productId, quantity } }));
  }

  /**
   * Set an item's quantity; 0 removes it.
   * @param {string} itemId @param {number} quantity @returns {Promise<Cart>}
   */
  update(itemId, quantity) {
    const body = { item_id: itemId, quantity };
    return this.#changed(this.#ask("PUT", "/api/cart/update", { body }));
  }

  /** @param {string} itemId @returns {Promise<Cart>} */
  remove(itemId) {
    return this.#changed(this.#ask("DELETE", `/api/cart/remove/${encodeURIComponent(itemId)}`));
  }

  /**
   * Be told that another tab changed the cart.
   * @param {() => void} callback
   */
  onCartChanged(callback) {
    this.#tabs?.addEventListener("message", callback);
  }

  // ---------------------------------------------------------------- checkout

  /**
   * What the cart costs, sent there. Changes nothing.
   * @param {{shipping_info?: Address | null, shipping_method?: string}} [body]
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Quote>}
   */
  quote(body = {}, { signal } = {}) {
    return this.#ask("POST", "/api/checkout/quote", { body, signal, again: true });
  }

  /**
   * Check the cart out. However often it is called, and whatever gets lost: one checkout is one order.
   *
   * Its Idempotency-Key is made at the first call and kept in this tab until the shop has answered, so a
   * repeated call after a reload or a lost answer finds the same order.
   * @param {CheckoutBody} body
   * @returns {Promise<Order>} the accepted order; `follow` it
   */
  checkout(body) {
    this.#checkingOut ??= this.#checkOut(body).finally(() => (this.#checkingOut = null));
    return this.#checkingOut;
  }

  /**
   * The order of a checkout whose answer this tab never saw, if there is one: call it when a page begins.
   * @returns {Promise<Order | null>}
   */
  async resume() {
    const kept = this.#kept();
    if (!kept) return null;
    // With a cart still there nothing was accepted, and only the shopper says whether it is to be.
    if ((await this.cart()).items.length) return null;
    try {
      return await this.checkout(kept.body);
    } catch (problem) {
      if (problem instanceof Problem && problem.status) return null;
      throw problem;
    }
  }

  /** @param {CheckoutBody} body @returns {Promise<Order>} */
  async #checkOut(body) {
    const key = this.#kept()?.key || randomKey();
    this.tab.setItem(KEPT_CHECKOUT, JSON.stringify({ key, body }));
    const headers = { "Idempotency-Key": key };
    try {
      const order = await this.#ask("POST", "/api/checkout", { body, headers, again: true });
      this.tab.removeItem(KEPT_CHECKOUT);
      this.#tabs?.postMessage("checked out");
      return order;
    } catch (error) {
      const refused = error instanceof Problem && error.status > 0 && !error.retryable;
      if (!refused) throw error; // Nobody knows what came of it: the key stays.
      this.tab.removeItem(KEPT_CHECKOUT);
      if (error.body.order_id) return this.order(error.body.order_id); // An earlier click, or another tab, was first.
      throw error;
    }
  }

  /** @returns {{key: string, body: CheckoutBody} | null} */
  #kept() {
    try {
      return JSON.parse(this.tab.getItem(KEPT_CHECKOUT) || "null");
    } catch {
      return null;
    }
  }

  // ---------------------------------------------------------------- orders

  /**
   * An order of this session's, or of anybody's with the `token` of the link in their mail.
   * @param {string} id @param {{token?: string | null}} [options] @returns {Promise<Order>}
   */
  order(id, { token } = {}) {
    return this.#ask("GET", orderPath(id, token), { again: true });
  }

  /** The session's orders, newest first. @param {string | null} [cursor] */
  orders(cursor) {
    return this.#ask("GET", `/api/orders${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`, { again: true });
  }

  /** @param {string} id @param {string} [reason] @returns {Promise<Order>} */
  cancel(id, reason) {
    const body = reason ? { reason } : {};
    return this.#changed(this.#ask("POST", `/api/orders/${id}/cancel`, { body, again: true }));
  }

  /**
   * Tell the callback of an order, now and whenever it changes, until it is terminal. The answers are held by
   * the shop (`Prefer: wait`), so this asks seldom and learns at once; through lost connections it goes on.
   * @param {string} id
   * @param {(order: Order) => void} callback
   * @param {{signal?: AbortSignal, token?: string | null}} [options]
   * @returns {Promise<Order>} the terminal order
   */
  async follow(id, callback, { signal, token } = {}) {
    let etag = "";
    let wait = WAIT_SECONDS;
    for (let tries = 0; ;) {
      const began = Date.now();
      /** @type {Record<string, string>} */
      const headers = etag ? { Prefer: `wait=${wait}`, "If-None-Match": etag } : {};
      try {
        const answer = await this.#fetch("GET", orderPath(id, token), { headers, signal });
        tries = 0;
        etag = answer.headers.get("ETag") || etag;
        if (answer.status !== 304) {
          callback(answer.body);
          if (answer.body.terminal) return answer.body;
          wait = answer.body.status === "processing" ? WAIT_WHILE_PAYING_SECONDS : WAIT_SECONDS;
        } else if (Date.now() - began < 1000) {
          await pause(seconds(answer.headers.get("Retry-After")) || 1000, signal); // Too many wait already.
        }
      } catch (problem) {
        if (!(problem instanceof Problem) || !problem.retryable) throw problem;
        await pause(problem.retryAfterMs || delay(tries++), signal);
      }
    }
  }

  // ---------------------------------------------------------------- asking

  /** @param {Promise<Cart>} asked @returns {Promise<any>} */
  async #changed(asked) {
    const answer = await asked;
    this.#tabs?.postMessage("changed");
    return answer;
  }

  /**
   * The JSON of an answer; `again` for a request that may be repeated until the patience ends.
   * @param {string} method @param {string} path
   * @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal, again?: boolean}} [options]
   * @returns {Promise<any>}
   */
  async #ask(method, path, { again = false, ...request } = {}) {
    const until = Date.now() + this.patienceMs;
    for (let tries = 0; ; tries++) {
      try {
        return (await this.#fetch(method, path, request)).body;
      } catch (problem) {
        const repeat = again && problem instanceof Problem && problem.retryable;
        const wait = repeat ? problem.retryAfterMs || delay(tries) : 0;
        if (!repeat || Date.now() + wait > until) throw problem;
        await pause(wait, request.signal);
      }
    }
  }

  /**
   * @param {string} method @param {string} path
   * @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal}} request
   * @returns {Promise<{status: number, headers: Headers, body: any}>} a success, or 304
   */
  async #fetch(method, path, { body, headers = {}, signal }) {
    const sent = new Headers(headers);
    if (body !== undefined) sent.set("Content-Type", "application/json");
    const token = this.sameOrigin ? null : this.storage.getItem(KEPT_TOKEN);
    if (token) sent.set("X-Session-Token", token);
    let answer, text;
    try {
      answer = await fetch(this.url + path, {
        method,
        signal,
        headers: sent,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: this.sameOrigin ? "same-origin" : "omit",
        cache: "no-store",
      });
      text = await answer.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      const detail = "The shop could not be reached. Check your connection.";
      throw this.#troubled(
        new Problem({ code: "unreachable", status: 0, title: "No connection", detail, retryable: true }),
      );
    }
    const renewed = answer.headers.get("X-Session-Token");
    if (renewed && !this.sameOrigin) this.storage.setItem(KEPT_TOKEN, renewed);
    if (answer.status < 400) {
      this.onConnection?.(null);
      return { status: answer.status, headers: answer.headers, body: text && JSON.parse(text) };
    }
    throw this.#troubled(new Problem(asProblem(text, answer.status), seconds(answer.headers.get("Retry-After"))));
  }

  /** @param {Problem} problem */
  #troubled(problem) {
    const away = problem.status === 0 || problem.status >= 502;
    this.onConnection?.(away ? problem : null);
    return problem;
  }
}

/** The problem document of a refusal; one of our own for what a proxy in between says. @param {string} text @param {number} status */
function asProblem(text, status) {
  try {
    const body = JSON.parse(text);
    if (body.code) return body;
  } catch {
    // Not from the shop.
  }
  const retryable = status >= 500 || status === 429;
  return {
    code: "service_unavailable",
    status,
    title: "Away for a moment",
    detail: `The shop answered ${status}.`,
    retryable,
  };
}

/** @param {string} id @param {string | null} [token] */
function orderPath(id, token) {
  return `/api/orders/${id}${token ? `?token=${encodeURIComponent(token)}` : ""}`;
}

/** @param {string | null} header */
function seconds(header) {
  return (Number(header) || 0) * 1000;
}

/** Doubles each time, with some chance in it: those who lost the shop together do not come back together. @param {number} tries */
function delay(tries) {
  return Math.min(FIRST_DELAY_MS * 2 ** tries, LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
}

/** Wait, or until the connection is back. @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal?.removeEventListener("abort", end);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

/** `crypto.randomUUID` is missing on pages without TLS. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
