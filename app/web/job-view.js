/** Views of a job: the full view with its actions, and the link to a job in progress. */

import { callApiUntilAnswered, jobPath } from "./api.js";
import { clearRunningJob, deleteJob, loadRunningJob, saveRunningJob } from "./browser-storage.js";
import { byId, create, setChildren } from "./dom.js";
import { EXPIRED, createErrorBox } from "./errors.js";
import { formatDuration, formatNumber, pluralize } from "./format.js";
import { followJob, isFinished } from "./job-events.js";
import { currentRoute, navigate, routeTo } from "./router.js";

const PARTS = ["title", "progress", "status", "disconnected", "actions"];

/**
 * The properties of a kind of job.
 *
 * @typedef {object} JobKind
 * @property {string} tab shows the jobs
 * @property {Object<string, string>} titles by status
 * @property {string} unit of the progress
 * @property {string} newJobText of the link to the form
 * @property {(id: string) => Promise<void>} [onOpen] is awaited
 * @property {(job: object) => void} [onJob]
 * @property {(url: string) => void} [onPreview]
 * @property {(job: object) => void} onResult
 * @property {(job: object) => HTMLElement[]} [resultActions] precede the actions of a finished job
 * @property {() => void} onClose clears the elements of this kind
 */

/** The view of one job, in progress or finished. */
export class JobView {
  errorBox = createErrorBox();
  #kind;
  #element;
  #parts;
  #id = null;
  #status = null;
  #stop = () => {};

  /** @param {string} prefix of the element ids @param {JobKind} kind */
  constructor(prefix, kind) {
    this.#kind = kind;
    this.#element = byId(prefix);
    this.#parts = Object.fromEntries(PARTS.map((part) => [part, byId(`${prefix}-${part}`)]));
    this.#parts.actions.after(this.errorBox.element);
  }

  /** Tell whether the view shows this job. */
  isShowing(id) {
    return this.#id === id;
  }

  async open(id) {
    this.close();
    this.#id = id;
    this.#element.hidden = false;
    setChildren(this.#parts.title, "Loading…");
    this.#parts.title.focus({ preventScroll: true });
    scrollTo(0, 0);
    await this.#kind.onOpen?.(id);
    if (!this.isShowing(id)) return;
    this.#stop = followJob(id, {
      onJob: (job) => this.#showJob(job),
      onPreview: this.#kind.onPreview,
      onDisconnect: () => this.#setDisconnected(true),
      onNotFound: (error) => this.#showNotFound(error),
    });
  }

  close() {
    this.#stop();
    this.#id = this.#status = null;
    this.#element.hidden = true;
    this.errorBox.clear();
    this.#setDisconnected(false);
    const { title, status, actions, progress } = this.#parts;
    for (const part of [title, status, actions]) setChildren(part);
    progress.hidden = true;
    this.#kind.onClose();
  }

  #showJob(job) {
    const title = this.#kind.titles[job.status];
    this.#setDisconnected(false);
    setChildren(this.#parts.title, title);
    this.#showProgress(job);
    this.#kind.onJob?.(job);
    if (job.status === this.#status) return;
    this.#status = job.status;
    if (isFinished(job)) clearRunningJob(this.#kind.tab, job.id);
    announce(title);
    this.#setActions(isFinished(job) ? this.#finalActions(job) : this.#liveActions(job));
    if (job.error) this.errorBox.showError(Object.assign(new Error(job.error.detail), job.error));
    else if (job.links.result) this.#kind.onResult(job);
    else if (job.status === "succeeded") this.errorBox.showError(EXPIRED);
  }

  #showProgress(job) {
    const { progress: bar, status } = this.#parts;
    bar.hidden = isFinished(job);
    if (job.progress) Object.assign(bar, { max: job.progress.steps, value: job.progress.step });
    else bar.removeAttribute("value");
    setChildren(status, describeProgress(job, this.#kind.unit));
  }

  /** Replace the buttons; move the focus to the title if it was on one of them. */
  #setActions(actions) {
    const focusable = [document.body, ...this.#parts.actions.children];
    const hadFocus = focusable.includes(document.activeElement);
    setChildren(this.#parts.actions, ...actions);
    if (hadFocus) this.#parts.title.focus({ preventScroll: true });
  }

  #liveActions(job) {
    const request = (action, text) => async (event) => {
      for (const button of this.#parts.actions.children) button.disabled = true;
      setChildren(event.currentTarget, text);
      try {
        await callApiUntilAnswered(jobPath(job.id, action), { method: "POST" });
      } catch (error) {
        if (!this.isShowing(job.id)) return;
        setChildren(this.#parts.actions, ...this.#liveActions(job));
        this.errorBox.showError(error);
      }
    };
    const finish = request("finish", "Finishing…");
    const cancel = request("cancel", "Canceling…");
    return [
      job.status === "running"
        ? create("button", { class: "primary", onclick: finish }, "Finish now")
        : null,
      create("button", { onclick: cancel }, "Cancel"),
    ];
  }

  #finalActions(job) {
    const { tab, resultActions = () => [] } = this.#kind;
    const remove = async () => {
      try {
        await deleteJob(job.id);
        navigate(tab);
      } catch (error) {
        this.errorBox.showError(error);
      }
    };
    const deleteButton = create("button", { onclick: remove }, "Delete");
    return [...resultActions(job), this.#createNewJobLink(), deleteButton];
  }

  #createNewJobLink() {
    const { tab, newJobText } = this.#kind;
    return create("a", { class: "button", href: routeTo(tab) }, newJobText);
  }

  #setDisconnected(isDisconnected) {
    const { disconnected } = this.#parts;
    if (!isDisconnected && !disconnected.hidden) this.errorBox.clear(); // of the lost connection
    disconnected.hidden = !isDisconnected;
  }

  #showNotFound(error) {
    this.close();
    this.#element.hidden = false;
    setChildren(this.#parts.title, "Job not found");
    setChildren(this.#parts.actions, this.#createNewJobLink());
    this.errorBox.showError(error);
  }
}

/** Open a new job, unless the user has opened another tab meanwhile. */
export function openNewJob(tab, id) {
  saveRunningJob(tab, id);
  if (currentRoute().tab === tab) navigate(tab, id);
}

/** The link in a tab to the job last started there, while it is in progress. */
export class RunningJobLink {
  #kind;
  #element;
  #stop = () => {};

  /** @param {JobKind} kind */
  constructor(kind) {
    this.#kind = kind;
    this.#element = byId(`${kind.tab}-running`);
  }

  /** Show the job in progress, if there is one. */
  show() {
    this.hide();
    const id = loadRunningJob(this.#kind.tab);
    if (!id) return;
    this.#stop = followJob(id, {
      onJob: (job) => this.#showJob(job),
      onDisconnect: () => {}, // the last known state stays
      onNotFound: () => this.#clear(id),
    });
  }

  hide() {
    this.#stop();
    this.#element.hidden = true;
  }

  #showJob(job) {
    const { tab, titles, unit } = this.#kind;
    if (isFinished(job)) clearRunningJob(tab, job.id);
    if (isFinished(job) && this.#element.hidden) return; // it ended before this visit
    setChildren(
      this.#element,
      create("a", { href: routeTo(tab, job.id) }, titles[job.status]),
      create("span", { class: "muted" }, ` ${describeProgress(job, unit)}`),
    );
    this.#element.hidden = false;
  }

  #clear(id) {
    clearRunningJob(this.#kind.tab, id);
    this.hide();
  }
}

/** Announce a text to screen readers. */
export const announce = (text) => setChildren(byId("announcer"), text);

/** Describe the remaining time and the progress; return an empty text for a finished job. */
function describeProgress({ status, progress, eta_s, position }, unit) {
  if (isFinished({ status })) return "";
  const eta = eta_s === null ? "" : `about ${formatDuration(eta_s)} left`;
  const queue = position > 1 ? `${pluralize(position - 1, "job")} ahead in the queue` : "";
  const step = progress
    ? `${unit} ${formatNumber(progress.step)} of ${formatNumber(progress.steps)}`
    : "";
  return [eta, queue || step].filter(Boolean).join(" · ");
}
