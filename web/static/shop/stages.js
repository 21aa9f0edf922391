// An order as a shopper sees it: the stages of its way, and what to do when it ends otherwise.

/** What a status is called. */
export const STATUS = {
  pending: "Accepted",
  processing: "Being paid",
  requires_action: "Waiting for you",
  confirmed: "Confirmed",
  failed: "Not completed",
  cancelled: "Cancelled",
};

const FULFILLMENT = {
  partially_shipped: "Partly on its way",
  shipped: "On its way",
  delivered: "Delivered",
  returned: "Returned",
};

export function statusText(order) {
  return (order.status === "confirmed" && FULFILLMENT[order.fulfillment_status]) || STATUS[order.status];
}

/** "cash_on_delivery": as the shop's file of rules names it, for people. */
export function plain(id) {
  const text = id.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** For each code of a failure: what happened, what to do, and where. */
const FAILURES = {
  payment_declined: [
    "The payment was declined",
    "Nothing was charged. Choose another way to pay; everything else is as you left it.",
    "Choose another payment",
    "/checkout",
  ],
  payment_action_timeout: [
    "The payment was not confirmed in time",
    "Nothing was charged. You can order again.",
    "Order again",
    "/checkout",
  ],
  payment_unavailable: [
    "The payment provider is away",
    "Nothing was charged. Try again in a while, or pay another way.",
    "Try again",
    "/checkout",
  ],
  out_of_stock: [
    "Somebody was faster",
    "What you wanted sold out before your order's turn came. Nothing was charged.",
    "Look at your cart",
    "/cart",
  ],
  insufficient_stock: [
    "Somebody was faster",
    "Less is left than you ordered. Nothing was charged.",
    "Look at your cart",
    "/cart",
  ],
  product_unavailable: [
    "Something is no longer sold",
    "Nothing was charged. Take it out of your cart and order the rest.",
    "Look at your cart",
    "/cart",
  ],
  price_changed: [
    "The total rose before your order's turn came",
    "You never pay more than you saw. Nothing was charged.",
    "See the new total",
    "/checkout",
  ],
  shipping_unavailable: [
    "The delivery you chose is no longer offered there",
    "Nothing was charged. Choose another.",
    "Choose a delivery",
    "/checkout",
  ],
  already_checked_out: [
    "This cart was ordered already",
    "You have one order of it, not two.",
    "See your orders",
    "/orders",
  ],
  cancelled: [
    "This order was cancelled",
    "Nothing of it will be sent, and whatever was paid is given back.",
    "Look around",
    "/",
  ],
};
const OTHER_FAILURE = [
  "Something broke on our side",
  "Nothing was taken or charged. You can order again.",
  "Order again",
  "/checkout",
];

export function adviceFor(code) {
  const [title, detail, label, href] = FAILURES[code] ?? OTHER_FAILURE;
  return { title, detail, label, href };
}

const PAID = ["payment_authorized", "payment_captured"];

/**
 * The four stages of an order's way, each with its state: done, now, waiting, failed or never.
 * @returns {{name: string, state: string, at: string | null, detail: string}[]}
 */
export function stagesOf(order) {
  const at = (...stages) => order.timeline.find((event) => stages.includes(event.stage))?.at ?? null;
  const confirmed = at("confirmed");
  const asked = order.timeline.some((event) => event.stage.startsWith("payment_") || event.stage === "requires_action");
  const later = confirmed && !asked;
  const stages = [
    { name: "Accepted", at: order.accepted_at, detail: "" },
    { name: "Stock taken", at: at("stock_taken"), detail: "" },
    {
      name: "Payment",
      at: at(...PAID) ?? (later ? confirmed : null),
      detail: later ? plain(order.payment_method) : "",
    },
    { name: "Confirmed", at: confirmed, detail: order.number ? `Order ${order.number}` : "" },
  ].map((stage) => ({ ...stage, state: stage.at ? "done" : "waiting" }));
  const next = stages.find((stage) => stage.state === "waiting");
  if (!next) return order.status === "cancelled" ? ending(stages, stages[3], "Cancelled", at("cancelled")) : stages;
  if (!order.terminal) {
    next.state = order.status === "requires_action" ? "asking" : "now";
    return stages;
  }
  if (order.status === "cancelled") return ending(stages, stages[3], "Cancelled", at("cancelled"));
  return ending(stages, next, next.name, at("failed", "payment_declined"));
}

function ending(stages, last, name, at) {
  for (const stage of stages) if (stage.state === "waiting") stage.state = "never";
  Object.assign(last, { name, at, state: "failed", detail: "" });
  return stages;
}

/** What the page says of an order in one sentence. */
export function leadOf(order) {
  if (order.status === "pending")
    return "Your order is on disk with us. It cannot get lost; we are taking the stock now.";
  if (order.status === "processing") {
    const unclear = order.timeline.some((event) => event.stage === "payment_unknown");
    return unclear
      ? "The bank has not answered yet. We keep asking; you cannot be charged twice."
      : "The stock is yours. We are asking for the payment.";
  }
  if (order.status === "requires_action") return "Your bank wants to hear from you before it pays.";
  if (order.status === "confirmed") return `Order ${order.number} is confirmed, for ${order.email}.`;
  return "";
}
