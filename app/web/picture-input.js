/** Where a picture comes in: dropped, chosen, or taken with the camera; it then fills the place. */

import { takeDrops } from "./arrivals.js";
import { cameraButton } from "./camera.js";
import { fill, make, named } from "./dom.js";
import { about, checked, pictureProblem } from "./file-check.js";
import { decoded } from "./pictures.js";
import { problemBox } from "./problems.js";

export class PictureInput {
  #address = null;
  #image = make("img", { class: "drop-picture", alt: "", hidden: true });
  #words;
  #takesSeveral;
  #take;

  /**
   * @param {{label: string, multiple?: boolean, onPictures: (files: File[]) => void}} options
   */
  constructor({ label, multiple = false, onPictures }) {
    this.problem = problemBox();
    this.#takesSeveral = multiple;
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
    const { good, words } = await checked(files, pictureProblem);
    const [first, ...others] = good;
    const isTooMany = others.length > 0 && !this.#takesSeveral;
    this.problem.clear();
    if (first) this.#take(isTooMany ? [first] : good);
    if (words) this.problem.say(...words);
    else if (isTooMany) this.problem.say(...about(first, "is used; one picture is taken here."));
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
      fill(this.#words, make("strong", {}, named(file.name)), make("span", {}, "No preview here"));
  }
}
