/** The Classify tab: classifies uploaded images and drawn digits. */

import {
  MAX_LOADING_RETRIES,
  MAX_NETWORK_FAILURES,
  NetworkError,
  callApi,
  connectionClosedError,
  isModelLoading,
  sleep,
  waitUntilReachable,
} from "./api.js";
import { createBarChart } from "./charts.js";
import { byId, create, setChildren, userText } from "./dom.js";
import { createDrawingPad } from "./drawing-pad.js";
import { acceptFilesInTab } from "./drop-zone.js";
import { createErrorBox } from "./errors.js";
import { formatPercent, pluralize } from "./format.js";
import { ImageInput } from "./image-input.js";
import { ModelChooser } from "./model-chooser.js";
import { createSampleRow } from "./samples.js";

const TOP_K = 5;
const DIGIT_MODEL = "mnist";

/** @returns {{setModels: (models: object[]) => void, open: () => void, close: () => void}} */
export function createClassifyTab() {
  const results = byId("classify-results");
  const input = new ImageInput({
    label: "Choose an image",
    multiple: true,
    onImages: setImages,
  });
  const chooser = new ModelChooser({
    legend: "Model",
    storageKey: "classify.model",
    onChange: update,
  });
  const pad = createDrawingPad({
    onDrawing: (file) => ((drawing = file), update()),
    onEmpty: () => ((drawing = null), update()),
  });
  let images = [];
  let drawing = null;
  let request = new AbortController();

  async function setImages(files) {
    images = files;
    input.show(files[0]);
    const updated = update();
    if (files.length === 1) await updated;
    results.scrollIntoView({ block: "nearest" }); // on a phone they are below the image
  }

  function addSample(file, label) {
    chooser.selectForClass(label);
    input.addFiles([file]);
  }

  /** Classify the present images or drawing. */
  async function update() {
    request.abort();
    request = new AbortController();
    results.removeAttribute("aria-busy");
    const files = isDrawing() ? [drawing].filter(Boolean) : images;
    if (files.length === 0 || !chooser.selected)
      setChildren(results, create("p", { class: "muted" }, hintFor(files)));
    else await classifyAll(results, files, chooser.selected, request.signal);
  }

  function hintFor(files) {
    if (!isDrawing()) return files.length ? "No model is available." : "The result appears here.";
    return chooser.selected
      ? "Draw a digit to classify it."
      : `The model for digits, ${DIGIT_MODEL}, is not available.`;
  }

  const isDrawing = setUpModeSwitch((isDrawingMode) => {
    chooser.lock(isDrawingMode ? DIGIT_MODEL : null);
    update();
  });
  byId("classify-upload").append(
    input.element,
    createSampleRow(["cat.jpg", "ship.jpg", "seven.jpg"], addSample, input.errorBox),
  );
  byId("classify-drawing").append(pad);
  byId("classify-models").append(chooser.element);
  acceptFilesInTab(byId("classify-tab"), (files) => {
    if (isDrawing()) byId("upload-mode").click();
    input.addFiles(files);
  });
  update();
  return { setModels: (models) => chooser.setModels(models), open() {}, close() {} };
}

/** Connect the switch between upload and drawing. Return a function that tells the drawing mode. */
function setUpModeSwitch(onChange) {
  const drawingMode = byId("drawing-mode");
  const handleChange = () => {
    byId("classify-drawing").hidden = !drawingMode.checked;
    byId("classify-upload").hidden = drawingMode.checked;
    onChange(drawingMode.checked);
  };
  for (const mode of [drawingMode, byId("upload-mode")]) {
    mode.addEventListener("change", handleChange);
  }
  return () => drawingMode.checked;
}

/** Classify images one by one, and show each result as soon as it arrives. */
async function classifyAll(place, files, model, signal) {
  if (files.length === 1) {
    await classifyOne(place, files[0], model, signal);
    return;
  }
  const cards = files.map((file) =>
    create("div", { class: "result-card" }, create("p", {}, userText(file.name))),
  );
  setChildren(place, create("p", {}, pluralize(files.length, "image")), ...cards);
  for (const [index, file] of files.entries()) {
    const result = create("div");
    cards[index].append(createThumbnail(file), result);
    await classifyOne(result, file, model, signal);
  }
}

async function classifyOne(place, file, model, signal, retries = 0) {
  const errorBox = createErrorBox();
  const restart = () => classifyOne(place, file, model, signal);
  const retry = () => classifyOne(place, file, model, signal, retries + 1);
  place.setAttribute("aria-busy", "true");
  try {
    const { predictions } = await requestPredictions(file, model, signal);
    const bars = predictions.map(({ label, probability }) => ({ label, value: probability }));
    setChildren(place, createTopResult(predictions[0]), createBarChart(bars));
  } catch (error) {
    if (signal.aborted) return;
    setChildren(place, errorBox.element);
    if (error instanceof NetworkError && retries < MAX_NETWORK_FAILURES) {
      errorBox.showMessage("The service cannot be reached. Trying again…");
      waitUntilReachable(signal).then(retry, () => {});
    } else if (isModelLoading(error) && retries < MAX_LOADING_RETRIES) {
      errorBox.showMessage("The model is still loading…");
      sleep(1_000 * error.retryAfterS, signal).then(retry, () => {});
    } else {
      const shown = error instanceof NetworkError ? connectionClosedError() : error;
      errorBox.showError(shown, restart);
    }
  } finally {
    place.removeAttribute("aria-busy");
  }
}

function requestPredictions(file, model, signal) {
  const body = new FormData();
  body.append("file", file);
  const query = new URLSearchParams({ model, top_k: TOP_K });
  return callApi(`/classify?${query}`, { method: "POST", body, signal });
}

const createTopResult = ({ label, probability }) =>
  create(
    "p",
    { class: "top-result" },
    create("strong", {}, userText(label)),
    ` ${formatPercent(probability)}`,
  );

function createThumbnail(file) {
  const url = URL.createObjectURL(file);
  const image = create("img", { src: url, alt: "", class: "thumbnail" });
  image.addEventListener("load", () => URL.revokeObjectURL(url));
  image.addEventListener("error", () => (URL.revokeObjectURL(url), image.remove()));
  return image;
}
