/** The photograph that is to be painted. It survives a reload. */

import { keepPicture, keptPicture } from "./memory.js";
import { PictureInput } from "./picture-input.js";
import { sizeOf } from "./pictures.js";
import { sampleRow } from "./samples.js";

const KEPT = "photo";

export class Photo {
  file = null;
  size = null;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    this.input = new PictureInput({
      label: "A photograph",
      onPictures: ([file]) => this.#take(file),
    });
    const take = (file) => this.input.take([file]);
    this.input.element.append(
      sampleRow(["lake.jpg", "cat.jpg", "ship.jpg"], take, this.input.problem),
    );
  }

  /** Take the photograph of the last visit. */
  async recall() {
    const kept = await keptPicture(KEPT);
    if (kept && !this.file) await this.#take(kept);
  }

  async #take(file) {
    this.file = file;
    this.input.show(file);
    const size = await sizeOf(file);
    if (this.file !== file) return; // another one came meanwhile
    this.size = size;
    this.onChange();
    await keepPicture(KEPT, file);
  }
}
