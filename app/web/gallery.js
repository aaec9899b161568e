/** The paintings so far; each is a link that opens it again. */

import { call, insist } from "./api.js";
import { byId, fill, make, named } from "./dom.js";
import { isOver } from "./job-stream.js";
import { lookUp, madeHere, removeJob, stylesOf } from "./own-jobs.js";
import { Frame } from "./pictures.js";
import { problemBox } from "./problems.js";
import { addressOf, go, here } from "./rooms.js";
import { ago } from "./words.js";

const LISTED = "/jobs?kind=stylize&limit=24";
const MOST_ASKED = 24;
const AGAIN_MS = 3_000;
const WORDS = {
  queued: "waiting",
  running: "being painted",
  failed: "failed",
  cancelled: "cancelled",
};

export class Gallery {
  #grid = byId("gallery-tiles");
  #more = byId("gallery-more");
  #problem = problemBox();
  #tiles = new Map(); // by the job's id
  #older = []; // jobs of later pages
  #cursor;
  #timer;
  #asking = new AbortController();

  constructor() {
    this.#more.addEventListener("click", () => this.#showOlder());
    this.#more.before(this.#problem.element);
  }

  /** Ask what there is, and again while something is being made. */
  async refresh() {
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      await this.#ask(signal);
    } catch (error) {
      if (!signal.aborted) this.#problem.show(error, () => this.refresh());
    }
  }

  async #ask(signal) {
    clearTimeout(this.#timer);
    const { jobs, cursor } = await insist(LISTED, { signal });
    const listed = new Set([...jobs, ...this.#older].map(({ id }) => id));
    const others = madeHere().filter((id) => !listed.has(id));
    const found =
      cursor === null ? await lookUp(others) : await lookUp(others.slice(0, MOST_ASKED));
    signal.throwIfAborted(); // another look has begun
    if (this.#cursor === undefined) this.#cursor = cursor;
    this.#show([...jobs, ...found, ...this.#older]);
    if (jobs.some((job) => !isOver(job)) && !byId("room-stylize").hidden)
      this.#timer = setTimeout(() => this.refresh(), AGAIN_MS);
  }

  async #showOlder() {
    try {
      const { jobs, cursor } = await call(`${LISTED}&cursor=${encodeURIComponent(this.#cursor)}`);
      this.#cursor = cursor;
      this.#older.push(...jobs);
      await this.refresh();
    } catch (error) {
      this.#problem.show(error);
    }
  }

  #show(jobs) {
    const shown = new Map(jobs.filter(isWorthShowing).map((job) => [job.id, job]));
    const newest = [...shown.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
    this.#tiles = new Map(newest.map((job) => [job.id, this.#tile(job)]));
    const elements = [...this.#tiles.values()].map(({ element }) => element);
    const present = [...this.#grid.children];
    const isSame =
      elements.length === present.length && elements.every((each, at) => each === present[at]);
    if (!isSame) fill(this.#grid, ...elements); // else what has the focus keeps it
    byId("gallery").hidden = elements.length === 0;
    this.#more.hidden = !this.#cursor;
  }

  #tile(job) {
    const tile = this.#tiles.get(job.id) ?? new Tile(job.id, () => this.#remove(job.id));
    tile.update(job);
    return tile;
  }

  async #remove(id) {
    this.#problem.clear();
    const { element } = this.#tiles.get(id);
    const neighbour = element.nextElementSibling ?? element.previousElementSibling;
    try {
      await removeJob(id);
      this.#tiles.delete(id);
      this.#older = this.#older.filter((job) => job.id !== id);
      element.remove();
      (neighbour?.querySelector("a") ?? byId("title-stylize")).focus();
      if (here().job === id) go("stylize");
      else await this.refresh();
    } catch (error) {
      this.#problem.show(error);
    }
  }
}

class Tile {
  #frame;
  #shown = null;
  #words = make("span", { class: "tile-words" });
  #remove;

  constructor(id, onRemove) {
    const picture = make("img", { alt: "", hidden: true });
    this.#frame = new Frame(picture);
    const link = make(
      "a",
      { href: addressOf("stylize", id) },
      make("span", { class: "tile-picture" }, picture),
      this.#words,
    );
    this.#remove = make(
      "button",
      { type: "button", class: "tile-delete", onclick: onRemove },
      "Delete",
    );
    this.element = make("li", { class: "tile" }, link, this.#remove);
  }

  update(job) {
    const { status, created_at, links, progress } = job;
    const name = stylesOf(job);
    const state = WORDS[status] ?? ago(created_at);
    fill(this.#words, make("span", {}, named(name)), make("span", { class: "quiet" }, state));
    const isLive = status === "queued" || status === "running";
    this.#remove.hidden = isLive;
    this.#remove.setAttribute("aria-label", `Delete the painting in ${name}, ${state}`);
    const version = `${status}-${progress?.step}`;
    if (!links.preview || version === this.#shown) return;
    this.#shown = version;
    this.#frame.show(`${links.preview}?version=${version}`).catch(() => {}); // the tile stays plain
  }
}

const isWorthShowing = (job) => Boolean(job.links.preview) || !isOver(job);
