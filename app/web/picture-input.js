/** Where a picture comes in: dropped, chosen, or taken with the camera; it then fills the place. */

import { takeDrops } from "./arrivals.js";
import { cameraButton } from "./camera.js";
import { fill, make } from "./dom.js";
import { decoded } from "./pictures.js";
import { problemBox } from "./problems.js";

const NOT_A_PICTURE = "is not a picture. JPEG, PNG, WebP, BMP, GIF and TIFF can be read.";

/** Split files into those that may be pictures, and words about one of the others. */
export async function partition(files) {
  const problems = await Promise.all(files.map(problemWith));
  return {
    pictures: files.filter((_, at) => !problems[at]),
    words: problems.find((words) => words !== null) ?? null,
  };
}

/** Say why a file cannot be read at all; null where it can. */
export function unreadable(file) {
  const words = `“${file.name}” cannot be read; is it a folder?`;
  return file.slice(0, 1).arrayBuffer().then(() => null, () => words);
}

async function problemWith(file) {
  const words = await unreadable(file);
  if (words) return words;
  if (!file.size) return `“${file.name}” is empty.`;
  const mayBePicture = file.type === "" || file.type.startsWith("image/");
  return mayBePicture ? null : `“${file.name}” ${NOT_A_PICTURE}`;
}

export class PictureInput {
  #address = null;
  #image = make("img", { class: "drop-picture", alt: "", hidden: true });
  #words;
  #take;

  /**
   * @param {{label: string, multiple?: boolean, onPictures: (files: File[]) => void}} options
   */
  constructor({ label, multiple = false, onPictures }) {
    this.problem = problemBox();
    this.#take = onPictures;
    const input = make("input", {
      type: "file",
      class: "unseen",
      accept: "image/*",
      multiple,
      "aria-label": label,
      onchange: () => {
        this.take([...input.files]);
        input.value = ""; // so that the same file can be chosen again
      },
    });
    this.#words = make(
      "span",
      { class: "drop-words" },
      make("strong", {}, label),
      make("span", {}, "Drop it here, paste it, or choose a file"),
    );
    const zone = make("label", { class: "drop" }, input, this.#image, this.#words);
    takeDrops(zone, (files) => this.take(files));
    this.actions = make("div", { class: "actions" });
    this.actions.append(cameraButton((file) => this.take([file]), this.problem));
    this.element = make("div", {}, zone, this.actions, this.problem.element);
  }

  /** Take files in, as if they had been chosen. */
  async take(files) {
    const { pictures, words } = await partition(files);
    if (words) this.problem.say(words);
    else this.problem.clear();
    if (pictures.length) this.#take(pictures);
  }

  /** Show a picture, by its name where this browser cannot draw it; null shows none. */
  async show(file) {
    URL.revokeObjectURL(this.#address);
    const address = file && URL.createObjectURL(file);
    this.#address = address;
    const readable = file && (await decoded(address).catch(() => null));
    if (address !== this.#address) return;
    this.#image.hidden = !readable;
    this.#words.hidden = Boolean(readable);
    if (readable) Object.assign(this.#image, { src: address, alt: file.name });
    else if (file)
      fill(this.#words, make("strong", {}, file.name), make("span", {}, "No preview here"));
  }
}
