/** One painting: as it is made, and when it is done. */

import { byId, fill, make, measure, named } from "./dom.js";
import { goOn } from "./going-on.js";
import { JobView, announce } from "./job-view.js";
import { limits } from "./limits.js";
import { keptPicture } from "./memory.js";
import { stylesOf } from "./own-jobs.js";
import { Frame } from "./pictures.js";
import { beforeAfter } from "./slider.js";

export const PAINTING = {
  room: "stylize",
  titles: {
    queued: "Waiting its turn",
    running: "Being painted",
    succeeded: "Painted",
    failed: "It could not be painted",
    cancelled: "Cancelled",
  },
  unit: "step",
};

export class Easel {
  #stage = byId("stage");
  #photo = null; // the address of the photograph
  #frame = null;
  #hasPicture = false;
  #status = null;
  #view;
  #onChange;

  /** @param {{onChange: () => void}} options `onChange` is called when a painting begins or ends */
  constructor({ onChange }) {
    this.#onChange = onChange;
    this.#view = new JobView("easel", {
      ...PAINTING,
      enough: "Good enough",
      another: "New painting",
      onOpen: (id) => this.#setUp(id),
      onNews: (job) => this.#show(job),
      onPreview: (address) => this.#preview(address),
      onResult: (job) => this.#finish(job),
      finalControls: downloads,
      onClose: () => this.#clear(),
    });
  }

  /** Show a job, live or finished. */
  open(id) {
    this.#view.open(id);
  }

  close() {
    this.#view.close();
  }

  #clear() {
    URL.revokeObjectURL(this.#photo);
    this.#photo = this.#status = null;
    this.#hasPicture = false;
    for (const id of ["easel-facts", "go-on", "stage"]) fill(byId(id));
  }

  async #setUp(id) {
    const kept = await keptPicture(id);
    if (!this.#view.shows(id)) return;
    this.#photo = kept ? URL.createObjectURL(kept) : null;
    const picture = make("img", { alt: "The painting so far", hidden: true });
    this.#frame = new Frame(picture);
    const photo = this.#photo
      ? make("img", { src: this.#photo, alt: "", class: "stage-photo" })
      : null;
    fill(this.#stage, photo, picture);
  }

  #preview(address) {
    const shown = () => {
      if (!this.#hasPicture) announce("The first picture is there; it gets sharper.");
      this.#hasPicture = true;
    };
    this.#frame.show(address).then(shown, () => {}); // after a failure, the next one may come
  }

  #show(job) {
    const { width, height } = job.options;
    measure(this.#stage, "ratio", width / height);
    measure(this.#stage, "natural", `${width}px`);
    fill(byId("easel-facts"), named(stylesOf(job)), ` · ${facts(job)}`);
    if (job.status === this.#status) return;
    this.#status = job.status;
    this.#onChange();
  }

  #finish(job) {
    this.#offerMore(job);
    if (this.#photo) this.#compare(job);
    else this.#frame.show(job.links.result, "The painting").catch(() => {}); // it can be downloaded
  }

  async #offerMore(job) {
    const { max_size } = await limits();
    if (this.#view.shows(job.id)) fill(byId("go-on"), goOn(job, max_size, this.#view.problem));
  }

  /** Swap the last preview for the slider once the result can be drawn. */
  async #compare({ id, links }) {
    const slider = beforeAfter({ before: this.#photo, after: links.result });
    const pictures = [...slider.querySelectorAll("img")];
    await Promise.allSettled(pictures.map((picture) => picture.decode()));
    if (this.#view.shows(id)) fill(this.#stage, slider);
  }
}

function downloads({ links }) {
  const attributes = { class: "button primary", href: links.result, download: true };
  return links.result ? [make("a", attributes, "Download")] : [];
}

function facts(job) {
  const { width, height, quality, strength, content_weight: literal } = job.options;
  const share = literal === null ? `${Math.round(100 * strength)} % style` : "own weights";
  return [`${width} × ${height} px`, quality, share].join(" · ");
}
