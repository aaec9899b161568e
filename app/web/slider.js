/** Two pictures in one place, and a handle that moves the border between them. */

import { make, measure } from "./dom.js";

/**
 * @param {{before: string, after: string}} pictures addresses
 * @returns {HTMLElement}
 */
export function beforeAfter({ before, after }) {
  const element = make("div", { class: "slider" });
  const handle = make("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 50,
    "aria-label": "Border between photograph and painting",
  });
  const move = () => {
    measure(element, "cut", `${handle.value}%`);
    handle.setAttribute("aria-valuetext", `${100 - handle.value} % painting`);
  };
  handle.addEventListener("input", move);
  element.append(
    make("img", { src: before, alt: "The photograph", draggable: "false" }),
    make("img", { src: after, alt: "The painting", class: "slider-after", draggable: "false" }),
    make("span", { class: "slider-line", "aria-hidden": "true" }),
    handle,
  );
  move();
  return element;
}
