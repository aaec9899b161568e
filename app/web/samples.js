/** Sample images, paintings and an archive, which the page offers with one click. */

import { fetchFile } from "./api.js";
import { create } from "./dom.js";

const FOLDER = "/web/samples/";

/** Images by file: a description, and the class name that models use. */
const IMAGES = {
  "cat.jpg": { text: "Cat", label: "cat" },
  "lake.jpg": { text: "Lake at dusk" },
  "ship.jpg": { text: "Ship", label: "ship" },
  "seven.jpg": { text: "Handwritten seven", label: "7" },
};

export const PAINTINGS = {
  "starry-night.jpg": "The Starry Night",
  "shipwreck.jpg": "The Shipwreck",
  "the-scream.jpg": "The Scream",
};

export const ARCHIVE = { name: "digits.zip", label: "0" }; // one of its classes

export const sampleUrl = (name) => FOLDER + name;

/** Fetch a sample as a file, as if it had been chosen. */
export const fetchSample = (name) => fetchFile(sampleUrl(name), name);

/**
 * Create a row of sample images.
 *
 * @param {string[]} names
 * @param {(file: File, label?: string) => void} onSample
 * @param {object} errorBox shows a failed download
 */
export function createSampleRow(names, onSample, errorBox) {
  const choose = async (name) => {
    try {
      onSample(await fetchSample(name), IMAGES[name].label);
    } catch (error) {
      errorBox.showError(error, () => choose(name));
    }
  };
  const createButton = (name) =>
    create(
      "button",
      {
        type: "button",
        class: "sample",
        title: IMAGES[name].text,
        onclick: () => choose(name),
      },
      create("img", {
        src: sampleUrl(name),
        alt: `Try a sample: ${IMAGES[name].text}`,
        width: 72,
        height: 72,
      }),
    );
  return create(
    "div",
    { class: "samples" },
    create("span", {}, "Try a sample"),
    ...names.map(createButton),
  );
}
