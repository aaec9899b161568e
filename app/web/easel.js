/** One painting: as it is made, and when it is done. */

import { call } from "./api.js";
import { byId, fill, make, measure } from "./dom.js";
import { goOn } from "./going-on.js";
import { isOver, watchJob } from "./job-stream.js";
import { keptPicture } from "./memory.js";
import { removeJob, stylesOf } from "./own-jobs.js";
import { Frame } from "./pictures.js";
import { EXPIRED, problemBox } from "./problems.js";
import { addressOf, go } from "./rooms.js";
import { beforeAfter } from "./slider.js";
import { count, duration, plural } from "./words.js";

const PARTS = ["easel-title", "easel-facts", "easel-left", "easel-controls", "go-on", "stage"];
const TITLES = {
  queued: "Waiting its turn",
  running: "Being painted",
  succeeded: "Painted",
  failed: "It could not be painted",
  cancelled: "Cancelled",
};

export class Easel {
  #element = byId("easel");
  #stage = byId("stage");
  #problem = problemBox();
  #stop = () => {};
  #id = null;
  #status = null;
  #photo = null; // the address of the photograph
  #frame = null;
  #hasPicture = false;
  #onChange;

  /** @param {{onChange: () => void}} options `onChange` is called when a painting begins or ends */
  constructor({ onChange }) {
    this.#onChange = onChange;
    byId("easel-controls").after(this.#problem.element);
  }

  /** Show a job, live or finished. */
  async open(id) {
    this.close();
    this.#id = id;
    this.#element.hidden = false;
    fill(byId("easel-title"), "Looking for it…");
    byId("easel-title").focus({ preventScroll: true });
    scrollTo(0, 0);
    const kept = await keptPicture(id);
    if (this.#id !== id) return;
    this.#photo = kept ? URL.createObjectURL(kept) : null;
    this.#setUp();
    this.#stop = watchJob(id, {
      onJob: (job) => this.#show(job),
      onPreview: (address) => this.#preview(address),
      onLost: () => this.#away(true),
      onGone: (error) => this.#gone(error),
    });
  }

  close() {
    this.#stop();
    URL.revokeObjectURL(this.#photo);
    this.#id = this.#status = this.#photo = null;
    this.#element.hidden = true;
    this.#problem.clear();
    this.#away(false);
    this.#hasPicture = false;
    PARTS.forEach((id) => fill(byId(id)));
    byId("easel-progress").hidden = true;
  }

  #setUp() {
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
    this.#away(false);
    const { width, height } = job.options;
    measure(this.#stage, "ratio", width / height);
    measure(this.#stage, "natural", `${width}px`);
    fill(byId("easel-title"), TITLES[job.status]);
    fill(byId("easel-facts"), facts(job));
    showProgress(job);
    if (job.status === this.#status) return;
    this.#status = job.status;
    const hadFocus = [document.body, ...byId("easel-controls").children];
    if (hadFocus.includes(document.activeElement)) byId("easel-title").focus();
    announce(TITLES[job.status]);
    if (isOver(job)) this.#finish(job);
    else fill(byId("easel-controls"), ...this.#liveControls(job.status));
    this.#onChange();
  }

  #finish(job) {
    fill(byId("easel-controls"), ...this.#finalControls(job));
    if (job.error) this.#problem.show(Object.assign(new Error(job.error.detail), job.error));
    if (!job.links.result) {
      if (job.status === "succeeded") this.#problem.show(EXPIRED);
      return;
    }
    fill(byId("go-on"), goOn(job, this.#problem));
    if (this.#photo) this.#compare(job.links.result);
    else this.#frame.show(job.links.result, "The painting").catch(() => {}); // it can be downloaded
  }

  /** Swap the last preview for the slider once the result can be drawn. */
  async #compare(result) {
    const id = this.#id;
    const slider = beforeAfter({ before: this.#photo, after: result });
    const pictures = [...slider.querySelectorAll("img")];
    await Promise.allSettled(pictures.map((picture) => picture.decode()));
    if (this.#id === id) fill(this.#stage, slider);
  }

  #liveControls(status) {
    const ask = (path, words) => async (event) => {
      for (const button of byId("easel-controls").children) button.disabled = true;
      fill(event.currentTarget, words);
      try {
        await call(`/jobs/${this.#id}/${path}`, { method: "POST" });
      } catch (error) {
        fill(byId("easel-controls"), ...this.#liveControls(status));
        this.#problem.show(error);
      }
    };
    const finish = ask("finish", "Finishing…");
    const cancel = ask("cancel", "Cancelling…");
    return [
      make(
        "button",
        { class: "primary", hidden: status !== "running", onclick: finish },
        "Good enough",
      ),
      make("button", { onclick: cancel }, "Cancel"),
    ];
  }

  #finalControls({ id, links }) {
    const remove = async () => {
      try {
        await removeJob(id);
        go("stylize");
      } catch (error) {
        this.#problem.show(error);
      }
    };
    return [
      links.result
        ? make("a", { class: "button primary", href: links.result, download: true }, "Download")
        : null,
      make("a", { class: "button", href: addressOf("stylize") }, "New painting"),
      make("button", { type: "button", onclick: remove }, "Delete"),
    ].filter(Boolean);
  }

  #away(isAway) {
    const words = byId("easel-away");
    if (!isAway && !words.hidden) this.#problem.clear(); // it was that the service was away
    words.hidden = !isAway;
  }

  #gone(error) {
    this.close();
    this.#element.hidden = false;
    fill(byId("easel-title"), "Not here any more");
    fill(
      byId("easel-controls"),
      make("a", { class: "button", href: addressOf("stylize") }, "New painting"),
    );
    this.#problem.show(error);
  }
}

function showProgress({ status, progress, eta_s, position }) {
  const bar = byId("easel-progress");
  bar.hidden = !["queued", "running"].includes(status);
  if (progress) Object.assign(bar, { max: progress.steps, value: progress.step });
  else bar.removeAttribute("value");
  const left = eta_s === null ? "" : `about ${duration(eta_s)} left`;
  const place = position > 1 ? `${plural(position - 1, "job")} before it` : "";
  const step = progress ? `step ${count(progress.step)} of ${count(progress.steps)}` : "";
  fill(byId("easel-left"), bar.hidden ? "" : [left, place || step].filter(Boolean).join(" · "));
}

function facts(job) {
  const { width, height, quality, strength, content_weight: literal } = job.options;
  const share = literal === null ? `${Math.round(100 * strength)} % style` : "own weights";
  return [stylesOf(job), `${width} × ${height} px`, quality, share].join(" · ");
}

const announce = (words) => fill(byId("announcer"), words);
