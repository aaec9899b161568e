/** The models: which there are, what each knows, and how good it is. */

import { insist, pause } from "./api.js";
import { bars } from "./bars.js";
import { choice, fill, freshId, make } from "./dom.js";
import { isText, recall, remember } from "./memory.js";
import { classes, count, percent, sentence } from "./words.js";

const FIRST = "catdog";
const PAUSE_MS = 1_000; // while none is there, as when the service starts
const LONGEST_PAUSE_MS = 60_000;

/** Tell `show` about the models, and again whenever one has come or was replaced. */
export async function followModels(show) {
  let shown = "";
  for (let wait = PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
    const { models } = await insist("/models");
    const found = JSON.stringify(models);
    if (found !== shown) show(models);
    shown = found;
    if (!models.some((model) => model.available)) wait = PAUSE_MS;
    await pause(wait);
  }
}

/** Radio buttons for the models, each with what it knows, and details of the chosen one. */
export class ModelChooser {
  #models = [];
  #name = freshId("model");
  #memory;
  #wanted;
  #lock = null;
  #onChange;
  #list = make("div", { class: "models" });
  #details = make("div");

  /**
   * @param {{legend: string, memory: string, onChange?: (name: string) => void}} options the choice
   *   is remembered as `memory`
   */
  constructor({ legend, memory, onChange = () => {} }) {
    this.#memory = memory;
    this.#wanted = recall(memory, FIRST, isText);
    this.#onChange = onChange;
    this.element = make(
      "div",
      {},
      make("fieldset", { class: "plain" }, make("legend", {}, legend), this.#list),
      this.#details,
    );
  }

  /** The name of the chosen model; undefined while there is none. */
  get chosen() {
    return this.#present?.name;
  }

  /** Offer these models. */
  offer(models) {
    const before = this.chosen;
    this.#models = models;
    this.#draw();
    if (this.chosen !== before) this.#onChange(this.chosen);
  }

  /** Leave no choice but one model; null gives the choice back. */
  lock(name) {
    this.#lock = name;
    this.#draw();
  }

  /** Choose the model that is made for a class, if there is one; this is not remembered. */
  prefer(label) {
    const knowing = this.#available.filter(({ classes }) => classes.includes(label));
    const [fittest] = knowing.sort((one, other) => one.classes.length - other.classes.length);
    if (!fittest) return;
    this.#wanted = fittest.name;
    this.#draw();
  }

  get #available() {
    return this.#models.filter((model) => model.available);
  }

  get #present() {
    if (this.#lock) return this.#available.find((model) => model.name === this.#lock);
    return this.#available.find((model) => model.name === this.#wanted) ?? this.#available[0];
  }

  #draw() {
    const focused = this.#list.contains(document.activeElement);
    fill(this.#list, ...this.#models.map((model) => this.#card(model)));
    const open = this.#details.querySelector("details")?.open ?? false;
    fill(this.#details, this.#present ? details(this.#present, open) : null);
    if (focused) this.#list.querySelector(":checked")?.focus();
  }

  #card(model) {
    const { label } = choice(
      {
        type: "radio",
        name: this.#name,
        value: model.name,
        checked: model.name === this.chosen,
        disabled: !model.available || (this.#lock !== null && this.#lock !== model.name),
        onchange: () => this.#choose(model.name),
      },
      "model",
      make("span", { class: "model-name" }, model.name),
      make(
        "span",
        { class: "model-knows" },
        model.available ? classes(model.classes) : sentence(model.reason),
      ),
      model.available
        ? make("span", { class: "model-score" }, percent(model.metrics.test.accuracy, 1))
        : null,
    );
    return label;
  }

  #choose(name) {
    this.#wanted = name;
    remember(this.#memory, name);
    this.#draw();
    this.#onChange(name);
  }
}

function details(model, open) {
  const { test } = model.metrics;
  const scores = Object.entries(test.classes).map(([label, { correct, total }]) => ({
    label,
    share: correct / total,
  }));
  return make(
    "details",
    { open },
    make("summary", {}, `How good is ${model.name}?`),
    make(
      "p",
      {},
      `Right on ${percent(test.accuracy, 2)} of ${count(test.count)} test pictures that it had never ` +
        `seen. By class:`,
    ),
    bars(scores, { digits: 1 }),
    facts({
      ...(model.engine_selection === "done" ? {} : { Engine: sentence(model.engine_reason) }),
      Parameters: count(model.parameters),
      "Sees pictures at": `${model.input.width} × ${model.input.height} px`,
      "Learned from": `${count(model.metrics.data.train_count)} pictures, ${model.metrics.data.name}`,
      "Runs on": `${model.engine}, ${model.device}, ${model.dtype}`,
      Checkpoint: model.version,
    }),
  );
}

function facts(entries) {
  const pairs = Object.entries(entries).flatMap(([term, text]) => [
    make("dt", {}, term),
    make("dd", {}, text),
  ]);
  return make("dl", { class: "facts" }, ...pairs);
}
