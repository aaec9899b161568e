/** The Stylize tab: the form of a new painting, its estimate and its submission. */

import { callApi, fetchLimits, sleep, submitJob } from "./api.js";
import { persistForm, savePainting } from "./browser-storage.js";
import { byId, create, setChildren } from "./dom.js";
import { acceptFilesInTab } from "./drop-zone.js";
import { createErrorBox, errorMessage } from "./errors.js";
import { shrinkImage } from "./files.js";
import { createField, createRange, createSegments, createSelect } from "./form-controls.js";
import { formatDuration, formatPercent } from "./format.js";
import { Gallery } from "./gallery.js";
import { PhotoInput } from "./image-input.js";
import { RunningJobLink, openNewJob } from "./job-view.js";
import { PAINTING, PaintingView, QUALITIES } from "./painting-view.js";
import { StyleChooser } from "./style-chooser.js";

const SAVED_PHOTO_PX = 1280; // longest side of the copy that is kept for the comparison
const MAX_SEED = 2 ** 32 - 1;
const DEFAULT_PHOTO_SIZE = { width: 4, height: 3 }; // for estimates without a photo
const ESTIMATE_DELAY_MS = 150;
const MIN_MEASURING_DELAY_MS = 2_000;
const MAX_MEASURING_DELAY_MS = 30_000;

/** @returns {{open: (job: string | null) => void, close: () => void}} */
export function createStylizeTab() {
  const form = byId("stylize-form");
  const gallery = new Gallery();
  const view = new PaintingView({ onStatusChange: () => gallery.refresh() });
  const runningJob = new RunningJobLink(PAINTING);
  const ready = fetchLimits().then(({ max_size }) => {
    addOptions(max_size);
    persistForm(form, "settings");
  });
  const photo = new PhotoInput(() => ready.then(updateEstimate));
  const styles = new StyleChooser(() => ready.then(updateEstimate));
  const updateEstimate = createEstimator(form, photo, styles);
  const submission = new Submission(form, photo, styles);
  byId("photo").append(photo.input.element);
  form.addEventListener("input", () => updateEstimate());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submission.start();
  });
  form.addEventListener("invalid", () => (form.querySelector("details").open = true), true);
  acceptFilesInTab(byId("stylize-tab"), (files) => {
    const target = byId("styles").contains(document.activeElement) ? styles : photo.input;
    if (!byId("stylize-setup").hidden) target.addFiles(files);
  });
  styles.load();
  photo.restore();
  return {
    open(job) {
      byId("stylize-setup").hidden = job !== null;
      if (job) {
        runningJob.hide();
        view.open(job);
      } else {
        view.close();
        runningJob.show();
      }
      gallery.refresh();
    },
    close() {
      view.close();
      runningJob.hide();
    },
  };
}

/** Add the options of a painting to the form. @param {number} maxSize longest side, px */
function addOptions(maxSize) {
  byId("basic-options").append(
    createRange({
      label: "Longest side",
      name: "size",
      min: 64,
      max: maxSize,
      step: 64,
      value: 512,
      format: (size) => `${size} px`,
    }),
    createRange({
      label: "Style strength",
      name: "strength",
      min: 0,
      max: 1,
      step: 0.05,
      value: 0.5,
      format: (strength) => formatPercent(Number(strength), 0),
    }),
    createSegments({
      legend: "Quality",
      name: "quality",
      options: QUALITIES,
      selected: "standard",
    }),
    createSegments({
      legend: "Colors",
      name: "color",
      options: { style: "Style", content: "Photo", match: "Matched" },
      selected: "style",
    }),
  );
  byId("advanced-options").append(
    createRange({
      label: "Brush stroke size",
      name: "style_scale",
      min: 0.25,
      max: 2,
      step: 0.25,
      value: 1,
      format: (scale) => `× ${scale}`,
    }),
    createField("Start from", createSelect("init", [["content", "Photo"], ["noise", "Noise"]])),
    createField(
      "File format",
      createSelect("format", [["png", "PNG"], ["jpeg", "JPEG"], ["webp", "WebP"]]),
    ),
    createField(
      "Seed",
      create("input", {
        type: "number",
        name: "seed",
        min: 0,
        max: MAX_SEED,
        step: 1,
        placeholder: "random",
        inputmode: "numeric",
      }),
    ),
  );
}

/** @returns {() => void} updates the estimated duration after a short pause in the changes */
function createEstimator(form, photo, styles) {
  const output = byId("estimate");
  let request = new AbortController();
  return async () => {
    request.abort();
    request = new AbortController();
    const { signal } = request;
    const { size, quality, style_scale } = form.elements;
    const json = {
      ...(photo.size ?? DEFAULT_PHOTO_SIZE),
      size: Number(size.value),
      quality: quality.value,
      style_scale: Number(style_scale.value),
      styles: Math.max(1, styles.count),
    };
    try {
      await sleep(ESTIMATE_DELAY_MS, signal);
      let delay = MIN_MEASURING_DELAY_MS;
      for (;;) {
        const estimate = await callApi("/stylize/estimate", { method: "POST", json, signal });
        setChildren(output, await describeEstimate(estimate));
        if (estimate.seconds) return;
        await sleep(delay, signal);
        delay = Math.min(2 * delay, MAX_MEASURING_DELAY_MS);
      }
    } catch (error) {
      if (!signal.aborted) setChildren(output, error.status < 500 ? errorMessage(error) : "");
    }
  };
}

async function describeEstimate({ seconds, width, height }) {
  const size = `${width} × ${height} px`;
  if (seconds) return `About ${formatDuration(seconds)} for ${size}`;
  const { workers } = await callApi("/health/ready").catch(() => ({})); // the service is starting
  const hasNoWorker = workers?.length === 0;
  return `${size}. ${hasNoWorker ? "No worker is running." : "Measuring the speed of this host…"}`;
}

/** The submission of a painting. */
class Submission {
  #button = byId("stylize-button");
  #errorBox = createErrorBox();

  constructor(form, photo, styles) {
    Object.assign(this, { form, photo, styles });
    byId("stylize-button-row").after(this.#errorBox.element);
  }

  async start() {
    if (this.#button.disabled) return;
    this.#errorBox.clear();
    if (!this.photo.file) {
      this.photo.input.errorBox.showInView("Choose a photo first.");
      return;
    }
    if (!this.styles.count) {
      this.styles.errorBox.showInView("Choose a style first.");
      return;
    }
    this.#button.disabled = true;
    setChildren(this.#button, "Sending…");
    try {
      const job = await this.#submit();
      const photo = await shrinkImage(this.photo.file, SAVED_PHOTO_PX);
      await savePainting(job.id, this.styles.names, photo);
      openNewJob("stylize", job.id);
    } catch (error) {
      const errorBox = this.#errorBoxFor(error);
      errorBox.showError(error, () => this.start());
      errorBox.scrollIntoView();
    } finally {
      this.#button.disabled = false;
      setChildren(this.#button, "Stylize photo");
    }
  }

  /** Return the error box of the form field that an error names. */
  #errorBoxFor({ field }) {
    if (field === "content") return this.photo.input.errorBox;
    return ["style", "style_name"].includes(field) ? this.styles.errorBox : this.#errorBox;
  }

  async #submit() {
    const body = new FormData(this.form);
    if (!body.get("seed")) body.delete("seed");
    body.append("content", this.photo.file);
    await this.styles.appendTo(body);
    return submitJob(
      (key) => callApi("/stylize", { method: "POST", body, headers: { "Idempotency-Key": key } }),
      {
        onDisconnect: () => this.#errorBox.showMessage("Connection lost. Trying again…"),
      },
    );
  }
}
