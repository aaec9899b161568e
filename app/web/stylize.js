/** The room where photographs are painted: choose, see what it takes, start. */

import { call, submit } from "./api.js";
import { takeStrays } from "./arrivals.js";
import { byId, fill } from "./dom.js";
import { Easel, PAINTING } from "./easel.js";
import { estimator } from "./estimate.js";
import { Gallery } from "./gallery.js";
import { limits } from "./limits.js";
import { rememberForm } from "./memory.js";
import { noteMade } from "./own-jobs.js";
import { Photo } from "./photo.js";
import { shrunk } from "./pictures.js";
import { problemBox } from "./problems.js";
import { fillSettings } from "./settings.js";
import { StyleChooser } from "./style-chooser.js";
import { UnderWay, openMade } from "./under-way.js";

const BEFORE_PX = 1280; // longest side of the photograph that is kept for before and after

/** @returns {{open: (job: string | null) => void, close: () => void}} */
export function stylizeRoom() {
  const room = byId("room-stylize");
  const form = byId("settings");
  const gallery = new Gallery();
  const easel = new Easel({ onChange: () => gallery.refresh() });
  const underWay = new UnderWay(PAINTING);
  const ready = limits().then(({ max_size }) => {
    fillSettings(max_size);
    rememberForm(form, "settings");
  });
  const photo = new Photo(() => ready.then(estimate));
  const styles = new StyleChooser(() => ready.then(estimate));
  const estimate = estimator(form, photo, styles);
  byId("photo").append(photo.input.element);
  form.addEventListener("input", () => estimate());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start.press();
  });
  form.addEventListener("invalid", () => (form.querySelector("details").open = true), true);
  const start = new Start(form, photo, styles);
  takeStrays(room, (files) => {
    const place = byId("styles").contains(document.activeElement) ? styles : photo.input;
    if (!byId("setup").hidden) place.take(files);
  });
  styles.load();
  photo.recall();
  return {
    open(job) {
      byId("setup").hidden = job !== null;
      if (job) {
        underWay.hide();
        easel.open(job);
      } else {
        easel.close();
        underWay.show();
      }
      gallery.refresh();
    },
    close() {
      easel.close();
      underWay.hide();
    },
  };
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
    if (!this.photo.file) return this.photo.input.problem.ask("Choose a photograph first.");
    if (!this.styles.count) return this.styles.problem.ask("Choose a style first.");
    this.#button.disabled = true;
    fill(this.#button, "Sending…");
    try {
      const job = await this.#send();
      await noteMade(job.id, this.styles.names, await shrunk(this.photo.file, BEFORE_PX));
      openMade("stylize", job.id);
    } catch (error) {
      const place = this.#placeOf(error);
      place.show(error, () => this.press());
      place.reveal();
    } finally {
      this.#button.disabled = false;
      fill(this.#button, "Paint it");
    }
  }

  /** Where an error is said: at the picture that it is about. */
  #placeOf({ field }) {
    if (field === "content") return this.photo.input.problem;
    return ["style", "style_name"].includes(field) ? this.styles.problem : this.#problem;
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
