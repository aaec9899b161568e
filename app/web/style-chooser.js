/** The styles: built in, paintings to try, and one's own. One is chosen, or several are blended. */

import { callFile, insist } from "./api.js";
import { takeDrops } from "./arrivals.js";
import { byId, choice, make } from "./dom.js";
import { recall, remember } from "./memory.js";
import { partition } from "./picture-input.js";
import { problemBox } from "./problems.js";
import { PAINTINGS, sampleAddress, sampleFile } from "./samples.js";
import { title } from "./words.js";

const MEMORY = "styles";
const FIRST = "brushwork";

export class StyleChooser {
  #tiles = byId("style-tiles");
  #blend = byId("style-blend");
  #styles = []; // {key, file: () => Promise<File>, isBuiltIn, input}
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    this.problem = problemBox();
    byId("styles").append(this.problem.element);
    const input = byId("style-files");
    input.addEventListener("change", () => {
      this.take([...input.files]);
      input.value = "";
    });
    takeDrops(byId("styles"), (files) => this.take(files));
    this.#blend.addEventListener("change", () => this.#becomeBlend(this.#blend.checked));
  }

  /** Show what can be chosen from. */
  async load() {
    const { styles } = await insist("/styles");
    for (const { name, links } of styles) {
      this.#add({
        key: name,
        name: title(name),
        picture: links.thumbnail,
        isBuiltIn: true,
        file: () => fetched(links.image, name),
      });
    }
    for (const [file, name] of Object.entries(PAINTINGS)) {
      this.#add({ key: file, name, picture: sampleAddress(file), file: () => sampleFile(file) });
    }
    this.#recall();
  }

  /** Add paintings of one's own and choose them. */
  async take(files) {
    const { pictures, words } = await partition(files);
    if (words) this.problem.say(words);
    else this.problem.clear();
    if (pictures.length === 0) return;
    if (pictures.length > 1 && !this.#blend.checked) {
      this.#styles.forEach(({ input }) => (input.checked = false));
      this.#becomeBlend(true);
    }
    for (const file of pictures) {
      const picture = URL.createObjectURL(file); // for as long as the page
      this.#add({ key: null, name: file.name, picture, file: async () => file }).checked = true;
    }
    this.#onChange();
  }

  get count() {
    return this.#chosen.length;
  }

  /** The names of the chosen styles, for people. */
  get names() {
    return this.#chosen.map(({ name }) => name).join(" + ");
  }

  /** Put the chosen styles into a request: by name where all are built in, else as files. */
  async appendTo(form) {
    const chosen = this.#chosen;
    if (chosen.every((style) => style.isBuiltIn)) {
      for (const { key } of chosen) form.append("style_name", key);
      return;
    }
    for (const { file } of chosen) form.append("style", await file());
  }

  get #chosen() {
    return this.#styles.filter(({ input }) => input.checked);
  }

  #add(style) {
    const { input, label } = choice(
      {
        type: this.#blend.checked ? "checkbox" : "radio",
        name: "style",
        onchange: () => this.#changed(),
      },
      "style",
      make("img", { src: style.picture, alt: "", width: 160, height: 160 }),
      make("span", { class: "style-name" }, style.name),
    );
    this.#styles.push({ ...style, input });
    this.#tiles.lastElementChild.before(label);
    return input;
  }

  #changed() {
    remember(MEMORY, this.#chosen.map(({ key }) => key).filter(Boolean));
    this.#onChange();
  }

  #recall() {
    const keys = recall(MEMORY, [FIRST]);
    if (keys.length > 1) this.#becomeBlend(true);
    for (const { key, input } of this.#styles) input.checked = keys.includes(key);
    if (this.count === 0 && this.#styles.length) this.#styles[0].input.checked = true;
    this.#onChange();
  }

  #becomeBlend(isBlend) {
    this.#blend.checked = isBlend;
    const [first, ...others] = this.#chosen;
    for (const { input } of this.#styles) input.type = isBlend ? "checkbox" : "radio";
    if (first) first.input.checked = true;
    for (const { input } of others) input.checked = isBlend;
    this.#changed();
  }
}

const fetched = (address, name) => callFile(address, `${name}.jpg`);
