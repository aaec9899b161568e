/** The style chooser: built-in styles, sample paintings and the user's own, alone or blended. */

import { callApiUntilAnswered, fetchFile } from "./api.js";
import { isString, loadSetting, saveSetting } from "./browser-storage.js";
import { byId, create, createChoice, userText } from "./dom.js";
import { acceptDrops } from "./drop-zone.js";
import { createErrorBox } from "./errors.js";
import { checkFiles, findImageProblem } from "./files.js";
import { toTitle } from "./format.js";
import { PAINTINGS, fetchSample, sampleUrl } from "./samples.js";

const STORAGE_KEY = "styles";
const DEFAULT_STYLE = "brushwork";

export class StyleChooser {
  #tiles = byId("style-tiles");
  #blend = byId("style-blend");
  #styles = []; // {key, name, getFile: () => Promise<File>, isBuiltIn, input}
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    this.errorBox = createErrorBox();
    byId("styles").append(this.errorBox.element);
    const input = byId("style-files");
    input.addEventListener("change", () => {
      this.addFiles([...input.files]);
      input.value = "";
    });
    acceptDrops(byId("styles"), (files) => this.addFiles(files));
    this.#blend.addEventListener("change", () => this.#setBlending(this.#blend.checked));
  }

  /** Add the built-in styles and the sample paintings, and restore the selection. */
  async load() {
    const { styles } = await callApiUntilAnswered("/styles");
    for (const { name, links } of styles) {
      this.#addStyle({
        key: name,
        name: toTitle(name),
        imageUrl: links.thumbnail,
        isBuiltIn: true,
        getFile: () => fetchFile(links.image, `${name}.jpg`),
      });
    }
    for (const [file, name] of Object.entries(PAINTINGS)) {
      this.#addStyle({
        key: file,
        name,
        imageUrl: sampleUrl(file),
        getFile: () => fetchSample(file),
      });
    }
    this.#restore();
  }

  /** Add the user's own paintings and select them. */
  async addFiles(files) {
    const { valid, message } = await checkFiles(files, findImageProblem);
    if (valid.length > 1 && !this.#blend.checked) {
      this.#styles.forEach(({ input }) => (input.checked = false));
      this.#setBlending(true);
    }
    for (const file of valid) this.#addOwnStyle(file).checked = true;
    if (valid.length) this.#handleChange();
    if (message) this.errorBox.showMessage(...message);
  }

  get count() {
    return this.#selected.length;
  }

  /** The names of the selected styles, for display. */
  get names() {
    return this.#selected.map(({ name }) => name).join(" + ");
  }

  /** Add the selected styles to a request: by name if all are built in, else as files. */
  async appendTo(form) {
    const selected = this.#selected;
    if (selected.every((style) => style.isBuiltIn)) {
      for (const { key } of selected) form.append("style_name", key);
      return;
    }
    for (const { getFile } of selected) form.append("style", await getFile());
  }

  get #selected() {
    return this.#styles.filter(({ input }) => input.checked);
  }

  #addStyle(style, wrap = (label) => label) {
    const { input, label } = createChoice(
      {
        type: this.#blend.checked ? "checkbox" : "radio",
        name: "style",
        onchange: () => this.#handleChange(),
      },
      "style",
      create("img", { src: style.imageUrl, alt: "", width: 160, height: 160 }),
      create("span", { class: "style-name" }, userText(style.name)),
    );
    this.#styles.push({ ...style, input });
    this.#tiles.lastElementChild.before(wrap(label));
    return input;
  }

  #addOwnStyle(file) {
    const imageUrl = URL.createObjectURL(file);
    const style = { key: null, name: file.name, imageUrl, getFile: async () => file };
    const button = create(
      "button",
      { type: "button", class: "tile-delete", "aria-label": `Remove ${file.name}` },
      "Remove",
    );
    const input = this.#addStyle(style, (label) => create("div", {}, label, button));
    button.addEventListener("click", () => {
      URL.revokeObjectURL(imageUrl);
      button.parentElement.remove();
      this.#removeStyle(input);
      byId("style-files").focus();
    });
    return input;
  }

  #removeStyle(input) {
    this.#styles = this.#styles.filter((style) => style.input !== input);
    this.#ensureSelection();
    this.#handleChange();
  }

  #handleChange() {
    this.errorBox.clear();
    saveSetting(STORAGE_KEY, this.#selected.map(({ key }) => key).filter(Boolean));
    this.#onChange();
  }

  #restore() {
    const keys = loadSetting(STORAGE_KEY, [DEFAULT_STYLE], (value) => value.every(isString));
    if (keys.length > 1) this.#setBlending(true);
    for (const { key, input } of this.#styles) input.checked = keys.includes(key);
    this.#ensureSelection();
    this.#onChange();
  }

  #ensureSelection() {
    if (this.count === 0 && this.#styles.length) this.#styles[0].input.checked = true;
  }

  #setBlending(isBlending) {
    this.#blend.checked = isBlending;
    const [first, ...others] = this.#selected;
    for (const { input } of this.#styles) input.type = isBlending ? "checkbox" : "radio";
    if (first) first.input.checked = true;
    for (const { input } of others) input.checked = isBlending;
    this.#handleChange();
  }
}
