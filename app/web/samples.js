/** Pictures to try with one click. */

import { make } from "./dom.js";

const FOLDER = "/web/samples/";

/** @type {Object<string, string>} what is in each picture, by its file */
const PICTURES = {
  "cat.jpg": "A cat",
  "lake.jpg": "A lake at dusk",
  "ship.jpg": "A ship",
  "seven.jpg": "A seven on paper",
};

export const PAINTINGS = {
  "starry-night.jpg": "The Starry Night",
  "shipwreck.jpg": "The Shipwreck",
  "the-scream.jpg": "The Scream",
};

export const ARCHIVE = "digits.zip";

export const sampleAddress = (name) => FOLDER + name;

/** Fetch a sample as a file, as if it had been chosen. */
export async function sampleFile(name) {
  const response = await fetch(sampleAddress(name));
  const blob = await response.blob();
  return new File([blob], name, { type: blob.type });
}

/** A row of samples. @param {string[]} names @param {(file: File) => void} take */
export function sampleRow(names, take) {
  const button = (name) =>
    make(
      "button",
      {
        type: "button",
        class: "sample",
        title: PICTURES[name],
        onclick: async () => take(await sampleFile(name)),
      },
      make("img", {
        src: sampleAddress(name),
        alt: `Try it: ${PICTURES[name]}`,
        width: 72,
        height: 72,
      }),
    );
  return make(
    "div",
    { class: "samples" },
    make("span", {}, "Nothing at hand?"),
    ...names.map(button),
  );
}
