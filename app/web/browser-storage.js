/** Settings, images and jobs that the browser keeps between visits. */

import { callApi, jobPath } from "./api.js";
import { toTitle } from "./format.js";

const PREFIX = "atelier."; // of the keys in localStorage
const DATABASE = "atelier"; // in IndexedDB
const IMAGE_STORE = "pictures";
const DATABASE_TIMEOUT_MS = 5_000; // another browser tab may block the database
const PAINTINGS_KEY = "made";
const MAX_PAINTINGS = 200;

export const isString = (value) => typeof value === "string";

/**
 * Load a setting.
 *
 * @param {string} name
 * @param {any} fallback
 * @param {(value: any) => boolean} isValid may throw for an invalid value
 */
export function loadSetting(name, fallback, isValid) {
  try {
    const value = JSON.parse(localStorage.getItem(PREFIX + name));
    return value !== null && isValid(value) ? value : fallback;
  } catch {
    return fallback;
  }
}

export function saveSetting(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // the page works without a storage that is full or blocked
  }
}

/** Restore the values of a form and save each change. Files are not saved. */
export function persistForm(form, name) {
  const saved = loadSetting(name, {}, (value) => value instanceof Object);
  for (const input of inputsOf(form)) {
    if (!isString(saved[input.name])) continue;
    if (input.type === "radio") input.checked ||= input.value === saved[input.name];
    else setIfValid(input, saved[input.name]);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
  form.addEventListener("input", () => saveSetting(name, valuesOf(form)));
}

function setIfValid(input, value) {
  const previous = input.value;
  input.value = value;
  if (input.value !== value || !input.validity.valid) input.value = previous;
}

const inputsOf = (form) => [...form.elements].filter(({ name, type }) => name && type !== "file");

function valuesOf(form) {
  const inputs = inputsOf(form).filter((input) => input.type !== "radio" || input.checked);
  return Object.fromEntries(inputs.map(({ name, value }) => [name, value]));
}

/** Save an image under a name; null deletes it. */
export async function saveImage(name, blob) {
  const write = (store) => (blob ? store.put(blob, name) : store.delete(name));
  await withTimeout(inImageStore("readwrite", write)).catch(() => {});
}

/** @returns {Promise<Blob | null>} */
export async function loadImage(name) {
  const read = inImageStore("readonly", (store) => store.get(name));
  const image = await withTimeout(read).catch(() => null);
  return image instanceof Blob ? image : null;
}

const runningKey = (tab) => `${tab}.begun`;

/** Return the id of the job last started in a tab, unless it is known to have ended; else null. */
export const loadRunningJob = (tab) => loadSetting(runningKey(tab), null, isString);

export const saveRunningJob = (tab, id) => saveSetting(runningKey(tab), id);

/** Forget a job that has ended or was deleted. */
export function clearRunningJob(tab, id) {
  if (loadRunningJob(tab) === id) saveSetting(runningKey(tab), null);
}

const isPainting = ({ id, styles }) => isString(id) && isString(styles);

/** Load the paintings that were started in this browser, newest first. */
const loadPaintings = () => loadSetting(PAINTINGS_KEY, [], (value) => value.every(isPainting));

export const ownPaintingIds = () => loadPaintings().map(({ id }) => id);

/** Save a new painting with the names of its styles, and its photo for the comparison. */
export async function savePainting(id, styles, photo) {
  saveSetting(PAINTINGS_KEY, [{ id, styles }, ...loadPaintings()].slice(0, MAX_PAINTINGS));
  if (photo) await saveImage(id, photo);
}

/** Return the names of a painting's styles; the service knows those of built-in styles only. */
export function styleNamesOf({ id, options }) {
  const builtIn = (options.style_name ?? []).map(toTitle).join(" + ");
  return builtIn || loadPaintings().find((job) => job.id === id)?.styles || "Custom style";
}

/** Delete a finished job and its data in this browser. */
export async function deleteJob(id) {
  await callApi(jobPath(id), { method: "DELETE" }).catch((error) => {
    if (error.status !== 404) throw error; // else it is deleted already
  });
  await forgetPainting(id);
}

/** Fetch jobs one by one. Those that no longer exist are forgotten and left out. */
export async function fetchJobs(ids) {
  const fetchJob = async (id) => {
    try {
      return await callApi(jobPath(id));
    } catch (error) {
      if (error.status === 404) await forgetPainting(id);
      return null;
    }
  };
  return (await Promise.all(ids.map(fetchJob))).filter(Boolean);
}

async function forgetPainting(id) {
  saveSetting(
    PAINTINGS_KEY,
    loadPaintings().filter((job) => job.id !== id),
  );
  await saveImage(id, null);
}

function withTimeout(promise) {
  const timeout = new Promise((_, reject) =>
    setTimeout(reject, DATABASE_TIMEOUT_MS, new Error("timeout")),
  );
  return Promise.race([promise, timeout]);
}

async function inImageStore(mode, action) {
  const database = await toPromise(openDatabase());
  try {
    return await toPromise(action(database.transaction(IMAGE_STORE, mode).objectStore(IMAGE_STORE)));
  } finally {
    database.close();
  }
}

function openDatabase() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(IMAGE_STORE);
  return request;
}

function toPromise(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
