/** Builds elements. Text goes in as text only, so nothing that a user named becomes markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Object<string, string | number | boolean | null | EventListener>} attributes
 *   `on…` adds a listener; true sets an empty attribute; false and null leave it out
 * @param {...(Node | string | null)} children
 */
export function make(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

export function makeSvg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

/** Put new children into an element. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

/** A name that a user chose; its direction of writing does not reach its surroundings. */
export const named = (name) => make("bdi", {}, name);

export const byId = (id) => document.getElementById(id);

/** Set a custom property, which the style sheet turns into a width or a colour. */
export function measure(element, name, value) {
  element.style.setProperty(`--${name}`, String(value));
  return element;
}

/** A radio button or checkbox inside its label, which shows `children`. */
export function choice(attributes, className, ...children) {
  const input = make("input", attributes);
  return { input, label: make("label", { class: className }, input, ...children) };
}

let serial = 0;

/** An id for an element that another one refers to. */
export const freshId = (prefix) => `${prefix}-${++serial}`;

function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...present(children));
  return element;
}

const present = (children) => children.filter((child) => child !== null);
