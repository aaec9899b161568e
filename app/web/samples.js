/** Pictures to try with one click. */

import { callFile } from "./api.js";
import { make } from "./dom.js";

const FOLDER = "/web/samples/";

/** By file: what is in each picture, and the class that models know it as. */
const PICTURES = {
  "cat.jpg": { words: "A cat", label: "cat" },
  "lake.jpg": { words: "A lake at dusk" },
  "ship.jpg": { words: "A ship", label: "ship" },
  "seven.jpg": { words: "A seven on paper", label: "7" },
};

export const PAINTINGS = {
  "starry-night.jpg": "The Starry Night",
  "shipwreck.jpg": "The Shipwreck",
  "the-scream.jpg": "The Scream",
};

export const ARCHIVE = { name: "digits.zip", label: "0" }; // one of its classes

export const sampleAddress = (name) => FOLDER + name;

/** Fetch a sample as a file, as if it had been chosen. */
export const sampleFile = (name) => callFile(sampleAddress(name), name);

/**
 * A row of samples.
 *
 * @param {string[]} names
 * @param {(file: File, label?: string) => void} take
 * @param {object} problem where it is said that one cannot be had
 */
export function sampleRow(names, take, problem) {
  const choose = async (name) => {
    try {
      take(await sampleFile(name), PICTURES[name].label);
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
        title: PICTURES[name].words,
        onclick: () => choose(name),
      },
      make("img", {
        src: sampleAddress(name),
        alt: `Try it: ${PICTURES[name].words}`,
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
