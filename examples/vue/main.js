// A shop against Oncecart in Vue 3, without a build step. With Vite: `npm install vue`, and the same code.
import { createApp, onMounted, reactive, ref, watch } from "vue";
import { Oncecart, Problem } from "./oncecart.js";

const url = new URLSearchParams(location.search).get("shop") || "http://127.0.0.1:8000";
const shop = new Oncecart({ url });

const fields = [
  ["name", "Name", "name"],
  ["line1", "Street", "address-line1"],
  ["postal_code", "Postal code", "postal-code"],
  ["city", "City", "address-level2"],
  ["country", "Country (US, DE, GB)", "country"],
  ["region", "State (US)", "address-level1"],
];

/** The shop as a composable: the cart, what the shop refused, and how to ask it for something. */
function useShop() {
  const cart = ref({ items: [], warnings: [] });
  const trouble = ref("");

  /** Do something that the shop may refuse; what it says is shown, and `code` can be decided by. */
  async function attempt(work) {
    trouble.value = "";
    try {
      return await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      const faults = problem.faults.length > 1 ? problem.faults : [];
      trouble.value = [problem.detail, ...faults.map((fault) => fault.message)].join(" – ");
    }
  }

  const change = (work) => attempt(async () => (cart.value = await work()));
  const refresh = () => change(() => shop.cart());
  shop.onCartChanged(refresh); // In another tab.
  return { cart, trouble, attempt, change, refresh };
}

createApp({
  setup() {
    const { cart, trouble, attempt, change, refresh } = useShop();
    const products = ref([]);
    const address = reactive({ name: "", line1: "", postal_code: "", city: "", country: "US", region: "" });
    const email = ref("");
    const method = ref("");
    const quote = ref(null);
    const said = ref("");
    let asked = 0;

    const complete = () => fields.every(([name]) => name === "region" || address[name]);
    const shippingInfo = () => Object.fromEntries(Object.entries(address).filter(([, value]) => value));

    /** Shipping options and the total for this address; the newest question's answer counts. */
    async function askForQuote() {
      if (!cart.value.items.length || !complete()) return;
      const mine = ++asked;
      const wanted = method.value ? { shipping_method: method.value } : {};
      const answer = await attempt(() => shop.quote({ shipping_info: shippingInfo(), ...wanted }));
      if (!answer || mine !== asked) return;
      quote.value = answer;
      method.value = answer.shipping_options.find((option) => option.selected).method;
    }
    watch([cart, address, method], askForQuote);

    function show(order) {
      said.value = `Your order ${order.number ?? ""} is ${order.status}. ${order.failure?.message ?? ""}`;
    }

    async function buy() {
      const order = await shop.checkout({
        email: email.value,
        shipping_info: shippingInfo(),
        shipping_method: method.value,
        payment_method: "invoice",
        expected_total: quote.value.total_amount, // What the shopper sees: never will it cost more.
      });
      await refresh();
      const done = await shop.follow(order.id, show);
      if (done.status === "failed") await refresh(); // The cart was given back.
    }

    onMounted(async () => {
      const unfinished = await attempt(() => shop.resume()); // An order whose answer was lost.
      if (unfinished) attempt(() => shop.follow(unfinished.id, show));
      products.value = (await attempt(() => shop.products({ available: true, per_page: 8 })))?.items ?? [];
      await refresh();
    });

    return { shop, fields, products, cart, trouble, said, address, email, method, quote, attempt, change, buy };
  },
}).mount("#app");
