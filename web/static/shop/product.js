// A product's page: the gallery, live stock and price, and putting it into the cart.

import { h, money, shop, showCount, whenLookedAt } from "./page.js";

const LOOK_AGAIN_MS = 20000;
const page = document.querySelector("[data-product]");
const id = page.dataset.product;
const form = page.querySelector("[data-buy]");
const quantity = form.elements.quantity;
const said = page.querySelector("[data-said]");
const add = page.querySelector("[data-add]");
let most = Infinity;
let adding = false;

for (const view of page.querySelectorAll("[data-view]")) {
  view.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    page.querySelector("[data-main]").src = view.href;
    for (const other of page.querySelectorAll("[data-view]")) other.removeAttribute("aria-current");
    view.setAttribute("aria-current", "true");
  });
}

const words = { out_of_stock: () => "Sold out", low_stock: (left) => `Only ${left} left`, in_stock: () => "In stock" };

async function look() {
  if (document.visibilityState !== "visible") return;
  try {
    show(await shop.product(id));
  } catch (problem) {
    if (problem.code === "product_not_found") show({ available: false, stock_status: "out_of_stock", max_quantity: 0 });
  }
}

function show(product) {
  most = product.max_quantity;
  if (product.price) page.querySelector("[data-price]").textContent = money(product.price, product.currency);
  const stock = page.querySelector("[data-stock]");
  const text = words[product.stock_status](product.stock_quantity);
  stock.dataset.status = product.stock_status;
  if (stock.textContent !== text) stock.textContent = text;
  add.disabled = !product.available;
  add.textContent = product.available ? "Add to cart" : "Sold out";
}

function wanted() {
  const number = Math.floor(Number(quantity.value));
  return Number.isFinite(number) && number >= 1 ? number : 1;
}

form.addEventListener("click", (event) => {
  const step = Number(event.target.dataset?.step || 0);
  if (step) quantity.value = String(Math.max(1, Math.min(wanted() + step, most || 1)));
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (adding) return;
  adding = true;
  add.setAttribute("aria-busy", "true");
  quantity.value = String(wanted());
  try {
    const cart = await shop.add(id, wanted());
    showCount(cart.total_quantity);
    const mine = cart.items.find((item) => item.product_id === id);
    said.dataset.kind = "good";
    said.replaceChildren(
      `Added. ${mine?.quantity ?? wanted()} in your cart. `,
      h("a", { href: "/cart" }, "View the cart"),
    );
    quantity.value = "1";
  } catch (problem) {
    said.dataset.kind = "bad";
    said.textContent = problem.status
      ? problem.detail
      : "No connection: it was not added, as far as we know. Look into the cart first.";
  } finally {
    adding = false;
    add.removeAttribute("aria-busy");
    look();
  }
});

look();
whenLookedAt(look);
setInterval(look, LOOK_AGAIN_MS);
