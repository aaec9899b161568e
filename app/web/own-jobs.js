/** Paintings that were made in this browser, and the photographs that they began with. */

import { call, jobPath } from "./api.js";
import { isText, keepPicture, recall, remember } from "./memory.js";
import { title } from "./words.js";

const MADE = "made";
const MOST = 200;

const isNote = ({ id, styles }) => isText(id) && isText(styles);
const noted = () => recall(MADE, [], (value) => value.every(isNote)); // newest first

export const madeHere = () => noted().map(({ id }) => id);

/** Note a new job and the names of its styles, and keep its photograph to compare it with. */
export async function noteMade(id, styles, photo) {
  remember(MADE, [{ id, styles }, ...noted()].slice(0, MOST));
  if (photo) await keepPicture(id, photo);
}

/** What a painting's styles are called; the service knows the names of its own only. */
export function stylesOf({ id, options }) {
  const builtIn = (options.style_name ?? []).map(title).join(" + ");
  return builtIn || noted().find((job) => job.id === id)?.styles || "Own painting";
}

/** Delete a finished job, and what the browser keeps of it. */
export async function removeJob(id) {
  await call(jobPath(id), { method: "DELETE" }).catch((error) => {
    if (error.status !== 404) throw error; // it is gone already
  });
  await forget(id);
}

/** Look at jobs one by one. Those that are gone are forgotten and left out. */
export async function lookUp(ids) {
  const look = async (id) => {
    try {
      return await call(jobPath(id));
    } catch (error) {
      if (error.status === 404) await forget(id);
      return null;
    }
  };
  return (await Promise.all(ids.map(look))).filter(Boolean);
}

async function forget(id) {
  remember(
    MADE,
    noted().filter((job) => job.id !== id),
  );
  await keepPicture(id, null);
}
