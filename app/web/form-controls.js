/** Form controls with their labels, and the slider that compares two images. */

import { create, createChoice, setChildren, setCssProperty } from "./dom.js";
import { formatPercent } from "./format.js";

/** Create a field with a label above it. */
export const createField = (label, input) =>
  create("label", { class: "field" }, create("span", {}, label), input);

/** Create radio buttons in a row. @param {Object<string, string>} options texts by value */
export function createSegments({ legend, name, options, selected }) {
  const radios = Object.entries(options).map(([value, text]) =>
    createChoice({ type: "radio", name, value, checked: value === selected }, "segment", text),
  );
  return create(
    "fieldset",
    { class: "plain" },
    create("legend", {}, legend),
    create("div", { class: "segments" }, ...radios.map(({ label }) => label)),
  );
}

/** Create a drop-down list. @param {[string | number, string][]} options values and texts */
export function createSelect(name, options) {
  const items = options.map(([value, text]) => create("option", { value }, text));
  return create("select", { name }, ...items);
}

/** Create a range input with its value as text. */
export function createRange({ label, name, format, ...attributes }) {
  const output = create("output", { id: `${name}-value`, for: name });
  const input = create("input", { type: "range", id: name, name, ...attributes });
  const showValue = () => setChildren(output, format(input.value));
  input.addEventListener("input", showValue);
  showValue();
  return create("label", { class: "field", for: name }, create("span", {}, label, output), input);
}

/**
 * Create a before-and-after slider: two images in one place, and a handle that moves their border.
 *
 * @param {{before: string, after: string}} urls
 * @returns {HTMLElement}
 */
export function createComparison({ before, after }) {
  const element = create("div", { class: "comparison" });
  const handle = create("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 50,
    "aria-label": "Compare photo and painting",
  });
  const move = () => {
    setCssProperty(element, "position", `${handle.value}%`);
    handle.setAttribute("aria-valuetext", `${formatPercent(1 - handle.value / 100, 0)} painting`);
  };
  handle.addEventListener("input", move);
  element.append(
    create("img", { src: before, alt: "Original photo", draggable: "false" }),
    create("img", {
      src: after,
      alt: "Finished painting",
      class: "comparison-after",
      draggable: "false",
    }),
    create("span", { class: "comparison-line", "aria-hidden": "true" }),
    handle,
  );
  move();
  return element;
}
