/** The view of one painting: its previews, the comparison with the photo, and its continuation. */

import { callApi, fetchLimits, jobPath, submitJob } from "./api.js";
import { loadImage, savePainting, styleNamesOf } from "./browser-storage.js";
import { byId, create, setChildren, setCssProperty, userText } from "./dom.js";
import { SmoothImage } from "./files.js";
import { createComparison, createField, createSegments, createSelect } from "./form-controls.js";
import { formatPercent } from "./format.js";
import { JobView, announce, openNewJob } from "./job-view.js";

export const QUALITIES = { preview: "Preview", standard: "Standard", high: "High" };

const SIZE_FACTORS = [1.5, 2, 3]; // offered for a continuation

export const PAINTING = {
  tab: "stylize",
  titles: {
    queued: "Painting queued",
    running: "Painting in progress",
    succeeded: "Painting finished",
    failed: "Painting failed",
    cancelled: "Painting canceled",
  },
  unit: "step",
};

export class PaintingView {
  #frame = byId("painting-frame");
  #photoUrl = null;
  #image = null;
  #hasPreview = false;
  #status = null;
  #view;
  #onStatusChange;

  /** @param {{onStatusChange: () => void}} options */
  constructor({ onStatusChange }) {
    this.#onStatusChange = onStatusChange;
    this.#view = new JobView("painting", {
      ...PAINTING,
      newJobText: "New painting",
      onOpen: (id) => this.#setUp(id),
      onJob: (job) => this.#showJob(job),
      onPreview: (url) => this.#showPreview(url),
      onResult: (job) => this.#showResult(job),
      resultActions: createDownloadLinks,
      onClose: () => this.#clear(),
    });
  }

  /** Show a job, in progress or finished. */
  open(id) {
    this.#view.open(id);
  }

  close() {
    this.#view.close();
  }

  #clear() {
    URL.revokeObjectURL(this.#photoUrl);
    this.#photoUrl = this.#status = null;
    this.#hasPreview = false;
    for (const id of ["painting-facts", "continue", "painting-frame"]) setChildren(byId(id));
  }

  async #setUp(id) {
    const photo = await loadImage(id);
    if (!this.#view.isShowing(id)) return;
    this.#photoUrl = photo ? URL.createObjectURL(photo) : null;
    const image = create("img", { alt: "Preview of the painting", hidden: true });
    this.#image = new SmoothImage(image);
    const background = this.#photoUrl
      ? create("img", { src: this.#photoUrl, alt: "", class: "painting-photo" })
      : null;
    setChildren(this.#frame, background, image);
  }

  #showPreview(url) {
    const handleShown = () => {
      if (!this.#hasPreview) announce("The first preview is shown.");
      this.#hasPreview = true;
    };
    this.#image.show(url).then(handleShown, () => {}); // the next preview may succeed
  }

  #showJob(job) {
    const { width, height } = job.options;
    setCssProperty(this.#frame, "ratio", width / height);
    setCssProperty(this.#frame, "image-width", `${width}px`);
    const facts = byId("painting-facts");
    setChildren(facts, userText(styleNamesOf(job)), ` · ${describeOptions(job.options)}`);
    if (job.status === this.#status) return;
    this.#status = job.status;
    this.#onStatusChange();
  }

  #showResult(job) {
    this.#showContinueForm(job);
    if (this.#photoUrl) this.#showComparison(job);
    else this.#image.show(job.links.result, "Finished painting").catch(() => {}); // see the download
  }

  async #showContinueForm(job) {
    const { max_size } = await fetchLimits();
    if (!this.#view.isShowing(job.id)) return;
    setChildren(byId("continue"), createContinueForm(job, max_size, this.#view.errorBox));
  }

  /** Replace the last preview with the comparison once the result is decoded. */
  async #showComparison({ id, links }) {
    const comparison = createComparison({ before: this.#photoUrl, after: links.result });
    const images = [...comparison.querySelectorAll("img")];
    await Promise.allSettled(images.map((image) => image.decode()));
    if (this.#view.isShowing(id)) setChildren(this.#frame, comparison);
  }
}

function createDownloadLinks({ links }) {
  const attributes = { class: "button primary", href: links.result, download: true };
  return links.result ? [create("a", attributes, "Download")] : [];
}

function describeOptions({ width, height, quality, strength, content_weight: contentWeight }) {
  const style =
    contentWeight === null ? `${formatPercent(strength, 0)} style` : "custom content weight";
  return [`${width} × ${height} px`, quality, style].join(" · ");
}

/**
 * Create the form that continues a painting in a new job, with more steps or at a larger size.
 *
 * @param {object} job a finished painting
 * @param {number} maxSize longest side of a painting, px
 * @param {object} errorBox
 * @returns {HTMLFormElement}
 */
function createContinueForm(job, maxSize, errorBox) {
  const { size, quality } = job.options;
  const larger = SIZE_FACTORS.map((factor) => Math.round(size * factor));
  const sizes = [
    [size, `${size} px (unchanged)`],
    ...larger.filter((px) => px <= maxSize).map((px) => [px, `${px} px`]),
  ];
  const nextQuality = quality === "preview" ? "standard" : "high";
  const button = create("button", {}, "Continue painting");
  const start = async () => {
    button.disabled = true;
    try {
      const options = {
        size: Number(form.elements.size.value),
        quality: form.elements.next_quality.value,
      };
      const next = await continuePainting(job, options, errorBox);
      openNewJob("stylize", next.id);
    } catch (error) {
      errorBox.showError(error, start);
    } finally {
      button.disabled = false;
    }
  };
  const form = create(
    "form",
    { class: "continue-form", onsubmit: (event) => (event.preventDefault(), start()) },
    createField("Longest side", createSelect("size", sizes)),
    createSegments({
      legend: "Quality",
      name: "next_quality",
      options: QUALITIES,
      selected: nextQuality,
    }),
    button,
  );
  return form;
}

async function continuePainting(source, options, errorBox) {
  errorBox.clear();
  const send = (key) =>
    callApi(jobPath(source.id, "continue"), {
      method: "POST",
      json: options,
      headers: { "Idempotency-Key": key },
    });
  const job = await submitJob(send, {
    onDisconnect: () => errorBox.showMessage("Connection lost. Trying again…"),
  });
  await savePainting(job.id, styleNamesOf(source), await loadImage(source.id));
  return job;
}
