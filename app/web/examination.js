/** One evaluation: its progress, then its report. */

import { call } from "./api.js";
import { byId, fill, make } from "./dom.js";
import { isOver, watchJob } from "./job-stream.js";
import { removeJob } from "./own-jobs.js";
import { EXPIRED, problemBox } from "./problems.js";
import { reportOn } from "./report.js";
import { addressOf, go } from "./rooms.js";
import { count, duration } from "./words.js";

const TITLES = {
  queued: "Waiting its turn",
  running: "Being evaluated",
  succeeded: "The report",
  failed: "It could not be evaluated",
  cancelled: "Cancelled",
};

export class Examination {
  #element = byId("examination");
  #problem = problemBox();
  #stop = () => {};
  #status = null;
  #id = null;

  constructor() {
    byId("examination-controls").after(this.#problem.element);
  }

  /** Show a job, live or finished. */
  open(id) {
    this.close();
    this.#id = id;
    this.#element.hidden = false;
    fill(byId("examination-title"), "Looking for it…");
    byId("examination-title").focus({ preventScroll: true });
    scrollTo(0, 0);
    this.#stop = watchJob(id, {
      onJob: (job) => this.#show(job),
      onLost: () => this.#away(true),
      onGone: (error) => this.#gone(error),
    });
  }

  close() {
    this.#stop();
    this.#id = this.#status = null;
    this.#element.hidden = true;
    this.#problem.clear();
    this.#away(false);
    for (const id of ["examination-title", "examination-left", "examination-controls", "report"])
      fill(byId(id));
    byId("examination-progress").hidden = true;
  }

  #show(job) {
    this.#away(false);
    fill(byId("examination-title"), TITLES[job.status]);
    showProgress(job);
    if (job.status === this.#status) return;
    this.#status = job.status;
    fill(byId("announcer"), TITLES[job.status]);
    fill(
      byId("examination-controls"),
      ...(isOver(job) ? this.#finalControls(job.id) : this.#liveControls(job.id)),
    );
    if (job.error) this.#problem.show(Object.assign(new Error(job.error.detail), job.error));
    if (job.links.result) this.#report(job);
    else if (job.status === "succeeded") this.#problem.show(EXPIRED);
  }

  async #report(job) {
    try {
      const report = await call(job.links.result);
      if (this.#id === job.id) fill(byId("report"), ...reportOn(report));
    } catch (error) {
      this.#problem.show(error, () => this.#report(job));
    }
  }

  #liveControls(id) {
    const ask = (path) => async () => {
      buttons.forEach((button) => (button.disabled = true));
      try {
        await call(`/jobs/${id}/${path}`, { method: "POST" });
      } catch (error) {
        buttons.forEach((button) => (button.disabled = false));
        this.#problem.show(error);
      }
    };
    const buttons = [
      make("button", { type: "button", onclick: ask("finish") }, "Report on what was seen"),
      make("button", { type: "button", onclick: ask("cancel") }, "Cancel"),
    ];
    return buttons;
  }

  #finalControls(id) {
    const remove = async () => {
      try {
        await removeJob(id);
        go("evaluate");
      } catch (error) {
        this.#problem.show(error);
      }
    };
    return [
      make("a", { class: "button", href: addressOf("evaluate") }, "Evaluate another"),
      make("button", { type: "button", onclick: remove }, "Delete"),
    ];
  }

  #away(isAway) {
    const words = byId("examination-away");
    if (!isAway && !words.hidden) this.#problem.clear(); // it was that the service was away
    words.hidden = !isAway;
  }

  #gone(error) {
    this.close();
    this.#element.hidden = false;
    fill(byId("examination-title"), "Not here any more");
    fill(
      byId("examination-controls"),
      make("a", { class: "button", href: addressOf("evaluate") }, "Evaluate another"),
    );
    this.#problem.show(error);
  }
}

function showProgress(job) {
  const bar = byId("examination-progress");
  bar.hidden = isOver(job);
  if (job.progress) Object.assign(bar, { max: job.progress.steps, value: job.progress.step });
  else bar.removeAttribute("value");
  const left = job.eta_s === null ? null : `about ${duration(job.eta_s)} left`;
  const seen = job.progress && `${count(job.progress.step)} of ${count(job.progress.steps)}`;
  fill(byId("examination-left"), bar.hidden ? "" : [left, seen].filter(Boolean).join(" · "));
}
