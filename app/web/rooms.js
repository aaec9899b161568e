/** Three rooms on one page. The address says which one is open, and which job in it. */

import { byId } from "./dom.js";
import { recall, remember } from "./memory.js";

const NAMES = ["classify", "stylize", "evaluate"];
const IS_ID = /^\w+$/;

let isFirst = true;

/** @returns {{room: string, job: string | null}} */
export function here() {
  const [room, job = ""] = location.hash.slice(1).split("/");
  return NAMES.includes(room)
    ? { room, job: IS_ID.test(job) ? job : null }
    : { room: lastRoom(), job: null };
}

export const addressOf = (room, job) => `#${room}${job ? `/${encodeURIComponent(job)}` : ""}`;

/** Go to a room, or to a job in it. */
export const go = (room, job) => (location.hash = addressOf(room, job));

/**
 * Show the room of the address, now and whenever it changes.
 *
 * @param {Object<string, {open: (job: string | null) => void, close: () => void}>} rooms by name
 */
export function openRooms(rooms) {
  const open = () => {
    const { room, job } = here();
    for (const name of NAMES) if (name !== room) rooms[name].close();
    show(room, job);
    rooms[room].open(job);
  };
  addEventListener("hashchange", open);
  if (!location.hash) history.replaceState(null, "", addressOf(here().room)); // for the way back
  open();
}

const lastRoom = () => recall("room", NAMES[0], (name) => NAMES.includes(name));

function show(room, job) {
  for (const name of NAMES) {
    byId(`room-${name}`).hidden = name !== room;
    const link = byId(`to-${name}`);
    if (name === room) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${byId(`to-${room}`).textContent} · Atelier`;
  if (!isFirst && !job) byId(`title-${room}`).focus({ preventScroll: true });
  scrollTo(0, 0);
  isFirst = false;
  remember("room", room);
}
