// Payments that stand for a person: what became unclear, and what to do about it.

import { announce, ask, badge, confirm, empty, h, money, note, plain, when } from "./page.js";

const list = document.querySelector("[data-payments] [data-list]");

async function load() {
  try {
    const { body } = await ask("/api/admin/payments/unresolved");
    const cards = body.items.map(card);
    const more = body.more && h("p.hint", {}, "There are more; these are the longest untouched.");
    list.replaceChildren(
      ...(cards.length ? cards : [empty("Nothing stands for you", "Every payment is done, or being worked on.")]),
      more || "",
    );
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    list.replaceChildren(note("bad", problem.title, problem.detail));
  }
  list.removeAttribute("aria-busy");
}

function card({ payment, order_id, order_number, why, advice, since }) {
  const order = h("a", { href: `/ops/orders/${order_id}` }, order_number ? `Order #${order_number}` : `Order ${order_id.slice(-8)}`);
  return h(
    "article.panel.stands",
    {},
    h(
      "header",
      {},
      h("h2", {}, `${plain(payment.kind)} of ${money(payment.amount, payment.currency)}`),
      badge(payment.status, plain(why)),
    ),
    h("p", {}, order, h("span.hint", {}, " since ", when(since), ` with ${plain(payment.provider)}`)),
    h("p.advice", {}, advice),
    payment.detail && h("p.hint", {}, `The provider last said: ${payment.detail}`),
    h("p.hint", {}, h("code", {}, payment.key)),
    h("div.actions", {}, h("button", { type: "button", click: () => retry(payment) }, "Ask once more …")),
  );
}

function retry(payment) {
  confirm({
    title: "Ask the provider once more?",
    text: "With the same key as before: what may have happened already does not happen twice.",
    yes: "Ask once more",
    act: async () => {
      await ask(`/api/admin/payments/${payment.key}/retry`, { method: "POST" });
      announce("It is asked again.");
      await load();
    },
    focus: () => document.querySelector("#main"),
  });
}

load();
