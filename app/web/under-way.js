/** A link to what was begun here last, for whoever comes back while it goes on. */

import { begunIn, noteBegun, noteEnded } from "./begun.js";
import { byId, fill, make } from "./dom.js";
import { isOver, watchJob } from "./job-stream.js";
import { progressInWords } from "./job-view.js";
import { addressOf, go, here } from "./rooms.js";

/** Open a job that was just made, unless its maker has gone to another room meanwhile. */
export function openMade(room, job) {
  noteBegun(room, job);
  if (here().room === room) go(room, job);
}

export class UnderWay {
  #kind;
  #place;
  #stop = () => {};

  /** @param {import("./job-view.js").Kind} kind */
  constructor(kind) {
    this.#kind = kind;
    this.#place = byId(`${kind.room}-under-way`);
  }

  /** Show what goes on, until it is hidden. */
  show() {
    this.hide();
    const id = begunIn(this.#kind.room);
    if (!id) return;
    this.#stop = watchJob(id, {
      onJob: (job) => this.#show(job),
      onLost: () => {}, // the last known state stays
      onGone: () => this.#forget(id),
    });
  }

  hide() {
    this.#stop();
    this.#place.hidden = true;
  }

  #show(job) {
    if (isOver(job)) noteEnded(this.#kind.room, job.id);
    if (isOver(job) && this.#place.hidden) return; // it was over before
    const { room, titles, unit } = this.#kind;
    fill(
      this.#place,
      make("a", { href: addressOf(room, job.id) }, titles[job.status]),
      make("span", { class: "quiet" }, ` ${progressInWords(job, unit)}`),
    );
    this.#place.hidden = false;
  }

  #forget(id) {
    noteEnded(this.#kind.room, id);
    this.hide();
  }
}
