// Making elements, and speaking to who does not see them: for the shop's pages and the ops page.

/**
 * An element: `h("a.quiet", { href: "/" }, "Home")`. Functions become listeners, true and false come and go.
 * @param {string} kind tag and classes
 * @param {Record<string, any>} [attributes]
 * @param {...any} children nodes or texts; null and false are left out
 */
export function h(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Say something to who does not see the page. */
export function announce(text) {
  document.querySelector("[data-announce]").textContent = text;
}
