// On every page: the number in the cart, and a word when the connection is gone. The client is loaded only by who
// has a cart; the first view of a new shopper needs none of it.

const KEPT_COUNT = "oncecart.count";
const badge = document.querySelector("[data-count]");
const connection = document.querySelector("[data-connection]");

/** Show how many things are in the cart, and let other pages begin with it. @param {number} count */
export function showCount(count) {
  localStorage.setItem(KEPT_COUNT, String(count));
  draw(count);
}

function draw(count) {
  badge.hidden = !count;
  badge.textContent = count > 99 ? "99+" : String(count);
  const link = badge.parentElement;
  link.setAttribute("aria-label", count ? `Cart, ${count} ${count === 1 ? "thing" : "things"}` : "Cart");
}

/** Say that the shop is away, or (null) that it is there again. @param {{status: number} | null} trouble */
export function showConnection(trouble) {
  const words = trouble?.status ? "The shop is away for a moment. Trying again …" : "No connection. Trying again …";
  if (trouble) connection.textContent = words;
  connection.hidden = !trouble;
}

const kept = Number(localStorage.getItem(KEPT_COUNT) || 0);
if (kept) draw(kept);
addEventListener("storage", (event) => event.key === KEPT_COUNT && draw(Number(event.newValue || 0)));
addEventListener("offline", () => showConnection({ status: 0 }));
addEventListener("online", () => showConnection(null));
// A page that comes back from the browser's memory shows what was true when it was left.
addEventListener("pageshow", (event) => event.persisted && draw(Number(localStorage.getItem(KEPT_COUNT) || 0)));

// The pages of a cart look by themselves; any other looks when there is something to look for.
if (kept && !document.querySelector("[data-cart], [data-checkout], [data-order]")) {
  import("./page.js")
    .then(({ shop }) => shop.cart())
    .then(
      (cart) => showCount(cart.total_quantity),
      () => {},
    );
}
