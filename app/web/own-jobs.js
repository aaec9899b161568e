/** Paintings that were made in this browser, and the photographs that they began with. */

import { call } from "./api.js";
import { keepPicture, recall, remember } from "./memory.js";

const MADE = "made";
const MOST = 200;

export const madeHere = () => recall(MADE, []);

/** Note a new job, and keep its photograph to compare the painting with. */
export async function noteMade(id, photo) {
  remember(MADE, [id, ...madeHere()].slice(0, MOST));
  if (photo) await keepPicture(id, photo);
}

/** Delete a finished job, and what the browser keeps of it. */
export async function removeJob(id) {
  await call(`/jobs/${id}`, { method: "DELETE" }).catch((error) => {
    if (error.status !== 404) throw error; // it is gone already
  });
  await forget(id);
}

/** Look at jobs one by one. Those that are gone are forgotten and left out. */
export async function lookUp(ids) {
  const look = async (id) => {
    try {
      return await call(`/jobs/${id}`);
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
    madeHere().filter((each) => each !== id),
  );
  await keepPicture(id, null);
}
