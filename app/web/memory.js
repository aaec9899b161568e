/** What the browser remembers between visits: settings as text, pictures as blobs. */

const PREFIX = "atelier.";
const STORE = "pictures";
const PATIENCE_MS = 5_000; // another tab may keep the pictures locked

export const isText = (value) => typeof value === "string";

/**
 * @param {string} name
 * @param {any} fallback
 * @param {(value: any) => boolean} isFit whether what was found can be used; it may throw instead
 */
export function recall(name, fallback, isFit) {
  try {
    const value = JSON.parse(localStorage.getItem(PREFIX + name));
    return value !== null && isFit(value) ? value : fallback;
  } catch {
    return fallback;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // a full or forbidden storage costs the memory only
  }
}

/** Keep what is typed into a form, and put in what was typed before. Files are not kept. */
export function rememberForm(form, name) {
  const before = recall(name, {}, (value) => value instanceof Object);
  for (const input of fields(form)) {
    if (!isText(before[input.name])) continue;
    if (input.type === "radio") input.checked ||= input.value === before[input.name];
    else restore(input, before[input.name]);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }
  form.addEventListener("input", () => remember(name, values(form)));
}

/** Put a value in, if the field takes it. */
function restore(input, value) {
  const usual = input.value;
  input.value = value;
  if (input.value !== value || !input.validity.valid) input.value = usual;
}

/** Keep a picture under a name; null forgets it. */
export async function keepPicture(name, blob) {
  const write = (store) => (blob ? store.put(blob, name) : store.delete(name));
  await soon(inStore("readwrite", write)).catch(() => {});
}

/** @returns {Promise<Blob | null>} */
export async function keptPicture(name) {
  const kept = await soon(inStore("readonly", (store) => store.get(name))).catch(() => null);
  return kept instanceof Blob ? kept : null;
}

const fields = (form) => [...form.elements].filter((each) => each.name && each.type !== "file");

function values(form) {
  const used = fields(form).filter((input) => input.type !== "radio" || input.checked);
  return Object.fromEntries(used.map(({ name, value }) => [name, value]));
}

/** What is not there in time is done without. */
function soon(promise) {
  const late = new Promise((_, reject) => setTimeout(reject, PATIENCE_MS, new Error("late")));
  return Promise.race([promise, late]);
}

async function inStore(mode, act) {
  const database = await settled(opening());
  try {
    return await settled(act(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function opening() {
  const request = indexedDB.open("atelier", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return request;
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
