/** Builders of elements. Text is inserted as text only, so that user input never becomes markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an HTML element.
 *
 * @param {string} tag
 * @param {Object<string, string | number | boolean | null | EventListener>} attributes
 *   `on…` adds a listener; true sets an empty attribute; false and null omit the attribute
 * @param {...(Node | string | null)} children null is skipped
 */
export function create(tag, attributes = {}, ...children) {
  return setUp(document.createElement(tag), attributes, children);
}

/** Create an SVG element. */
export function createSvg(tag, attributes = {}, ...children) {
  return setUp(document.createElementNS(SVG, tag), attributes, children);
}

/** Replace the children of an element; null is skipped. */
export function setChildren(element, ...children) {
  element.replaceChildren(...withoutNull(children));
  return element;
}

/** Create an element for text that a user chose, isolated from the surrounding text direction. */
export const userText = (text) => create("bdi", {}, text);

export const byId = (id) => document.getElementById(id);

/** Set a custom property, which the style sheet turns into a size or a color. */
export function setCssProperty(element, name, value) {
  element.style.setProperty(`--${name}`, String(value));
  return element;
}

/** Create a radio button or checkbox inside a label that shows `children`. */
export function createChoice(attributes, className, ...children) {
  const input = create("input", attributes);
  return { input, label: create("label", { class: className }, input, ...children) };
}

let lastId = 0;

/** Return an unused element id. */
export const uniqueId = (prefix) => `${prefix}-${++lastId}`;

function setUp(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...withoutNull(children));
  return element;
}

const withoutNull = (children) => children.filter((child) => child !== null);
