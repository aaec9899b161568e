/** Fields of a form, each with its label. */

import { choice, fill, make } from "./dom.js";

/** A field with a label above it. */
export const field = (label, input) =>
  make("label", { class: "field" }, make("span", {}, label), input);

/** One of a few words. @param {Object<string, string>} options words by value */
export function segments({ legend, name, options, chosen }) {
  const radios = Object.entries(options).map(([value, words]) =>
    choice({ type: "radio", name, value, checked: value === chosen }, "segment", words),
  );
  return make(
    "fieldset",
    { class: "plain" },
    make("legend", {}, legend),
    make("div", { class: "segments" }, ...radios.map(({ label }) => label)),
  );
}

/** One of a list. @param {[string | number, string][]} options values with their words */
export function select(name, options) {
  const items = options.map(([value, words]) => make("option", { value }, words));
  return make("select", { name }, ...items);
}

/** A number on a scale, which is shown in words. */
export function range({ label, name, words, ...scale }) {
  const output = make("output", { id: `${name}-value`, for: name });
  const input = make("input", { type: "range", id: name, name, ...scale });
  const show = () => fill(output, words(input.value));
  input.addEventListener("input", show);
  show();
  return make("label", { class: "field", for: name }, make("span", {}, label, output), input);
}
