/** The gallery of paintings, each with a link to its view. */

import { callApi, callApiUntilAnswered } from "./api.js";
import { deleteJob, fetchJobs, ownPaintingIds, styleNamesOf } from "./browser-storage.js";
import { byId, create, setChildren, userText } from "./dom.js";
import { createErrorBox } from "./errors.js";
import { SmoothImage } from "./files.js";
import { formatAge, formatStatus } from "./format.js";
import { isFinished } from "./job-events.js";
import { currentRoute, navigate, routeTo } from "./router.js";

const LIST_PATH = "/jobs?kind=stylize&limit=24";
const MAX_SINGLE_REQUESTS = 24;
const REFRESH_DELAY_MS = 3_000;

export class Gallery {
  #grid = byId("gallery-tiles");
  #moreButton = byId("gallery-more");
  #errorBox = createErrorBox();
  #tiles = new Map(); // by job id
  #olderJobs = []; // of the later pages
  #cursor;
  #timer;
  #request = new AbortController();

  constructor() {
    this.#moreButton.addEventListener("click", () => this.#showOlder());
    this.#moreButton.before(this.#errorBox.element);
  }

  /** Fetch the paintings, and again while one is in progress. */
  async refresh() {
    this.#request.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    try {
      await this.#fetch(signal);
    } catch (error) {
      if (!signal.aborted) this.#errorBox.showError(error, () => this.refresh());
    }
  }

  async #fetch(signal) {
    clearTimeout(this.#timer);
    const { jobs, cursor } = await callApiUntilAnswered(LIST_PATH, { signal });
    const listed = new Set([...jobs, ...this.#olderJobs].map(({ id }) => id));
    const unlisted = ownPaintingIds().filter((id) => !listed.has(id));
    const isComplete = cursor === null;
    const ownJobs = await fetchJobs(
      isComplete ? unlisted : unlisted.slice(0, MAX_SINGLE_REQUESTS),
    );
    signal.throwIfAborted(); // by a newer refresh
    if (this.#cursor === undefined) this.#cursor = cursor;
    this.#showJobs([...jobs, ...ownJobs, ...this.#olderJobs]);
    if (jobs.some((job) => !isFinished(job)) && !byId("stylize-tab").hidden)
      this.#timer = setTimeout(() => this.refresh(), REFRESH_DELAY_MS);
  }

  async #showOlder() {
    try {
      const path = `${LIST_PATH}&cursor=${encodeURIComponent(this.#cursor)}`;
      const { jobs, cursor } = await callApi(path);
      this.#cursor = cursor;
      this.#olderJobs.push(...jobs);
      await this.refresh();
    } catch (error) {
      this.#errorBox.showError(error);
    }
  }

  #showJobs(jobs) {
    const shown = new Map(jobs.filter(isShown).map((job) => [job.id, job]));
    const newestFirst = [...shown.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
    this.#tiles = new Map(newestFirst.map((job) => [job.id, this.#updateTile(job)]));
    const elements = [...this.#tiles.values()].map(({ element }) => element);
    const present = [...this.#grid.children];
    const isUnchanged =
      elements.length === present.length &&
      elements.every((element, index) => element === present[index]);
    if (!isUnchanged) setChildren(this.#grid, ...elements); // which would lose the focus
    byId("gallery").hidden = elements.length === 0;
    this.#moreButton.hidden = !this.#cursor;
  }

  #updateTile(job) {
    const tile = this.#tiles.get(job.id) ?? new Tile(job.id, () => this.#delete(job.id));
    tile.update(job);
    return tile;
  }

  async #delete(id) {
    this.#errorBox.clear();
    const { element } = this.#tiles.get(id);
    const neighbor = element.nextElementSibling ?? element.previousElementSibling;
    try {
      await deleteJob(id);
      this.#tiles.delete(id);
      this.#olderJobs = this.#olderJobs.filter((job) => job.id !== id);
      element.remove();
      (neighbor?.querySelector("a") ?? byId("stylize-title")).focus();
      if (currentRoute().job === id) navigate("stylize");
      else await this.refresh();
    } catch (error) {
      this.#errorBox.showError(error);
    }
  }
}

class Tile {
  #image;
  #shownVersion = null;
  #text = create("span", { class: "tile-text" });
  #deleteButton;

  constructor(id, onDelete) {
    const image = create("img", { alt: "", hidden: true });
    this.#image = new SmoothImage(image);
    const link = create(
      "a",
      { href: routeTo("stylize", id) },
      create("span", { class: "tile-image" }, image),
      this.#text,
    );
    this.#deleteButton = create(
      "button",
      { type: "button", class: "tile-delete", onclick: onDelete },
      "Delete",
    );
    this.element = create("li", { class: "tile" }, link, this.#deleteButton);
  }

  update(job) {
    const { status, created_at, links, progress } = job;
    const name = styleNamesOf(job);
    const state = status === "succeeded" ? formatAge(created_at) : formatStatus(status);
    setChildren(
      this.#text,
      create("span", {}, userText(name)),
      create("span", { class: "muted" }, state),
    );
    this.#deleteButton.hidden = !isFinished(job);
    this.#deleteButton.setAttribute("aria-label", `Delete painting: ${name}, ${state}`);
    const version = `${status}-${progress?.step}`;
    if (!links.preview || version === this.#shownVersion) return;
    this.#shownVersion = version;
    const url = `${links.preview}?version=${version}`;
    this.#image.show(url).catch(() => {}); // the tile stays without an image
  }
}

const isShown = (job) => Boolean(job.links.preview) || !isFinished(job);
