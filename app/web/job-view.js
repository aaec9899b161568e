/** One job, live or finished: how far it is, and what can be done about it. */

import { insist, jobPath } from "./api.js";
import { noteEnded } from "./begun.js";
import { byId, fill, make } from "./dom.js";
import { isOver, watchJob } from "./job-stream.js";
import { removeJob } from "./own-jobs.js";
import { EXPIRED, problemBox } from "./problems.js";
import { addressOf, go } from "./rooms.js";
import { count, duration, plural } from "./words.js";

const PARTS = ["title", "progress", "left", "away", "controls"];

/**
 * What a kind of job has of its own.
 *
 * @typedef {object} Kind
 * @property {string} room where it is shown
 * @property {Object<string, string>} titles by the job's status
 * @property {string} unit of its steps
 * @property {string} enough takes what there is as the result
 * @property {string} another leads to where one is begun
 * @property {(id: string) => Promise<void>} [onOpen] is waited for
 * @property {(job: object) => void} [onNews]
 * @property {(address: string) => void} [onPreview]
 * @property {(job: object) => void} onResult
 * @property {(job: object) => HTMLElement[]} [finalControls] come first when it is over
 * @property {() => void} onClose empties what is its own
 */
export class JobView {
  problem = problemBox();
  #kind;
  #element;
  #parts;
  #id = null;
  #status = null;
  #stop = () => {};

  /** @param {string} name what the ids of its elements begin with @param {Kind} kind */
  constructor(name, kind) {
    this.#kind = kind;
    this.#element = byId(name);
    this.#parts = Object.fromEntries(PARTS.map((part) => [part, byId(`${name}-${part}`)]));
    this.#parts.controls.after(this.problem.element);
  }

  /** Whether this job is the one that is shown. */
  shows(id) {
    return this.#id === id;
  }

  async open(id) {
    this.close();
    this.#id = id;
    this.#element.hidden = false;
    fill(this.#parts.title, "Looking for it…");
    this.#parts.title.focus({ preventScroll: true });
    scrollTo(0, 0);
    await this.#kind.onOpen?.(id);
    if (!this.shows(id)) return;
    this.#stop = watchJob(id, {
      onJob: (job) => this.#show(job),
      onPreview: this.#kind.onPreview,
      onLost: () => this.#away(true),
      onGone: (error) => this.#gone(error),
    });
  }

  close() {
    this.#stop();
    this.#id = this.#status = null;
    this.#element.hidden = true;
    this.problem.clear();
    this.#away(false);
    const { title, left, controls, progress } = this.#parts;
    for (const part of [title, left, controls]) fill(part);
    progress.hidden = true;
    this.#kind.onClose();
  }

  #show(job) {
    this.#away(false);
    fill(this.#parts.title, this.#kind.titles[job.status]);
    this.#showProgress(job);
    this.#kind.onNews?.(job);
    if (job.status === this.#status) return;
    this.#status = job.status;
    if (isOver(job)) noteEnded(this.#kind.room, job.id);
    announce(this.#kind.titles[job.status]);
    this.#control(isOver(job) ? this.#finalControls(job) : this.#liveControls(job));
    if (job.error) this.problem.show(Object.assign(new Error(job.error.detail), job.error));
    else if (job.links.result) this.#kind.onResult(job);
    else if (job.status === "succeeded") this.problem.show(EXPIRED);
  }

  #showProgress(job) {
    const { progress: bar, left } = this.#parts;
    bar.hidden = isOver(job);
    if (job.progress) Object.assign(bar, { max: job.progress.steps, value: job.progress.step });
    else bar.removeAttribute("value");
    fill(left, progressInWords(job, this.#kind.unit));
  }

  /** Swap the buttons; who was on one of them goes on from the title. */
  #control(buttons) {
    const hadFocus = [document.body, ...this.#parts.controls.children];
    const isMoved = hadFocus.includes(document.activeElement);
    fill(this.#parts.controls, ...buttons);
    if (isMoved) this.#parts.title.focus({ preventScroll: true });
  }

  #liveControls(job) {
    const ask = (action, words) => async (event) => {
      for (const button of this.#parts.controls.children) button.disabled = true;
      fill(event.currentTarget, words);
      try {
        await insist(jobPath(job.id, action), { method: "POST" });
      } catch (error) {
        if (!this.shows(job.id)) return;
        fill(this.#parts.controls, ...this.#liveControls(job));
        this.problem.show(error);
      }
    };
    const isRunning = job.status === "running";
    const finish = ask("finish", "Finishing…");
    const cancel = ask("cancel", "Cancelling…");
    return [
      isRunning
        ? make("button", { class: "primary", onclick: finish }, this.#kind.enough)
        : null,
      make("button", { onclick: cancel }, "Cancel"),
    ];
  }

  #finalControls(job) {
    const { room, finalControls = () => [] } = this.#kind;
    const remove = async () => {
      try {
        await removeJob(job.id);
        go(room);
      } catch (error) {
        this.problem.show(error);
      }
    };
    return [...finalControls(job), this.#another(), make("button", { onclick: remove }, "Delete")];
  }

  #another() {
    const { room, another } = this.#kind;
    return make("a", { class: "button", href: addressOf(room) }, another);
  }

  #away(isAway) {
    const { away } = this.#parts;
    if (!isAway && !away.hidden) this.problem.clear(); // it was that the service was away
    away.hidden = !isAway;
  }

  #gone(error) {
    this.close();
    this.#element.hidden = false;
    fill(this.#parts.title, "Not here any more");
    fill(this.#parts.controls, this.#another());
    this.problem.show(error);
  }
}

/** How long a job will take and how far it is; nothing once it is over. */
export function progressInWords({ status, progress, eta_s, position }, unit) {
  if (isOver({ status })) return "";
  const left = eta_s === null ? "" : `about ${duration(eta_s)} left`;
  const place = position > 1 ? `${plural(position - 1, "job")} before it` : "";
  const done = progress ? `${unit} ${count(progress.step)} of ${count(progress.steps)}` : "";
  return [left, place || done].filter(Boolean).join(" · ");
}

/** Let screen readers speak. */
export const announce = (words) => fill(byId("announcer"), words);
