/** The styles: built in, paintings to try, and one's own. One is chosen, or several are blended. */

import { callFile, insist } from "./api.js";
import { takeDrops } from "./arrivals.js";
import { byId, choice, make, named } from "./dom.js";
import { checked, pictureProblem } from "./file-check.js";
import { isText, recall, remember } from "./memory.js";
import { problemBox } from "./problems.js";
import { PAINTINGS, sampleAddress, sampleFile } from "./samples.js";
import { title } from "./words.js";

const MEMORY = "styles";
const FIRST = "brushwork";

export class StyleChooser {
  #tiles = byId("style-tiles");
  #blend = byId("style-blend");
  #styles = []; // {key, name, file: () => Promise<File>, isBuiltIn, input}
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
        file: () => callFile(links.image, `${name}.jpg`),
      });
    }
    for (const [file, name] of Object.entries(PAINTINGS)) {
      this.#add({ key: file, name, picture: sampleAddress(file), file: () => sampleFile(file) });
    }
    this.#recall();
  }

  /** Add paintings of one's own and choose them. */
  async take(files) {
    const { good, words } = await checked(files, pictureProblem);
    if (good.length > 1 && !this.#blend.checked) {
      this.#styles.forEach(({ input }) => (input.checked = false));
      this.#becomeBlend(true);
    }
    for (const file of good) this.#addOwn(file).checked = true;
    if (good.length) this.#changed();
    if (words) this.problem.say(...words);
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

  #add(style, wrapped = (label) => label) {
    const { input, label } = choice(
      {
        type: this.#blend.checked ? "checkbox" : "radio",
        name: "style",
        onchange: () => this.#changed(),
      },
      "style",
      make("img", { src: style.picture, alt: "", width: 160, height: 160 }),
      make("span", { class: "style-name" }, named(style.name)),
    );
    this.#styles.push({ ...style, input });
    this.#tiles.lastElementChild.before(wrapped(label));
    return input;
  }

  #addOwn(file) {
    const picture = URL.createObjectURL(file);
    const style = { key: null, name: file.name, picture, file: async () => file };
    const button = make(
      "button",
      { type: "button", class: "tile-delete", "aria-label": `Remove ${file.name}` },
      "Remove",
    );
    const input = this.#add(style, (label) => make("div", {}, label, button));
    button.addEventListener("click", () => {
      URL.revokeObjectURL(picture);
      button.parentElement.remove();
      this.#forget(input);
      byId("style-files").focus();
    });
    return input;
  }

  #forget(input) {
    this.#styles = this.#styles.filter((style) => style.input !== input);
    this.#chooseSomething();
    this.#changed();
  }

  #changed() {
    this.problem.clear();
    remember(MEMORY, this.#chosen.map(({ key }) => key).filter(Boolean));
    this.#onChange();
  }

  #recall() {
    const keys = recall(MEMORY, [FIRST], (value) => value.every(isText));
    if (keys.length > 1) this.#becomeBlend(true);
    for (const { key, input } of this.#styles) input.checked = keys.includes(key);
    this.#chooseSomething();
    this.#onChange();
  }

  #chooseSomething() {
    if (this.count === 0 && this.#styles.length) this.#styles[0].input.checked = true;
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
