/** What was begun in each room last and is not known to have ended, for whoever comes back. */

import { isText, recall, remember } from "./memory.js";

const memory = (room) => `${room}.begun`;

export const begunIn = (room) => recall(memory(room), null, isText);

export const noteBegun = (room, job) => remember(memory(room), job);

/** Forget a job that is over or gone. */
export function noteEnded(room, job) {
  if (begunIn(room) === job) remember(memory(room), null);
}
