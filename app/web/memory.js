/** What the browser remembers between visits: settings as text, pictures as blobs. */

const PREFIX = "atelier.";
const STORE = "pictures";

export function recall(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? fallback;
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
  const before = recall(name, {});
  for (const input of fields(form)) {
    const value = before[input.name];
    if (value === undefined) continue;
    if (input.type === "radio") input.checked = input.value === value;
    else if (input.type === "checkbox") input.checked = value;
    else input.value = value;
  }
  form.addEventListener("input", () => remember(name, values(form)));
}

/** Keep a picture under a name; null forgets it. */
export async function keepPicture(name, blob) {
  const write = (store) => (blob ? store.put(blob, name) : store.delete(name));
  await inStore("readwrite", write).catch(() => {});
}

/** @returns {Promise<Blob | undefined>} */
export function keptPicture(name) {
  return inStore("readonly", (store) => store.get(name)).catch(() => undefined);
}

const fields = (form) => [...form.elements].filter((each) => each.name && each.type !== "file");

function values(form) {
  const found = {};
  for (const input of fields(form)) {
    if (input.type === "checkbox") found[input.name] = input.checked;
    else if (input.type !== "radio" || input.checked) found[input.name] = input.value;
  }
  return found;
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
