// The fields of the checkout: reading addresses, and putting what the shop says is wrong beside the field it names.

import { h } from "./page.js";
import { countries, regions } from "./places.js";

const MISSING = {
  email: "Enter your e-mail address.",
  name: "Enter the full name.",
  line1: "Enter street and number.",
  city: "Enter the city.",
  postal_code: "Enter the postcode.",
  region: "Choose the state or province.",
};

/** An address block of the page; `of` is "shipping" or "billing". */
export class AddressFields {
  constructor(block, kept) {
    this.of = block.dataset.address;
    this.inputs = Object.fromEntries([...block.querySelectorAll("[name]")].map((input) => [input.name, input]));
    this.regionRow = block.querySelector("[data-regions]");
    const country = kept?.country ?? block.dataset.country;
    this.inputs.country.replaceChildren(...countries().map(([code, name]) => h("option", { value: code }, name)));
    this.inputs.country.value = country;
    this.#offerRegions(kept?.region ?? (kept ? "" : block.dataset.region));
    for (const [name, value] of Object.entries(kept ?? {})) {
      if (this.inputs[name] && name !== "region") this.inputs[name].value = value;
    }
    this.inputs.country.addEventListener("change", () => this.#offerRegions(""));
  }

  #offerRegions(chosen) {
    const found = regions(this.inputs.country.value);
    this.regionRow.hidden = !found.length;
    this.inputs.region.replaceChildren(
      h("option", { value: "" }, "Choose …"),
      ...found.map(([code, name]) => h("option", { value: code }, name)),
    );
    this.inputs.region.value = chosen;
    if (this.inputs.region.value !== chosen) this.inputs.region.value = "";
  }

  /** What is filled in. */
  value() {
    const entries = Object.entries(this.inputs).map(([name, input]) => [name, input.value.trim()]);
    return Object.fromEntries(entries.filter(([, value]) => value));
  }

  /** Enough of an address to ask what it costs: that depends on country and region, so the rest may still be missing. */
  soFar() {
    return { name: "–", line1: "–", city: "–", postal_code: "–", ...this.value() };
  }

  /** Fields that must be filled in and are not, as faults. */
  missing(pointer) {
    const needed = ["name", "line1", "postal_code", "city", ...(this.regionRow.hidden ? [] : ["region"])];
    return needed
      .filter((name) => !this.inputs[name].value.trim())
      .map((name) => ({ pointer: `${pointer}/${name}`, message: MISSING[name] }));
  }
}

/** "Bob" has no @: the shop's own words, as a sentence; what only a program understands, in ours. */
export function sentence(fault) {
  const name = fault.pointer?.split("/").at(-1);
  const technical = /^(String should|Input should|Field required)/.test(fault.message);
  const text = technical
    ? (MISSING[name] ?? "Please check this.")
    : fault.message.replace(/^value is not/, "This is not");
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/** Put a fault beside its field; false when the page has no such field. */
export function mark(id, text) {
  const place = document.getElementById(`${id}-fault`);
  if (!place) return false;
  place.textContent = text;
  place.hidden = !text;
  const input = document.getElementById(id);
  if (text) input?.setAttribute("aria-invalid", "true");
  else input?.removeAttribute("aria-invalid");
  if (!text) strike(id);
  return true;
}

/** Take a field that is right now off the list at the top. */
function strike(id) {
  const box = document.querySelector("[data-faults]");
  box.querySelector(`a[href="#${id}"]`)?.parentElement.remove();
  if (!box.querySelector("li")) box.hidden = true;
}

/** Put faults beside their fields and say at the top which there are; `idOf` finds a pointer's field. */
export function markAll(faults, idOf) {
  const box = document.querySelector("[data-faults]");
  const marked = faults.filter((fault) => mark(idOf(fault.pointer ?? ""), sentence(fault)));
  box.replaceChildren(
    h(
      "p.note-title",
      {},
      marked.length === 1 ? "One thing is missing or wrong" : `${marked.length} things are missing or wrong`,
    ),
    h(
      "ul",
      {},
      marked.map((fault) => h("li", {}, h("a", { href: `#${idOf(fault.pointer)}` }, sentence(fault)))),
    ),
  );
  box.hidden = !marked.length;
  return marked;
}

export function unmarkAll() {
  document.querySelector("[data-faults]").hidden = true;
  for (const place of document.querySelectorAll(".fault:not([hidden])")) mark(place.id.replace(/-fault$/, ""), "");
}
