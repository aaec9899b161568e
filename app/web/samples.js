/** Pictures to try with one click. */

import { callFile } from "./api.js";
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
export const sampleFile = (name) => callFile(sampleAddress(name), name);

/**
 * A row of samples.
 *
 * @param {string[]} names
 * @param {(file: File) => void} take
 * @param {object} problem where it is said that one cannot be had
 */
export function sampleRow(names, take, problem) {
  const choose = async (name) => {
    try {
      take(await sampleFile(name));
    } catch (error) {
      problem.show(error, () => choose(name));
    }
  };
  const button = (name) =>
    make(
      "button",
      {
        type: "button",
        class: "sample",
        title: PICTURES[name],
        onclick: () => choose(name),
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
