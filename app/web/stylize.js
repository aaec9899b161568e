/** The room where photographs are painted: choose, see what it takes, start. */

import { call, pause, submit } from "./api.js";
import { takeStrays } from "./arrivals.js";
import { byId, fill } from "./dom.js";
import { Easel } from "./easel.js";
import { Gallery } from "./gallery.js";
import { keepPicture, keptPicture, rememberForm } from "./memory.js";
import { noteMade } from "./own-jobs.js";
import { PictureInput } from "./picture-input.js";
import { shrunk, sizeOf } from "./pictures.js";
import { inWords, problemBox } from "./problems.js";
import { go } from "./rooms.js";
import { sampleRow } from "./samples.js";
import { StyleChooser } from "./style-chooser.js";
import { duration } from "./words.js";

const KEPT_PHOTO = "photo";
const BEFORE_PX = 1280; // longest side of the photograph that is kept for before and after
const USUAL = { width: 4, height: 3 };
const REST_MS = 150;

/** @returns {(job: string | null) => void} opens the room, or a job in it */
export function stylizeRoom() {
  const room = byId("room-stylize");
  const form = byId("settings");
  const gallery = new Gallery();
  const easel = new Easel({ onChange: () => gallery.refresh() });
  const photo = new Photo(() => estimate());
  const styles = new StyleChooser(() => estimate());
  const estimate = estimator(form, photo, styles);
  byId("photo").append(photo.input.element);
  rememberForm(form, "settings");
  showNumbers(form);
  form.addEventListener("input", () => (showNumbers(form), estimate()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start.press();
  });
  const start = new Start(form, photo, styles);
  takeStrays(room, (files) => {
    if (!byId("setup").hidden)
      (byId("styles").contains(document.activeElement) ? styles : photo.input).take(files);
  });
  styles.load();
  photo.recall();
  return (job) => {
    byId("setup").hidden = job !== null;
    if (job) easel.open(job);
    else easel.close();
    gallery.refresh();
  };
}

/** The photograph that is to be painted; it survives a reload. */
class Photo {
  file = null;
  size = null;

  constructor(onChange) {
    this.onChange = onChange;
    this.input = new PictureInput({
      label: "A photograph",
      onPictures: ([file]) => this.#take(file),
    });
    this.input.element.append(
      sampleRow(["lake.jpg", "cat.jpg", "ship.jpg"], (file) => this.#take(file)),
    );
  }

  async recall() {
    const kept = await keptPicture(KEPT_PHOTO);
    if (kept && !this.file) await this.#take(kept);
  }

  async #take(file) {
    this.file = file;
    this.input.problem.clear();
    this.input.show(file);
    this.size = await sizeOf(file);
    this.onChange();
    await keepPicture(KEPT_PHOTO, file);
  }
}

/** Says beforehand how long it will take, after each change. */
function estimator(form, photo, styles) {
  const place = byId("estimate");
  let asking = new AbortController();
  return async () => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const { size, quality, style_scale } = form.elements;
    const json = {
      ...(photo.size ?? USUAL),
      size: Number(size.value),
      quality: quality.value,
      style_scale: Number(style_scale.value),
      styles: Math.max(1, styles.count),
    };
    try {
      await pause(REST_MS, signal);
      for (let found; !found?.seconds; await pause(2_000, signal)) {
        found = await call("/stylize/estimate", { method: "POST", json, signal });
        fill(place, estimateInWords(found));
        if (found.seconds) return;
      }
    } catch (error) {
      if (!signal.aborted) fill(place, error.status < 500 ? inWords(error) : "");
    }
  };
}

function estimateInWords({ seconds, width, height }) {
  const size = `${width} × ${height} px`;
  return seconds ? `About ${duration(seconds)} for ${size}` : `${size}; how long is being measured`;
}

/** The button that starts, and what may go wrong with it. */
class Start {
  #button = byId("start");
  #problem = problemBox();

  constructor(form, photo, styles) {
    Object.assign(this, { form, photo, styles });
    byId("start-row").after(this.#problem.element);
  }

  async press() {
    if (this.#button.disabled) return;
    this.#problem.clear();
    if (!this.photo.file) return this.photo.input.problem.say("Choose a photograph first.");
    if (!this.styles.count) return this.styles.problem.say("Choose a style first.");
    this.#button.disabled = true;
    fill(this.#button, "Sending…");
    try {
      const job = await this.#send();
      await noteMade(job.id, await shrunk(this.photo.file, BEFORE_PX));
      go("stylize", job.id);
    } catch (error) {
      this.#problem.show(error, () => this.press());
    } finally {
      this.#button.disabled = false;
      fill(this.#button, "Paint it");
    }
  }

  async #send() {
    const body = new FormData(this.form);
    if (!body.get("seed")) body.delete("seed");
    body.append("content", this.photo.file);
    await this.styles.appendTo(body);
    return submit(
      (key) => call("/stylize", { method: "POST", body, headers: { "Idempotency-Key": key } }),
      {
        onLost: () => this.#problem.say("The connection is lost. Trying again…"),
      },
    );
  }
}

function showNumbers(form) {
  const { size, strength, style_scale } = form.elements;
  fill(byId("size-value"), `${size.value} px`);
  fill(byId("strength-value"), `${Math.round(100 * strength.value)} %`);
  fill(byId("scale-value"), `× ${style_scale.value}`);
}
