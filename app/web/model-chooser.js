/** The model chooser: the available models with their classes and test results. */

import { callApiUntilAnswered, sleep } from "./api.js";
import { isString, loadSetting, saveSetting } from "./browser-storage.js";
import { createBarChart } from "./charts.js";
import { create, createChoice, setChildren, uniqueId } from "./dom.js";
import { formatClasses, formatNumber, formatPercent, toSentence } from "./format.js";

const DEFAULT_MODEL = "catdog";
const MIN_INTERVAL_MS = 1_000; // while no model is available, as during the start of the service
const MAX_INTERVAL_MS = 60_000;

/** Call `onModels` with the models, and again whenever they change. */
export async function followModels(onModels) {
  let previous = "";
  for (let delay = MIN_INTERVAL_MS; ; delay = Math.min(2 * delay, MAX_INTERVAL_MS)) {
    const { models } = await callApiUntilAnswered("/models");
    const current = JSON.stringify(models);
    if (current !== previous) onModels(models);
    previous = current;
    if (!models.some((model) => model.available)) delay = MIN_INTERVAL_MS;
    await sleep(delay);
  }
}

/** Radio buttons for the models, and details of the selected one. */
export class ModelChooser {
  #models = [];
  #name = uniqueId("model");
  #storageKey;
  #preferred;
  #locked = null;
  #onChange;
  #list = create("div", { class: "models" });
  #details = create("div");

  /**
   * @param {{legend: string, storageKey: string, onChange?: (name: string) => void}} options the
   *   selection is saved under `storageKey`
   */
  constructor({ legend, storageKey, onChange = () => {} }) {
    this.#storageKey = storageKey;
    this.#preferred = loadSetting(storageKey, DEFAULT_MODEL, isString);
    this.#onChange = onChange;
    this.element = create(
      "div",
      {},
      create("fieldset", { class: "plain" }, create("legend", {}, legend), this.#list),
      this.#details,
    );
  }

  /** The name of the selected model; undefined while none is available. */
  get selected() {
    return this.#selectedModel?.name;
  }

  setModels(models) {
    const before = this.selected;
    this.#models = models;
    this.#render();
    if (this.selected !== before) this.#onChange(this.selected);
  }

  /** Disable all models but one; null enables them again. */
  lock(name) {
    this.#locked = name;
    this.#render();
  }

  /** Select the most specific model with a class, if there is one, without saving the selection. */
  selectForClass(label) {
    const matching = this.#available.filter(({ classes }) => classes.includes(label));
    const [best] = matching.sort((a, b) => a.classes.length - b.classes.length);
    if (!best) return;
    this.#preferred = best.name;
    this.#render();
  }

  get #available() {
    return this.#models.filter((model) => model.available);
  }

  get #selectedModel() {
    if (this.#locked) return this.#available.find((model) => model.name === this.#locked);
    return this.#available.find((model) => model.name === this.#preferred) ?? this.#available[0];
  }

  #render() {
    const hadFocus = this.#list.contains(document.activeElement);
    setChildren(this.#list, ...this.#models.map((model) => this.#createCard(model)));
    const isOpen = this.#details.querySelector("details")?.open ?? false;
    const model = this.#selectedModel;
    setChildren(this.#details, model ? createDetails(model, isOpen) : null);
    if (hadFocus) this.#list.querySelector(":checked")?.focus();
  }

  #createCard(model) {
    const { label } = createChoice(
      {
        type: "radio",
        name: this.#name,
        value: model.name,
        checked: model.name === this.selected,
        disabled: !model.available || (this.#locked !== null && this.#locked !== model.name),
        onchange: () => this.#select(model.name),
      },
      "model",
      create("span", { class: "model-name" }, model.name),
      create(
        "span",
        { class: "model-classes" },
        model.available ? formatClasses(model.classes) : toSentence(model.reason),
      ),
      model.available
        ? create("span", { class: "model-accuracy" }, formatPercent(model.metrics.test.accuracy, 1))
        : null,
    );
    return label;
  }

  #select(name) {
    this.#preferred = name;
    saveSetting(this.#storageKey, name);
    this.#render();
    this.#onChange(name);
  }
}

function createDetails(model, isOpen) {
  const { test, data } = model.metrics;
  const accuracies = Object.entries(test.classes).map(([label, { correct, total }]) => ({
    label,
    value: correct / total,
  }));
  return create(
    "details",
    { open: isOpen },
    create("summary", {}, `Test results of ${model.name}`),
    create(
      "p",
      {},
      `Accuracy: ${formatPercent(test.accuracy, 2)} on ${formatNumber(test.count)} test images, ` +
        "none of them used in training. Accuracy by class:",
    ),
    createBarChart(accuracies, { digits: 1 }),
    createFacts({
      ...(model.engine_selection === "done"
        ? {}
        : { "Engine selection": toSentence(model.engine_reason) }),
      Parameters: formatNumber(model.parameters),
      "Input size": `${model.input.width} × ${model.input.height} px`,
      "Training data": `${formatNumber(data.train_count)} images, ${data.name}`,
      Engine: `${model.engine}, ${model.device}, ${model.dtype}`,
      Checkpoint: model.version,
    }),
  );
}

function createFacts(facts) {
  const pairs = Object.entries(facts).flatMap(([term, text]) => [
    create("dt", {}, term),
    create("dd", {}, text),
  ]);
  return create("dl", { class: "facts" }, ...pairs);
}
